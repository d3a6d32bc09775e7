"""Directional fibers: what lies on them, how they end, and what keeps a step on its own branch."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import root

from dynsys import Flow, Map
from dynsys.continuation.arclength import Ending
from dynsys.models.examples.bistable import Bistable
from dynsys.models.examples.simple2d import Simple2D
from dynsys.search.fibers.directional_fibers import ARCLENGTH, DENSE_LIMIT, Fibers

torch.set_num_threads(1)


def directions(B, n, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).standard_normal((B, n)))


def no_input(B):
    return torch.zeros(B, 0, dtype=torch.float64)


def fibers(margin=10.0, both_ways=True, stray=0.3, contraction=0.3, converged=3e-3, **settings):
    newton = dataclasses.replace(ARCLENGTH.newton, stray=stray, contraction=contraction, converged=converged)
    return Fibers(dataclasses.replace(ARCLENGTH, newton=newton, **settings), margin, both_ways)


def follow(system, x0, c, **settings):
    x0, c = torch.as_tensor(x0, dtype=torch.float64), torch.as_tensor(c, dtype=torch.float64)
    return fibers(**settings).follow(system, x0, c, no_input(len(x0)))


def nearest(x, points):
    """Distance of each row of x to the points, and which of them it is."""
    apart = np.linalg.norm(np.asarray(x)[:, None] - np.asarray(points)[None], axis=2)
    return apart.min(axis=1), apart.argmin(axis=1)


def brute_force(W, starts, seed=0):
    """The zeros of tanh(W x) - x that scipy's hybrid Powell method finds from many starts, each once."""
    zeros = np.zeros((0, len(W)))
    for x in np.random.default_rng(seed).uniform(-1, 1, (starts, len(W))):
        answer = root(lambda y: np.tanh(W @ y) - y, x, tol=1e-13)
        if not answer.success or np.abs(answer.fun).max() > 1e-11:
            continue
        if len(zeros) == 0 or nearest([answer.x], zeros)[0] > 1e-6:
            zeros = np.vstack([zeros, answer.x])
    return zeros


def random_weights(n, gain, seed):
    return np.random.default_rng(seed).standard_normal((n, n)) * gain / np.sqrt(n)


def tanh_map(W):
    weights = torch.as_tensor(W)
    return Map(lambda x, u: torch.tanh(x @ weights.T), n_state=len(W), bounds=(-1, 1))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_fibers_of_bistable_units_meet_the_known_points_and_no_others(n):
    system = Bistable(n)
    known, _ = system.fixed_points()
    found = follow(system, np.zeros((8, n)), directions(8, n))
    distance, which = nearest(found.x, known)
    assert distance.max() < 1e-9
    assert set(which) | {0} == set(range(len(known)))  # the start, known[0], is not reported


def test_a_fiber_of_one_unit_meets_both_points_beside_the_origin_and_leaves_at_both_ends():
    """In one dimension the fiber is the line itself, and alpha is F."""
    system = Bistable(1)
    known, _ = system.fixed_points()
    found = follow(system, [[0.0]], [[1.0]])
    distance, which = nearest(found.x, known)
    assert distance.max() < 1e-12
    assert sorted(known[which, 0]) == sorted(k for k in known[:, 0] if k != 0)
    assert found.outcome.tolist() == [Ending.LEFT]


def test_every_crossing_of_a_random_map_is_a_zero_that_brute_force_knows():
    W = random_weights(8, 8.0, 6)
    system, zeros = tanh_map(W), brute_force(W, 400)
    assert len(zeros) >= 5  # else the map is no test
    found = follow(system, np.zeros((8, 8)), directions(8, 8))
    assert found.residual.max() < 1e-12
    distance, which = nearest(found.x, zeros)
    assert distance.max() < 1e-8
    assert len(set(which)) >= 0.9 * (len(zeros) - 1)


def test_fibers_start_at_any_state_in_the_direction_of_its_velocity():
    system = Simple2D()
    x0 = torch.as_tensor(np.random.default_rng(0).uniform(-2, 2, (8, 2)))
    c = system.velocity(x0, no_input(8))
    found = Fibers().follow(system, x0, c, no_input(8))
    distance, which = nearest(found.x, system.fixed_points())
    assert distance.max() < 1e-9
    assert set(which) == {0, 1, 2}


def test_a_crossing_is_found_once_per_fiber():
    found = follow(Bistable(3), np.zeros((8, 3)), directions(8, 3))
    for fiber in range(8):
        x = found.x[found.fiber == fiber]
        assert (torch.cdist(x, x) + 10 * torch.eye(len(x))).min() > 1e-3


CIRCLE = Flow(lambda x, u: torch.stack([x[:, 0] ** 2 + x[:, 1] ** 2 - 1, x[:, 1] - 0.3], 1), n_state=2, bounds=(-2, 2))


def test_a_circle_is_a_closed_loop_with_its_two_zeros():
    """F = (x^2 + y^2 - 1, y - 0.3) keeps the direction (0, 1) on the unit circle; it is zero where y = 0.3."""
    zeros = np.array([[0.91**0.5, 0.3], [-(0.91**0.5), 0.3]])
    found = follow(CIRCLE, [[0.0, 1.0], [0.6, -0.8]], [[0.0, 1.0], [0.0, 1.0]])
    assert found.outcome.tolist() == [Ending.CLOSED, Ending.CLOSED]
    for fiber in (0, 1):
        x = found.x[found.fiber == fiber]
        assert len(x) == 2
        assert nearest(zeros, x)[0].max() < 1e-12


def test_a_loop_that_begins_at_a_zero_ends_there_and_meets_the_other_zero():
    zeros = np.array([[0.91**0.5, 0.3], [-(0.91**0.5), 0.3]])
    found = follow(CIRCLE, zeros[:1], [[0.0, -2.0]])
    assert found.outcome.tolist() == [Ending.CLOSED]
    assert len(found.x) == 1
    assert nearest(found.x, zeros[1:])[0].max() < 1e-12


def test_a_loop_without_a_zero_closes_too():
    system = Flow(lambda x, u: torch.stack([x[:, 0] ** 2 + x[:, 1] ** 2 - 1, x[:, 1] - 3.0], 1), 2, bounds=(-2, 2))
    found = follow(system, [[1.0, 0.0]], [[0.0, 1.0]])
    assert found.outcome.tolist() == [Ending.CLOSED]
    assert len(found.x) == 0


def test_one_way_finds_what_lies_that_way():
    both, one = (follow(Bistable(1), [[0.0]], [[1.0]], both_ways=b) for b in (True, False))
    assert len(both.x) == 2
    assert len(one.x) == 1


def test_two_crossings_within_one_step_are_both_found():
    """alpha = x^2 - 1e-4 along the line y = 0: it dips below zero for 0.02 only."""
    system = Flow(lambda x, u: torch.stack([x[:, 0] ** 2 - 1e-4, -x[:, 1]], 1), 2, bounds=(-2, 2))
    found = follow(system, [[1.0, 0.0]], [[1.0, 0.0]], first_step=0.5, max_steps=50)
    assert nearest([[0.01, 0.0], [-0.01, 0.0]], found.x)[0].max() < 1e-10


def test_a_system_too_large_for_factorisations_says_so():
    n = DENSE_LIMIT + 1
    with pytest.raises(ValueError, match=rf"has {n} state variables.*another engine"):
        follow(Flow(lambda x, u: -x, n_state=n), np.zeros((1, n)), np.ones((1, n)))


@pytest.mark.parametrize(
    ("x0", "c", "message"),
    [
        (np.zeros((2, 3)), np.ones((2, 2)), r"x0 has shape \(2, 3\).*\(B, 2\)"),
        (np.zeros((2, 2)), np.ones((1, 2)), r"c \(1, 2\)"),
        (np.zeros((2, 2)), np.array([[1.0, 0.0], [0.0, 0.0]]), "1 of 2 directions are zero"),
        (np.zeros((1, 2)), np.array([[np.nan, 0.0]]), "not finite"),
    ],
)
def test_what_does_not_fit_is_named(x0, c, message):
    with pytest.raises(ValueError, match=message):
        follow(Simple2D(), x0, c)


def test_the_same_fibers_give_the_same_numbers_in_any_batch():
    system, c = Bistable(2), directions(6, 2)
    together = follow(system, np.zeros((6, 2)), c, width=4)
    again = follow(system, np.zeros((6, 2)), c, width=4)
    assert torch.equal(together.x, again.x)
    for k in range(6):
        alone = follow(system, np.zeros((1, 2)), c[k : k + 1])
        mine = together.x[together.fiber == k]
        assert len(mine) == len(alone.x)
        assert nearest(mine, alone.x)[0].max() < 1e-9


def test_a_velocity_that_is_nan_in_half_the_space_stops_its_fibers_and_no_others():
    def velocity(x, u):
        return torch.where(x > 0.5, torch.nan, -x * (x + 1))

    system = Flow(velocity, n_state=1, bounds=(-2, 2))
    found = follow(system, [[-0.2], [-1.5], [0.7]], [[1.0], [1.0], [1.0]])
    assert found.outcome.tolist() == [Ending.STUCK] * 3
    for fiber in (0, 1):
        assert nearest([[0.0], [-1.0]], found.x[found.fiber == fiber])[0].max() < 1e-12
    assert int((found.fiber == 2).sum()) == 0


def test_no_fibers_meet_nothing():
    found = follow(Simple2D(), np.zeros((0, 2)), np.zeros((0, 2)))
    assert found.x.shape == (0, 2)
    assert len(found.outcome) == 0


def test_a_near_miss_is_no_crossing():
    system = Flow(lambda x, u: torch.stack([x[:, 0] ** 2 + 1e-4, -x[:, 1]], 1), 2, bounds=(-2, 2))
    found = follow(system, [[1.0, 0.0]], [[1.0, 0.0]])
    assert len(found.x) == 0
    assert found.outcome.tolist() == [Ending.LEFT]


GAP = 0.05
BLIND = {"turn": 4.0, "stray": 1e9, "contraction": 1e9, "converged": 1e9, "aimed": (1e9, 1e9, 2.0)}


def _three_branches(x, u):
    """F1 is zero on three waves, y = sin 2x and GAP above and below it; F2 is zero at another x on each."""
    above = x[:, 1] - torch.sin(2 * x[:, 0])
    return torch.stack([above**3 - GAP**2 * above, x[:, 0] - 2 + 10 * above], dim=1)


def test_checked_steps_keep_to_their_branch_where_long_ones_leap_to_the_next():
    """The lowest wave has its zero at x = 2 + 10 GAP; a leap by two waves keeps the orientation, and only that."""
    system = Flow(_three_branches, n_state=2, bounds=(-4, 4))
    start = np.array([[0.0, -GAP]])
    own = np.array([[2 + 10 * GAP, np.sin(4 + 20 * GAP) - GAP]])
    checked = follow(system, start, [[0.0, 1.0]], first_step=0.5, margin=0.0)
    assert nearest(checked.x, own)[0].tolist() == pytest.approx([0.0], abs=1e-10)
    assert checked.outcome.tolist() == [Ending.LEFT]
    blind = follow(system, start, [[0.0, 1.0]], first_step=0.5, margin=0.0, **BLIND)
    assert nearest(own, blind.x)[0].min() > 0.1  # its own zero is not among what it met


def test_a_fiber_through_the_origin_of_an_odd_map_meets_its_points_in_mirror_pairs():
    """F(-x) = -F(x): the fiber is its own mirror image. It leaves at both ends, so alpha changes sign evenly around."""
    system = tanh_map(random_weights(8, 8.0, 10))
    found = follow(system, np.zeros((6, 8)), directions(6, 8))
    assert found.outcome.tolist() == [Ending.LEFT] * 6
    for fiber in range(6):
        x = found.x[found.fiber == fiber]
        assert len(x) % 2 == 0
        assert len(x) == 0 or nearest(x, -x)[0].max() < 1e-10


def test_alpha_changes_sign_oddly_often_between_the_two_ends_of_a_fiber_that_leaves():
    """At the far ends F is -x nearly, so alpha has opposite signs there (Brouwer's degree is odd)."""
    system = Bistable(3)
    x0 = torch.as_tensor(np.random.default_rng(1).uniform(-1, 1, (8, 3)))
    found = Fibers().follow(system, x0, system.velocity(x0, no_input(8)), no_input(8))
    left = (found.outcome == Ending.LEFT).nonzero().squeeze(1).tolist()
    assert len(left) >= 4
    assert all(int((found.fiber == fiber).sum()) % 2 == 1 for fiber in left)

"""Each zero once: none twice, no two as one, and what is still on its way belongs to a zero only if it must."""

import numpy as np
import pytest
import torch

from dynsys import Flow, find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.search.known.distinct import NOBODY, Catalogue
from dynsys.search.known.stopping import Source

EMPTY = torch.zeros(1, 0, dtype=torch.float64)


def pair(n, d, slope, seed=0):
    """Two zeros d apart, at c -+ d/2 along a random direction, where the velocity has the slope -+``slope``; all other
    directions decay.
    """
    rng = np.random.default_rng(seed)
    Q = torch.as_tensor(np.linalg.qr(rng.standard_normal((n, n)))[0])
    c = torch.as_tensor(rng.uniform(-1, 1, n))

    def velocity(x, u):
        y = (x - c) @ Q
        along = -(y[:, :1] - d / 2) * (y[:, :1] + d / 2) * (slope / d)
        return torch.cat([along, -y[:, 1:]], dim=1) @ Q.T

    zeros = np.stack([c - d / 2 * Q[:, 0], c + d / 2 * Q[:, 0]])
    return Flow(velocity, n_state=n), zeros


def near(zeros, d, seed=0):
    """Four starts near each of the zeros, three tenths of their distance away."""
    away = np.random.default_rng(seed).standard_normal((4, *zeros.shape))
    away *= 0.3 * d / np.linalg.norm(away, axis=2, keepdims=True)
    return (zeros + away).reshape(-1, zeros.shape[1])


def distances(points, zeros):
    return np.linalg.norm(points.states[:, None] - zeros[None], axis=2)


APART = [(n, d) for n in (1, 2, 5) for d in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)]


@pytest.mark.parametrize(("n", "d"), [*APART, (2, 1e-7), (70, 1e-2), (70, 1e-7)])
def test_two_zeros_near_each_other_are_two_points(n, d):
    """The velocity has the slope one at both of them, so that float64 can tell them apart."""
    system, zeros = pair(n, d, slope=1.0)
    points = find_fixed_points(system, near(zeros, d), closure=False, workers=1)
    apart = distances(points, zeros)
    assert sorted(apart.argmin(axis=1)) == [0, 1]
    rounded = 1e-15 * n**0.5  # of the known zeros and of the rotation
    assert (apart.min(axis=1) <= points.error_bound + rounded).all()
    assert (points.error_bound < d / 2).all()


@pytest.mark.parametrize(("n", "d"), [*APART, (70, 1e-3)])
def test_two_zeros_near_each_other_are_two_points_where_the_velocity_is_nearly_flat(n, d):
    """x' = (d/2)^2 - x^2, just past a fold: slopes of -+d."""
    system, zeros = pair(n, d, slope=d)
    points = find_fixed_points(system, near(zeros, d), closure=False, workers=1)
    apart = distances(points, zeros)
    assert sorted(apart.argmin(axis=1)) == [0, 1]
    assert apart.min() < 1e-2 * d
    assert points.n_unstable.tolist() == [0, 1]  # the upper one is stable


@pytest.mark.parametrize("n", [1, 2, 5, 70])
@pytest.mark.parametrize("d", [1e-7, 1e-8])
def test_two_zeros_that_float64_cannot_tell_apart_are_never_given_a_bound_that_is_wrong(n, d):
    """The slope is d, and so |F| between them d^2 / 4, below rounding: one marginal point, or two."""
    system, zeros = pair(n, d, slope=d)
    points = find_fixed_points(system, near(zeros, d), closure=False, workers=1)
    apart = distances(points, zeros).min(axis=1)
    assert 1 <= len(points) <= 2
    assert (apart <= points.error_bound + 1e-15 * n**0.5).all()
    assert apart.max() < 2 * d


@pytest.mark.parametrize("width", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("centre", [0, 0.7])
def test_a_row_of_zeros_is_found_one_by_one(width, centre):
    """x' = w sin(x / w) is zero at every k pi w, and turns from one to the next."""
    system = Flow(lambda x, u: width * torch.sin(x / width), n_state=1)
    zeros = (round(centre / width / np.pi) + np.arange(-2, 3)) * np.pi * width
    starts = zeros[:, None] + 0.3 * width * np.linspace(-1, 1, 6)
    points = find_fixed_points(system, starts.reshape(-1, 1), closure=False, workers=1)
    np.testing.assert_allclose(np.sort(points.states.ravel()), zeros, atol=1e-5 * width)


def entered(system, x, inputs=EMPTY, groups=None):
    x = torch.as_tensor(x, dtype=torch.float64)
    catalogue = Catalogue(system, inputs, unit=1.0)
    groups = torch.zeros(len(x), dtype=torch.long) if groups is None else torch.tensor(groups)
    owners = catalogue.add(x, system.velocity(x, inputs[groups]), groups)
    return catalogue, owners


def owned(catalogue, x, groups=None):
    """The owner of each state x (B, n), as an array."""
    groups = torch.zeros(len(x), dtype=torch.long) if groups is None else torch.tensor(groups)
    F = catalogue.system.velocity(x, catalogue.inputs[groups])
    return catalogue.owners(x, F, groups).numpy()


@pytest.mark.parametrize("seed", range(6))
def test_newton_leads_from_a_state_to_the_point_that_owns_it(seed):
    """Newton's method in plain numpy, from states at any distance that the catalogue gives to a known point."""
    system = SimpleRNN.random(4, gain=3.0, seed=seed)
    known = find_fixed_points(system, n_starts=64, workers=1).states
    W, rng = system.W.numpy(), np.random.default_rng(seed)
    catalogue, _ = entered(system, known)
    states = catalogue.states().numpy()
    away = rng.standard_normal((400, 4)) * np.geomspace(1e-6, 1.0, 400)[:, None]
    x = states[rng.integers(0, len(states), 400)] + away
    owner = owned(catalogue, torch.as_tensor(x))
    assert (owner != NOBODY).mean() > 0.3
    for y, k in zip(x[owner != NOBODY], owner[owner != NOBODY], strict=True):
        for _ in range(30):
            r = np.tanh(y)
            y = y - np.linalg.solve(W * (1 - r**2) - np.eye(4), W @ r - y)
        assert np.linalg.norm(y - states[k]) < 1e-10


def test_a_point_owns_itself_and_not_another_however_few_are_known():
    states = Bistable(2).fixed_points()[0]
    for k in range(9):
        catalogue, _ = entered(Bistable(2), states[k : k + 1])
        assert (owned(catalogue, torch.as_tensor(states)) == np.where(np.arange(9) == k, 0, NOBODY)).all()


@pytest.mark.parametrize("d", [1e-1, 1e-3, 1e-5, 1e-7])
def test_of_two_zeros_near_each_other_neither_owns_what_is_near_the_other(d):
    for k in (0, 1):
        system, zeros = pair(3, d, slope=1.0)
        catalogue, _ = entered(system, zeros[k : k + 1])
        assert (owned(catalogue, torch.as_tensor(near(zeros[1 - k : 2 - k], d))) == NOBODY).all()


def test_one_place_at_two_inputs_is_two_points():
    system = Flow(lambda x, u: -x * (1 + u**2), n_state=1, n_input=1)
    inputs = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    catalogue, owners = entered(system, [[0.0], [0.0], [0.0]], inputs, [0, 1, 0])
    assert owners.tolist() == [0, 1, 0]
    assert catalogue.groups == [0, 1]
    x = torch.tensor([[1e-6], [1e-6]], dtype=torch.float64)
    assert owned(catalogue, x, [1, 0]).tolist() == [1, 0]


def test_a_line_of_zeros_is_one_point_however_often_it_is_reached():
    """x' = (0, -y), one after the other and all together."""
    A = torch.tensor([[0.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    system = Flow(lambda x, u: x @ A.T, n_state=2)
    x = torch.stack([torch.linspace(-1, 1, 11, dtype=A.dtype), torch.zeros(11, dtype=A.dtype)], dim=1)
    catalogue, owners = entered(system, x)
    assert owners.tolist() == [0] * 11
    for row in x.split(1):
        assert catalogue.add(row, system.velocity(row, EMPTY), torch.zeros(1, dtype=torch.long)).tolist() == [0]
    assert len(catalogue) == 1
    assert catalogue.isolated() == []


def test_visits_of_any_start_hits_of_independent_ones_and_crossings_of_fibers_are_counted_apart():
    catalogue, _ = entered(Bistable(1), Bistable(1).fixed_points()[0])
    assert catalogue.hits == catalogue.crossings == catalogue.visits == [0, 0, 0]
    assert catalogue.visit(torch.tensor([0, 0, 2, NOBODY]), Source.OWN).tolist() == [2, 0, 1]
    assert catalogue.visit(torch.tensor([1, 2]), Source.MADE).tolist() == [0, 1, 1]
    assert catalogue.visit(torch.tensor([0]), Source.SCATTERED).tolist() == [1, 0, 0]
    assert catalogue.visit(torch.tensor([1, 1]), Source.FIBER).tolist() == [0, 2, 0]
    assert catalogue.hits == [3, 0, 1]
    assert catalogue.crossings == [0, 2, 0]
    assert catalogue.visits == [3, 3, 2]
    assert catalogue.seen_once() == 0


def test_a_point_that_one_start_of_any_kind_has_reached_is_seen_once():
    catalogue, _ = entered(Bistable(1), Bistable(1).fixed_points()[0])
    catalogue.visit(torch.tensor([0, 0, 1]), Source.OWN)
    catalogue.visit(torch.tensor([2]), Source.FIBER)
    assert catalogue.seen_once() == 2


@pytest.mark.parametrize("together", [0, 1, 2, 64])
def test_the_same_points_however_many_fit_in_memory_at_once(together):
    """0 is by Krylov solves."""
    system = Bistable(2)
    x = torch.as_tensor(np.repeat(system.fixed_points()[0], 3, axis=0))
    catalogue = Catalogue(system, EMPTY, unit=1.0, together=together)
    owners = catalogue.add(x, system.velocity(x, EMPTY.expand(27, 0)), torch.zeros(27, dtype=torch.long))
    assert len(catalogue) == 9
    assert torch.equal(owners.view(9, 3), owners.view(9, 3)[:, :1].expand(9, 3))


def test_the_indices_of_a_trapping_box_sum_to_one_and_of_part_of_the_points_may_not():
    states = Bistable(3).fixed_points()[0]
    assert entered(Bistable(3), states)[0].index_sum() == 1
    assert entered(Bistable(3), states[1:])[0].index_sum() in (0, 2)
    assert entered(Flow(lambda x, u: -x, n_state=1), [[0.0]])[0].index_sum() is None  # no box that traps

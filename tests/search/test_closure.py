"""Starts made from the points found: what they are, that they never repeat themselves, and where they may not lie."""

import numpy as np
import pytest
import torch

from dynsys import Flow
from dynsys.models.examples.bistable import Bistable
from dynsys.search.guesses import Closure

EMPTY = torch.zeros(1, 0, dtype=torch.float64)


def closure(system, seed=0):
    return Closure(system, EMPTY, np.random.default_rng(seed), system)


def decay(n=2, bounds=None):
    return Flow(lambda x, u: -x, n_state=n, bounds=bounds)


def rows(x):
    return {tuple(row) for row in np.round(np.asarray(x), 12) + 0.0}


def test_patterns_of_two_points_are_their_midpoint_and_both_reflections():
    known = torch.tensor([[0.0, 0.0], [4.0, 0.0]], dtype=torch.float64)
    made = closure(decay())
    assert rows(made._patterns(known, 10)) == {(-4.0, 0.0), (2.0, 0.0), (8.0, 0.0)}
    assert len(made._patterns(known, 10)) == 0  # none is made twice


def test_three_points_are_completed_to_parallelograms():
    known = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    made = rows(closure(decay())._patterns(known, 100))
    assert {(4.0, 4.0), (-4.0, 4.0), (4.0, -4.0)} <= made
    assert {(2.0, 0.0), (0.0, 2.0), (2.0, 2.0)} <= made


def test_what_is_known_already_is_not_made_again():
    known = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    assert rows(closure(decay(1))._patterns(known, 100)) == {(0.5,), (1.5,), (-1.0,), (-2.0,), (3.0,), (4.0,)}


@pytest.mark.parametrize("k", [2, 5, 27])
def test_no_pattern_is_made_twice_however_often_it_is_asked_for(k):
    known = torch.as_tensor(np.random.default_rng(0).standard_normal((k, 4)))
    made = closure(decay(4))
    seen = [made._patterns(known, 40) for _ in range(12)]
    x = np.concatenate(seen)
    assert len(rows(x)) == len(x)
    assert all(len(part) <= 40 for part in seen)


def test_patterns_that_were_made_stay_made_when_points_are_added():
    known = torch.as_tensor(np.random.default_rng(0).standard_normal((6, 3)))
    made = closure(decay(3))
    before = np.concatenate([made._patterns(known[:5], 1000), np.zeros((0, 3))])
    after = made._patterns(known, 1000)
    assert len(after) > 0
    assert not rows(before) & rows(after)


def test_the_slowest_patterns_come_first():
    system = Bistable(3)
    known = torch.as_tensor(system.fixed_points()[0])
    made = closure(system)._patterns(known, 64)
    speeds = system.velocity(made, EMPTY.expand(64, 0)).norm(dim=1)
    assert len(made) == 64
    assert speeds[:32].median() < 0.8 * speeds[32:].median()  # half of them the slowest, half at random


def test_patterns_lie_no_farther_outside_the_box_than_it_is_wide():
    known = torch.tensor([[-1.0], [1.0], [0.9]], dtype=torch.float64)
    made = closure(decay(1, bounds=(-1, 1)))._patterns(known, 100)
    assert (made.abs() <= 3.0).all()
    assert (made.abs() > 1.0).any()


def test_where_the_origin_is_a_point_every_other_point_is_mirrored_once():
    known = torch.tensor([[0.0, 0.0], [1.0, 2.0], [-1.0, -2.0], [3.0, 1.0]], dtype=torch.float64)
    made = closure(decay())
    assert rows(made._mirrored(known)) == {(-3.0, -1.0)}
    assert len(made._mirrored(known)) == 0
    assert len(closure(decay())._mirrored(known[1:])) == 0  # no origin, no reason


def test_lines_lead_from_a_saddle_to_its_neighbours():
    """From the origin of bistable units, along its unstable directions: slow states near other points."""
    system = Bistable(2)
    known = torch.zeros(1, 2, dtype=torch.float64)
    made = torch.cat([closure(system, seed)._lines(known, 32) for seed in range(4)])
    others = torch.as_tensor(system.fixed_points()[0][1:])
    assert torch.cdist(made, others).amin(dim=1).median() < 0.7
    assert made.norm(dim=1).min() > 0.1  # beyond the point itself


@pytest.mark.parametrize("k", [1, 2, 9])
@pytest.mark.parametrize("n", [16, 64, 128])
def test_starts_are_finite_and_about_as_many_as_asked_for(k, n):
    system = Bistable(2)
    known = torch.as_tensor(system.fixed_points()[0][:k])
    x = closure(system).starts(known, [1] * k, n)
    assert x.shape[1] == 2
    assert 0 < len(x) <= 1.5 * n
    assert torch.isfinite(x).all()


def test_there_are_starts_even_where_nothing_is_known():
    x = closure(decay(2, bounds=(-1, 3))).starts(torch.zeros(0, 2, dtype=torch.float64), [], 50)
    assert x.shape == (50, 2)
    assert float(x.min()) >= -1
    assert float(x.max()) <= 3


def test_the_same_seed_makes_the_same_starts_and_another_does_not():
    system = Bistable(2)
    known = torch.as_tensor(system.fixed_points()[0][:5])
    a, again, b = (closure(system, seed).starts(known, [1] * 5, 64) for seed in (0, 0, 1))
    assert torch.equal(a, again)
    assert not torch.equal(a[: len(b)], b[: len(a)])


def test_the_known_points_are_not_written_to():
    known = torch.as_tensor(Bistable(2).fixed_points()[0])
    before = known.clone()
    closure(Bistable(2)).starts(known, list(range(9)), 64)
    assert torch.equal(known, before)


def test_points_that_were_hit_least_have_more_starts_around_them():
    known = torch.tensor([[-100.0], [0.0], [100.0]], dtype=torch.float64)
    made = closure(decay(1))._thin(known, [0, 50, 50], 1)
    assert len(made) == 1
    thin = torch.cat([closure(decay(1), seed)._thin(known, [0, 50, 50], 1) for seed in range(200)])
    nearest = torch.cdist(thin, known).argmin(dim=1)
    assert (nearest == 0).double().mean() > 0.5

"""How far a slow point may be from the minimum of q that it stands for: a bound that holds, or none."""

import numpy as np
import pytest
import torch

from dynsys import Flow, Map, find_fixed_points
from dynsys.search.slow_points.minimum import minimum_at
from dynsys.systems.held import Held


def slow_points(system):
    points = find_fixed_points(system, n_starts=64)
    return points[points.verdict == "slow"]


@pytest.mark.parametrize("power", [4, 6])
def test_where_q_bends_less_and_less_there_is_no_bound(power):
    """dx/dt = 1e-4 + x^p: q has its minimum at 0, and no second derivative there."""
    points = slow_points(Flow(lambda x, u: 1e-4 + x**power, 1, bounds=(-1, 1)))
    assert len(points) == 1
    assert points.error_bound.tolist() == [np.inf]
    assert "no bound" in points.reasons[0]


def test_one_flat_direction_among_others_is_enough():
    system = Flow(lambda x, u: torch.stack([1e-4 + x[:, 0] ** 4, -x[:, 1]], 1), 2, bounds=(-1, 1))
    assert np.isinf(slow_points(system).error_bound).all()


@pytest.mark.parametrize("place", [0.0, 0.3, -1e-3])
@pytest.mark.parametrize("ghost", [1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("kind", [Flow, Map])
def test_the_minimum_beside_a_fold_lies_within_the_bound(kind, ghost, place):
    """F = r + (x - a)^2 + (x - a)^3 has dF/dx = 0 and F > 0 at a, and so does a map with this F, which rounds more."""

    def velocity(x, u):
        return ghost + (x - place) ** 2 + (x - place) ** 3

    step = velocity if kind is Flow else lambda x, u: x + velocity(x, u)
    points = slow_points(kind(step, 1, bounds=(-0.6, 0.6)))
    nearest = np.abs(points.states[:, 0] - place).argmin()
    apart, bound = abs(points.states[nearest, 0] - place), points.error_bound[nearest]
    assert apart <= bound < 1e-7


@pytest.mark.parametrize(
    "system",
    [
        Map(lambda x, u: x + 1e-4 + (x - 0.3) ** 4, 1),
        Map(lambda x, u: x + 1e-4 + (x - 0.3) ** 6, 1),
        Flow(lambda x, u: -x + (x + 1e-4 + (x - 0.3) ** 4), 1),
    ],
)
@pytest.mark.parametrize("off", [1e-7, 2e-6, -1e-5, 2.7e-4])
def test_where_the_derivative_rounds_to_zero_all_around_the_bound_holds_or_there_is_none(system, off):
    """The least speed is at 0.3; dG/dx rounds to 1 up to 3e-6 or 5e-4 from there."""
    found = minimum_at(Held(system, torch.zeros(1, 0).double(), 1.0), torch.tensor([[0.3 + off]]).double())
    assert abs(float(found.x) - 0.3) <= found.error_bound

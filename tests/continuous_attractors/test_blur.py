"""The uncertainty of marginal points: the root of the rounding error of the order of the degeneracy."""

import numpy as np
import pytest
import torch

from dynsys import Flow, find_fixed_points
from dynsys.continuous_attractors.of_marginal_points import blur
from dynsys.systems.held import Held

NO_INPUT = torch.zeros(1, 0, dtype=torch.float64)


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_degenerate_zero_is_blurred_by_the_root_of_the_rounding_error(order, scale):
    """x' = x^m: rounding is at least eps |F(0.01) / 0.01| = eps 0.01^(m-1), in whatever units F is; 128 in all."""
    found = blur(Held(Flow(lambda x, u: scale * x**order, 1), NO_INPUT, 1.0), torch.zeros(1, 1, dtype=torch.float64))
    eps = np.finfo(float).eps
    assert (eps * 0.01 ** (order - 1)) ** (1 / order) <= found <= (128 * eps * 0.01 ** (order - 1)) ** (1 / order)


def test_a_fold_on_a_bent_centre_manifold_is_blurred_as_on_a_straight_one():
    """x' = x^2, y' = -100 (y - x^2) has its centre manifold on y = x^2."""

    def bent(x, u):
        return torch.stack([x[:, 0] ** 2, -100 * (x[:, 1] - x[:, 0] ** 2)], 1)

    def straight(x, u):
        return torch.stack([x[:, 0] ** 2, -100 * x[:, 1]], 1)

    zero = torch.zeros(1, 2, dtype=torch.float64)
    first, second = (blur(Held(Flow(f, 2), NO_INPUT, 1.0), zero) for f in (bent, straight))
    assert first == pytest.approx(second, rel=0.5)
    assert 1e-9 < first < 1e-6


def test_the_true_place_of_a_fold_lies_within_the_blur_of_the_point_found():
    system = Flow(lambda x, u: (x - 0.3) ** 2, n_state=1, bounds=(-2, 2))
    points = find_fixed_points(system, n_starts=32, workers=1)
    assert points.stability.tolist() == ["marginal"]
    assert abs(points.states.item() - 0.3) <= blur(Held(system, NO_INPUT, 1.0), torch.as_tensor(points.states)) < 1e-6


def test_a_point_that_is_not_marginal_is_known_to_rounding():
    system = Flow(lambda x, u: -torch.sinh(x - 0.3), 1)
    assert blur(Held(system, NO_INPUT, 1.0), torch.tensor([[0.3]], dtype=torch.float64)) < 1e-13


@pytest.mark.parametrize(
    ("order", "place"), [(2, 0.3), (3, 0.3), (2, -0.1234567), (3, -0.1234567), (5, -0.1234567), (2, 0.777), (7, 0.777)]
)
def test_a_degenerate_zero_is_one_point_whose_uncertainty_holds_the_truth(order, place):
    """x' = -(x - c)^m has the one zero c, from which F cannot be told for up to 1e-4."""
    system = Flow(lambda x, u: -((x - place) ** order), n_state=1, bounds=(-1, 1))
    points = find_fixed_points(system, n_starts=128, workers=1, verify=False)
    assert points.stability.tolist() == ["marginal"]
    assert abs(points.states.item() - place) <= points.uncertainty.item() < 1e-3


def test_two_degenerate_zeros_that_can_be_told_apart_stay_two():
    """(x - 0.3)^3 (x - 0.5)^3."""
    system = Flow(lambda x, u: -((x - 0.3) ** 3) * (x - 0.5) ** 3, n_state=1, bounds=(-1, 1))
    points = find_fixed_points(system, workers=1, verify=False)
    fixed = points[points.verdict == "fixed"]
    states = np.sort(fixed.states.ravel())
    np.testing.assert_allclose(states, [0.3, 0.5], atol=1e-5)
    assert (abs(fixed.states.ravel() - fixed.states.ravel().round(1)) <= fixed.uncertainty).all()

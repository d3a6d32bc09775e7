"""Slow points: the ghosts of saddle-node bifurcations, whose place and speed have closed forms."""

import numpy as np
import pytest
import torch

from dynsys import Flow, Map, find_fixed_points
from dynsys.wave import Rejection


def ghost(r, centre=0.0):
    """x' = r + (x - centre)^2: for r > 0 the least of q is r^2 / 2, at the centre."""
    return Flow(lambda x, u: r + (x - centre) ** 2, n_state=1, bounds=(-2, 2))


@pytest.mark.parametrize("solver", ["auto", "newton", "conjugate-gradient"])
@pytest.mark.parametrize("centre", [0.0, 0.3])
@pytest.mark.parametrize("r", [1e-2, 1e-4, 1e-7, 1e-10])
def test_the_ghost_of_a_saddle_node_is_one_slow_point(r, centre, solver):
    points = find_fixed_points(ghost(r, centre), n_starts=32, solver=solver, workers=1)
    assert points.verdict.tolist() == ["slow"]
    np.testing.assert_allclose(points.states, [[centre]], atol=1e-7)
    np.testing.assert_allclose(points.q, [r**2 / 2], rtol=1e-6)
    assert points.search.found == 0
    assert points.search.slow == 1


@pytest.mark.parametrize("r", [1e-11, 1e-12, 1e-13, 1e-14])
def test_the_slowest_ghosts_are_not_lost_between_slow_and_fixed(r):
    """Near the rounding error of the velocity a ghost may pass for slow or for fixed, but not for nothing."""
    points = find_fixed_points(ghost(r, 0.3), n_starts=32, workers=1)
    assert len(points) == 1
    np.testing.assert_allclose(points.states, [[0.3]], atol=1e-6)


def test_a_minimum_above_the_limit_is_not_a_slow_point():
    points = find_fixed_points(ghost(0.1), n_starts=32, slow_q=1e-3, workers=1)  # q = 5e-3
    search = points.search
    assert len(points) == 0
    assert sum(search.rejected.values()) == search.starts + search.scattered_starts
    assert search.starts == 32
    points = find_fixed_points(ghost(0.1), n_starts=32, slow_q=1e-2, workers=1)
    assert points.verdict.tolist() == ["slow"]


def test_a_double_zero_is_one_marginal_fixed_point():
    """x' = x^2, the saddle-node itself: |x| below 1e-7 is all that float64 can tell of the place."""
    points = find_fixed_points(ghost(0.0), n_starts=64, workers=1)
    assert points.verdict.tolist() == ["fixed"]
    assert points.stability.tolist() == ["marginal"]
    assert points.error_bound.tolist() == [np.inf]
    assert abs(points.states.item()) < 1e-7


def test_a_triple_zero_is_one_marginal_fixed_point():
    points = find_fixed_points(Flow(lambda x, u: -(x**3), n_state=1, bounds=(-2, 2)), n_starts=64, workers=1)
    assert points.stability.tolist() == ["marginal"]
    assert abs(points.states.item()) < 1e-4


def test_beyond_the_saddle_node_there_are_a_stable_and_an_unstable_point():
    points = find_fixed_points(ghost(-1e-4), n_starts=64, workers=1)
    np.testing.assert_allclose(points.states[:, 0], [-0.01, 0.01], atol=1e-12)
    assert points.stability.tolist() == ["stable node", "unstable node"]
    assert (points.verdict == "fixed").all()


def test_a_constant_drift_has_no_points():
    points = find_fixed_points(Map(lambda x, u: x + 1, n_state=1), n_starts=32, workers=1)
    assert len(points) == 0
    assert points.search.rejected == {str(Rejection.TOO_FAST): 32 + points.search.scattered_starts}


def test_slow_and_fixed_points_of_one_system_are_told_apart():
    """x' = -(x - 1) ((x + 1)^2 + r): a zero at 1, and near -1 a ghost of speed 2 r."""
    r = 1e-4
    system = Flow(lambda x, u: -(x - 1) * ((x + 1) ** 2 + r), n_state=1, bounds=(-2, 2))
    points = find_fixed_points(system, n_starts=64, workers=1)
    assert points.verdict.tolist() == ["fixed", "slow"]
    np.testing.assert_allclose(points.states[0], [1.0], atol=1e-12)
    y = (4 - np.sqrt(16 - 12 * r)) / 6  # x + 1 where F = -(y - 2) (y^2 + r) has slope zero: 3 y^2 - 4 y + r = 0
    np.testing.assert_allclose(points.states[1], [y - 1], atol=1e-9)


def test_a_saddle_of_q_is_not_a_slow_point():
    """F = (c + x^2 - y^2, 0) has q = (c + x^2 - y^2)^2 / 2, with a saddle at the origin and zeros at y^2 - x^2 = c."""
    c = 1e-3

    def velocity(x, u):
        return torch.stack([c + x[:, 0] ** 2 - x[:, 1] ** 2, torch.zeros_like(x[:, 0])], dim=1)

    starts = np.array([[1e-4, 0.0], [-2e-4, 0.0], [3e-4, 0.0]])  # on the stable axis of the saddle
    points = find_fixed_points(Flow(velocity, n_state=2), starts, closure=False, workers=1)
    slow = points[points.verdict == "slow"]
    assert len(slow) == 0


@pytest.mark.parametrize("n", [2, 200])
def test_a_ghost_in_many_dimensions_is_found(n):
    """One coordinate with a ghost, the others decaying, in coordinates turned at random; above 128 units by Krylov."""
    r, Q = 1e-3, torch.as_tensor(np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0])

    def velocity(x, u):
        y = x @ Q
        return torch.cat([r + y[:, :1] ** 2, -y[:, 1:]], dim=1) @ Q.T

    starts = 0.3 * np.random.default_rng(1).standard_normal((8, n))
    points = find_fixed_points(Flow(velocity, n_state=n), starts, workers=1, closure=False)
    assert points.verdict.tolist() == ["slow"]
    np.testing.assert_allclose(points.states, np.zeros((1, n)), atol=1e-7)
    np.testing.assert_allclose(points.q, [r**2 / 2], rtol=1e-6)


def test_the_bound_of_a_slow_point_contains_the_minimum():
    """x' = r + (x - 0.3)^2 + (x - 0.3)^3 has its ghost at 0.3 to all digits: q' = 0 where F' = 0."""
    system = Flow(lambda x, u: 1e-3 + (x - 0.3) ** 2 + (x - 0.3) ** 3, n_state=1, bounds=(-0.2, 1))
    points = find_fixed_points(system, n_starts=32, workers=1)
    assert points.verdict.tolist() == ["slow"]
    assert abs(points.states.item() - 0.3) <= points.error_bound.item() + np.finfo(float).eps

"""Lyapunov surfaces: ellipses of the form that is proved, which trajectories cross inwards only."""

import numpy as np
import pytest

from dynsys import certified_basins, find_fixed_points
from dynsys.lyapunov.surfaces import surfaces
from dynsys.models.examples.simple2d import Simple2D
from dynsys.models.recurrent.vanilla import RNN
from dynsys.plots import lyapunov_surface


@pytest.fixture(scope="module")
def kept():
    """h' = tanh(W h) of six units that keep a bit, and what is proved of it."""
    s = np.random.default_rng(0).standard_normal(6)
    W = 1.6 * np.outer(s, s) / (s @ s)
    shape = {"weight_ih_l0": np.zeros((6, 1)), "bias_ih_l0": np.zeros(6), "bias_hh_l0": np.zeros(6)}
    points = find_fixed_points(RNN({**shape, "weight_hh_l0": W}), n_starts=8, seed=0)
    return points, certified_basins(points)


def test_no_trajectory_of_the_picture_crosses_a_proved_level_outwards(kept):
    """In a plane of many variables too, where places show V itself: between two steps it falls by the proved factor."""
    points, proved = kept
    (surface,) = surfaces(proved, points)
    rate = proved.rate[surface.memory]
    to_circle = np.linalg.qr(np.linalg.solve(surface.X, surface.E.T))[1]
    for run in surface.inward:
        sizes = np.linalg.norm(surface.places(run) @ to_circle.T, axis=1)  # of places: the square root of their level
        np.testing.assert_allclose(sizes, np.sqrt(surface.V(run)), rtol=1e-9)
        assert sizes[0] == pytest.approx(1.0)
        assert (sizes[1:] <= rate * sizes[:-1] * (1 + 1e-6)).all()


def test_the_plane_goes_through_the_memory_and_the_saddle_at_their_true_distance(kept):
    points, proved = kept
    (surface,) = surfaces(proved, points)
    memory, saddle = points.states[[surface.memory, surface.saddle]]
    assert points.n_unstable[surface.saddle] > 0
    np.testing.assert_allclose(surface.E @ surface.E.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(surface.places(memory), 0, atol=1e-9)
    np.testing.assert_allclose(np.sort(surface.places(saddle)), [0, np.linalg.norm(saddle - memory)], atol=1e-9)
    across, up = np.ptp(surface.level(1.0), axis=0)
    assert across >= up
    somewhere = np.array([[0.1, -0.2], [0.0, 0.3]])
    np.testing.assert_allclose(surface.places(surface.states(somewhere)), somewhere, atol=1e-12)
    np.testing.assert_allclose(surface.V(surface.states(surface.level(0.4))), 0.4, rtol=1e-9)
    (asked,) = surfaces(proved, points, surface.memory, surface.saddle)
    assert (asked.memory, asked.saddle) == (surface.memory, surface.saddle)


def test_the_phase_plane_has_the_surfaces_of_both_points_where_they_are():
    points = find_fixed_points(Simple2D(), seed=0)
    basins = certified_basins(points)
    figure = lyapunov_surface(basins, points)
    borders = [trace for trace in figure.data if trace.name == "border of what is proved"]
    proved = np.flatnonzero(basins.radius > 0)
    assert len(borders) == len(proved) == 2
    for i, border in zip(proved, borders, strict=True):
        np.testing.assert_allclose(basins.V(i, np.stack([border.x, border.y], axis=1)), 1, rtol=1e-9)
    with pytest.raises(ValueError, match="has no proved ellipsoid"):
        lyapunov_surface(basins, points, int(np.flatnonzero(basins.radius == 0)[0]))
    with pytest.raises(ValueError, match="is no unstable point"):
        lyapunov_surface(basins, points, int(proved[0]), int(proved[1]))

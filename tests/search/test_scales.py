"""The size of a state may be misjudged by much: starts far outside of all points, or states far from the origin that
move by little. Zeros are what they are in any unit, and no state is a zero because another unit would make it one.
"""

import numpy as np
import pytest
import torch

from dynsys import Flow, Map, find_fixed_points


def quintic(scale):
    """Of roots -3, -1/2, 1, 2 and 4 times the scale, alternately stable and unstable as F falls from the left."""
    return Flow(
        lambda x, u: -(x / scale - 1) * (x / scale + 0.5) * (x / scale - 2) * (x / scale + 3) * (x / scale - 4), 1
    )


@pytest.mark.parametrize("scale", [1e-3, 1e-6])
def test_states_much_smaller_than_the_starts_are_points_only_at_the_roots(scale):
    points = find_fixed_points(quintic(scale), n_starts=64, closure=False, verify=False, workers=1)
    roots = np.array([-3.0, -0.5, 1.0, 2.0, 4.0])
    apart = np.abs(points.states / scale - roots)
    assert (apart.min(axis=1) < 1e-9).all()
    stable = np.isin(apart.argmin(axis=1), [0, 2, 4])
    assert points.stability.tolist() == np.where(stable, "stable node", "unstable node").tolist()
    assert {0, 4} <= set(apart.argmin(axis=1))  # the outermost, which Newton's method comes to from outside
    assert (points.error_bound < 1e-6 * scale).all()


TURN = torch.as_tensor(np.linalg.qr(np.random.default_rng(1).standard_normal((2, 2)))[0])


def bistable(centre, scale):
    """Two units y' = y - y^3 each, turned, of states ``centre`` + ``scale`` y: 9 points of which 4 are stable."""

    def velocity(x, u):
        y = ((x - centre) / scale) @ TURN
        return scale * (y - y**3) @ TURN.T

    return velocity


@pytest.mark.parametrize("given", ["bounds", "starts"])
@pytest.mark.parametrize("kind", [Flow, Map])
@pytest.mark.parametrize(("off", "scale"), [(1e3, 1e-3), (1.2e5, 0.034)])
def test_points_close_together_and_far_from_the_origin_are_told_apart(off, scale, kind, given):
    F = bistable(off, scale)
    step = F if kind is Flow else (lambda x, u: x + 0.1 * F(x, u))
    system = kind(step, 2, bounds=(off - 2 * scale, off + 2 * scale) if given == "bounds" else None)
    starts = off + scale * np.random.default_rng(0).standard_normal((128, 2)) if given == "starts" else None
    points = find_fixed_points(system, starts, n_starts=128, closure=False, verify=False, workers=1)
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0]).double()] * 2) @ TURN.T
    found = (torch.as_tensor(points.states) - off) / scale
    assert len(points) == 9
    assert (torch.cdist(corners, found).amin(dim=1) < 1e-6).all()
    assert sorted(points.n_unstable) == [0] * 4 + [1] * 4 + [2]


def test_a_cycle_far_from_the_origin_is_no_rest():
    """The normal form of a Hopf bifurcation about (1.2e5, 1.2e5), radius 0.034: one turn in 2 pi, multiplier e^-4pi."""

    def velocity(x, u):
        y = (x - 1.2e5) / 0.034
        return 0.034 * (y * (1 - (y * y).sum(1, keepdim=True)) + torch.stack([-y[:, 1], y[:, 0]], 1))

    flow = Flow(velocity, 2, bounds=(1.2e5 - 0.1, 1.2e5 + 0.1))
    points = find_fixed_points(flow, n_starts=16, closure=False, workers=1)
    assert points.stability.tolist() == ["unstable focus"]
    assert "1 oscillation of period 6.283" in points.summary()


def test_a_point_far_beyond_where_trajectories_go_is_not_held_by_rounding():
    """Starts about 0 lead to three points near 1000, where J is 1e-12 of what it is at 0 and still regular."""
    flow = Flow(lambda x, u: 1e-3 * ((x - 1e3) * 1e3 - ((x - 1e3) * 1e3) ** 3), 1)
    points = find_fixed_points(flow, n_starts=64, closure=False, verify=False, workers=1)
    assert np.isin(points.states.round(6), [999.999, 1000.0, 1000.001]).all()
    assert not any("rounding holds" in reason for reason in points.search.rejected)
    assert len(points)

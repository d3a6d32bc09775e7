"""A ring or a sphere of fixed points that is broken by a push is slow, and still has points on it."""

import numpy as np
import pytest
import torch

from dynsys import Flow, find_fixed_points
from dynsys.search.slow_points.slow_manifold import along_slow_manifold
from dynsys.systems.held import Held


def broken(n, push, seed=0):
    """x' = (1 - |x|^2) x + e: it and its points, on the line of e at the roots r of r - r^3 + |e| = 0."""
    direction = np.random.default_rng(seed).standard_normal(n)
    direction /= np.linalg.norm(direction)
    e = torch.as_tensor(push * direction)
    roots = np.sort(np.roots([-1.0, 0.0, 1.0, push]).real)
    return Flow(lambda x, u: x * (1 - (x**2).sum(1, keepdim=True)) + e, n), np.outer(roots, direction)


@pytest.mark.parametrize("push", [1e-2, 1e-5, 1e-9])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_every_state_of_a_broken_sphere_leads_to_one_of_its_two_points(n, push):
    system, (left, _, right) = broken(n, push)
    x = torch.as_tensor(np.random.default_rng(1).standard_normal((32, n)))
    x /= x.norm(dim=1, keepdim=True)
    end = along_slow_manifold(Held(system, torch.zeros(32, 0, dtype=torch.float64), 1.0), x).numpy()
    off = np.array([np.linalg.norm(end - point, axis=1) for point in (left, right)])
    assert off.min(axis=0) == pytest.approx(0, abs=1e-14 / push)  # what rounding of 1e-16 in F makes of it
    assert set(off.argmin(axis=0)) == {0, 1}


@pytest.mark.parametrize(("n", "push"), [(2, 1e-4), (3, 1e-6)])
def test_a_search_finds_the_points_of_a_broken_sphere(n, push):
    system, truth = broken(n, push)
    points = find_fixed_points(system, n_starts=64, workers=1, verify=False)
    found = points.states[points.verdict == "fixed"]
    assert len(found) == 3
    for point in truth:
        assert np.linalg.norm(found - point, axis=1).min() <= 1e-14 / push


def test_a_slow_point_on_a_curve_of_none_stays_slow():
    """On the circle theta' = c (2 + cos theta) nothing is fixed, and it is slowest at pi."""
    c = 1e-6
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    system = Flow(
        lambda x, u: (
            x * (1 - (x**2).sum(1, keepdim=True)) + c * (2 + x[:, :1] / x.norm(dim=1, keepdim=True)) * (x @ turn)
        ),
        2,
    )
    angle = torch.linspace(0.1, 6.1, 8, dtype=torch.float64)
    x = torch.stack([angle.cos(), angle.sin()], dim=1)
    u = torch.zeros(8, 0, dtype=torch.float64)
    end = along_slow_manifold(Held(system, u, 1.0), x)
    speed = system.velocity(end, u).norm(dim=1)
    assert (speed > 0.99 * c).all()
    assert (speed <= system.velocity(x, u).norm(dim=1) * (1 + 1e-9)).all()


def test_where_a_point_may_be_several_not_all_seem_to_be_found():
    """Rounding of 1e-16 in F over the square of the eigenvalue 1e-10 along the ring is far above Kantorovich's half."""
    system, _ = broken(2, 1e-10)
    points = find_fixed_points(system, n_starts=64, workers=1, verify=False)
    fixed = points.verdict == "fixed"
    unresolved = int((fixed & ~np.isfinite(points.error_bound)).sum())
    assert unresolved == points.search.missing["unresolved"] == 2
    assert points.search.missing["known"] == 1
    assert points.search.missing["most"] is None  # five points, of which three are listed: no "between 1 and 2"
    assert "at least 1 in all; no limit" in points.search.missing["sentence"]
    assert not points.search.missing["sentence"].startswith("All")

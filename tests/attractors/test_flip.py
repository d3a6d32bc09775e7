"""What it takes to flip a memory, against edges that are known exactly or traced by another method."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.integrate import solve_ivp

from dynsys import FixedPoints, find_fixed_points
from dynsys.attractors.flip import Flips, flips
from dynsys.cli import main
from dynsys.models.examples.bistable import Bistable
from dynsys.models.examples.simple2d import Simple2D

A = 1.915008048  # where x = 2 tanh x: the distance of a bit of such units from the edge at 0


def test_bits_of_independent_units_flip_by_the_way_to_the_edge_and_no_less():
    """Between two memories of the turned cube the least push is A times the root of the number of bits that differ, and
    leads past the saddle in the middle of them."""
    points = find_fixed_points(Bistable(), seed=0)
    found = flips(points)
    x = points.states[found.memories]
    differ = np.rint(((x[:, None] - x) ** 2).sum(-1) / (2 * A) ** 2)
    other = differ > 0
    np.testing.assert_allclose(found.upper[other], A * np.sqrt(differ[other]), rtol=1e-6)
    assert np.isinf(found.upper[~other]).all()
    assert (found.lower > 0.9 * A).all()
    assert (found.lower < A).all()
    single = differ == 1
    middles = ((x[:, None] + x) / 2)[single]
    np.testing.assert_allclose(points.states[found.saddle[single]], middles, atol=1e-6)
    assert "56 of 56 ordered pairs" in found.summary()


def test_the_command_finds_the_shortest_push_out_of_a_curved_basin(tmp_path):
    """The edge of the plane's two basins is the stable manifold of (0, 0), traced backward here by scipy."""

    def backward(t, s):
        return [-(1 - s[0] ** 2) * s[1], -(s[0] / 2 - s[1])]

    slope = -1.3660254037844386
    traced = [
        solve_ivp(backward, (0, 6), [d, d * slope], rtol=1e-10, atol=1e-12, max_step=0.01).y.T for d in (1e-4, -1e-4)
    ]
    folder = tmp_path / "run"
    for line in (["find", "simple2d", "-o", str(folder)], ["flip", str(folder), "--json"]):
        ran = CliRunner().invoke(main, line)
        assert ran.exit_code == 0, ran.output
    points, found = FixedPoints.load(folder / "fixed_points.safetensors"), Flips.load(folder / "flip.safetensors")
    told = {(row["from"], row["to"]): row for row in json.loads(ran.stdout)["pairs"]}
    for i, state in enumerate(points.states[found.memories]):
        exact = min(np.linalg.norm(edge - state, axis=1).min() for edge in traced)
        assert exact * (1 - 1e-4) <= found.upper[i, 1 - i] <= 1.01 * exact
        assert 0 < found.lower[i] <= exact
        row = told[int(found.memories[i]), int(found.memories[1 - i])]
        assert (row["lower"], row["upper"]) == (found.lower[i], found.upper[i, 1 - i])
    assert "proved" in (folder / "flip.html").read_text()


def test_one_memory_cannot_be_flipped_and_no_time_is_said():
    points = find_fixed_points(Simple2D(), seed=0)
    with pytest.raises(ValueError, match="1 of the points attract; it takes two"):
        flips(points[[0, 2]])
    assert "Left out, for want of time: 2 of 2 pairs" in flips(points, budget_seconds=0).summary()

"""Memories that are orbits: phases of one cycle are joined, and what lies in a plane is drawn in one."""

import numpy as np
import torch

from dynsys import Map, find_fixed_points, plots


def test_the_phases_of_a_cycle_are_joined_in_the_plane_that_holds_them():
    """Each of two units jumps between +a and -a, tanh(2 a) = a, and the third is at rest at 0."""
    signs = torch.tensor([-2.0, -2.0, 0.5], dtype=torch.float64)
    system = Map(lambda x, u: torch.tanh(x * signs), n_state=3, bounds=(-1, 1))
    points = find_fixed_points(system, n_starts=128, period=2)
    figure = plots.phase_portrait(points)
    (orbits,) = [trace for trace in figure.data if trace.name == "orbits"]
    drawn = np.array([orbits.x, orbits.y], dtype=float)
    drawn = drawn[:, np.isfinite(drawn[0])].T.reshape(-1, 3, 2)  # there, across, and back
    assert len(drawn) == len(set(points.orbit[points.orbit >= 0].tolist())) == 4
    np.testing.assert_allclose(drawn[:, 0], -drawn[:, 1], atol=1e-6)
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 2], atol=1e-6)
    assert figure.layout.scene.zaxis.visible is False

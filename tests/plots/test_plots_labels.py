"""Names beside markers: on the side where nothing is covered."""

import numpy as np
import pytest

from dynsys.plots.labels import AWAY, SIDES, WIDE, sides


def ray(angle):
    return np.array([[0.0, 0.0], [100 * np.cos(angle), 100 * np.sin(angle)]])


@pytest.mark.parametrize("free", ["top center", "bottom center", "middle right", "middle left"])
def test_a_label_stands_where_no_line_passes(free):
    """Seven lines leave a marker in all directions but one."""
    ways = {side: np.arctan2(up, across) for side, (across, up) in SIDES.items()}
    lines = [ray(angle) for side, angle in ways.items() if side != free]
    assert sides(np.array([[0.0, 0.0]]), lines, ["0"], 10.0) == [free]


def test_labels_of_near_markers_do_not_overlap():
    """Two markers nearer to each other than a label is wide, or high."""
    height, letters = 10.0, 4
    size = np.array([WIDE * letters * height, height])
    for gap in ((12.0, 0.0), (0.0, 6.0), (9.0, 9.0)):
        places = np.array([(0.0, 0.0), gap])
        ways = np.array([SIDES[side] for side in sides(places, [], ["0101", "0111"], height)])
        first, second = places + ways * (size + AWAY * height) / 2
        assert (np.abs(first - second) >= size).any()


def test_corners_of_a_square_have_their_names_outside():
    places = np.array([(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)])
    edges = [places[[i, (i + 1) % 4]] for i in range(4)]
    for place, side in zip(places, sides(places, edges, ["00", "01", "11", "10"], 10.0), strict=True):
        assert np.dot(SIDES[side], place - 50) > 0

"""Where names are written beside markers, so that they cover neither markers nor lines nor each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

AWAY = 1.4  # from the marker to the label's edge, in half heights of a label, as plotly places it
WIDE = 0.62  # of a character, in heights of a label
SIDES = {  # of the marker, as plotly names them: across to the right, and up
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}
# How bad it is to cover a label, a marker, a line for the height of a label, and to stand towards the middle.
LABEL, MARKER, LINE, INWARD = 8.0, 3.0, 1.0, 0.2
PASSES = 3  # over all labels: the first ones were put down before the others
ALONG = np.linspace(0, 1, 41)[:, None]  # of a line, where it is looked for under a label


def sides(places: Array, lines: list[Array], names: list[str], height: float) -> list[str]:
    """The side of each marker (k, 2) on which its name does least harm; ``lines`` are (2, 2) each, all as on the page.

    ``height`` is that of a label, in the same units.
    """
    boxes = [_boxes(place, len(name), height) for place, name in zip(places, names, strict=True)]
    passed = [line[0] + ALONG * (line[1] - line[0]) for line in lines]
    middle = places.mean(axis=0)
    fixed = []  # the harm that does not depend on the other labels, (8,) each
    for i, box in enumerate(boxes):
        others = np.delete(places, i, axis=0)
        inward = ((box.mean(axis=1) - places[i]) @ (middle - places[i])) > 0
        crossed = sum(_inside(box, line, 0) * (np.linalg.norm(line[1] - line[0]) / height) for line in passed)
        fixed.append(MARKER * _inside(box, others, height / 3) + LINE * crossed + INWARD * inward)
    chosen = [int(np.argmin(harm)) for harm in fixed]
    for _ in range(PASSES):
        for i, box in enumerate(boxes):
            there = np.array([boxes[j][chosen[j]] for j in range(len(boxes)) if j != i]).reshape(-1, 2, 2)
            chosen[i] = int(np.argmin(fixed[i] + LABEL * _overlaps(box, there)))
    return [list(SIDES)[side] for side in chosen]


def _boxes(place: Array, letters: int, height: float) -> Array:
    """Lower left and upper right corner of the label on each side, (8, 2, 2)."""
    size = np.array([WIDE * letters * height, height])
    middle = place + np.array(list(SIDES.values())) * (size / 2 + AWAY * height / 2)
    return np.stack([middle - size / 2, middle + size / 2], axis=1)


def _inside(boxes: Array, places: Array, room: float) -> NDArray[np.int64]:
    """How many places (m, 2) each box (8, 2, 2) covers, or comes within ``room`` of."""
    above = (places[None] >= boxes[:, None, 0] - room) & (places[None] <= boxes[:, None, 1] + room)
    number: NDArray[np.int64] = above.all(axis=2).sum(axis=1)
    return number


def _overlaps(boxes: Array, others: Array) -> NDArray[np.int64]:
    """How many of the other boxes (m, 2, 2) each box (8, 2, 2) overlaps."""
    apart = (boxes[:, None, 0] >= others[None, :, 1]) | (boxes[:, None, 1] <= others[None, :, 0])
    number: NDArray[np.int64] = (~apart.any(axis=2)).sum(axis=1)
    return number

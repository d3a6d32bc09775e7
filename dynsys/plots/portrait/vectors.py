"""Directions in the state space as arrows: an input, a selection vector, a readout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.plots import style, thinning
from dynsys.trajectories.projection import Projection, as_array

Array = NDArray[np.float64]

HEAD = 0.18  # of an arrow's length
COLOURS = (style.GREEN, style.BROWN, style.PURPLE, style.INK)


def vectors_of(arrows: Mapping[str, Any] | None, centre: Array) -> dict[str, tuple[Array, Array]]:
    """Where each arrow begins and its unit vector: a vector (n,) begins at ``centre``, a pair (state, vector) there.

    Raises ValueError for what is neither, and for a vector of zeros.
    """
    found = {}
    for name, given in (arrows or {}).items():
        start, along = given if isinstance(given, tuple) else (centre, given)
        start, along = as_array(start), as_array(along)
        length = float(np.linalg.norm(along)) if along.shape == centre.shape else 0.0
        if start.shape != centre.shape or not 0 < length < np.inf:
            raise ValueError(
                f"the arrow {name!r} needs a vector ({len(centre)},) that is not zero, or a pair of a state and such a "
                f"vector; it has {along.shape} from {start.shape}, of length {length:g}"
            )
        found[name] = (start, along / length)
    return found


def traces_of(vectors: Mapping[str, tuple[Array, Array]], axes: Projection, length: float) -> list[go.Scatter3d]:
    """A unit vector is ``length`` long: an arrow that looks shorter points out of the picture."""
    return [
        _arrow(name, axes.transform(start), length * axes.directions(along), COLOURS[i % len(COLOURS)])
        for i, (name, (start, along)) in enumerate(vectors.items())
    ]


def _arrow(name: str, start: Array, along: Array, colour: str) -> go.Scatter3d:
    """A shaft and two strokes of a head, in one line."""
    tip = start + along
    side = np.cross(along, [0.0, 0.0, 1.0]) if abs(along[2]) < 0.9 * np.linalg.norm(along) else np.array([0.0, 1, 0])
    size = float(np.linalg.norm(side))
    side = HEAD * 0.5 * np.linalg.norm(along) * side / size if size else side
    back = tip - HEAD * along
    path = thinning.joined([np.stack([start, tip]), np.stack([back + side, tip, back - side])])
    line = {"color": colour, "width": 6}
    return go.Scatter3d(**thinning.xyz(path), mode="lines", line=line, name=name, hoverinfo="skip")

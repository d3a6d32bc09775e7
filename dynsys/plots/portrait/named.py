"""Names beside the memories of a portrait, and a ring around the point that a reader has chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dynsys.attractors.attractor import POINT, Node
from dynsys.plots import style

MOST = 40  # names: more hide the points
NOTE: dict[str, Any] = {
    "showarrow": False,
    "yshift": 17,
    "bgcolor": "rgba(255,255,255,0.75)",
    "borderpad": 0,
    "font": {"size": 13, "color": style.INK},
}
RING = {"symbol": "circle-open", "size": 15, "color": style.INK, "line": {"color": style.INK, "width": 3}}


def named(figure: go.Figure, names: Mapping[Node, str]) -> go.Figure:
    """The portrait with the names of points, orbits and oscillations written above them; the same figure.

    Where there are more than ``MOST`` none is written.
    """
    if len(names) <= MOST:
        notes = [_note(*place, names[node]) for node, place in _places(figure).items() if node in names]
        figure.layout.scene.annotations = notes
    return figure


def _places(figure: go.Figure) -> dict[Node, tuple[float, float, float]]:
    """Where each node is: points by the numbers that their markers bear, the others by the name said of them."""
    found: dict[Node, tuple[float, float, float]] = {}
    for trace in figure.data:
        if trace.type != "scatter3d":
            continue
        if trace.customdata is not None:
            nodes = [Node(POINT, int(i)) for i in np.ravel(trace.customdata)]
        else:
            said = trace.text if isinstance(trace.text, list | tuple) else ()
            nodes = [Node(text.removeprefix("<b>").split("</b>")[0]) for text in said]
        for node, *place in zip(nodes, trace.x, trace.y, trace.z, strict=False):
            if node not in found and np.isfinite(place).all():
                found[node] = (float(place[0]), float(place[1]), float(place[2]))
    return found


def _note(x: float, y: float, z: float, text: str) -> dict[str, Any]:
    return {**NOTE, "x": x, "y": y, "z": z, "text": text}


def ringed(figure: go.Figure) -> go.Figure:
    """The portrait with a ring, a trace called "chosen", which is around nothing yet; the same figure."""
    ring = go.Scatter3d(x=[None], y=[None], z=[None], mode="markers", marker=RING, name="chosen", hoverinfo="skip")
    return figure.add_trace(ring.update(showlegend=False))

"""Names beside the memories of a portrait, and a ring around the point that a reader has chosen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from dynsys.plots import style

MOST = 40  # names: more hide the points
NOTE = {
    "showarrow": False,
    "yshift": 17,
    "bgcolor": "rgba(255,255,255,0.75)",
    "borderpad": 0,
    "font": {"size": 13, "color": style.INK},
}
RING = {"symbol": "circle-open", "size": 15, "color": style.INK, "line": {"color": style.INK, "width": 3}}


def named(figure: go.Figure, names: Mapping[int, str]) -> go.Figure:
    """The portrait with the names of points, by their numbers, written above them; the same figure.

    Where there are more than ``MOST`` none is written.
    """
    if len(names) > MOST:
        return figure
    notes = []
    for trace in figure.data:
        if trace.type == "scatter3d" and trace.customdata is not None:
            places = np.stack([trace.x, trace.y, trace.z], axis=1).astype(np.float64)
            for i, place in zip(np.ravel(trace.customdata).tolist(), places.tolist(), strict=True):
                if i in names:
                    notes.append({**NOTE, **dict(zip("xyz", place, strict=True)), "text": names[i]})
    figure.layout.scene.annotations = notes
    return figure


def ringed(figure: go.Figure) -> go.Figure:
    """The portrait with a ring, a trace called "chosen", which is around nothing yet; the same figure."""
    ring = go.Scatter3d(x=[None], y=[None], z=[None], mode="markers", marker=RING, name="chosen", hoverinfo="skip")
    return figure.add_trace(ring.update(showlegend=False))

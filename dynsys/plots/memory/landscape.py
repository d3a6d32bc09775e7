"""The landscape that a memory descends, in the plane of two or three of its patterns: heights, trajectories, points.

The plane of two patterns goes through the origin, that of three through all of them. Lengths in it are true lengths, in
units of the patterns' own distance from its middle. Where trajectories leave the plane it shows their shadows, and the
caption says how far they go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.plots import style, thinning
from dynsys.plots.portrait.plane import markers
from dynsys.plots.portrait.slices import Plane
from dynsys.result.fixed_points import FixedPoints
from dynsys.trajectories.projection import as_array

Array = NDArray[np.float64]

GRID = 221
REACH = 1.6  # of the plane, in units of the patterns' distance
WIDEST = 2.4  # times that, up to which the plane is computed for wide and for high windows
IN_PLANE = 0.02  # of that distance: points nearer to the plane are drawn as in it
LEVELS = 26
COLOURS = [[0, "#3E6A94"], [0.25, "#7FA3C4"], [0.6, "#C9D8E6"], [1, "#FBFCFD"]]


def energy_landscape(
    height: Callable[[Array], Array],
    S: Any,
    names: Sequence[str],
    *,
    runs: Any = None,
    points: FixedPoints | None = None,
    point_names: Sequence[str] = (),
    quantity: str = "energy",
    title: str | None = None,
) -> go.Figure:
    """Contours of ``height`` (a function of states (B, n)) in the plane of the patterns S (2 or 3, n), whose ``names``
    are given.

    ``runs`` is a list of trajectories (T_i, n), or (T, B, n), and ``points`` are drawn where they lie in the plane,
    with ``point_names`` said of them.
    Raises ValueError for patterns that span no plane, and for heights that are not finite.
    """
    S = as_array(S)
    plane = Plane.through(S)
    x = np.linspace(-WIDEST * REACH, WIDEST * REACH, GRID)
    z = height(plane.states(np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2))).reshape(GRID, GRID)
    if not np.isfinite(z).all():
        raise ValueError(f"the {quantity} is not finite everywhere in the plane of these patterns")
    followed = thinning.thinned(thinning.runs_of(runs, S.shape[1], time_axis=0), thinning.LIMIT // 2)
    figure = go.Figure(_heights(x, z, quantity))
    if followed:
        _draw_runs(figure, [plane.places(run) for run in followed])
    notes = [_of_plane(names), *_of_runs(plane, followed)]
    if points is not None:
        notes.append(_draw_points(figure, plane, points, point_names))
    marks = plane.places(S)
    figure.add_trace(
        go.Scatter(
            x=marks[:, 0],
            y=marks[:, 1],
            mode="markers+text",
            text=[f"<b>{name}</b>" for name in names],
            textposition="top right",
            textfont={"size": 15, "color": style.INK},
            marker={"symbol": "cross-thin", "size": 13, "line": {"width": 2, "color": style.INK}},
            name="stored patterns",
            hovertemplate="%{text}<extra></extra>",
        )
    )
    caption, below = style.lines(notes, 80)
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        **style.alike(("", -REACH, REACH), ("", -REACH, REACH), showgrid=False, mirror=True),
        margin={"l": 60, "r": 20, "t": 110 if title else 70, "b": below},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"},
    )


def _of_plane(names: Sequence[str]) -> str:
    lengths = "Lengths are in units of their distance from it."
    if len(names) == 2:
        return f"The plane of the patterns {names[0]} and {names[1]} and the origin, which is its middle. {lengths}"
    return (
        f"The plane through the patterns {', '.join(names[:-1])} and {names[-1]}; its middle is their mean. {lengths}"
    )


def _of_runs(plane: Plane, runs: Sequence[Array]) -> list[str]:
    if not runs:
        return []
    away = max(float(plane.away(run).max()) for run in runs)
    if away <= IN_PLANE:
        return [f"{style.plural(len(runs), 'trajectory').replace('ys', 'ies')}, all within this plane."]
    return [
        f"Trajectories begin in this plane and leave it by up to {away:.2g} of the patterns' distance from its middle."
    ]


def _heights(x: Array, z: Array, quantity: str) -> go.Contour:
    inside = np.hypot(*np.meshgrid(x, x)) <= 1  # far out they may rise without bound, and would take all the colours
    top = float(z[inside].max())
    ticks = {"tickvals": style.round_values(float(z.min()), top), "tickformat": "~g"}
    return go.Contour(
        x=x,
        y=x,
        z=np.minimum(z, top).astype(np.float32),
        colorscale=COLOURS,
        contours={"start": float(z.min()), "end": top, "size": (top - float(z.min())) / LEVELS or 1.0},
        line={"width": 0.6, "color": "rgba(255,255,255,0.8)"},
        colorbar={**ticks, "title": {"text": quantity}, "thickness": 14, "len": 0.7, "outlinewidth": 0, "x": 1.01},
        name=quantity,
        hovertemplate=f"{quantity}: %{{z:.4g}}<extra></extra>",
    )


def _draw_runs(figure: go.Figure, runs: Sequence[Array]) -> None:
    joined = thinning.joined(list(runs))
    line = {"color": "rgba(40,40,40,0.65)", "width": 1.2}
    figure.add_trace(
        go.Scatter(x=joined[:, 0], y=joined[:, 1], mode="lines", line=line, name="trajectories", hoverinfo="skip")
    )
    begun = np.array([run[0] for run in runs])
    dot = {"color": "rgba(40,40,40,0.65)", "size": 4}
    figure.add_trace(
        go.Scatter(x=begun[:, 0], y=begun[:, 1], mode="markers", marker=dot, showlegend=False, hoverinfo="skip")
    )


def _draw_points(figure: go.Figure, plane: Plane, points: FixedPoints, names: Sequence[str]) -> str:
    """Those that lie in the plane, and a sentence of how many do not."""
    places, texts = plane.places(points.states), style.hover(points, names)
    here = plane.away(points.states) <= IN_PLANE
    for group in style.groups(points):
        rows = group.rows[here[group.rows]]
        if len(rows):
            figure.add_trace(markers(group, places[rows], [texts[i] for i in rows], rows))
    if here.all():
        return f"{style.counted(points)}, all in this plane."
    return f"{int(here.sum())} of {style.plural(len(points), 'point')} lie in this plane; the others are not drawn."

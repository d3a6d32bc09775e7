"""A path of inputs at a glance: all its points in one portrait, coloured by input; how fast each of them is."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.continuation.inputs import InputDiagram
from dynsys.io.text import paragraphs
from dynsys.plots import style, thinning
from dynsys.plots.portrait import camera, scene
from dynsys.plots.training.bifurcation import over_parameter
from dynsys.plots.training.training_time import TrainingTime
from dynsys.systems.system import Kind
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

COLOURS = "Viridis"
MOST = 1e3  # times the median of time constants, up to which the axis goes: they are infinite at a bifurcation


def points_by_input(diagram: InputDiagram, *, title: str | None = None) -> go.Figure:
    """The points at every place that was looked at, on their branches, coloured by the input or its place on a path."""
    at = [diagram.at_place(i) for i in range(len(diagram.steps))]
    states = np.concatenate([points.states for points in at])
    place = np.repeat(diagram.steps, [len(points) for points in at])
    kinds = np.minimum(np.concatenate([points.n_unstable for points in at]), len(style.SHAPES) - 1)
    branches = [branch.states for branch in diagram.branches if len(branch)]
    everything = np.concatenate([states, *branches])
    axes = Projection.fit(everything if len(everything) else np.zeros((1, states.shape[1])))
    places, curves = axes.transform(states), [axes.transform(branch) for branch in branches]
    low, high = scene.ranges(np.concatenate([places, *curves]))
    figure = go.Figure(scene.lines("branches", thinning.thinned(curves, thinning.LIMIT // 2), style.PALE, 1.4, 1.0))
    along = TrainingTime.of_diagram(diagram)
    bar = {"title": {"text": along.name, "side": "right"}, "len": 0.7}
    ends = sorted((along.first, along.last))
    scale = {"colorscale": COLOURS, "cmin": ends[0], "cmax": ends[1], "colorbar": bar}
    for kind, (label, symbol, _) in enumerate(style.SHAPES):
        rows = np.flatnonzero(kinds == kind)
        if not len(rows):
            continue
        texts = [f"{label}<br>input {style.vector(diagram.input_at(place[k]))}" for k in rows]
        trace = scene.markers(style.Group(label, label, symbol, style.INK, rows), places[rows], texts)
        figure.add_trace(
            trace.update(marker={"color": along.place(place[rows]), "showscale": not kind, **scale}, customdata=None)
        )
    views = camera.presets(places, axes.n_shown)
    view, names = next(iter(views)), scene.axis_names(axes)
    vertices = "; ".join(style.vector(vertex) for vertex in diagram.path)
    by_place = along.name == str(diagram.about["parameter"])
    told = paragraphs(style.TEXT, "by_input", 100 * axes.explained_variance_ratio.sum(), vertices, by_place)
    caption, room = style.lines(told)
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        scene=scene.box(names, low, high, views[view]),
        margin={"l": 20, "r": 20, "t": 50, "b": room},
        legend={"x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "itemsizing": "constant"},
        updatemenus=[scene.buttons(views, view, names, high - low)],
    )


def decay_times(diagram: InputDiagram, time_constant: float = 1.0, *, title: str | None = None) -> go.Figure:
    """The e-fold time of the leading mode of each branch against the place on the path: of decay where the point is
    stable, of growth where not. ``time_constant`` is the length of the network's unit of time."""
    is_flow = diagram.about["kind"] == str(Kind.FLOW)
    with np.errstate(divide="ignore", invalid="ignore"):
        leading = [branch.eigenvalues[:, 0] for branch in diagram.branches]
        rates = [values.real if is_flow else np.log(np.abs(values)) for values in leading]
        times = [time_constant / np.abs(rate) for rate in rates]
    finite = [np.where(np.isfinite(one), one, np.nan) for one in times]
    figure = over_parameter(
        diagram,
        [("time constant" if is_flow else "time constant, steps", finite)],
        notes=paragraphs(style.TEXT, "decay_times", MOST),
        title=title,
    )
    known = np.concatenate([one[np.isfinite(one)] for one in finite] or [np.ones(1)])
    low, middle = (float(known.min()), float(np.median(known))) if len(known) else (0.5, 1.0)
    ends = 0.8 * low, 1.25 * min(float(known.max(initial=middle)), MOST * middle)
    axis = style.logarithmic(*ends) | {"range": np.log10(ends).tolist()}
    return figure.update_yaxes(axis).update_layout(height=520)

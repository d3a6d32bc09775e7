"""Associative retrieval in the state space: where strings lead, and whether their answers lie at fixed points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.plots import style, thinning
from dynsys.plots.portrait import camera, scene
from dynsys.result.fixed_points import FixedPoints
from dynsys.trajectories.projection import Projection, as_array

Array = NDArray[np.float64]

# Ten that colour-blind readers can tell apart (the "safe" scheme of CARTO, after Tol); digits are written beside them.
COLOURS = (
    "#88CCEE", "#CC6677", "#C9AE3D", "#117733", "#332288", "#AA4499", "#44AA99", "#999933", "#882255", "#661100"
)  # fmt: skip
RECORD = ("inner", "right", "distance")
LEAST = 1e-8  # distance drawn
BAND = (10, 90)  # per cent of the queries that are nearer and farther


def retrieval_portrait(
    trajectories: Any,
    answers: Any,
    points: FixedPoints | None = None,
    *,
    names: Sequence[str] = (),
    paths: Any = None,
    projection: Projection | None = None,
    space: Literal["readouts", "states"] = "readouts",
    title: str | None = None,
) -> go.Figure:
    """Trajectories of strings, coloured by the right answer, on the principal components of where they end.

    ``trajectories`` is (T, B, n): what is read out along them, or the states themselves where ``space`` is "states",
    most of whose variance is not about the answer. ``answers`` (B,) are digits. ``points`` are fixed points under the
    inputs that some queries hold, ``names`` what is said of each when it is pointed at, and ``paths``, (T, k, n) or a
    list of (T_i, n), how the settling loop goes there. ``projection`` gives the axes instead. Raises ValueError for
    shapes that do not fit.
    """
    if space not in ("readouts", "states"):
        raise ValueError(f"space is {space!r}; what is drawn are 'readouts' or 'states'")
    states, digits = _plain(trajectories, space), np.asarray(answers)
    if states.ndim != 3 or digits.shape != states.shape[1:2] or not len(digits):
        raise ValueError(
            f"trajectories has shape {states.shape} and answers {digits.shape}; (T, B, n) and (B,) are needed, B > 0"
        )
    n = states.shape[2]
    axes = Projection.fit(states[-1]) if projection is None else projection
    settling = [axes.transform(_plain(run, space)) for run in thinning.runs_of(paths, n, time_axis=0)]
    shown = max(1, min(len(digits), (thinning.LIMIT - thinning.size(settling)) // (len(states) + 6)))
    seen = axes.transform(states[:, :shown])
    places = np.zeros((0, 3)) if points is None else axes.transform(_plain(getattr(points, space), space))
    low, high = scene.ranges(np.concatenate([places, *settling, *seen]))

    figure = go.Figure()
    for digit in np.unique(digits):
        mine = seen[:, digits[:shown] == digit]
        if mine.shape[1]:
            _add_digit(figure, int(digit), mine)
    if settling:
        figure.add_trace(scene.lines("the settling loop, from h<sup>0</sup> on", settling, style.INK, 3, 0.9))
    if points is not None:
        texts = style.hover(points, names)
        for group in style.groups(points):
            figure.add_trace(scene.markers(group, places[group.rows], [texts[i] for i in group.rows]))
    views = camera.presets(places)
    names_of_axes = scene.axis_names(axes)
    caption = (
        f"{style.plural(shown, 'string')} coloured by the right answer; strong: the last step, a dot where it ends."
        f"<br>Axes: {'given' if projection is not None else _source(axes, space)}."
    )
    if points is not None:
        caption += f"<br>Held at some queries, {style.counted(points)}."
    return style.dressed(
        figure,
        title,
        caption,
        below=62,
        scene=scene.box(names_of_axes, low, high, views[camera.OBLIQUE]),
        updatemenus=[scene.buttons(views, camera.OBLIQUE, names_of_axes, high - low)],
        margin={"l": 10, "r": 10, "t": 60 if title else 20, "b": 115},
        legend={"x": 1, "xanchor": "right", "y": 0.98, "itemsizing": "constant"},
    )


def _plain(values: Any, space: str) -> Array:
    """States or readouts (..., n): of the latter without what is added to all logits alike, which answers nothing."""
    given = as_array(values)
    return given - given.mean(axis=-1, keepdims=True) if space == "readouts" and given.ndim else given


def _source(axes: Projection, space: str) -> str:
    what = "what is read out in the last states" if space == "readouts" else "the last states"
    return f"principal components of {what}, {100 * axes.explained_variance_ratio.sum():.0f} % of the variance"


def _add_digit(figure: go.Figure, digit: int, runs: Array) -> None:
    """The trajectories (T, B, 3) that ought to end in the answer ``digit``, their ends, and the digit beside them."""
    colour = COLOURS[digit % len(COLOURS)]
    lines = [
        scene.lines(f"answer {digit}", list(part.swapaxes(0, 1)), colour, width, opacity)
        for part, width, opacity in ((runs[:-1], 1, 0.07), (runs[-2:], 1.6, 0.5))
    ]
    for line in lines:
        line.update(legendgroup=str(digit), showlegend=False)
    ends = go.Scatter3d(
        **thinning.xyz(runs[-1]),
        mode="markers",
        marker={"size": 3, "color": colour, "opacity": 0.8},
        name=f"answer {digit}",
        legendgroup=str(digit),
        hovertemplate=f"answer {digit}<extra></extra>",
    )
    written = go.Scatter3d(
        **thinning.xyz(np.median(runs[-1], axis=0)[None]),
        mode="text",
        text=[f"<b>{digit}</b>"],
        textfont={"size": 22, "color": colour},
        legendgroup=str(digit),
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_traces([*lines, ends, written])


def retrieval_convergence(records: Mapping[str, Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """Does the settling loop retrieve? What is read out, and how far the fixed point is, over its iterations.

    A column for each network: its name, and a record of ``inner`` (S), ``right`` (T + 1, n), whether the n queries are
    answered rightly after so many iterations, and ``distance`` (T + 1, n) to the stable fixed point, NaN where there is
    none. Raises ValueError for a record that lacks one of these.
    """
    for name, record in records.items():
        missing = [key for key in RECORD if key not in record]
        if missing or np.shape(record["right"]) != np.shape(record["distance"]):
            raise ValueError(
                f"the record of {name} has {', '.join(record)}; it needs {', '.join(RECORD)}, of one shape"
            )
    if not records:
        raise ValueError("there is no record to draw; give that of one network at least")
    figure = make_subplots(
        rows=2,
        cols=len(records),
        shared_xaxes=True,
        shared_yaxes=True,
        vertical_spacing=0.07,
        horizontal_spacing=0.05,
        subplot_titles=list(records),
    )
    for column, (name, record) in enumerate(records.items(), 1):
        _add_column(figure, column, name, record)
    farthest = max(float(np.nanmax(as_array(record["distance"]), initial=1.0)) for record in records.values())
    decades = [np.log10(LEAST), np.log10(farthest) + 0.2]
    figure.update_yaxes(style.axis("answered rightly", range=[0, 1.15], tickformat=".0%"), row=1)
    figure.update_yaxes(style.axis("distance to the fixed point", range=decades, **style.powers(2)), row=2)
    figure.update_xaxes(style.axis(""), row=1)
    figure.update_xaxes(style.axis("iterations of the settling loop"), row=2)
    for col in range(2, len(records) + 1):
        figure.update_yaxes(title_text="", col=col)
    n = next(iter(records.values()))["right"].shape[1]
    notes = [
        f"{n} queries of strings that were not trained on. Dotted: the iterations that the network itself takes.",
        f"Distances: the median, and the band from {BAND[0]}% to {BAND[1]}% of the queries.",
    ]
    caption, below = style.lines(notes)
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        margin={"l": 85, "r": 30, "t": 90 if title else 50, "b": below},
        showlegend=False,
    )


def _add_column(figure: go.Figure, column: int, name: str, record: Mapping[str, Any]) -> None:
    right, distance = as_array(record["right"]), as_array(record["distance"])
    steps = np.arange(len(right))
    share = right.mean(axis=1)
    hover = f"{name}, %{{x}} iterations: %{{y:.1%}}<extra></extra>"
    line = {"color": style.BLUE, "width": 2.4}
    rightly = go.Scatter(x=steps, y=share, mode="lines+markers", line=line, marker={"size": 5}, hovertemplate=hover)
    figure.add_trace(rightly, 1, column)
    told = [t for t in (int(record["inner"]), len(right) - 1) if t < len(right)]
    text: dict[str, Any] = {"mode": "text", "textfont": {"size": 14, "color": style.INK}}
    text["text"] = [f"{100 * share[t]:.1f} %" for t in told]
    text["textposition"] = ["top right", "top left"][: len(told)]
    figure.add_trace(go.Scatter(x=told, y=share[told], hoverinfo="skip", **text), 1, column)
    known = distance[:, np.isfinite(distance).all(axis=0)]
    if known.shape[1]:
        low, middle, high = np.percentile(known, (BAND[0], 50, BAND[1]), axis=1).clip(LEAST / 10)
        band: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=steps, y=low, **band), 2, column)
        figure.add_trace(
            go.Scatter(x=steps, y=high, fill="tonexty", fillcolor="rgba(0,114,178,0.2)", **band), 2, column
        )
        hover = f"{name}, %{{x}} iterations: median %{{y:.2g}}<extra></extra>"
        figure.add_trace(go.Scatter(x=steps, y=middle, mode="lines", line=line, hovertemplate=hover), 2, column)
    for row in (1, 2):
        figure.add_vline(
            x=int(record["inner"]), line={"color": style.ORANGE, "dash": "dot", "width": 2}, row=row, col=column
        )

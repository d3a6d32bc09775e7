"""How networks learned: loss, validation error, readout weights, many networks in one picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.io.text import paragraphs
from dynsys.plots import style, thinning
from dynsys.trajectories.projection import as_array

Array = NDArray[np.float64]
Record = Mapping[str, Any]

NEEDED = ("step", "loss", "validated_step", "validation_error")
COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.BROWN)
QUANTITIES = (("step", "loss", "loss"), ("validated_step", "validation_error", "validation error"))
READOUT_QUANTITIES = {"mse": "MSE in training", "weight_norm": "|W_out|"}
MARKED = 30  # points up to which each has a marker: a network may have been validated once
BELOW_LEAST = 2.0  # an error of 0 is drawn so many times below the least that is not 0


def learning_curves(panels: Mapping[str, Mapping[str, Record]], *, title: str | None = None) -> go.Figure:
    """Loss above validation error against the step, both on logarithmic axes: a column for each of ``panels``.

    A panel holds the curves of networks by their names, one colour to a name throughout: ``step`` and ``loss`` (S,),
    ``validated_step`` and ``validation_error`` (V,). Raises ValueError where there is none, or one lacks any of these.
    """
    curves = {panel: {name: _checked(name, record) for name, record in some.items()} for panel, some in panels.items()}
    names = list(dict.fromkeys(name for some in curves.values() for name in some))
    if not names:
        raise ValueError("there are no learning curves to draw")
    lowest = _lowest([record for some in curves.values() for record in some.values()])
    figure = make_subplots(
        rows=2,
        cols=len(curves),
        shared_xaxes=True,
        shared_yaxes=True,
        vertical_spacing=0.07,
        horizontal_spacing=0.04,
        subplot_titles=list(curves) if len(curves) > 1 else None,
    )
    told: set[str] = set()
    for col, some in enumerate(curves.values(), 1):
        for name, record in some.items():
            for row, (x, y, _) in enumerate(QUANTITIES, 1):
                drawn = np.maximum(record[y], lowest[y])
                figure.add_trace(
                    _line(record[x], drawn, record[y], name, names.index(name), name not in told), row, col
                )
                told.add(name)
        figure.update_xaxes(style.axis("step of training", rangemode="tozero"), row=2, col=col)
        figure.update_xaxes(style.axis("", rangemode="tozero"), row=1, col=col)
    for row, (_, _, label) in enumerate(QUANTITIES, 1):
        for col in range(1, len(curves) + 1):
            figure.update_yaxes(style.axis(label if col == 1 else "", **_log(figure, row)), row=row, col=col)
    caption, margin = style.lines(_notes(curves, lowest))
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        margin={"l": 90, "r": 30, "t": 100 if title else 70, "b": margin},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.05, "yanchor": "bottom"},
        showlegend=len(names) > 1,
    )


def _checked(name: str, record: Record) -> dict[str, Array]:
    missing = [key for key in NEEDED if key not in record]
    if missing:
        raise ValueError(f"the curves of {name!r} lack {', '.join(missing)}; they need {', '.join(NEEDED)}")
    return {key: as_array(record[key]) for key in NEEDED}


def _lowest(records: list[dict[str, Array]]) -> dict[str, float]:
    """Where a 0 is drawn on each of the logarithmic axes."""
    found = {}
    for _, y, _ in QUANTITIES:
        positive = [record[y][record[y] > 0] for record in records]
        values = np.concatenate([*positive, np.zeros(0)])
        found[y] = float(values.min()) / BELOW_LEAST if len(values) else 1e-6
    return found


def _line(x: Array, drawn: Array, value: Array, name: str, number: int, first: bool) -> go.Scatter:
    every = max(1, -(-len(x) // (thinning.LIMIT // 20)))
    return go.Scatter(
        x=x[::every],
        y=drawn[::every],
        customdata=value[::every],
        mode="lines" if len(x) > MARKED else "lines+markers",
        line={"color": COLOURS[number % len(COLOURS)], "width": 1.8},
        name=name,
        legendgroup=name,
        showlegend=first,
        hovertemplate=f"{name}: %{{customdata:.4g}}<br>step %{{x}}<extra></extra>",
    )


def _log(figure: go.Figure, row: int) -> dict[str, Any]:
    """A logarithmic axis for all that is drawn in the row."""
    drawn = np.concatenate([trace.y for trace in figure.select_traces(row=row)])
    return style.logarithmic(float(drawn.min()), float(drawn.max()))


def _notes(curves: Mapping[str, Mapping[str, dict[str, Array]]], lowest: dict[str, float]) -> list[str]:
    records = [record for some in curves.values() for record in some.values()]
    at_zero = any((record["validation_error"] <= 0).any() for record in records)
    return paragraphs(style.TEXT, "learning", len(records), lowest["validation_error"] if at_zero else None)


def readout_learning(runs: Mapping[str, Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """``mse`` (S,) and |W_out|, of all outputs together, against ``step`` (S,) for each of ``runs``, as the curves of a
    run hold them (``weight_norm`` (S, O) is that of each output). Runs of an earlier version, which kept no MSE, are
    named in the caption. Raises ValueError where there is no run.
    """
    if not runs:
        raise ValueError("there are no training runs to draw")
    figure = make_subplots(rows=1, cols=len(READOUT_QUANTITIES), horizontal_spacing=0.1)
    for col, (key, label) in enumerate(READOUT_QUANTITIES.items(), 1):
        for i, (name, run) in enumerate(runs.items()):
            if key not in run:
                continue
            line = {"color": COLOURS[i % len(COLOURS)], "width": 1.6}
            shown = {"name": name, "legendgroup": name, "showlegend": col == 1}
            about = f"{name}: %{{y:.4g}}<br>step %{{x}}<extra></extra>"
            y = np.linalg.norm(run[key], axis=1) if np.ndim(run[key]) > 1 else run[key]
            trace = go.Scatter(x=run["step"], y=y, mode="lines", line=line, hovertemplate=about, **shown)
            figure.add_trace(trace, 1, col)
        figure.update_xaxes(style.axis("step of training", rangemode="tozero"), row=1, col=col)
        figure.update_yaxes(style.axis(label, rangemode="tozero"), row=1, col=col)
    text = "Means over equal stretches of the training, in which noise is added to the output that is fed back."
    without = [name for name, run in runs.items() if "mse" not in run]
    if without:
        text += f" No MSE was kept, by an earlier version, of {', '.join(without)}."
    return style.dressed(
        figure,
        title,
        text,
        below=style.BELOW,
        height=460,
        margin={"l": 80, "r": 30, "t": 70, "b": style.BELOW + 40},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.04, "yanchor": "bottom"},
    )

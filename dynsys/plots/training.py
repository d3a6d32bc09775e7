"""How training went: what the trained network says, its error, and the size of its weights (seed 003, figure 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.plots import style, thinning
from dynsys.projection import as_array

Array = NDArray[np.float64]

NEEDED = ("step", "error", "weight_norm", "test_input", "test_output", "test_target")
CURVES = 0.36  # share of the height that error and weights take


def training_curves(record: Mapping[str, Any], *, title: str | None = None) -> go.Figure:
    """Output against target, one row per output, over the error and the weights in training.

    ``record`` holds ``step``, ``error`` (mean absolute, of the output) and ``weight_norm`` (|W_out|), each (S,);
    ``test_input`` (T, I), ``test_output`` and ``test_target`` (T, O). An input is drawn behind the output of its own
    number where there are as many of one as of the other, and in a row of their own otherwise.
    """
    curves = {key: as_array(record[key]) for key in NEEDED if key in record}
    _check(curves)
    inputs, outputs, target = (curves[key] for key in ("test_input", "test_output", "test_target"))
    n_output = outputs.shape[1]
    paired = inputs.shape[1] == n_output
    labels = [f"output {i + 1}" for i in range(n_output)] + ["input"] * (not paired and inputs.shape[1] > 0)
    rows, n_lines = len(labels) + 1, 2 * n_output + inputs.shape[1]
    half = thinning.LIMIT // 2  # for the test, and as much for training; a line may end in one point more
    every = max(1, -(-(len(outputs) * n_lines) // (half - n_lines)))
    every_step = max(1, -(-(2 * len(curves["step"])) // (half - 2)))

    gap = 0.5 / (rows + 6)
    heights = [(1 - CURVES) / (rows - 1)] * (rows - 1) + [CURVES]
    figure = make_subplots(
        rows=rows,
        cols=2,
        specs=[[{"colspan": 2}, None]] * (rows - 1) + [[{}, {}]],
        row_heights=heights,
        vertical_spacing=gap,
        horizontal_spacing=0.09,
    )
    times = np.arange(len(outputs))[::every]
    for i in range(inputs.shape[1]):
        row = i + 1 if paired else rows - 1
        trace = _line(times, inputs[::every, i], "input pulses", style.ORANGE, width=0, first=i == 0)
        trace.update(fill="tozeroy", fillcolor="rgba(230,159,0,0.3)")
        figure.add_trace(trace, row, 1)
    for i in range(n_output):
        figure.add_trace(_line(times, target[::every, i], "target", style.INK, 1.4, i == 0, dash="dot"), i + 1, 1)
        figure.add_trace(_line(times, outputs[::every, i], "output", style.BLUE, 1.8, i == 0), i + 1, 1)
    steps = curves["step"][::every_step]
    error = curves["error"][::every_step]
    positive = np.where(error > 0, error, np.nan)  # a logarithm has no place for others
    figure.add_trace(_line(steps, positive, "error", style.PURPLE, 1.2, False), rows, 1)
    figure.add_trace(_line(steps, curves["weight_norm"][::every_step], "|W_out|", style.GREEN, 1.8, False), rows, 2)

    for i, label in enumerate(labels, 1):
        last = i == rows - 1
        limits = {} if label == "input" else {"range": _limits(outputs, target, inputs if paired else target)}
        figure.update_yaxes(style.axis(label, nticks=4, **limits), row=i, col=1)
        figure.update_xaxes(
            style.axis(
                "step of the test" if last else "", matches="x", showticklabels=last, range=[0, len(outputs) - 1]
            ),
            row=i,
            col=1,
        )
    ends = [float(steps.min()), float(steps.max())] if len(steps) else [0.0, 1.0]
    for col in (1, 2):
        figure.update_xaxes(style.axis("step of training", range=ends), row=rows, col=col)
    log = {"type": "log", "tickformat": "~g", "dtick": "D2" if _decades(positive) < 3 else 1}
    figure.update_yaxes(style.axis("mean absolute error", **log), row=rows, col=1)
    figure.update_yaxes(style.axis("|W<sub>out</sub>|", rangemode="tozero"), row=rows, col=2)
    _make_room(figure, rows)
    return style.dressed(
        figure,
        title,
        _caption(curves, every, every_step),
        below=58,
        margin={"l": 80, "r": 30, "t": 95 if title else 60, "b": 105},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"},
    )


def _check(curves: dict[str, Array]) -> None:
    missing = [key for key in NEEDED if key not in curves]
    if missing:
        raise ValueError(f"the training record lacks {', '.join(missing)}; it needs {', '.join(NEEDED)}")
    shapes = {key: value.shape for key, value in curves.items()}
    one = {shapes[key] for key in NEEDED[:3]}
    test = [shapes[key] for key in NEEDED[3:]]
    if len(one) != 1 or len(shapes["step"]) != 1 or {len(shape) for shape in test} != {2}:
        raise ValueError(
            f"the training record has shapes {shapes}; it needs (S,) three times, then (T, I), (T, O), (T, O)"
        )
    if test[1] != test[2] or test[0][0] != test[1][0]:
        raise ValueError(f"the test has shapes {test}; it needs (T, I), (T, O), (T, O) with one T and one O")


def _line(
    x: NDArray[Any], y: Array, name: str, colour: str, width: float, first: bool, dash: str = "solid"
) -> go.Scatter:
    """A line whose name is in the legend only the first time."""
    return go.Scatter(
        x=x,
        y=y.astype(np.float32),
        mode="lines",
        line={"color": colour, "width": width, "dash": dash},
        name=name,
        legendgroup=name,
        showlegend=first,
        hovertemplate=f"{name}: %{{y:.3g}}<br>step %{{x}}<extra></extra>",
    )


def _limits(*curves: Array) -> list[float]:
    """One range for every output, so that rows can be compared."""
    everything = np.concatenate([curve.ravel() for curve in curves])
    low, high = float(np.nanmin(everything)), float(np.nanmax(everything))
    room = 0.08 * ((high - low) or 1.0)
    return [low - room, high + room]


def _decades(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.log10(known.max() / known.min())) if len(known) else 0.0


def _make_room(figure: go.Figure, rows: int) -> None:
    """Move the last row down a little: the title of the time axis above it needs more than rows of one axis do."""
    for name in (f"yaxis{rows}", f"yaxis{rows + 1}"):
        low, high = figure.layout[name].domain
        figure.layout[name].domain = (low, high - 0.075)


def _caption(curves: dict[str, Array], every: int, every_step: int) -> str:
    error = np.abs(curves["test_output"] - curves["test_target"])[curves["test_target"] != 0].mean()
    steps = style.plural(len(curves["test_output"]), "step")
    text = f"Test: mean absolute error {error:.3g} over {steps}, outputs whose target is still 0 left out."
    if every > 1:
        text += f" Thinned out evenly: 1 in {every} steps of the test is drawn."
    if every_step > 1:
        text += f" Thinned out evenly: 1 in {every_step} steps of training is drawn."
    return text

"""How training went: what the trained network says, over two curves of its training.

Those are the error and the size of the weights of FORCE learning (seed 003, figure 5), or the loss and the validation
error of backpropagation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.plots import style, thinning
from dynsys.projection import as_array

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """A curve of the training: the record's names of its axes, what it is called, and how it is drawn."""

    x: str
    y: str
    name: str
    label: str
    colour: str
    width: float
    log: bool


FORCE = (
    Quantity("step", "error", "error", "mean absolute error", style.PURPLE, 1.2, True),
    Quantity("step", "weight_norm", "|W_out|", "|W<sub>out</sub>|", style.GREEN, 1.8, False),
)
BACKPROP = (
    Quantity("step", "loss", "loss", "loss", style.PURPLE, 1.2, True),
    Quantity("validated_step", "validation_error", "validation error", "validation error", style.GREEN, 1.8, True),
)
TEST = ("test_input", "test_output", "test_target")
CURVES = 0.36  # share of the height that the two curves take


def training_curves(record: Mapping[str, Any], *, title: str | None = None) -> go.Figure:
    """Output against target, one row per output, over two curves of the training.

    ``record`` holds ``step``, ``error`` (mean absolute, of the output) and ``weight_norm`` (|W_out|), each (S,), or
    ``step`` and ``loss`` (S,), ``validated_step`` and ``validation_error`` (V,); ``test_input`` (T, I), ``test_output``
    and ``test_target`` (T, O). An input is drawn behind the output of its own number where there are as many of one as
    of the other, and in a row of their own otherwise.
    """
    quantities = BACKPROP if "loss" in record else FORCE
    needed = dict.fromkeys([*(key for one in quantities for key in (one.x, one.y)), *TEST])
    curves = {key: as_array(record[key]) for key in needed if key in record}
    _check(curves, quantities, list(needed))
    inputs, outputs, target = (curves[key] for key in TEST)
    n_output = outputs.shape[1]
    paired = inputs.shape[1] == n_output
    labels = [f"output {i + 1}" for i in range(n_output)] + ["input"] * (not paired and inputs.shape[1] > 0)
    rows, n_lines = len(labels) + 1, 2 * n_output + inputs.shape[1]
    half = thinning.LIMIT // 2  # for the test, and as much for training; a line may end in one point more
    every = max(1, -(-(len(outputs) * n_lines) // (half - n_lines)))
    every_step = max(1, -(-sum(len(curves[one.x]) for one in quantities) // (half - 2)))

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
    for col, one in enumerate(quantities, 1):
        x, y = curves[one.x][::every_step], curves[one.y][::every_step]
        drawn = np.where(y > 0, y, np.nan) if one.log else y  # a logarithm has no place for others
        figure.add_trace(_line(x, drawn, one.name, one.colour, one.width, False), rows, col)

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
    for col, one in enumerate(quantities, 1):
        figure.update_xaxes(style.axis("step of training", range=_ends(curves[one.x])), row=rows, col=col)
        figure.update_yaxes(style.axis(one.label, **_scale(one, curves[one.y])), row=rows, col=col)
    _make_room(figure, rows)
    return style.dressed(
        figure,
        title,
        _caption(curves, every, every_step),
        below=58,
        margin={"l": 80, "r": 30, "t": 95 if title else 60, "b": 105},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"},
    )


def _check(curves: dict[str, Array], quantities: tuple[Quantity, ...], needed: list[str]) -> None:
    missing = [key for key in needed if key not in curves]
    if missing:
        raise ValueError(f"the training record lacks {', '.join(missing)}; it needs {', '.join(needed)}")
    pairs = [(curves[one.x].shape, curves[one.y].shape) for one in quantities]
    test = [curves[key].shape for key in TEST]
    if any(x != y or len(x) != 1 for x, y in pairs) or {len(shape) for shape in test} != {2}:
        shapes = {key: value.shape for key, value in curves.items()}
        raise ValueError(
            f"the training record has shapes {shapes}; it needs a step for each value of a curve, then (T, I), (T, O) "
            "and (T, O)"
        )
    if test[1] != test[2] or test[0][0] != test[1][0]:
        raise ValueError(f"the test has shapes {test}; it needs (T, I), (T, O), (T, O) with one T and one O")


def _ends(steps: Array) -> list[float]:
    return [float(steps.min()), float(steps.max())] if len(steps) else [0.0, 1.0]


def _scale(one: Quantity, values: Array) -> dict[str, Any]:
    if not one.log:
        return {"rangemode": "tozero"}
    return {"type": "log", "tickformat": "~g", "dtick": "D2" if _decades(values[values > 0]) < 3 else 1}


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

"""How training went: output against target at its end and in the test, over two curves of the training.

Of FORCE learning these are the four panels of Jang, figure 5: the two outputs, the MSE in training and the size of
the weights of each output. Backpropagation has no training run of its own: one output, the loss and the validation
error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.io.text import sentence
from dynsys.plots import style, thinning
from dynsys.trajectories.projection import as_array

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
    Quantity("step", "mse", "MSE", "MSE", style.PURPLE, 1.2, True),
    Quantity("step", "weight_norm", "|W_out|", "|W<sub>out</sub>|", style.GREEN, 1.8, False),
)
FORCE_BEFORE = (Quantity("step", "error", "error", "mean |error|", style.PURPLE, 1.2, True), FORCE[1])  # version 0.1
BACKPROP = (
    Quantity("step", "loss", "loss", "loss", style.PURPLE, 1.2, True),
    Quantity("validated_step", "validation_error", "validation error", "validation error", style.GREEN, 1.8, True),
)
DASHES = ("solid", "dash", "dot", "dashdot")  # of the curves of several outputs
CURVES = 0.36  # share of the height that the two curves take
TRAINED, TESTED = "end of the training", "test"


@dataclass(frozen=True)
class Stretch:
    """Inputs (T, I), output and target (T, O) of some steps (T,) of a run."""

    called: str
    axis: str
    steps: Array
    inputs: Array
    output: Array
    target: Array


def training_curves(record: Mapping[str, Any], *, title: str | None = None) -> go.Figure:
    """Output against target, one row per output, over two curves of the training.

    ``record`` holds of FORCE learning ``step`` (S,), ``mse`` (S,) and ``weight_norm`` (S, O), and ``train_step`` (T',),
    ``train_input``, ``train_output`` and ``train_target`` of some of its steps; else ``step`` and ``loss`` (S,),
    ``validated_step`` and ``validation_error`` (V,). Both have ``test_input`` (T, I), ``test_output`` and
    ``test_target`` (T, O). An input is drawn behind the output of its own number where there are as many of one as of
    the other, and in a row of their own otherwise.
    """
    quantities, stretches, curves = _read(record)
    n_input, n_output = stretches[0].inputs.shape[1], stretches[0].output.shape[1]
    labels = [f"output {i + 1}" for i in range(n_output)] + ["input"] * (n_input != n_output and n_input > 0)
    rows, n_lines = len(labels) + 1, len(stretches) * (2 * n_output + n_input)
    half = thinning.LIMIT // 2  # for the runs, and as much for the curves; a line may end in one point more
    every = max(1, -(-(sum(len(one.steps) for one in stretches) * (n_lines // len(stretches))) // (half - n_lines)))
    lines = sum(len(curves[one.x]) * _width(curves[one.y]) for one in quantities)
    every_step = max(1, -(-lines // (half - sum(_width(curves[one.y]) for one in quantities))))

    figure = _panels(rows, stretches)
    for col, stretch in enumerate(stretches, 1):
        _draw_run(figure, stretch, col, rows, every)
    for col, one in enumerate(quantities, 1):
        _draw_curve(figure, one, curves, rows, col, every_step)
    paired = n_input == n_output
    ranged = [one for s in stretches for one in (s.output, s.target, s.inputs if paired else s.target)]
    for col, stretch in enumerate(stretches, 1):
        for i, label in enumerate(labels, 1):
            last = i == rows - 1
            limits = {} if label == "input" else {"range": _limits(*ranged)}
            figure.update_yaxes(style.axis(label if col == 1 else "", nticks=4, **limits), row=i, col=col)
            ends = {"range": _ends(stretch.steps), "matches": "x" if col == 1 else "x2", "showticklabels": last}
            figure.update_xaxes(style.axis(stretch.axis if last else "", **ends), row=i, col=col)
    for col, one in enumerate(quantities, 1):
        figure.update_xaxes(style.axis("step of training", range=_ends(curves[one.x])), row=rows, col=col)
        figure.update_yaxes(style.axis(one.label, **_scale(one, curves[one.y])), row=rows, col=col)
    _make_room(figure, rows, len(stretches))
    return style.dressed(
        figure,
        title,
        _caption(stretches[-1], every, every_step, [one.name for one in quantities if _width(curves[one.y]) > 1]),
        below=58,
        margin={"l": 80, "r": 30, "t": 115 if title else 80, "b": 105},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.05, "yanchor": "bottom"},
    )


def _read(record: Mapping[str, Any]) -> tuple[tuple[Quantity, ...], list[Stretch], dict[str, Array]]:
    """Which curves there are, the runs beside each other, and the curves by name.

    An earlier version kept of FORCE learning the error, one norm, and no run of the end of the training.
    """
    before = "error" in record and "mse" not in record
    quantities = BACKPROP if "loss" in record else FORCE_BEFORE if before else FORCE
    parts = {TRAINED: "train", TESTED: "test"} if quantities is FORCE else {TESTED: "test"}
    needed = dict.fromkeys(key for one in quantities for key in (one.x, one.y))
    needed |= dict.fromkeys(f"{part}_{key}" for part in parts.values() for key in ("input", "output", "target"))
    if quantities is FORCE:
        needed["train_step"] = None
    curves = {key: as_array(record[key]) for key in needed if key in record}
    missing = [key for key in needed if key not in curves]
    if missing:
        raise ValueError(f"the training record lacks {', '.join(missing)}; it needs {', '.join(needed)}")
    stretches = []
    for called, part in parts.items():
        inputs, output, target = (curves[f"{part}_{key}"] for key in ("input", "output", "target"))
        steps = curves["train_step"] if part == "train" else np.arange(float(len(output)))
        axis = "step of training" if part == "train" else "step of the test"
        stretches.append(Stretch(called, axis, steps, inputs, output, target))
    _check(curves, quantities, stretches)
    return quantities, stretches, curves


def _panels(rows: int, stretches: list[Stretch]) -> go.Figure:
    """A row of panels for each output, a column for each run, and the two curves below."""
    above: list[Any] = [{}, {}] if len(stretches) == 2 else [{"colspan": 2}, None]
    return make_subplots(
        rows=rows,
        cols=2,
        specs=[above] * (rows - 1) + [[{}, {}]],
        row_heights=[(1 - CURVES) / (rows - 1)] * (rows - 1) + [CURVES],
        vertical_spacing=0.5 / (rows + 6),
        horizontal_spacing=0.14,
        column_titles=[stretch.called for stretch in stretches] if len(stretches) == 2 else None,
    )


def _draw_run(figure: go.Figure, run: Stretch, col: int, rows: int, every: int) -> None:
    """The pulses, and output against target over them."""
    steps, paired = run.steps[::every], run.inputs.shape[1] == run.output.shape[1]
    for i in range(run.inputs.shape[1]):
        pulses = _line(steps, run.inputs[::every, i], "input pulses", style.ORANGE, 0, i == 0 and col == 1)
        figure.add_trace(
            pulses.update(fill="tozeroy", fillcolor="rgba(230,159,0,0.3)"), i + 1 if paired else rows - 1, col
        )
    for i in range(run.output.shape[1]):
        first = i == 0 and col == 1
        figure.add_trace(_line(steps, run.target[::every, i], "target", style.INK, 1.4, first, dash="dot"), i + 1, col)
        figure.add_trace(_line(steps, run.output[::every, i], "output", style.BLUE, 1.8, first), i + 1, col)


def _draw_curve(figure: go.Figure, one: Quantity, curves: dict[str, Array], row: int, col: int, every: int) -> None:
    """A line, or one for each output."""
    x, y = curves[one.x][::every], curves[one.y][::every]
    y = np.where(y > 0, y, np.nan) if one.log else y  # a logarithm has no place for others
    for k, values in enumerate(y.T if y.ndim > 1 else [y]):
        name = one.name if y.ndim == 1 else f"{one.name} of output {k + 1}"
        dash = DASHES[k % len(DASHES)]
        figure.add_trace(_line(x, values, name, one.colour, one.width, False, dash=dash), row, col)


def _width(values: Array) -> int:
    return 1 if values.ndim == 1 else values.shape[1]


def _check(curves: dict[str, Array], quantities: tuple[Quantity, ...], stretches: list[Stretch]) -> None:
    for one in quantities:
        x, y = curves[one.x].shape, curves[one.y].shape
        if len(x) != 1 or y[:1] != x or len(y) > 2:
            raise ValueError(f"{one.x} has shape {x} and {one.y} {y}; the curves have shapes (S,) and (S,) or (S, O)")
    for run in stretches:
        shapes = [part.shape for part in (run.inputs, run.output, run.target)]
        fits = {len(shape) for shape in shapes} == {2} and len({shape[0] for shape in shapes} | {len(run.steps)}) == 1
        if not fits or shapes[1] != shapes[2]:
            raise ValueError(
                f"the {run.called} has shapes {shapes}; it needs (T, I), (T, O), (T, O) of one T and one O"
            )
    if len({run.output.shape[1] for run in stretches}) > 1 or len({run.inputs.shape[1] for run in stretches}) > 1:
        raise ValueError("the training and the test have other numbers of inputs or outputs; they need the same")


def _ends(steps: Array) -> list[float]:
    return [float(steps.min()), float(steps.max())] if len(steps) else [0.0, 1.0]


def _scale(one: Quantity, values: Array) -> dict[str, Any]:
    if not one.log:
        return {"rangemode": "tozero"}
    seen = values[np.isfinite(values) & (values > 0)]
    return style.logarithmic(float(seen.min()), float(seen.max())) if len(seen) else {"type": "log"}


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


def _make_room(figure: go.Figure, rows: int, columns: int) -> None:
    """Move the last row down a little: the title of the time axis above it needs more than rows of one axis do."""
    below = columns * (rows - 1)
    for name in (f"yaxis{below + 1}", f"yaxis{below + 2}"):
        low, high = figure.layout[name].domain
        figure.layout[name].domain = (low, high - 0.075)


def _caption(test: Stretch, every: int, every_step: int, of_outputs: list[str]) -> str:
    judged = test.target != 0
    error, steps = np.abs(test.output - test.target)[judged].mean(), len(test.output)
    return sentence(style.TEXT, "training", error, steps, bool(judged.all()), of_outputs, every, every_step)

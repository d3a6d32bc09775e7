"""The eigenvalues of the origin over training: the leading ones against time, and all of them in the complex plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.plots import style
from dynsys.plots.training import animation
from dynsys.plots.training.training_time import TrainingTime
from dynsys.systems.system import Kind

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

LEADING = 12  # eigenvalues drawn against training time


def origin_eigenvalues(steps: Array, eigenvalues: ComplexArray, kind: Kind, *, title: str | None = None) -> go.Figure:
    """The leading eigenvalues (S, m) of the origin, or of the point that continues it, over the snapshots.

    Of a flow their real parts, in units of 1 / tau; of a map their absolute values. Rows of NaN are snapshots at which
    the point is no more.
    """
    time, flow = TrainingTime.of(steps), kind is Kind.FLOW
    size = eigenvalues.real if flow else np.abs(eigenvalues)
    order = np.argsort(-np.where(np.isnan(size), -np.inf, size), axis=1)[:, :LEADING]
    size = np.take_along_axis(size, order, axis=1)
    values = np.take_along_axis(eigenvalues, order, axis=1)
    real = np.abs(values.imag) <= 1e-9 * np.abs(values)
    x = np.repeat(time.place(steps)[:, None], size.shape[1], axis=1)
    figure = go.Figure()
    for name, mask, symbol in (("real", real, "circle"), ("complex", ~real & ~np.isnan(size), "circle-open")):
        for word, side, colour in (
            ("stable", size < (0 if flow else 1), style.BLUE),
            ("unstable", size >= (0 if flow else 1), style.RED),
        ):
            some = mask & side
            if some.any():
                figure.add_trace(_eigenvalues(f"{name}, {word}", x[some], size[some], values[some], symbol, colour))
    figure.add_hline(y=0 if flow else 1, line={"color": style.INK, "width": 1.5, "dash": "dash"})
    shown, known = size.shape[1], eigenvalues.shape[1]
    notes = [
        f"{f'The {shown} leading of' if shown < known else 'All'} {known} eigenvalues at each snapshot. "
        "Dashed: the boundary of stability.",
        time.note,
    ]
    figure.update_xaxes(time.axis())
    figure.update_yaxes(style.axis("real part" if flow else "absolute value"))
    return style.under(figure, title, notes)


def _eigenvalues(name: str, x: Array, y: Array, values: ComplexArray, symbol: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"symbol": symbol, "color": colour, "size": 6, "line": {"color": colour, "width": 1.2}},
        name=name,
        text=[style.complex_text(complex(value)) for value in values],
        hovertemplate="eigenvalue %{text}<extra></extra>",
    )


def origin_spectrum(steps: Array, eigenvalues: ComplexArray, kind: Kind, *, title: str | None = None) -> go.Figure:
    """All eigenvalues (S, m) in the complex plane, a snapshot at a time, with a slider over training."""
    flow = kind is Kind.FLOW
    known = eigenvalues[~np.isnan(eigenvalues)]
    low, high = _view(known, kind)
    reach = 5 * float((high - low).max())
    at = np.array([-reach, reach]) * 1j if flow else np.exp(2j * np.pi * np.linspace(0, 1, 361))
    line = {"color": style.INK, "width": 1.5, "dash": "dash"}
    figure = go.Figure(_plane(eigenvalues[0], kind))
    moving = list(range(len(figure.data)))
    boundary = "imaginary axis" if flow else "unit circle"
    figure.add_trace(go.Scatter(x=at.real, y=at.imag, mode="lines", line=line, name=boundary, hoverinfo="skip"))
    names = [f"{step:,.0f}" for step in steps]
    figure.frames = [
        go.Frame(data=_plane(values, kind), traces=moving, name=name)
        for values, name in zip(eigenvalues, names, strict=True)
    ]
    axes: dict[str, Any] = style.alike(("real part", low[0], high[0]), ("imaginary part", low[1], high[1]))
    return style.dressed(
        figure,
        title,
        "",
        height=720,
        **axes,
        margin={"l": 80, "r": 30, "t": 95 if title else 60, "b": 200},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.015, "yanchor": "bottom"},
        sliders=[animation.slider(names, top=60)],
        updatemenus=[animation.player(top=144)],
    )


def _plane(values: ComplexArray, kind: Kind) -> list[go.Scatter]:
    """Stable and unstable eigenvalues; a trace without any keeps its place in the legend."""
    values = values[~np.isnan(values)]
    beyond = values.real > 0 if kind is Kind.FLOW else np.abs(values) > 1
    return [
        go.Scatter(
            x=some.real if len(some) else [None],
            y=some.imag if len(some) else [None],
            mode="markers",
            marker={"size": 6, "color": colour, "opacity": 0.75, "line": {"color": "white", "width": 0.6}},
            name=name,
            text=[style.complex_text(complex(value)) for value in some] or None,
            hovertemplate="eigenvalue %{text}<extra></extra>",
        )
        for name, colour, some in (("stable", style.BLUE, values[~beyond]), ("unstable", style.RED, values[beyond]))
    ]


def _view(values: ComplexArray, kind: Kind) -> tuple[Array, Array]:
    """Room for every eigenvalue of every snapshot, and for the boundary."""
    ends = np.array([0.0, 0.5j, -0.5j]) if kind is Kind.FLOW else np.array([1, -1, 1j, -1j])
    everything = np.concatenate([values, ends])
    plane = np.stack([everything.real, everything.imag])
    low, high = plane.min(axis=1), plane.max(axis=1)
    room = 0.06 * float((high - low).max())
    return low - room, high + room

"""Eigenvalues of the linearised system in the complex plane, and the boundary of stability."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from numpy.typing import NDArray

from dynsys.plots import style, thinning
from dynsys.result.fixed_points import FixedPoints
from dynsys.stability.classification import frequencies, time_constants
from dynsys.systems.system import Flow, Kind, Map, System

MARGIN = 0.08  # of the longer side, around everything that is drawn
FAR = 0.01  # share of the eigenvalues, the most strongly decaying, that may lie outside the first view of a flow
MANY = 300  # eigenvalues, from which on symbols are small


def spectrum(points: FixedPoints, which: Any = None, *, title: str | None = None) -> go.Figure:
    """The eigenvalues known of the points that ``which`` chooses (a mask, a slice or indices; None: all).

    Of a flow these are those of dF/dx and the boundary is the imaginary axis; of a map those of dG/dx and the unit
    circle. Points keep the numbers that they have in ``points``.
    """
    chosen = np.atleast_1d(np.arange(len(points))[slice(None) if which is None else which])
    some, system = points[chosen], _system(points.about)
    known = ~np.isnan(some.eigenvalues)
    total = int(known.sum())
    step = max(1, -(-total // thinning.LIMIT))

    figure = go.Figure()
    values = some.eigenvalues[known]
    low, high = _ranges(values, system.kind)
    figure.add_trace(_boundary(system.kind, low, high))
    kinds = style.groups(some)
    size = 8 if total <= MANY else 6
    for rank, group in reversed(list(enumerate(kinds))):  # the stable ones, often few, are drawn last and so on top
        row, column = np.nonzero(known[group.rows])
        row, column = group.rows[row][::step], column[::step]
        trace = _eigenvalues(group, chosen[row], some.eigenvalues[row, column], system)
        figure.add_trace(trace.update(marker_size=size, legendrank=1001 + rank))

    notes = [f"Eigenvalues of {'dF/dx' if system.kind is Kind.FLOW else 'dG/dx'} at {style.counted(some)}."]
    partly = int((known.sum(axis=1) < points.states.shape[1]).sum())
    if partly:
        notes.append(f"Only the leading eigenvalues are known at {partly} of them.")
    unseen = int((values.real < low[0]).sum())
    if unseen:
        farthest = style.complex_text(values.real.min())
        notes.append(f"{style.plural(unseen, 'eigenvalue')} far to the left of this view, down to {farthest}.")
    if step > 1:
        notes.append(f"Thinned out evenly: 1 in {step} of {total:,} eigenvalues is drawn.")
    caption, room = style.lines(notes)
    outside = "right of the axis" if system.kind is Kind.FLOW else "outside the circle"
    figure.add_annotation(
        text=f"unstable {outside}",
        showarrow=False,
        font={"size": 13, "color": style.GREY},
        xref="x domain",
        yref="y domain",
        x=0.995,
        y=0.995,
        xanchor="right",
        yanchor="top",
    )
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        **style.alike(("real part", low[0], high[0]), ("imaginary part", low[1], high[1])),
        margin={"l": 80, "r": 30, "t": 95 if title else 60, "b": room},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"},
    )


def _system(about: dict[str, Any]) -> System:
    """What the formulas for times and frequencies ask of a system: its kind and its unit of time."""
    n = int(about["n_state"])
    if about["kind"] == Kind.MAP:
        return Map(lambda x, u: x, n)
    return Flow(lambda x, u: x, n, time_constant=float(about.get("time_constant", 1.0)))


def _boundary(kind: Kind, low: NDArray[np.float64], high: NDArray[np.float64]) -> go.Scatter:
    reach = 5 * float((high - low).max())  # beyond the view, which equal scales can widen
    if kind is Kind.FLOW:
        name, at = "imaginary axis (boundary of stability)", np.array([low[1] - reach, high[1] + reach]) * 1j
    else:
        name, at = "unit circle (boundary of stability)", np.exp(2j * np.pi * np.linspace(0, 1, 361))
    line = {"color": style.INK, "width": 1.5, "dash": "dash"}
    return go.Scatter(x=at.real, y=at.imag, mode="lines", line=line, name=name, hoverinfo="skip")


def _eigenvalues(
    group: style.Group, ids: NDArray[np.int64], values: NDArray[np.complex128], system: System
) -> go.Scatter:
    eigenvalues = torch.as_tensor(values)
    details = zip(
        ids,
        values,
        time_constants(eigenvalues, system).tolist(),
        frequencies(eigenvalues, system).tolist(),
        strict=True,
    )
    return go.Scatter(
        x=values.real,
        y=values.imag,
        mode="markers",
        marker={
            "symbol": group.symbol,
            "color": group.colour,
            "opacity": 0.75,
            "line": {"color": group.colour if group.symbol.endswith("open") else "white", "width": 1},
        },
        name=group.label,
        text=[
            f"<b>point {i}</b><br>eigenvalue: {style.complex_text(value)}<br>{_pace(time)}<br>frequency: {rate:.3g}"
            for i, value, time, rate in details
        ],
        customdata=ids,
        hovertemplate="%{text}<extra></extra>",
    )


def _pace(time_constant: float) -> str:
    if not np.isfinite(time_constant):
        return "neither grows nor decays"
    return f"{'decays' if time_constant > 0 else 'grows'} e-fold in {abs(time_constant):.3g}"


def _ranges(values: NDArray[np.complex128], kind: Kind) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Room for the boundary and every eigenvalue, but for a few of a flow that lie far to the left of the others."""
    ends = np.array([0.0, 0.5j, -0.5j]) if kind is Kind.FLOW else np.array([1, -1, 1j, -1j])
    far = int(FAR * len(values)) if kind is Kind.FLOW else 0
    near = values[np.argsort(values.real)[far:]]
    if len(near) and np.ptp(values.real) > 1.5 * np.ptp(near.real):
        values = near
    everything = np.concatenate([values, ends])
    plane = np.stack([everything.real, everything.imag])
    low, high = plane.min(axis=1), plane.max(axis=1)
    room = MARGIN * float((high - low).max())
    return low - room, high + room

"""Recall against load: errors, overlaps and collapses of several sizes of one net, with the theory drawn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.plots import style

Array = NDArray[np.float64]

COLOURS = (style.SKY, style.BLUE, style.GREEN, style.PURPLE, style.BROWN, style.ORANGE)
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")
HEIGHT = 1000
ZOOM = 3  # times the most that a theory loses of the overlap: what is below has collapsed, as the last row tells
LEAST = 1e-6  # a share of wrong units below which the axis of errors does not go


@dataclass(frozen=True, eq=False)
class Theory:
    """Errors at ``loads`` in a net without end, those of one step of all units, and what is called capacity.

    ``marks`` are loads by name, of a net of ``n`` units where they depend on it.
    """

    loads: Array
    errors: Array
    step_loads: Array | None
    step_errors: Array | None
    marks: Mapping[str, float]
    n: int


def capacity_curves(
    loads: Sequence[Mapping[str, Any]],
    theory: Theory,
    to_infinity: Sequence[Mapping[str, Any]] = (),
    *,
    title: str | None = None,
) -> go.Figure:
    """Three rows: errors on a logarithmic axis, overlaps with those extrapolated in 1/n, and the share of collapses.

    Each of ``loads`` has "n", "load", "median", "mean", "first_step" and "collapses"; of ``to_infinity`` "load",
    "overlap" and "standard_error". Raises ValueError where there is no load.
    """
    if not loads:
        raise ValueError("there is no load to draw; give one at least")
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.045, row_heights=[0.42, 0.33, 0.25])
    least = _least_error(loads)
    for i, n in enumerate(sorted({one["n"] for one in loads})):
        _draw_size(figure, n, [one for one in loads if one["n"] == n], i)
    _draw_theory(figure, theory)
    if to_infinity:
        _draw_end(figure, to_infinity)
    x = [one["load"] for one in loads]
    room = 0.03 * (max(x) - min(x)) or 0.05 * max(x)
    bounds = [min(x) - room, max(x) + room]
    marks = dict(sorted((m for m in theory.marks.items() if bounds[0] <= m[1] <= bounds[1]), key=lambda m: m[1]))
    for number, at in enumerate(marks.values(), 1):
        line = {"color": style.GREY, "width": 1.2, "dash": "dot"}
        figure.add_vline(x=at, line=line)
        figure.add_annotation(x=at, y=1, yref="paper", text=f"<b>{number}</b>", showarrow=False, yanchor="bottom")
    power = {**style.powers(), "range": [np.log10(least), 0.0]}
    figure.update_yaxes(style.axis("share of wrong units", **power), row=1)
    lost = ZOOM * 2 * float(theory.errors.max(initial=0.0))
    if not lost:  # no theory: all there is
        lost = max(2 * one[key] for one in loads for key in ("median", "mean")) or 0.1
    figure.update_yaxes(style.axis("overlap", range=[1 - 1.05 * lost, 1 + lost / 20]), row=2)
    figure.update_yaxes(style.axis("collapsed", range=[-0.05, 1.08], tickformat=".0%"), row=3)
    for row in (1, 2, 3):
        figure.update_xaxes(style.axis("load P / n" if row == 3 else "", range=bounds), row=row)
    notes = ["Errors of 0 are not on the first axis."] if any(one["median"] == 0 for one in loads) else []
    notes = notes if any(one["mean"] for one in loads) else ["No unit was wrong at any load."]
    numbered = [f"{number}: {name} ({at:.4g})." for number, (name, at) in enumerate(marks.items(), 1)]
    dependent = [f"Lines that depend on n are of n = {theory.n:,}."] if len(theory.marks) > 1 else []
    caption, below = style.lines([*notes, *numbered, *dependent], 90)
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        margin={"l": 80, "r": 20, "t": 185 if title else 135, "b": below},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.025, "yanchor": "bottom", "font": {"size": 12}},
        height=HEIGHT + below,
    )


def _least_error(loads: Sequence[Mapping[str, Any]]) -> float:
    """A power of ten below all errors that are not 0."""
    seen = [one[key] for one in loads for key in ("median", "mean", "first_step") if one[key] > 0]
    return float(max(10 ** np.floor(np.log10(min(seen))), LEAST)) if seen else LEAST


def _draw_size(figure: go.Figure, n: int, mine: Sequence[Mapping[str, Any]], i: int) -> None:
    """Median, mean and first step of one size; its overlaps, and its collapses."""
    colour, symbol = COLOURS[i % len(COLOURS)], SYMBOLS[i % len(SYMBOLS)]
    x = [one["load"] for one in mine]
    marker = {"color": colour, "symbol": symbol, "size": 7}
    for key, dash, mode, word in (
        ("median", "solid", "lines+markers", "median"),
        ("mean", "dash", "lines", "mean"),
        ("first_step", "dot", "lines", "first step"),
    ):
        line = {"color": colour, "width": 2 if key == "median" else 1.4, "dash": dash}
        values = [one[key] or None for one in mine]
        shared = {"mode": mode, "line": line, "legendgroup": f"{n}", "marker": marker}
        hover = f"n = {n}, load %{{x:.4g}}<br>{word}: %{{y:.3g}}<extra></extra>"
        name = f"n = {n:,}" if key == "median" else f"{word}, n = {n:,}"
        figure.add_trace(
            go.Scatter(x=x, y=values, name=name, hovertemplate=hover, showlegend=key == "median", **shared), 1, 1
        )
        if key != "first_step":
            overlaps = [1 - 2 * one[key] for one in mine]
            figure.add_trace(go.Scatter(x=x, y=overlaps, showlegend=False, hovertemplate=hover, **shared), 2, 1)
    line = {"color": colour, "width": 2}
    figure.add_trace(
        go.Scatter(
            x=x,
            y=[one["collapses"] for one in mine],
            mode="lines+markers",
            line=line,
            marker=marker,
            legendgroup=f"{n}",
            showlegend=False,
            hovertemplate=f"n = {n}, load %{{x:.4g}}<br>%{{y:.0%}} collapsed<extra></extra>",
        ),
        3,
        1,
    )


def _draw_theory(figure: go.Figure, theory: Theory) -> None:
    line = {"color": style.INK, "width": 2.6}
    if len(theory.loads):
        hover = "mean field, load %{x:.4g}: %{y:.4g}<extra></extra>"
        shared: dict[str, Any] = {"x": theory.loads, "mode": "lines", "line": line, "hovertemplate": hover}
        figure.add_trace(go.Scatter(y=theory.errors, name="mean field", legendgroup="theory", **shared), 1, 1)
        figure.add_trace(go.Scatter(y=1 - 2 * theory.errors, showlegend=False, legendgroup="theory", **shared), 2, 1)
    if theory.step_loads is not None:
        figure.add_trace(
            go.Scatter(
                x=theory.step_loads,
                y=theory.step_errors,
                mode="lines",
                name="one step: erfc(1/√(2α))/2",
                line={**line, "width": 1.4, "dash": "dot"},
                hovertemplate="one step of all units, load %{x:.4g}: %{y:.4g}<extra></extra>",
            ),
            1,
            1,
        )
    for dash, word in (("solid", "median"), ("dash", "mean"), ("dot", "first step")):
        key = {"color": style.GREY, "dash": dash, "width": 1.8}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=key, name=f"{word} of the trials"), 1, 1)


def _draw_end(figure: go.Figure, to_infinity: Sequence[Mapping[str, Any]]) -> None:
    figure.add_trace(
        go.Scatter(
            x=[one["load"] for one in to_infinity],
            y=[one["overlap"] for one in to_infinity],
            error_y={"array": [one["standard_error"] for one in to_infinity], "color": style.ORANGE, "thickness": 1.4},
            mode="markers",
            marker={"color": style.ORANGE, "symbol": "star", "size": 9},
            name="n → ∞ (a line in 1/n)",
            hovertemplate="n → ∞, load %{x:.4g}: %{y:.5f}<extra></extra>",
        ),
        2,
        1,
    )

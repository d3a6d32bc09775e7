"""The modes of each point by how long they last, and which inputs push along the slowest of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.io.text import paragraphs
from dynsys.plots import style
from dynsys.result.fixed_points import FixedPoints
from dynsys.stability.modes import COUNT, Modes, linear_modes

MOST = 60  # points in one picture
FEWEST = 4  # rows that there is room for, lest a single point make a wall of colour
PUSHED = ("inputs on mode 1", "inputs on mode 2")  # the leading ones of each point, numbered where they are drawn
NUMBERED = 40  # rows, up to which there is room for these numbers
TOUCHING = 0.012  # of the axis: the numbers of modes nearer than this are written as one
SATURATED = 3.0  # times the push that nine in ten stay below: what is beyond has the darkest colour, too
WRITTEN = 12  # columns of inputs in all, up to which their values are written
SCALE = ((0.0, "#FFFFFF"), (0.5, "#D9B8D6"), (1.0, "#762A6E"))

KINDS = (  # name, symbol, colour of a mode
    ("decays", "circle", style.BLUE),
    ("decays and oscillates", "circle-open", style.BLUE),
    ("grows", "circle", style.RED),
    ("grows and oscillates", "circle-open", style.RED),
    ("lasts for ever (on the boundary)", "triangle-right-open", style.INK),
    ("gone at once", "triangle-left-open", style.INK),
)


def modes(given: FixedPoints | Modes, which: Any = None, *, count: int = COUNT, title: str | None = None) -> go.Figure:
    """One row for each point: its modes by |time constant|, and how strongly each input pushes along the slowest.

    From points, whose system must be at hand, the leading ``count`` modes of those that ``which`` chooses; from
    ``Modes`` those that are in it. A complex pair is drawn once. The push |l^H dF/du| (of a map dG/du, which is the
    same) is that of a unit of input on the amplitude of a mode of unit length, per unit of F's time. Raises ValueError
    as ``linear_modes`` does.
    """
    known = given if isinstance(given, Modes) else linear_modes(given, which, count)
    if isinstance(given, Modes) and which is not None:
        raise ValueError("which chooses among points; for modes at hand give linear_modes(points, which)")
    rows = np.arange(min(len(known), MOST))
    once = known.eigenvalues.imag >= 0  # of a pair the first; False for NaN
    n_input = known.input_jacobian.shape[2]
    pushed = min(len(PUSHED), int(once[rows].sum(axis=1).max(initial=0))) if n_input else 0
    figure = make_subplots(
        rows=1,
        cols=1 + pushed,
        shared_yaxes=True,
        horizontal_spacing=0.025,
        column_widths=[1 - 0.21 * pushed, *[0.21] * pushed] if pushed else None,
    )
    low, high = _limits(known, rows)
    for trace in _markers(known, rows, once, (low, high), pushed if len(rows) <= NUMBERED else 0):
        figure.add_trace(trace, 1, 1)
    saturated = _add_push(figure, known, rows, once, pushed)
    unit = " (steps)" if known.about["kind"] == "map" else ""
    log = style.logarithmic(10**low, 10**high)
    figure.update_xaxes(style.axis(f"|time constant|{unit}", range=[low, high], **log), row=1, col=1)
    step = max(1, -(-len(rows) // 40))
    ticks = {"tickvals": rows[::step], "ticktext": [str(i) for i in known.ids[rows][::step]]}
    middle, half = (len(rows) - 1) / 2, max(len(rows), FEWEST) / 2
    figure.update_yaxes(range=[middle + half, middle - half])
    figure.update_yaxes(style.axis("point", **ticks), row=1, col=1)
    caption, room = style.lines(_notes(known, rows, pushed, saturated))
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        margin={"l": 80, "r": 30, "t": 125 if title else 90, "b": room},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.055, "yanchor": "bottom"},
    )


def _kind(time_constant: float, frequency: float) -> int:
    if np.isinf(time_constant):
        return 4
    if time_constant == 0:
        return 5
    return 2 * (time_constant < 0) + (frequency > 0)


def _limits(known: Modes, rows: NDArray[np.int64]) -> tuple[float, float]:
    """Powers of ten around every time constant that a logarithm can show."""
    times = np.abs(known.time_constants[rows])
    shown = np.log10(times[np.isfinite(times) & (times > 0)])
    if len(shown) == 0:
        return -1.0, 1.0
    margin = 0.06 * max(1.0, float(np.ptp(shown)))
    return float(shown.min()) - margin, float(shown.max()) + margin


def _markers(
    known: Modes, rows: NDArray[np.int64], once: NDArray[np.bool_], limits: tuple[float, float], numbered: int
) -> list[go.Scatter]:
    """One trace for each kind of mode there is, the first ``numbered`` of each point with their numbers."""
    low, high = limits
    drawn: list[list[tuple[float, int, str, str, int]]] = [[] for _ in KINDS]
    for i in rows.tolist():
        own = np.flatnonzero(once[i])
        kinds = [_kind(float(known.time_constants[i, j]), float(known.frequencies[i, j])) for j in own]
        at = np.clip(np.abs(known.time_constants[i, own]), 10**low, 10**high)
        numbers = _numbers(np.log10(at) / (high - low), numbered)
        for rank, j in enumerate(own.tolist()):
            mark = (float(at[rank]), i, numbers[rank], _hover(known, i, j, rank + 1), int(known.ids[i]))
            drawn[kinds[rank]].append(mark)
    traces = []
    for (name, symbol, colour), marks in zip(KINDS, drawn, strict=True):
        if marks:
            x, y, labels, text, ids = zip(*marks, strict=True)
            line = {"color": colour, "width": 2.5} if symbol == "circle-open" else {"color": "white", "width": 1}
            marker = {"symbol": symbol, "color": colour, "size": 11, "opacity": 0.85, "line": line}
            if symbol.startswith("triangle"):
                marker |= {"size": 13, "line": {"color": colour, "width": 2}}
            traces.append(
                go.Scatter(
                    x=np.array(x),
                    y=np.array(y),
                    mode="markers+text",
                    marker=marker,
                    text=labels,
                    textposition="top center",
                    textfont={"size": 10, "color": style.GREY},
                    cliponaxis=False,
                    name=name,
                    hovertext=text,
                    customdata=np.array(ids),
                    hovertemplate="%{hovertext}<extra></extra>",
                )
            )
    return traces


def _numbers(places: NDArray[np.float64], numbered: int) -> list[str]:
    """The labels of modes at ``places`` along the axis, leading first; two at one place share a label."""
    labels = [str(rank + 1) if rank < numbered else "" for rank in range(len(places))]
    if len(places) > 1 < numbered and abs(places[0] - places[1]) < TOUCHING:
        labels[:2] = ["1, 2", ""]
    return labels


def _hover(known: Modes, i: int, j: int, rank: int) -> str:
    condition = float(known.condition[i, j])
    shape = "no left vector of its own (Jordan block)" if np.isinf(condition) else f"condition: {condition:.3g}"
    shown = ", ".join(f"{abs(value):.3g}" for value in known.visibility[i, j, :8])
    return (
        f"<b>point {known.ids[i]}</b>, mode {rank}"
        f"<br>eigenvalue: {style.complex_text(known.eigenvalues[i, j])}"
        f"<br>time constant: {_time(known, float(known.time_constants[i, j]))}"
        + f"<br>frequency: {known.frequencies[i, j]:.3g}<br>{shape}"
        + (f"<br>moves the readout by: {shown}" if shown else "")
        + f"<br>first growth at this point: {known.reactivity[i]:.3g} per {_unit(known)}".replace("-", "−")
    )


def _unit(known: Modes) -> str:
    return "step" if known.about["kind"] == "map" else "unit of time"


def _time(known: Modes, value: float) -> str:
    if np.isinf(value):
        return "∞ (on the boundary of stability)"
    return f"{value:.4g}{' steps' if known.about['kind'] == 'map' else ''}".replace("-", "−")


def _add_push(figure: go.Figure, known: Modes, rows: NDArray[np.int64], once: NDArray[np.bool_], pushed: int) -> bool:
    """A heat map for each of the leading modes, all on one scale of colour; whether some are above the scale."""
    n_input = known.input_jacobian.shape[2]
    strength = np.full((pushed, len(rows), n_input), np.nan)
    for i in rows.tolist():
        for rank, j in enumerate(np.flatnonzero(once[i])[:pushed].tolist()):
            strength[rank, i] = np.abs(known.input_push[i, j])
    seen = strength[~np.isnan(strength)]
    most = float(min(seen.max(), SATURATED * np.quantile(seen, 0.9))) if seen.any() else 1.0
    written = pushed * n_input <= WRITTEN
    columns = [f"u{j + 1}" for j in range(n_input)]
    for rank in range(pushed):
        figure.add_trace(
            go.Heatmap(
                z=strength[rank],
                x=columns,
                y=rows,
                zmin=0.0,
                zmax=most,
                colorscale=SCALE,
                showscale=rank == pushed - 1,
                colorbar={"title": {"text": "effect"}, "thickness": 12, "outlinewidth": 0, "len": 0.5, "y": 0.5},
                xgap=1.5,
                ygap=1.5,
                text=[[_short(value) for value in row] for row in strength[rank]],
                texttemplate="%{text}" if written else None,
                textfont={"size": 11},
                hoverongaps=False,
                name=PUSHED[rank],
                customdata=np.repeat(known.ids[rows][:, None], n_input, axis=1),
                hovertemplate="<b>point %{customdata}</b><br>%{x}: %{z:.3g}<extra></extra>",
            ),
            1,
            2 + rank,
        )
        figure.update_xaxes(style.axis("input", showline=False, ticks="", showgrid=False), row=1, col=2 + rank)
        figure.update_yaxes(showgrid=False, showticklabels=False, zeroline=False, ticks="", row=1, col=2 + rank)
        figure.add_annotation(
            text=PUSHED[rank],
            showarrow=False,
            font={"size": 13, "color": style.INK},
            xref=f"x{2 + rank} domain",
            yref="paper",
            x=0.5,
            y=1.0,
            xanchor="center",
            yanchor="bottom",
        )
    return bool((seen > most).any())


def _short(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _notes(known: Modes, rows: NDArray[np.int64], pushed: int, saturated: bool) -> list[str]:
    growing, defective = known.transient_growth, np.isinf(known.condition).any(axis=1)
    most = float(known.reactivity[growing].max()) if growing.any() else 0.0
    is_map, grow, jordan = known.about["kind"] == "map", int(growing.sum()), int(defective.sum())
    return paragraphs(style.TEXT, "modes", is_map, len(known), len(rows), pushed, saturated, grow, most, jordan)

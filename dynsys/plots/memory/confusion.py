"""What networks answer wrongly in associative retrieval: by digit, by letter, and which of the string's digits."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.io.text import paragraphs
from dynsys.plots import style
from dynsys.trajectories.projection import as_array

Array = NDArray[np.float64]

NEEDED = ("confusion", "letter_asked", "letter_missed", "places")
# Few errors have to be seen beside many: the scale gives half of its length to shares below a tenth.
SHARES = [[0.0, "#FFFFFF"], [0.01, "#DCEAF4"], [0.1, "#8FBEDB"], [0.4, "#3A87BD"], [1.0, "#00365A"]]


def confusions(records: Mapping[str, Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """A column for each network: the digits given for each right one, the pairs they are from, the errors by letter.

    A record holds ``confusion`` (10, 10), ``places`` (K, K + 1), ``letter_asked`` and ``letter_missed`` (26,), counts
    as ``dynsys.models`` writes them into a run. Raises ValueError where there is no record, or one lacks any of these.
    """
    counts = {name: _checked(name, record) for name, record in records.items()}
    if not counts:
        raise ValueError("there are no confusions to draw")
    figure = make_subplots(
        rows=3,
        cols=len(counts),
        row_heights=[0.4, 0.28, 0.32],
        vertical_spacing=0.11,
        horizontal_spacing=0.25 / (len(counts) + 3),
        subplot_titles=list(counts),
    )
    worst = max(float(_share(c["letter_missed"], c["letter_asked"]).max()) for c in counts.values())
    for col, some in enumerate(counts.values(), 1):
        _digits(figure, col, some["confusion"])
        _pairs(figure, col, some["places"])
        _letters(figure, col, _share(some["letter_missed"], some["letter_asked"]), some["letter_asked"], worst)
    figure.update_layout(
        coloraxis={
            "colorscale": SHARES,
            "cmin": 0,
            "cmax": 1,
            "colorbar": {"title": {"text": "share of<br>the row"}, "tickformat": ".0%", "len": 0.66, "y": 0.7},
        },
        barmode="overlay",
    )
    answers = int(next(iter(counts.values()))["confusion"].sum())
    return style.captioned(figure, title, paragraphs(style.TEXT, "wrong_answers", answers))


def _checked(name: str, record: Mapping[str, Any]) -> dict[str, Array]:
    missing = [key for key in NEEDED if key not in record]
    if missing:
        raise ValueError(f"the test of {name!r} lacks {', '.join(missing)}; it needs {', '.join(NEEDED)}")
    return {key: as_array(record[key]) for key in NEEDED}


def _digits(figure: go.Figure, col: int, confusion: Array) -> None:
    digits = list(string.digits)
    hover = "right: %{y}, given: %{x}<br>%{z:.2%}, %{customdata:,} strings<extra></extra>"
    shares = _share(confusion, confusion.sum(axis=1, keepdims=True))
    heat = go.Heatmap(z=shares, x=digits, y=digits, customdata=confusion, coloraxis="coloraxis", hovertemplate=hover)
    figure.add_trace(heat, 1, col)
    figure.update_xaxes(_plain("digit given", constrain="domain"), row=1, col=col)
    square = {"scaleanchor": figure.data[-1].xaxis, "constrain": "domain"}
    figure.update_yaxes(_plain("right digit" if col == 1 else "", autorange="reversed", **square), row=1, col=col)


def _pairs(figure: go.Figure, col: int, places: Array) -> None:
    pairs = len(places)
    asked = [str(k + 1) for k in range(pairs)]
    shares = _share(places, places.sum(axis=1, keepdims=True))
    hover = "asked: pair %{y}, given: %{x}<br>%{z:.2%}, %{customdata:,} strings<extra></extra>"
    heat = go.Heatmap(
        z=shares,
        x=[*asked, "none"],
        y=asked,
        customdata=places,
        text=[[_percent(share) for share in row] for row in shares],
        texttemplate="%{text}",
        textfont={"size": 11},
        coloraxis="coloraxis",
        hovertemplate=hover,
    )
    figure.add_trace(heat, 2, col)
    figure.update_xaxes(_plain("digit of pair"), row=2, col=col)
    figure.update_yaxes(_plain("pair asked" if col == 1 else "", autorange="reversed"), row=2, col=col)


def _letters(figure: go.Figure, col: int, errors: Array, asked: Array, worst: float) -> None:
    bars = go.Bar(
        x=list(string.ascii_lowercase),
        y=errors,
        customdata=asked,
        marker={"color": style.BLUE},
        hovertemplate="%{x}: %{y:.2%} wrong of %{customdata:,}<extra></extra>",
    )
    figure.add_trace(bars, 3, col)
    mean = float((errors * asked).sum() / max(asked.sum(), 1))
    figure.add_hline(mean, line={"color": style.INK, "width": 1, "dash": "dot"}, row=3, col=col)
    figure.update_xaxes(
        style.axis("letter asked", tickfont={"size": 9}, tickangle=0, nticks=26, showgrid=False), row=3, col=col
    )
    limits = {"range": [0, 1.08 * worst or 1.0], "tickformat": ".0%" if worst > 0.05 else ".1%"}
    figure.update_yaxes(style.axis("error" if col == 1 else "", showticklabels=col == 1, **limits), row=3, col=col)


def _plain(title: str, **settings: Any) -> dict[str, Any]:
    return style.axis(title, type="category", showgrid=False, ticks="", tickfont={"size": 10}, **settings)


def _share(part: Array, whole: Array) -> Array:
    return part / np.maximum(whole, 1)


def _percent(share: float) -> str:
    """Short, for a small cell: nothing, a percentage of two figures, or a whole one."""
    percent = 100 * share
    return (
        "" if percent == 0 else f"{percent:.0f}" if percent >= 9.95 else f"{percent:.1f}" if percent >= 0.05 else "<.1"
    )

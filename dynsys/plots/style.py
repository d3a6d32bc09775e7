"""What all pictures share: one symbol and colour per kind of point, one hover text, one plain white page.

Circle: stable. Diamond: one unstable direction. Square: more. Open: marginal (that colour) or slow (grey). The
colours are those of Okabe & Ito (2008), which colour-blind readers can tell apart.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.result.fixed_points import FixedPoints

BLUE, ORANGE, PURPLE, SKY, GREEN, BROWN = "#0072B2", "#E69F00", "#AA4499", "#56B4E9", "#009E73", "#8C510A"
LABELS = (BLUE, ORANGE, GREEN, PURPLE, SKY, BROWN)  # of results, conditions, contexts side by side
CONDITIONS = (
    GREEN,
    BROWN,
    SKY,
    "#CC79A7",
    "#7F7F00",
    "#332288",
)  # of trials, beside points in the colours of their kind
RED = "#C8102E"  # unstable modes, and nothing else
INK, GREY, PALE, GRID = "#222222", "#6E6E6E", "#B8B8B8", "#E4E4E4"
BELOW = 66  # pixels from an axis with a title down to the caption
LINE = 92  # characters of a line of a caption, which a figure of 700 pixels holds: pages and stills break it anew
MOST_POWERS = 40  # of ten, to either side of 1, that have a label
TEXT = "dynsys.plots"  # the package whose template has the captions
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

SHAPES = (
    ("no unstable direction", "circle", BLUE),
    ("1 unstable direction", "diamond", ORANGE),
    ("2 or more unstable directions", "square", PURPLE),
)


@dataclass(frozen=True, eq=False)
class Group:
    """The points of one kind: their name in a legend and after a number, how they are drawn, their rows (k,)."""

    label: str
    phrase: str
    symbol: str
    colour: str
    rows: NDArray[np.int64]


def groups(points: FixedPoints) -> list[Group]:
    """The points by kind, filled symbols before open ones; kinds without points are left out.

    Points of several results that were joined have the colour of their label instead of that of their kind.
    """
    shades = of_labels(points)
    if not shades:
        return _kinds(points)
    found = []
    for label, colour in shades.items():
        rows = np.flatnonzero(points.label == label)
        for kind in _kinds(points[rows]):
            name = f"{label}: {kind.label}"
            found.append(Group(name, kind.phrase, kind.symbol, colour, rows[kind.rows]))
    return found


def of_labels(points: FixedPoints) -> dict[str, str]:
    """The colour of each label of points that were joined, in the order in which they come; of others nothing."""
    labels = list(dict.fromkeys(points.label.tolist()))
    return {label: LABELS[i % len(LABELS)] for i, label in enumerate(labels)} if any(labels) else {}


def _kinds(points: FixedPoints) -> list[Group]:
    shape = np.minimum(points.n_unstable, len(SHAPES) - 1)
    slow = points.verdict == "slow"
    marginal = ~slow & (points.stability == "marginal")
    found = []
    for i, (directions, symbol, colour) in enumerate(SHAPES):
        name = ("stable", "stable") if i == 0 else (directions, f"with {directions}")
        found.append(Group(*name, symbol, colour, np.flatnonzero(~slow & ~marginal & (shape == i))))
    for word, where in (("marginal", marginal), ("slow", slow)):
        for i, (directions, symbol, colour) in enumerate(SHAPES):
            name = (f"{word}, {directions}", f"{word} with {directions}")
            shade = GREY if word == "slow" else colour
            found.append(Group(*name, f"{symbol}-open", shade, np.flatnonzero(where & (shape == i))))
    return [group for group in found if len(group.rows)]


def counted(points: FixedPoints) -> str:
    """How many of which kind, for a caption."""
    labels = of_labels(points)
    if labels:
        return "; ".join(f"{label}: {_counted(points[points.label == label])}" for label in labels)
    return _counted(points)


def _counted(points: FixedPoints) -> str:
    kinds = [f"{len(group.rows)} {group.phrase}" for group in _kinds(points)]
    return f"{plural(len(points), 'point')}: {', '.join(kinds)}" if kinds else "no point was found"


def paler(colour: str, white: float) -> str:
    """The colour with that share of white: what a line that can be seen through looks like on a page.

    >>> paler("#0072B2", 0.5)
    '#80B8D8'
    """
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(value + white * (255 - value)):02X}" for value in channels)


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def hover(points: FixedPoints, names: Sequence[str] = ()) -> list[str]:
    """One text per point: a name, id, stability, unstable directions, leading eigenvalue, log10 q, readout."""
    leading, words = points.leading_eigenvalue, points.stability
    called = [f"{name}<br>" for name in names] or [""] * len(points)
    if len(called) != len(points):
        raise ValueError(f"there are {len(called)} names for {len(points)} points; give one for each, or none")
    return [
        f"{called[i]}<b>point {i}</b>, {'slow point' if points.verdict[i] == 'slow' else words[i]}"
        f"<br>unstable directions: {points.n_unstable[i]}"
        f"<br>leading eigenvalue: {complex_text(leading[i])}"
        f"<br>log10 q: {_log10(points.q[i])}"
        f"<br>readout: {vector(points.readouts[i])}"
        for i in range(len(points))
    ]


def complex_text(value: complex) -> str:
    if np.isnan(value):
        return "not known"
    if abs(value.imag) < 1e-12:
        return f"{value.real:.4g}".replace("-", "−")
    return f"{value.real:.4g} {'+' if value.imag > 0 else '-'} {abs(value.imag):.4g}i".replace("-", "−")


def _log10(q: float) -> str:
    return f"{np.log10(q):.1f}" if q > 0 else "−∞ (q is 0)"


def vector(values: NDArray[np.float64]) -> str:
    if len(values) == 0:
        return "none"
    shown = ", ".join(f"{value:.2f}" for value in values[:8])
    return f"({shown}{', …' if len(values) > 8 else ''})"


def dressed(figure: go.Figure, title: str | None, caption: str, *, below: int = 0, **layout: Any) -> go.Figure:
    """Title at the top left, legend, and the caption ``below`` pixels under the axes; returns the figure."""
    figure.update_layout(
        template="none",
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"family": FONT, "size": 14, "color": INK},
        title={"text": title or "", "x": 0.012, "xanchor": "left", "y": 0.975, "yanchor": "top", "font": {"size": 19}},
        hoverlabel={"bgcolor": "white", "bordercolor": GREY, "font": {"family": FONT, "size": 13, "color": INK}},
        **layout,
    )
    figure.add_annotation(
        name="caption",
        text=caption,
        showarrow=False,
        align="left",
        font={"size": 13, "color": GREY},
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        xanchor="left",
        yanchor="top",
        yshift=-below,
    )
    return figure


def lines(notes: list[str], width: int = LINE) -> tuple[str, int]:
    """Sentences as a caption, one below the other, and the margin in pixels that it needs with ``below=BELOW``."""
    broken = [line for note in notes for line in textwrap.wrap(note, width)]
    return "<br>".join(broken), BELOW + 18 * len(broken) + 22


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """A plain axis: light grid, a line, ticks outside, no zero line."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 14}},
        "gridcolor": GRID,
        "zeroline": False,
        "showline": True,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        "ticklen": 4,
        "automargin": True,
        **settings,
    }


def alike(x: tuple[str, float, float], y: tuple[str, float, float], **settings: Any) -> dict[str, dict[str, Any]]:
    """Two axes of one scale, each a name and the ends that it shows at the least: the shape of the window says which of
    the two shows more, anew whenever that changes.
    """
    axes = {"xaxis": x, "yaxis": y}
    return {
        key: axis(
            name,
            autorange=True,
            autorangeoptions={"minallowed": low, "maxallowed": high},
            constrain="range",
            **({"scaleanchor": "x"} if key == "yaxis" else {}),
            **settings,
        )
        for key, (name, low, high) in axes.items()
    }


def round_values(low: float, high: float) -> list[float]:
    """Some four to nine multiples of 1, 2 or 5 times a power of ten between the two.

    >>> round_values(-14.72, 0.0)
    [-14.0, -12.0, -10.0, -8.0, -6.0, -4.0, -2.0, 0.0]
    """
    rough = (high - low) / 9
    if not rough > 0:
        return [low]
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough)
    return [float(f"{step * k:.6g}") for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def logarithmic(low: float, high: float) -> dict[str, Any]:
    """The settings of a logarithmic axis between two values, whose ticks have labels of one size: powers of ten, with 2
    and 5 times one where they are few, and more where there is less than one.

    >>> logarithmic(0.3, 4.0)["tickvals"]
    [0.5, 1.0, 2.0]
    """
    decades = np.log10(high / low)
    if decades >= 3:
        return {"type": "log", "tickformat": "~g", "dtick": 1}
    digits = (1, 2, 5) if decades >= 1 else (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [float(f"{digit * 10.0**power:.6g}") for power in powers for digit in digits]
    shown = [value for value in values if low <= value <= high]
    shown = shown or sorted({float(f"{low:.3g}"), float(f"{high:.3g}")})
    return {"type": "log", "tickvals": shown, "ticktext": [f"{value:g}" for value in shown]}


def powers(step: int = 1) -> dict[str, Any]:
    """The settings of a logarithmic axis with a label at each power of ten, or at every ``step``-th.

    Written out here, since plotly sets those of its own in larger type than any other label.
    """
    exponents = range(-MOST_POWERS // step * step, MOST_POWERS + 1, step)
    plain = {0: "1", 1: "10"}
    text = [plain.get(k, f"10<sup>{k}</sup>".replace("-", "−")) for k in exponents]
    return {"type": "log", "tickvals": [10.0**k for k in exponents], "ticktext": text}


def captioned(figure: go.Figure, title: str | None, notes: list[str]) -> go.Figure:
    """``dressed`` without a legend, with the notes as the caption."""
    caption, room = lines(notes)
    margin = {"l": 80, "r": 30, "t": 100 if title else 60, "b": room}
    return dressed(figure, title, caption, below=BELOW, margin=margin, showlegend=False)


def under(figure: go.Figure, title: str | None, notes: list[str], **layout: Any) -> go.Figure:
    """``dressed``, with the legend in a row above the axes and the notes, those that say something, as the caption."""
    caption, room = lines([note for note in notes if note])
    return dressed(
        figure,
        title,
        caption,
        below=BELOW,
        margin={"l": 80, "r": 30, "t": 95 if title else 60, "b": room},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.015, "yanchor": "bottom"},
        **layout,
    )

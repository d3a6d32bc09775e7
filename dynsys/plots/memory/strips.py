"""A recall as a strip of pictures: the cue, what it became on the way, the end; energy and overlap below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.plots import style, thinning

Array = NDArray[np.float64]

ON_THE_WAY = 5  # pictures between the cue and the end
MOST_STRIPS = 8  # of one figure
FINE = 16  # pixels across a picture, from which on they are too small for marks
GAP = 0.25  # between two pictures, of the width of one
COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.BROWN, style.INK, style.GREY)
DASHES = ("solid", "dash", "dot", "dashdot")
ROW, CURVES = 125, 300  # pixels of the height of a strip and of the curves


@dataclass(frozen=True, eq=False)
class Strip:
    """One recall: its name, the shape (rows, columns) of a picture, the states (k + 1, n) at ``at`` (k + 1,).

    ``stored`` (n,) is the pattern it was made from, where that is known, ``energies`` (k + 1,) and ``overlaps`` what is
    drawn below, and ``end`` what the end is, in words.
    """

    name: str
    shape: tuple[int, int]
    states: Array
    at: Array
    stored: Array | None
    energies: Array | None
    overlaps: Array | None
    end: str


def retrieval_strips(
    strips: Sequence[Strip], *, unit: str = "steps", title: str | None = None, notes: Sequence[str] = ()
) -> go.Figure:
    """Each recall in a row: cue, up to five states on the way, end and stored pattern; below their curves.

    1 is dark, -1 light, 0 between. A dot marks a unit that is not what the stored pattern has. Raises ValueError where
    there is no strip.
    """
    if not strips:
        raise ValueError("there is no recall to draw; give one strip at least")
    shown = list(strips[:MOST_STRIPS])
    curves = [name for name in ("energies", "overlaps") if any(getattr(one, name) is not None for one in shown)]
    height = ROW * len(shown) + (CURVES if curves else 0)
    share = ROW * len(shown) / height
    above = [{"colspan": max(len(curves), 1)}, *[None] * (len(curves) - 1)]
    figure = make_subplots(
        rows=1 + bool(curves),
        cols=max(len(curves), 1),
        specs=[above, [{}] * len(curves)] if curves else [above],
        row_heights=[share, 1 - share] if curves else None,
        vertical_spacing=75 / height if curves else 0,
        horizontal_spacing=0.13,
    )
    _draw_pictures(figure, shown)
    for col, name in enumerate(curves, 1):
        _draw_curves(figure, shown, name, unit, col)
    more = [f"{len(shown)} of {len(strips)} recalls are drawn."] if len(strips) > len(shown) else []
    told = ["Dark: 1, light: −1, between: 0 or graded. Dots mark what the stored pattern has otherwise."]
    told += ["Curves have the colours of the names."] if curves else []
    caption, below = style.lines([*told, *more, *notes], 80)
    top = 90 if title else 60  # below the buttons of the page, which may lie over the last strips
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW if curves else 24,
        margin={"l": 95, "r": 20, "t": top, "b": below},
        height=height + top + below,
        showlegend=False,
    )


@dataclass(frozen=True, eq=False)
class _Sheet:
    """Where every picture lies on one canvas: a strip a band of rows, its pictures at equal places along it."""

    strips: Sequence[Strip]
    tall: int
    wide: int
    stored: bool
    between: int  # pictures on the way, of the strip that has most

    @classmethod
    def of(cls, strips: Sequence[Strip]) -> _Sheet:
        sizes = [_folded(one.states[0], one.shape).shape for one in strips]
        stored = any(one.stored is not None for one in strips)
        between = max(len(_picked(one.states)) for one in strips)
        return cls(strips, max(size[0] for size in sizes), max(size[1] for size in sizes), stored, between)

    @property
    def is_fine(self) -> bool:
        """Whether pixels are too small for gaps between them and for dots on them."""
        return self.wide > FINE

    @property
    def step(self) -> int:
        """Columns from one picture to the next."""
        return self.wide + max(1, round(GAP * self.wide))

    @property
    def band(self) -> int:
        """Rows from one strip to the next; the number of a step is written between."""
        return self.tall + max(2, round(0.4 * self.tall))

    @property
    def places(self) -> int:
        return self.between + 2 + self.stored

    @property
    def size(self) -> tuple[int, int]:
        return len(self.strips) * self.band, self.places * self.step

    def pictures(self, i: int) -> list[tuple[int, str, Array, bool]]:
        """Of strip i the place, the caption, the state, and whether it is of the course."""
        one = self.strips[i]
        steps = {0: 0, self.places - 1 - self.stored: len(one.states) - 1}
        steps |= dict(enumerate(_picked(one.states), 1))
        known = {place: step for place, step in steps.items() if not np.isnan(one.states[step]).all()}
        found = [(place, f"{one.at[step]:g}", one.states[step], True) for place, step in known.items()]
        return found + ([] if one.stored is None else [(self.places - 1, "stored", one.stored, False)])

    def corner(self, i: int, place: int) -> tuple[int, int]:
        """The row and column where a picture begins; lower ones stand in the middle of their strip."""
        rows = _folded(self.strips[i].states[0], self.strips[i].shape).shape[0]
        return i * self.band + (self.tall - rows) // 2, place * self.step


def _draw_pictures(figure: go.Figure, strips: Sequence[Strip]) -> None:
    """All pictures in one heat map, dots on the units that are wrong, and the steps below the pictures."""
    sheet = _Sheet.of(strips)
    canvas, hover = np.full(sheet.size, np.nan, dtype=np.float32), np.full(sheet.size, "", dtype=object)
    marks, labels = list[tuple[float, float]](), list[tuple[float, float, str]]()
    for i, one in enumerate(strips):
        for place, caption, state, of_course in sheet.pictures(i):
            picture, (top, left) = _folded(state, one.shape), sheet.corner(i, place)
            area = np.s_[top : top + picture.shape[0], left : left + picture.shape[1]]
            canvas[area], hover[area] = picture, f"{one.name}, {caption}"
            if of_course:
                labels.append((left + (sheet.wide - 1) / 2, top + picture.shape[0] - 0.3, caption))
            if of_course and one.stored is not None and not sheet.is_fine:
                wrong = np.argwhere(np.abs(picture - _folded(one.stored, one.shape)) > 0.5)
                marks += [(left + float(column), top + float(row)) for row, column in wrong]
    figure.add_trace(
        go.Heatmap(
            z=canvas,
            text=hover,
            colorscale=[[0, "#F1F1F1"], [0.5, "#A9B4BF"], [1, "#1F3A56"]],
            zmin=-1,
            zmax=1,
            showscale=False,
            xgap=0 if sheet.is_fine else 0.5,
            ygap=0 if sheet.is_fine else 0.5,
            hovertemplate="%{text}: %{z:.2f}<extra></extra>",
            hoverongaps=False,
        )
    )
    for places, settings in (
        (marks, {"mode": "markers", "marker": {"color": style.ORANGE, "size": 5}}),
        (labels, {"mode": "text", "textposition": "bottom center", "textfont": {"size": 11, "color": style.GREY}}),
    ):
        if places:
            columns = dict(zip(("x", "y", "text"), zip(*places, strict=True), strict=False))
            figure.add_trace(go.Scatter(**columns, **settings, hoverinfo="skip"))
    _label(figure, sheet)


def _label(figure: go.Figure, sheet: _Sheet) -> None:
    heads = {"cue": 0.0, "end": float(sheet.between + 1)}
    heads |= {"on the way": (sheet.between + 1) / 2} if sheet.between else {}
    heads |= {"stored": float(sheet.between + 2)} if sheet.stored else {}
    bare: dict[str, Any] = {"showgrid": False, "zeroline": False, "ticks": "", "constrain": "domain"}
    names = [f'<span style="color:{_colour(i)}"><b>{one.name}</b></span>' for i, one in enumerate(sheet.strips)]
    figure.update_xaxes(
        side="top",
        tickvals=[place * sheet.step + (sheet.wide - 1) / 2 for place in heads.values()],
        ticktext=list(heads),
        range=[-1, sheet.size[1]],
        constraintoward="left",
        **bare,
        row=1,
        col=1,
    )
    figure.update_yaxes(
        tickvals=[i * sheet.band + (sheet.tall - 1) / 2 for i in range(len(sheet.strips))],
        ticktext=names,
        range=[sheet.size[0] - 0.5, -0.7],
        scaleanchor="x",
        constraintoward="top",
        **bare,
        row=1,
        col=1,
    )


def _picked(states: Array) -> list[int]:
    """Which steps are shown between the cue and the end: at equal shares of all that changes, not of the time."""
    if len(states) - 2 <= ON_THE_WAY:
        return list(range(1, len(states) - 1))
    way = np.concatenate([[0.0], np.nancumsum(np.abs(np.diff(states, axis=0)).sum(axis=1))])
    wanted = way[-1] * np.arange(1, ON_THE_WAY + 1) / (ON_THE_WAY + 1)
    found = np.searchsorted(way, wanted)
    return sorted({int(step) for step in found if 0 < step < len(states) - 1})


def _folded(state: Array, shape: tuple[int, int]) -> Array:
    """The picture of a state; a long row is folded into a block, its last places empty."""
    if shape[0] > 1 or shape[1] <= 12:
        return state.reshape(shape)
    across = int(np.ceil(np.sqrt(shape[1])))
    whole = np.full(-(-shape[1] // across) * across, np.nan)
    whole[: shape[1]] = state
    return whole.reshape(-1, across)


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _draw_curves(figure: go.Figure, strips: Sequence[Strip], name: str, unit: str, col: int) -> None:
    limit = thinning.LIMIT // (2 * len(strips))
    for i, one in enumerate(strips):
        values = getattr(one, name)
        if values is None:
            continue
        kept = np.unique(np.linspace(0, len(values) - 1, min(len(values), limit)).round().astype(int))
        figure.add_trace(
            go.Scatter(
                x=one.at[kept],
                y=values[kept],
                mode="lines+markers" if len(kept) < 40 else "lines",
                line={"color": _colour(i), "width": 2, "dash": DASHES[(i // len(COLOURS)) % 4]},
                marker={"size": 5},
                name=one.name,
                hovertemplate=f"{one.name}, %{{x:g}} {unit}: %{{y:.4g}}<extra></extra>",
            ),
            2,
            col,
        )
    figure.update_xaxes(style.axis(unit), row=2, col=col)
    label = {"energies": "energy", "overlaps": "overlap with the pattern"}[name]
    least = min(float(one.overlaps.min()) for one in strips if one.overlaps is not None) if name == "overlaps" else 0.0
    bounds = {"range": [min(least, 0.0) - 0.06, 1.06]} if name == "overlaps" else {}
    figure.update_yaxes(style.axis(label, **bounds), row=2, col=col)

"""Figures as they are printed: of a size in millimetres, with text of a size in points, and without buttons.

A figure is laid out with its own sizes of text, lines and markers in as many pixels as make its text come out right,
and scaled as a whole. Where that leaves it narrow, the legend goes above it and the caption gets more lines.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dynsys.plots.page import TITLE, UNDER, unbroken, wordless
from dynsys.plots.portrait import camera

WIDTH, HEIGHT = 1400, 1000  # pixels of a still for which no size is asked
OWN = 14  # pixels of the text of a figure, which are 10.5 points
PRINTED = 8.0  # points of the text where a size is asked in print and no font
INCH, DPI = 96, 600  # pixels of an inch on a screen, and of one in print
POINT = 72.0  # in an inch
TALL = 0.82  # of the width, that axes have where no height is asked: words come on top of it
UNITS = {"mm": 25.4, "cm": 2.54, "in": 1.0, "px": float(INCH)}  # in an inch
NUMBER = r"(\d+\.?\d*)(mm|cm|in|px)?"
LENGTHS = re.compile(f"{NUMBER}(?:x{NUMBER})?")
LEAST, MOST = 0.2, 100  # inches of a side
NARROW = 1000  # pixels, below which there is no room for a legend beside a scene
LEAST_WIDTH, LEAST_HEIGHT = 200, 100  # pixels that a figure needs, and its axes
FULL, THINNEST = 700.0, 0.4  # height of a scene for which markers and lines are made, and how thin they get
LETTER, ENTRY, ROW = 7.2, 46, 22  # pixels of a letter in a legend, of what stands before a name, and of its rows
BAR = 100  # pixels that a colour bar takes of the width
CAPTION_LETTER, CAPTION_ROW = 6.6, 18  # of the caption
SQUARE = camera.WIDTH / camera.HEIGHT * 1.1  # of a scene's width by its height, below which things have to be smaller


@dataclass(frozen=True)
class Size:
    """Inches, the height None where none is asked; ``in_print`` unless it was asked in pixels."""

    width: float
    height: float | None
    in_print: bool

    @classmethod
    def read(cls, text: str) -> Size:
        """From 85mm or 85mmx60mm, in mm, cm, in or px; raises ValueError.

        >>> Size.read("50.8mm"), Size.read("192x96px")
        (Size(width=2.0, height=None, in_print=True), Size(width=2.0, height=1.0, in_print=False))
        """
        found = LENGTHS.fullmatch(text.strip().lower())
        lengths = []
        if found is not None:
            first, last = found[2] or found[4], found[4] or found[2]
            sides = [(found[1], first), *([(found[3], last)] if found[3] else [])]
            lengths = [float(number) / UNITS[unit] for number, unit in sides if unit]
        if not lengths or not all(LEAST <= length <= MOST for length in lengths):
            raise ValueError(f"{text!r} is no size; it is one like 85mm, 85mmx60mm, 3.3in or 1400x1000px")
        return cls(lengths[0], lengths[1] if len(lengths) > 1 else None, last != "px")


@dataclass(frozen=True)
class Still:
    """A figure to be laid out in ``width`` x ``height`` pixels and drawn ``scale`` times as large."""

    figure: go.Figure
    width: int
    height: int
    scale: float
    sharp: float  # pixels of a scene for each of the layout's


def still(figure: go.Figure, size: Size | None, font: float | None, caption: bool, ending: str) -> Still:
    """The figure in print; ``font`` are points of its text, ``ending`` that of the file.

    Raises ValueError where text so large leaves no room for a figure.
    """
    chosen = size or Size(WIDTH / INCH, HEIGHT / INCH, in_print=False)
    points = font or (PRINTED if chosen.in_print else OWN * POINT / INCH)
    shrunk = points / (OWN * POINT / INCH)  # of the layout, in print
    width, height = (None if a is None else round(a * INCH / shrunk) for a in (chosen.width, chosen.height))
    bare = _fitted(go.Figure(figure), width or 0, caption)
    words = (bare.layout.margin.t or 0) + (bare.layout.margin.b or 0)
    height = height or round(TALL * (width or 0)) + words
    if (width or 0) < LEAST_WIDTH or height - words < LEAST_HEIGHT:
        raise ValueError(
            f"text of {points:g} points leaves no room for the figure: ask for smaller text (--font), for more height, "
            "or for no caption"
        )
    _smaller(bare, width or 0, height)
    dots = shrunk * (DPI / INCH if chosen.in_print else 2.0)
    return Still(bare, width or 0, height, dots if ending == ".png" else shrunk, max(dots, 2.0))


def _fitted(figure: go.Figure, width: int, caption: bool) -> go.Figure:
    """The figure without its buttons, its caption and legend arranged for the width."""
    figure.layout.updatemenus = figure.layout.sliders = ()
    figure.layout.height = figure.layout.width = None
    if not caption:
        figure = wordless(figure)
    layout, margin = figure.layout, figure.layout.margin
    notes = [note for note in layout.annotations if note.name == "caption"]
    is_scene = _is_scene(figure)
    if len(notes) == 1 and margin.b is not None:
        below = UNDER if is_scene else int(-(notes[0].yshift or 0))
        room = width - (margin.l or 0) - (margin.r or 0)
        said = [textwrap.wrap(note, max(int(room / CAPTION_LETTER), 20)) for note in unbroken(notes[0].text or "")]
        rows = [line for lines in said for line in lines]
        notes[0].update(text="<br>".join(rows), yshift=-below)
        margin.b = below + CAPTION_ROW * len(rows) + UNDER
    elif is_scene and not notes:
        margin.b = UNDER
    legend = layout.legend
    if width < NARROW and is_scene and legend.orientation != "h":
        legend.update(orientation="h", x=0, xanchor="left", y=1, yanchor="bottom")
        layout.scene.domain.x = [0, 1]
    if legend.orientation == "h" and (legend.y or 0) >= 1 and margin.t is not None:
        legend.tracegroupgap = 0
        head = TITLE if layout.title.text else UNDER
        margin.t = max(margin.t, head + ROW * _rows(figure, width) + UNDER)
    return figure


def _is_scene(figure: go.Figure) -> bool:
    return [key for key in figure.layout.to_plotly_json() if key.startswith("scene")] == ["scene"]


def _rows(figure: go.Figure, width: int) -> int:
    """Of a horizontal legend: with groups entries follow each other, without they stand in columns of one width."""
    shown = [trace for trace in figure.data if trace.name and trace.showlegend is not False]
    entries = [ENTRY + LETTER * len(re.sub(r"<[^>]*>", "", name)) for name in dict.fromkeys(t.name for t in shown)]
    room = width - (figure.layout.margin.l or 0) - (figure.layout.margin.r or 0)
    if not any(trace.legendgroup for trace in shown):
        return -(-len(entries) // max(int(room / max(entries, default=room)), 1))
    rows, used = 1, 0.0
    for entry in entries:
        if used and used + entry > room:
            rows, used = rows + 1, 0.0
        used += entry
    return rows


def _smaller(figure: go.Figure, width: int, height: int) -> None:
    """A box that fits into the scene, and in a small one smaller markers and lines: only text has a size that is asked
    for."""
    if not _is_scene(figure):
        return
    layout, margin = figure.layout, figure.layout.margin
    across = layout.scene.domain.x or (0, 1)
    scales = [part for trace in figure.data for part in (trace.marker, trace.line) if part.colorbar.to_plotly_json()]
    room = (width - (margin.l or 0) - (margin.r or 0) - BAR * len(scales)) * (across[1] - across[0])
    tall = height - (margin.t or 0) - (margin.b or 0)
    ratio = layout.scene.aspectratio
    if ratio.x is not None:
        span, view = np.array([ratio[key] for key in "xyz"]), layout.scene.camera.to_plotly_json()
        layout.scene.aspectratio = camera.aspect(view, span, camera.width_in(room, tall))
    thin = min(max(min(room / SQUARE, tall) / FULL, THINNEST), 1.0)
    for trace in figure.data if thin < 1 else ():
        for part_of in (trace.marker, trace.line):
            key = "size" if part_of is trace.marker else "width"
            if isinstance(part_of[key], int | float):
                part_of[key] *= thin

"""Figures beside each other in one: portraits of several networks, or of one network under several inputs."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dynsys.plots import style
from dynsys.plots.portrait import camera

GUTTER = {"scene": 0.01, "xy": 0.07}  # of the page's width, between two figures: axes in a plane have labels
FITS = 0.76  # of the room: names of axes stand outside of the box
LETTER = 7.5  # pixels, of a caption
HEIGHT, PAGE = 760, 1400  # pixels: of the figure, and the width of a window that scenes are made to fit
TOP = 120  # pixels above the axes
LEGEND = {"x": 0.5, "y": 1.06, "itemsizing": "constant", "orientation": "h"}


def side_by_side(figures: Sequence[go.Figure], names: Sequence[str] = (), *, title: str | None = None) -> go.Figure:
    """The figures from left to right, each with its name above and its caption below, and one legend for all.

    Each has one three-dimensional scene, as ``phase_portrait`` gives, or one pair of axes, as ``phase_plane`` does.
    Buttons and sliders are left out. Raises ValueError for other figures, and where names and figures are not as many.
    """
    if not figures:
        raise ValueError("no figure is given; give one or more")
    if names and len(names) != len(figures):
        raise ValueError(f"{len(names)} names are given for {len(figures)} figures")
    whole = go.Figure()
    below = [_placed(whole, figure, i, len(figures)) for i, figure in enumerate(figures)]
    _name_once(whole)
    style.dressed(
        whole,
        title,
        "",
        height=HEIGHT,
        margin={"l": 70, "r": 30, "t": TOP, "b": max(below)},
        legend={**LEGEND, "xanchor": "center", "yanchor": "bottom"},
    )
    for i, name in enumerate(names):
        whole.add_annotation(heading(name, domain(i, len(figures))))
    return whole


def domain(i: int, n: int, gutter: float = GUTTER["scene"]) -> list[float]:
    """The share of the page's width that the i-th of n figures has."""
    return [i / n + gutter / 2, (i + 1) / n - gutter / 2]


def heading(text: str, over: list[float]) -> dict[str, Any]:
    """A name above the figure whose domain that is."""
    return {
        "name": "heading",
        "text": f"<b>{text}</b>",
        "showarrow": False,
        "font": {"size": 16},
        "xref": "paper",
        "yref": "paper",
        "x": sum(over) / 2,
        "y": 1.0,
        "xanchor": "center",
        "yanchor": "bottom",
    }


def _placed(whole: go.Figure, figure: go.Figure, i: int, n: int) -> int:
    """Enters the i-th of n figures; returns the pixels that it needs below its axes."""
    layout = figure.layout.to_plotly_json()
    scenes, axes = ([key for key in layout if key.startswith(kind)] for kind in ("scene", ("xaxis", "yaxis")))
    number = str(i + 1) if i else ""
    if len(scenes) == 1 and not axes:
        over, places = domain(i, n), {"scene": f"scene{number}"}
        whole.layout[f"scene{number}"] = _scene(layout[scenes[0]], over, n)
    elif len(axes) == 2 and not scenes:
        over, places = domain(i, n, GUTTER["xy"]), {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        whole.layout[f"xaxis{number}"] = {**_renamed(layout["xaxis"], number), "domain": over, "anchor": f"y{number}"}
        whole.layout[f"yaxis{number}"] = {**_renamed(layout["yaxis"], number), "anchor": f"x{number}"}
    else:
        raise ValueError(
            f"figure {i} has {len(scenes)} scenes and {len(axes)} axes; beside others goes one scene or a pair of axes"
        )
    for trace in figure.data:
        moved = _opaque(copy.deepcopy(trace).update(places)) if scenes else copy.deepcopy(trace).update(places)
        whole.add_trace(moved.update(legendgroup=trace.name) if trace.name else moved)
    return _captioned(whole, figure, over, n)


def _scene(given: dict[str, Any], over: list[float], n: int) -> dict[str, Any]:
    """The scene in a part of the page, whose box is made smaller where the part is narrower than high."""
    scene = {**given, "domain": {"x": over}}
    room = 2 * PAGE / n / (HEIGHT - TOP - style.BELOW)  # a page is 2 units high
    part = min(1.0, FITS * room / camera.WIDTH)
    if "aspectratio" in scene:
        scene["aspectratio"] = {key: part * value for key, value in scene["aspectratio"].items()}
    return scene


def _opaque(trace: Any) -> Any:
    """Lines as they look when seen through: of several scenes a PNG cuts gaps into what lies behind such lines."""
    if trace.opacity is not None and trace.mode == "lines" and isinstance(trace.line.color, str):
        trace.update(opacity=None, line={"color": style.paler(trace.line.color, 1 - trace.opacity)})
    return trace


def _renamed(axis: dict[str, Any], number: str) -> dict[str, Any]:
    """An axis whose scale is that of another of its own figure names that by its new name."""
    named: dict[str, Any] = {key: f"{axis[key][0]}{number}" for key in ("scaleanchor", "matches") if key in axis}
    return {**axis, **named}


def _captioned(whole: go.Figure, figure: go.Figure, over: list[float], n: int) -> int:
    notes = [note.text for note in figure.layout.annotations if note.name == "caption" and note.text]
    text = " ".join(notes[0].split("<br>")) if notes else ""
    lines = textwrap.wrap(text, max(int(PAGE / n / LETTER), 20))
    whole.add_annotation(
        name="caption",
        text="<br>".join(lines),
        showarrow=False,
        align="left",
        font={"size": 13, "color": style.GREY},
        xref="paper",
        yref="paper",
        x=over[0],
        y=0,
        xanchor="left",
        yanchor="top",
        yshift=-style.BELOW,
    )
    return style.BELOW + 18 * len(lines) + 22


def _name_once(figure: go.Figure) -> None:
    """Each kind has one entry in the legend: that of the first figure which has it."""
    named: set[str] = set()
    for trace in figure.data:
        if trace.showlegend is not False and trace.name:
            trace.showlegend = trace.name not in named
            named.add(trace.name)

"""Portraits of networks that remember the same bits, side by side, with their memories as the corners of a solid.

As in figure 8 of Jang: a line joins memories that differ in one bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.plots import labels, style, thinning
from dynsys.plots.portrait import camera, scene
from dynsys.plots.portrait.beside import domain, heading
from dynsys.result.fixed_points import FixedPoints
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

PASSED = 12_000  # states of the task's trajectories in one scene
HEIGHT, BELOW = 760, 62  # pixels: of the figure, and from the scenes to the caption
LEGEND = {"x": 0.5, "y": 1.06, "itemsizing": "constant"}
FITS = 0.97  # times the box of a page's scene: these are narrower, and no legend stands beside them
FAINT = "#D4D4D4"  # opaque, as lines that can be seen through cut gaps into what is behind them
UNIT, LETTER = 250, 14  # pixels: of the unit of length of a scene of this height, measured, and of a label's height
PALER = 0.45  # of white in the colour of points that are not stable; opacity would cut gaps as lines do
NO_MEMORY = "stable, no memory"
BEFORE = "memories before the last bit"
EDGES = (("one bit differs", False, style.GREY), ("the last bit differs", True, style.GREEN))


@dataclass(frozen=True, eq=False)
class Solid:
    """Corners (k, n) with their names, and edges (i, j, bit) between those that differ in that bit."""

    corners: Array
    names: Sequence[str]
    edges: Sequence[tuple[int, int, int]]


@dataclass(frozen=True, eq=False)
class Panel:
    """One network's scene. ``before`` is the solid of an earlier network, drawn beneath in the same components."""

    title: str
    points: FixedPoints
    memories: Solid
    numbers: Sequence[int]  # of the memories among the points
    before: Solid | None = None
    trajectories: Any = None  # (T, n), a list of (T_i, n), or as ``time_axis`` says
    time_axis: int | None = None  # 0 of time x trials x units, 1 of trials x time x units


def memory_solids(panels: Sequence[Panel], *, title: str | None = None, caption: str = "") -> go.Figure:
    """One scene for each panel, each on the first three principal components of its own memories.

    Edges along the last bit have a colour of their own. Raises ValueError for a panel without memories.
    """
    for panel in panels:
        if len(panel.memories.corners) < 2:
            raise ValueError(
                f"{panel.title} has {len(panel.memories.corners)} memories; a solid has two corners at least"
            )
    figure = go.Figure()
    seen = [_draw(figure, panel, _key(i)) for i, panel in enumerate(panels)]
    _name_once(figure)
    scenes = {
        _key(i): _box(one.axes, one.low, one.high, one.views[camera.OBLIQUE], domain(i, len(seen)))
        for i, one in enumerate(seen)
    }
    notes, below = style.lines([caption] if caption else [])
    style.dressed(
        figure,
        title,
        notes,
        below=BELOW,
        height=HEIGHT,
        margin={"l": 10, "r": 10, "t": 120, "b": below},
        legend={**LEGEND, "orientation": "h", "xanchor": "center", "yanchor": "bottom"},
        updatemenus=[_buttons(seen), *_hiding(figure)],
        **scenes,
    )
    for i, panel in enumerate(panels):
        figure.add_annotation(heading(panel.title, domain(i, len(panels))))
    return figure


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a scene came to: its components, the ends of its axes, the views of its memories."""

    axes: Projection
    low: Array
    high: Array
    views: dict[str, camera.Camera]


def _draw(figure: go.Figure, panel: Panel, key: str) -> _Seen:
    """Adds the traces of one scene, the furthest behind first."""
    axes = Projection.fit(panel.memories.corners)
    corners, places = axes.transform(panel.memories.corners), axes.transform(panel.points.states)
    runs = thinning.thinned(thinning.runs_of(panel.trajectories, panel.points.states.shape[1], panel.time_axis), PASSED)
    passed = [axes.transform(run) for run in runs]
    everything = [corners, places, *passed]
    edges: list[Array] = []
    traces = [scene.lines("trajectories of the task", passed, FAINT, 1.0, 1.0)] if passed else []
    if panel.before is not None:
        old = axes.transform(panel.before.corners)
        everything.append(old)
        edges = [old[[i, j]] for i, j, _ in panel.before.edges]
        traces.append(scene.lines(BEFORE, edges, style.BROWN, 2, 1.0))
        traces.append(_dots(BEFORE, old, panel.before.names, style.BROWN, "circle-open", 5))
    last = max((bit for _, _, bit in panel.memories.edges), default=0)
    for name, of_last, colour in EDGES:
        lines = [corners[[i, j]] for i, j, bit in panel.memories.edges if (bit == last) == of_last]
        if lines:
            traces.append(scene.lines(name, lines, colour, 4, 1.0))
    texts = style.hover(panel.points)
    held = set(panel.numbers)
    for group in style.groups(panel.points):
        rows = [i for i in group.rows.tolist() if i not in held]
        if rows:
            described = [texts[i] for i in rows]
            if group.label == "stable":
                traces.append(_dots(NO_MEMORY, places[rows], described, style.SKY, group.symbol, 5))
            else:
                dots = _dots(group.label, places[rows], described, style.paler(group.colour, PALER), group.symbol, 2.5)
                traces.append(dots.update(visible=False))
    seen = _Seen(axes, *scene.ranges(np.concatenate(everything)), camera.presets(corners))
    traces.append(_memories(corners, panel.memories, seen, edges))
    for trace in traces:
        figure.add_trace(trace.update(scene=key, legendgroup=trace.name))
    return seen


def _dots(name: str, places: Array, texts: Sequence[str], colour: str, symbol: str, size: float) -> go.Scatter3d:
    return go.Scatter3d(
        **thinning.xyz(places),
        mode="markers",
        marker={"symbol": symbol, "color": colour, "size": size},
        name=name,
        text=list(texts),
        hovertemplate="%{text}<extra></extra>",
    )


def _memories(corners: Array, memories: Solid, seen: _Seen, before: list[Array]) -> go.Scatter3d:
    """The markers with their names, on the sides on which there is room in the first view, also from the edges (2, 3)
    of the solid ``before``."""
    view, span = seen.views[camera.OBLIQUE], seen.high - seen.low
    size = np.array([_fitting(camera.aspect(view, span))[key] for key in "xyz"])
    lines = [*(corners[[i, j]] for i, j, _ in memories.edges), *before]
    flat, *drawn = (
        (places - seen.low) / span * size @ np.stack(camera.screen(view), axis=1) * UNIT for places in (corners, *lines)
    )
    beside = labels.sides(flat, drawn, list(memories.names), LETTER)
    return go.Scatter3d(
        **thinning.xyz(corners),
        mode="markers+text",
        marker={"symbol": "circle", "color": style.BLUE, "size": 6.5, "line": {"color": "white", "width": 1}},
        text=list(memories.names),
        textposition=beside,
        textfont={"size": 13, "color": style.INK},
        name="memories, by their bits",
        hovertemplate="memory %{text}<extra></extra>",
    )


def _hiding(figure: go.Figure) -> list[dict[str, Any]]:
    """Buttons that show and hide the points that are not stable; none where there are none."""
    hidden = [i for i, trace in enumerate(figure.data) if trace.visible is False]
    if not hidden:
        return []
    states = {"stable points only": False, "all points": True}
    changes = [{"label": k, "method": "restyle", "args": [{"visible": v}, hidden]} for k, v in states.items()]
    return [scene.menu(changes, 0, "right")]


def _name_once(figure: go.Figure) -> None:
    """Each kind has one entry in the legend: that of the first scene which has it."""
    named: set[str] = set()
    for trace in figure.data:
        trace.showlegend = trace.name not in named
        named.add(trace.name)


def _key(i: int) -> str:
    return f"scene{i + 1 if i else ''}"


def _fitting(aspect: dict[str, float]) -> dict[str, float]:
    """The box of a scene that has a page to itself, for a scene that has a part of one."""
    return {key: FITS * value for key, value in aspect.items()}


def _box(axes: Projection, low: Array, high: Array, view: camera.Camera, domain: list[float]) -> dict[str, Any]:
    box = scene.box(scene.axis_names(axes), low, high, view, {"x": domain})
    return {**box, "aspectratio": _fitting(box["aspectratio"])}


def _buttons(seen: list[_Seen]) -> dict[str, Any]:
    """Below the scenes; each turns all of them."""
    menus = [scene.buttons(one.views, camera.OBLIQUE, scene.axis_names(one.axes), one.high - one.low) for one in seen]
    for number, button in enumerate(menus[0]["buttons"]):
        change: dict[str, Any] = {}
        for i, menu in enumerate(menus):
            for key, value in menu["buttons"][number]["args"][0].items():
                value = _fitting(value) if key.endswith("aspectratio") else value
                change[key.replace("scene", _key(i), 1)] = value
        button["args"] = [change]
    return menus[0]

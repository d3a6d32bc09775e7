"""How the phase portrait forms: fixed points and trajectories at every snapshot of training (Jang, figure 7).

All snapshots share their axes, their ranges and the states from which trajectories start, so that what moves from one
frame to the next is what training has moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.continuation.diagram import Diagram, PointsAt
from dynsys.io.text import paragraphs, sentence
from dynsys.plots import style, thinning
from dynsys.plots.portrait import camera, scene
from dynsys.plots.training import animation
from dynsys.plots.training.training_time import TrainingTime
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]
Runs = Sequence[Sequence[Array]]  # for each snapshot some runs (T_i, 3)

LIMIT = 5_000  # points of one trace in a frame of an animation, from which on a browser becomes slow
OUTLIERS = 0.5  # per cent of the trajectories' states, at either end of an axis, that may lie outside the ranges
AWAY = 10.0  # times the ranges beyond their ends, where what has no place is
STILLS = 4  # snapshots that are drawn beside each other
HEIGHT, STILLS_HEIGHT = 860, 1000  # pixels
TASK, RELEASED = "#999999", "#99D1F2"  # pale, not transparent: of several scenes a PNG hides what lies behind glass


def portrait_animation(
    diagram: Diagram,
    trajectories: Runs,
    releases: Runs,
    axes: Projection,
    *,
    title: str | None = None,
) -> go.Figure:
    """The portrait at every snapshot, with a slider over training and a button that plays it.

    ``trajectories`` and ``releases`` are, for each snapshot, runs (T_i, 3) in the components ``axes``.
    """
    _check(diagram, trajectories, releases)
    low, high = _ranges(diagram, trajectories, releases, axes)
    away = high + AWAY * (high - low)
    frames = [_traces(diagram, i, trajectories[i], releases[i], axes, away) for i in range(len(diagram.steps))]
    figure = go.Figure(frames[0])
    figure.add_trace(_at_the_end(diagram, axes, away))
    moving = list(range(len(frames[0])))
    time = TrainingTime.of_diagram(diagram)
    names = [f"{step:,.6g}" for step in diagram.steps]
    heads = [_head(diagram, i, title) for i in range(len(frames))]
    figure.frames = [
        go.Frame(data=traces, traces=moving, name=name, layout={"title": {"text": head}})
        for traces, name, head in zip(frames, names, heads, strict=True)
    ]
    places = _stable_at_the_end(diagram, axes)
    seen = places if len(places) > 1 else axes.transform(diagram.points_at(0).states)
    views = camera.presets(seen, axes.n_shown)
    view = next(iter(views))
    words = scene.axis_names(axes)
    turn = scene.buttons(views, view, words, high - low)
    caption = "<br>".join(_notes(diagram, axes, _thinned(trajectories, releases)))
    return style.dressed(
        figure,
        heads[0],
        caption,
        below=148,
        scene=scene.box(words, low, high, views[view]),
        margin={"l": 20, "r": 20, "t": 70, "b": 235},
        legend=_legend(),
        height=HEIGHT,
        uirevision="kept",  # the view that the reader has turned to stays from frame to frame
        sliders=[animation.slider(names, over=time.name)],
        updatemenus=[animation.player(), {**turn, "x": 0.22, "pad": {"t": 94}}],
    )


def portrait_stills(
    diagram: Diagram,
    trajectories: Runs,
    releases: Runs,
    axes: Projection,
    which: Sequence[int],
    *,
    title: str | None = None,
) -> go.Figure:
    """The portrait at a few snapshots beside each other, seen from the same side on the same scale."""
    _check(diagram, trajectories, releases)
    if not 1 <= len(which) <= STILLS:
        raise ValueError(f"{len(which)} snapshots were chosen; 1 to {STILLS} are drawn beside each other")
    low, high = _ranges(diagram, trajectories, releases, axes)
    away = high + AWAY * (high - low)
    places = _stable_at_the_end(diagram, axes)
    view = next(iter(camera.presets(places, axes.n_shown).values()))
    words = scene.axis_names(axes)
    across = min(len(which), 2)
    down = -(-len(which) // across)
    figure, layout = go.Figure(), {}
    for k, i in enumerate(which):
        key = "scene" if k == 0 else f"scene{k + 1}"
        column, row = k % across, k // across
        x, y = [column / across, (column + 1) / across], [1 - (row + 1) / down, 1 - row / down - 0.07]
        box = scene.box(words, low, high, view, {"x": x, "y": y})
        layout[key] = box
        drawn = [*_traces(diagram, i, trajectories[i], releases[i], axes, away), _at_the_end(diagram, axes, away)]
        for trace in drawn:
            figure.add_trace(trace.update(scene=key, showlegend=k == 0, legendgroup=trace.name))
        letter = f"<b>{'abcd'[k]}</b>  " if len(which) > 1 else ""
        text = letter + _told(diagram, i, {}).replace("points: ", "points:<br>")  # in two lines a narrow page has room
        at = {"x": x[0], "y": y[1] + 0.005, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        figure.add_annotation(text=text, showarrow=False, align="left", font={"size": 11}, **at)
    caption, room = style.lines(_notes(diagram, axes, _thinned(trajectories, releases)))
    return style.dressed(
        figure,
        title,
        caption,
        below=10,
        margin={"l": 20, "r": 20, "t": 125, "b": room - style.BELOW + 10},
        legend={**_legend(), "orientation": "h", "y": 1.025, "yanchor": "bottom"},
        height=STILLS_HEIGHT if down == 2 else HEIGHT,
        **layout,
    )


def _check(diagram: Diagram, trajectories: Runs, releases: Runs) -> None:
    if not len(trajectories) == len(releases) == len(diagram.steps):
        raise ValueError(
            f"there are trajectories of {len(trajectories)} and releases of {len(releases)} snapshots; the diagram has "
            f"{len(diagram.steps)}"
        )


def _traces(
    diagram: Diagram, i: int, trajectories: Sequence[Array], releases: Sequence[Array], axes: Projection, away: Array
) -> list[go.Scatter3d]:
    """What a frame consists of: the same traces, in the same order, at every snapshot."""
    points = diagram.points_at(i)
    places = axes.transform(points.states)
    texts = _hover(points)
    drawn = [
        scene.lines("trajectories of the task", thinning.thinned(list(trajectories), LIMIT), TASK, 1.6, 1.0),
        scene.lines("trajectories from other states", thinning.thinned(list(releases), LIMIT), RELEASED, 1.4, 1.0),
    ]
    for kind, (label, symbol, colour) in enumerate(style.SHAPES):
        rows = np.flatnonzero(np.minimum(points.n_unstable, len(style.SHAPES) - 1) == kind)
        group = style.Group(label, label, symbol, colour, rows)
        drawn.append(scene.markers(group, places[rows], [texts[k] for k in rows]))
    return [_or_away(trace, away) for trace in drawn]


def _or_away(trace: go.Scatter3d, away: Array) -> go.Scatter3d:
    """A trace without points leaves the legend, and one whose only point is no place gets its markers too small when
    others come in a later frame: it has one outside of the ranges, where nothing is drawn."""
    return trace if len(trace.x) else trace.update(thinning.xyz(away[None]), text=None, customdata=None)


def _at_the_end(diagram: Diagram, axes: Projection, away: Array) -> go.Scatter3d:
    places = _stable_at_the_end(diagram, axes)
    marker = {"symbol": "circle-open", "color": style.GREY, "size": 9, "line": {"color": style.GREY, "width": 1}}
    trace = go.Scatter3d(
        **thinning.xyz(places.reshape(-1, 3)),
        mode="markers",
        marker=marker,
        name="stable at the end of training",
        hoverinfo="skip",
    )
    return _or_away(trace, away)


def _stable_at_the_end(diagram: Diagram, axes: Projection) -> Array:
    last = diagram.points_at(len(diagram.steps) - 1)
    return axes.transform(last.states[last.n_unstable == 0])


def _ranges(diagram: Diagram, trajectories: Runs, releases: Runs, axes: Projection) -> tuple[Array, Array]:
    """Of all snapshots together: every fixed point, and all but a few states of the trajectories."""
    states = [branch.states[branch.snapshot >= 0] for branch in diagram.branches]
    places = axes.transform(np.concatenate(states)) if states else np.zeros((1, 3))
    runs = [np.asarray(run).reshape(-1, 3) for part in (trajectories, releases) for runs in part for run in runs]
    ends = [places]
    if runs:
        passed = np.concatenate(runs)
        ends.append(np.percentile(passed[np.isfinite(passed).all(axis=1)], [OUTLIERS, 100 - OUTLIERS], axis=0))
    return scene.ranges(np.concatenate(ends))


def _hover(points: PointsAt) -> list[str]:
    return [
        f"<b>branch {points.branch[k]}</b><br>unstable directions: {points.n_unstable[k]}"
        f"<br>leading eigenvalue: {style.complex_text(complex(points.eigenvalues[k, 0]))}"
        f"<br>readout: {style.vector(points.readouts[k])}"
        for k in range(len(points))
    ]


def _head(diagram: Diagram, i: int, title: str | None) -> str:
    """The title over a frame: the step, the points, and what has happened since the snapshot before."""
    before, now = (diagram.steps[i - 1] if i else diagram.steps[0]), diagram.steps[i]
    since = Counter(str(event.kind) for event in diagram.events if before < event.time <= now)
    told = _small(_told(diagram, i, since))
    return f"{title}<br>{told}" if title else told


def _told(diagram: Diagram, i: int, since: Mapping[str, int]) -> str:
    """The step and the points of a snapshot, and how often what has happened."""
    kinds = np.bincount(diagram.points_at(i).n_unstable.clip(0, 2), minlength=3).tolist()
    step = TrainingTime.of_diagram(diagram).said(diagram.steps[i])
    return sentence(style.TEXT, "frame", step, kinds, list(since.items()))


def _small(text: str) -> str:
    return f'<span style="font-size:15px;color:{style.GREY}">{text}</span>'


def _thinned(trajectories: Runs, releases: Runs) -> bool:
    return any(thinning.size(list(runs)) > LIMIT for part in (trajectories, releases) for runs in part)


def _notes(diagram: Diagram, axes: Projection, thinned: bool) -> list[str]:
    return paragraphs(style.TEXT, "evolution", len(diagram.steps), 100 * axes.explained_variance_ratio.sum(), thinned)


def _legend() -> dict[str, Any]:
    return {
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "top",
        "bgcolor": "rgba(255,255,255,0.8)",
        "itemsizing": "constant",
    }

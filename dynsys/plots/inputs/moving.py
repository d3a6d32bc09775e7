"""The phase portrait as the input changes: a slider over a path of inputs, or over the steps of a trial.

All frames share their axes and ranges. Of a trial the state that it has come to moves among the points that are there
under the input of that step, and beside the scene a line moves along the input and the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.io.text import paragraphs
from dynsys.plots import style, thinning
from dynsys.plots.portrait import camera, scene
from dynsys.plots.training import animation
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

AWAY = 10.0  # times the ranges beyond their ends, where what has no place is
HEIGHT = 800  # pixels
SCENE, PANELS = [0.0, 0.66], [0.74, 1.0]  # shares of the width, where signals stand beside the scene
MOST_SIGNALS = 6  # lines of one panel
CURRENT = {"symbol": "circle-open", "color": style.RED, "size": 9, "line": {"color": style.RED, "width": 4}}


class Seen(Protocol):
    """The points of a frame: states (k, n) and how many unstable directions each has (k,)."""

    @property
    def states(self) -> Array: ...
    @property
    def n_unstable(self) -> NDArray[np.int64]: ...


@dataclass(frozen=True, eq=False)
class Trial:
    """A trajectory (T, n), the step of each frame, and ``signals`` (T, k) by name, which are drawn beside the scene."""

    states: Array
    steps: NDArray[np.int64]
    signals: Mapping[str, Array]


def moving_portrait(
    frames: Sequence[Seen],
    names: Sequence[str],
    over: str,
    *,
    trial: Trial | None = None,
    branches: Sequence[Array] = (),
    title: str | None = None,
    notes: Sequence[str] = (),
) -> go.Figure:
    """The points of each frame, which the slider calls by its name; ``over`` says what it goes over.

    ``branches`` (K, n) are drawn under all frames, as curves along which points move.
    """
    if len(frames) != len(names) or not frames:
        raise ValueError(f"there are {len(frames)} frames and {len(names)} names; give one name for each, and a frame")
    axes = _axes(frames, trial, branches)
    passed = None if trial is None else axes.transform(trial.states)
    curves = [axes.transform(branch) for branch in branches]
    places = [axes.transform(frame.states) for frame in frames]
    low, high = scene.ranges(np.concatenate([*places, *curves, *([] if passed is None else [passed])]))
    away = high + AWAY * (high - low)
    still = _still(passed, curves, trial)
    drawn = [_points(frame, place, away) for frame, place in zip(frames, places, strict=True)]
    if trial is not None and passed is not None:
        for traces, step in zip(drawn, trial.steps.tolist(), strict=True):
            traces += [*_state(passed, step), *_cursors(trial, step)]
    figure = go.Figure([*still, *drawn[0]])
    heads = [_head(frame, f"{over} {name}", title) for frame, name in zip(frames, names, strict=True)]
    moving = list(range(len(still), len(still) + len(drawn[0])))
    figure.frames = [
        go.Frame(data=traces, traces=moving, name=name, layout={"title": {"text": head}})
        for traces, name, head in zip(drawn, names, heads, strict=True)
    ]
    told = paragraphs(style.TEXT, "moving", 100 * axes.explained_variance_ratio.sum(), trial is not None)
    return _dressed(figure, heads[0], [*told, *notes], axes, (low, high), np.concatenate(places), trial, names, over)


def _axes(frames: Sequence[Seen], trial: Trial | None, branches: Sequence[Array]) -> Projection:
    parts = [*(frame.states for frame in frames), *branches, *([] if trial is None else [trial.states])]
    everything = np.concatenate(parts)
    return Projection.fit(everything if len(everything) else np.zeros((1, parts[0].shape[1])))


def _still(passed: Array | None, curves: list[Array], trial: Trial | None) -> list[Any]:
    """What every frame has: the whole trajectory, the branches, the signals."""
    traces: list[Any] = []
    if curves:
        traces.append(scene.lines("branches", thinning.thinned(curves, thinning.LIMIT // 2), style.PALE, 1.6, 1.0))
    if trial is None or passed is None:
        return traces
    traces.append(scene.lines("the trial", [passed], style.PALE, 1.6, 1.0))
    for row, (name, values) in enumerate(trial.signals.items()):
        for k in range(min(values.shape[1], MOST_SIGNALS)):
            line = {"color": style.LABELS[k % len(style.LABELS)], "width": 1.6}
            said = f"{name} {k + 1}" if values.shape[1] > 1 else name
            panel = {"xaxis": f"x{row + 1}", "yaxis": f"y{row + 1}", "showlegend": False}
            traces.append(
                go.Scatter(x=np.arange(len(values)), y=values[:, k], mode="lines", line=line, name=said, **panel)
            )
    return traces


def _points(frame: Seen, places: Array, away: Array) -> list[Any]:
    """A trace for each kind; one without points lies where nothing is drawn, as an empty one leaves the legend."""
    kinds, drawn = np.minimum(frame.n_unstable, len(style.SHAPES) - 1), []
    for kind, (label, symbol, colour) in enumerate(style.SHAPES):
        rows = np.flatnonzero(kinds == kind)
        texts = [f"{label}<br>state {style.vector(frame.states[k])}" for k in rows]
        trace = scene.markers(style.Group(label, label, symbol, colour, rows), places[rows], texts)
        drawn.append(trace if len(rows) else trace.update(thinning.xyz(away[None]), text=None, customdata=None))
    return drawn


def _state(passed: Array, step: int) -> list[Any]:
    """The way to the state of a step, and the state."""
    here = go.Scatter3d(**thinning.xyz(passed[step : step + 1]), mode="markers", marker=CURRENT, name="the state")
    return [scene.lines("the trial so far", [passed[: step + 1]], style.INK, 3.0, 1.0), here.update(hoverinfo="skip")]


def _cursors(trial: Trial, step: int) -> list[Any]:
    """A line across each panel at the step."""
    found = []
    for row, values in enumerate(trial.signals.values()):
        ends = _ends(values)
        panel = {"xaxis": f"x{row + 1}", "yaxis": f"y{row + 1}", "showlegend": False, "hoverinfo": "skip"}
        line = {"color": style.RED, "width": 1.5}
        found.append(go.Scatter(x=[step, step], y=ends, mode="lines", line=line, **panel))
    return found


def _ends(values: Array) -> list[float]:
    low, high = float(values.min()), float(values.max())
    room = 0.08 * ((high - low) or 1.0)
    return [low - room, high + room]


def _head(frame: Seen, where: str, title: str | None) -> str:
    kinds = np.bincount(np.minimum(frame.n_unstable, 2), minlength=3).tolist()
    told = paragraphs(style.TEXT, "frame", where, kinds, [])[0]
    small = f'<span style="font-size:15px;color:{style.GREY}">{told}</span>'
    return f"{title}<br>{small}" if title else small


def _dressed(
    figure: go.Figure,
    head: str,
    told: list[str],
    axes: Projection,
    ends: tuple[Array, Array],
    places: Array,
    trial: Trial | None,
    names: Sequence[str],
    over: str,
) -> go.Figure:
    low, high = ends
    views = camera.presets(places, axes.n_shown)
    view, words = next(iter(views)), scene.axis_names(axes)
    caption, room = style.lines(told)
    panels = {} if trial is None else _panels(trial)
    return style.dressed(
        figure,
        head,
        caption,
        below=148,
        scene=scene.box(words, low, high, views[view], {"x": SCENE} if panels else None),
        margin={"l": 20, "r": 20, "t": 80, "b": room + 90},
        legend={"x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "itemsizing": "constant"},
        height=HEIGHT,
        uirevision="kept",  # the view that the reader has turned to stays from frame to frame
        sliders=[animation.slider(names, over=over)],
        updatemenus=[
            animation.player(),
            {**scene.buttons(views, view, words, high - low), "x": 0.22, "pad": {"t": 94}},
        ],
        **panels,
    )


def _panels(trial: Trial) -> dict[str, Any]:
    """The axes of the signals, one below the other."""
    count, found = len(trial.signals), {}
    for row, (name, values) in enumerate(trial.signals.items()):
        over = [1 - (row + 1) / count + 0.06, 1 - row / count - 0.04]
        last = row == count - 1
        found[f"xaxis{row + 1}"] = style.axis(
            "step" if last else "", domain=PANELS, anchor=f"y{row + 1}", range=[0, len(values) - 1]
        )
        found[f"yaxis{row + 1}"] = style.axis(name, domain=over, anchor=f"x{row + 1}", range=_ends(values), nticks=5)
    return found

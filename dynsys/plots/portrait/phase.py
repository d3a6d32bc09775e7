"""The phase portrait: fixed points, their unstable modes and trajectories in three dimensions (Jang, figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.attractors.attractor import Attractor
from dynsys.attractors.connections import Connections
from dynsys.continuous_attractors.slow_curve import SlowCurve
from dynsys.io.text import paragraphs
from dynsys.plots import style, thinning
from dynsys.plots.portrait import camera, manifolds, scene, trials
from dynsys.plots.portrait.paths import MODES_SHOWN, Paths, grouped, thinned_paths
from dynsys.plots.portrait.vectors import traces_of, vectors_of
from dynsys.result.fixed_points import FixedPoints
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

MODE_SHARE = 0.07  # length of a unit mode to each side of its point, as a share of the scene's longest side
ARROW_SHARE = 0.3  # the same of a unit vector that is drawn as an arrow
WIDE = 105  # characters of a line of the caption, since a scene has no axes beside it
FLAT = 1e-9  # share of the variance, below which points do not tell a direction from rounding
MOST_STARTS = 1_000  # of a search that are drawn, evenly thinned: more hide the rest
FIT_STATES = 5_000  # of the trajectories, thinned evenly, are enough to fit axes to


def phase_portrait(
    points: FixedPoints | Sequence[FixedPoints],
    trajectories: Any = None,
    releases: Any = None,
    *,
    labels: Sequence[str] | None = None,
    conditions: Sequence[Any] | None = None,
    epochs: Mapping[str, int] | None = None,
    arrows: Mapping[str, Any] | None = None,
    curves: Sequence[SlowCurve] = (),
    time_axis: Literal[0, 1] | None = None,
    called: str = "trajectories",
    starts: bool = False,
    connections: Connections | None = None,
    beside: Sequence[Attractor] | Mapping[str, Sequence[Attractor]] = (),
    projection: Projection | None = None,
    fit: Literal["points", "trajectories"] = "points",
    names: Sequence[str] = (),
    notes: Sequence[str] = (),
    title: str | None = None,
) -> go.Figure:
    """Fixed points, trajectories of the task and releases from elsewhere, on principal components.

    ``trajectories`` and ``releases`` are (T, n), lists of (T_i, n), or single arrays of many: with ``time_axis`` 0
    (T, B, n), as ``simulate`` gives them, with 1 (B, T, n), trials x time x units as most recordings are. ``called`` is
    what the trajectories are called in the legend; a release is marked where it starts. ``conditions`` (B,), a number
    or a word for each trajectory, colour them: single trials are thin, the mean of each condition is in front of them.
    ``epochs`` mark the steps at which something begins, by name, on the means or else on the trajectories.

    Several results, of contexts, inputs or networks of one size, stand in one picture under their ``labels``, each with
    a colour of its own; ``trajectories`` is then a list with those of each. ``arrows`` are directions by name: a vector
    (n,) from the middle of the points, or a pair of a state and a vector; where one looks short, it points out of the
    picture. ``curves`` of ``dynsys.slow_curve`` are coloured by their speed. With ``starts`` the states that
    the search began from are drawn, as far as the points tell them. The axes are fitted to the
    points, to the trajectories where ``fit`` says so, and to both where the points are too few to span three
    dimensions; ``projection`` gives them instead, such as those of an earlier figure. ``names`` are said of the points
    when they are pointed at, ``notes`` at the end of the caption.

    A red segment is a unit vector along an unstable mode (of a complex pair its real and its imaginary part): where
    it looks short, the mode points out of the picture. With ``connections`` the branches from the unstable points are
    drawn, darker towards their ends, and orbits and oscillations as loops; those are given ``beside`` where there are
    no connections, by label where points are labelled.
    """
    points, groups = grouped(points, labels, trajectories, conditions, time_axis, called)
    by_label = beside if isinstance(beside, Mapping) else {"": beside}
    by_label = by_label if connections is None else {"": connections.others}
    others = [other for some in by_label.values() for other in some]
    whose = [label for label, some in by_label.items() for _ in some]
    _check(points, connections, fit, starts)
    released = thinning.runs_of(releases, points.states.shape[1], time_axis)
    runs = [run for some in groups.values() for run in some]
    begin = trials.checked_epochs(epochs, max(map(len, runs), default=0))
    axes, fitted_to = (projection, "given") if projection is not None else _fitted(points, runs or released, fit)
    passed = thinned_paths(points, groups, called, released, connections, others, axes)
    vectors = vectors_of(arrows, points.states.mean(axis=0) if len(points) else axes.mean)
    places = axes.transform(points.states)
    begun = axes.transform(_starts(points)) if starts else places[:0]
    lines = [axes.transform(curve.states) for curve in curves]
    low, high = scene.ranges(np.concatenate([places, begun, *lines, *passed.everything]))
    arm = MODE_SHARE * float((high - low).max())
    figure = go.Figure(_traces(points, places, passed, connections, others, whose, axes, arm, names))
    if begin:
        means = {name: [passed.means[name]] if name in passed.means else some for name, some in groups.items()}
        figure.add_traces(trials.marks(begin, means, axes))
    figure.add_traces(manifolds.slow_curves(curves, axes))
    figure.add_traces(traces_of(vectors, axes, ARROW_SHARE * float((high - low).max())))
    if starts:
        figure.add_trace(_search_starts(begun))

    told = [*_caption(points, connections, others, passed, axes, fitted_to), *notes]
    if 0 < len(begun) < len(points.starts):
        told.append(f"Of the {len(points.starts):,} starts of the search {len(begun):,} are drawn.")
    stable = places[points.n_unstable == 0]
    return _dressed(figure, title, told, axes, stable if len(stable) > 1 else places, (low, high))


def _dressed(
    figure: go.Figure, title: str | None, told: list[str], axes: Projection, seen: Array, ends: tuple[Array, Array]
) -> go.Figure:
    """The page around the scene; the first view is that in which the places ``seen`` lie apart."""
    low, high = ends
    views = camera.presets(seen, axes.n_shown)
    view, axis_names = next(iter(views)), scene.axis_names(axes)
    caption, room = style.lines(told, WIDE)
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        scene=scene.box(axis_names, low, high, views[view]),
        margin={"l": 20, "r": 20, "t": 50, "b": room},
        legend={
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "bgcolor": "rgba(255,255,255,0.8)",
            "itemsizing": "constant",
            "tracegroupgap": 0,
        },
        updatemenus=[scene.buttons(views, view, axis_names, high - low)],
    )


def _check(points: FixedPoints, connections: Connections | None, fit: str, starts: bool) -> None:
    if starts and not len(points.starts):
        raise ValueError("these points do not tell what their search began from; search again to draw its starts")
    if fit not in ("points", "trajectories"):
        raise ValueError(f"fit is {fit!r}; the axes are fitted to 'points' or to 'trajectories'")
    if connections is not None and not connections.are_of(points):
        raise ValueError(
            "the connections are those of other points, or of more than are given; follow these points again, or draw "
            "no connections"
        )


def _traces(
    points: FixedPoints,
    places: Array,
    passed: Paths,
    connections: Connections | None,
    others: list[Attractor],
    whose: list[str],
    axes: Projection,
    arm: float,
    names: Sequence[str],
) -> list[go.Scatter3d]:
    """Paths first and points last, which then lie on top; a mode is ``arm`` long to each side of its point."""
    traces: list[go.Scatter3d] = []
    if list(passed.shades.values()) == [style.GREY]:
        ((called, runs),) = passed.runs.items()
        traces.append(scene.lines(called, runs, style.GREY, width=1.6, opacity=0.75))
    else:
        means = {name: axes.transform(path) for name, path in passed.means.items()}
        traces += trials.traces(passed.runs, means, passed.shades)
    if passed.released:
        traces.append(
            scene.lines("trajectories from other states", passed.released, style.SKY, width=1.2, opacity=0.55)
        )
        traces.append(_release_starts(passed.released))
    if connections is not None:
        branches = passed.branches
        if len(branches) == len(connections):  # else thinned out, and no longer one for each
            branches = manifolds.beyond(branches, manifolds.arms(points, connections, axes, arm, MODES_SHOWN))
        traces += manifolds.traces(branches)
    traces += manifolds.of_others(others, passed.loops, whose, style.of_labels(points))
    traces += manifolds.cycles(points, places)
    segments = _unstable_segments(points, places, axes, arm)
    if len(segments):
        line = {"color": style.RED, "width": 5}
        ends = thinning.xyz(segments)
        traces.append(go.Scatter3d(**ends, mode="lines", line=line, name="unstable modes", hoverinfo="skip"))
    texts = style.hover(points, names)
    return traces + [
        scene.markers(group, places[group.rows], [texts[i] for i in group.rows]) for group in style.groups(points)
    ]


def _caption(
    points: FixedPoints,
    connections: Connections | None,
    others: list[Attractor],
    passed: Paths,
    axes: Projection,
    fitted_to: str,
) -> list[str]:
    return paragraphs(
        style.TEXT,
        "portrait",
        style.counted(points),
        fitted_to,
        100 * axes.explained_variance_ratio.sum(),
        points.search.tolerances if points.search else "",  # points made by hand have no report
        MODES_SHOWN if (points.n_unstable > MODES_SHOWN).any() else 0,
        connections,
        manifolds.counted(others),
        points.about,
        passed,
    )


def _fitted(points: FixedPoints, runs: list[Array], fit: str) -> tuple[Projection, str]:
    """The axes, and what they were fitted to."""
    passed = np.concatenate(thinning.thinned(runs, FIT_STATES)) if runs else points.states[:0]
    if fit == "trajectories" and len(passed):
        return Projection.fit(passed), "the trajectories"
    n_state = points.states.shape[1]
    axes = Projection.fit(points.states if len(points) else np.zeros((1, n_state)))
    if len(passed) and (axes.explained_variance_ratio[: min(3, n_state)] < FLAT).any():
        return Projection.fit(np.concatenate([points.states, passed])), "the points and trajectories"
    return axes, "the points"


def _unstable_segments(points: FixedPoints, places: Array, axes: Projection, length: float) -> NDArray[np.float32]:
    """Segments through the points along their unstable modes, as far as those are known, with breaks between."""
    segments = []
    for i, count in enumerate(points.n_unstable.clip(0, MODES_SHOWN)):
        for eigenvalue, mode in zip(points.eigenvalues[i, :count], points.modes[i, :count], strict=False):
            if np.isnan(mode).any() or eigenvalue.imag < 0:  # the other of the pair has shown this plane
                continue
            for part in (mode.real, mode.imag) if eigenvalue.imag else (mode.real,):
                size = np.linalg.norm(part)
                if not size:
                    continue
                arm = length * axes.directions(part / size)
                segments.append(np.stack([places[i] - arm, places[i] + arm]))
    return thinning.joined(segments)


def _release_starts(runs: list[Array]) -> go.Scatter3d:
    marker = {"size": 2.6, "color": style.SKY, "symbol": "circle"}
    starts = np.stack([run[0] for run in runs])
    return go.Scatter3d(
        **thinning.xyz(starts), mode="markers", marker=marker, name="where they start", hoverinfo="skip"
    )


def _starts(points: FixedPoints) -> Array:
    """Those of the search, evenly thinned."""
    rows = np.linspace(0, len(points.starts) - 1, min(len(points.starts), MOST_STARTS)).round().astype(np.int64)
    return points.starts[rows].astype(np.float64)


def _search_starts(places: Array) -> go.Scatter3d:
    marker = {"size": 2, "color": style.BROWN, "symbol": "circle", "opacity": 0.8}
    return go.Scatter3d(
        **thinning.xyz(places), mode="markers", marker=marker, name="starts of the search", hoverinfo="skip"
    )

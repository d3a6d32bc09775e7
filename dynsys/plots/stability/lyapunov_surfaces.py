"""Lyapunov surfaces around memories, proved ones and those beyond, with trajectories that cross them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.lyapunov.basins import CertifiedBasins
from dynsys.lyapunov.surfaces import Surface, surfaces
from dynsys.plots import style, thinning
from dynsys.plots.portrait.plane import markers
from dynsys.result.fixed_points import FixedPoints

Array = NDArray[np.float64]

LEVELS = (0.8, 0.6, 0.4, 0.2, 0.05)  # of V inside, where the border of what is proved is 1
GRID = 241  # of the energy
WIDEST = 1.7  # times the longer side of the room, up to which the energy is computed for windows of other shapes
ROOM = 1.25  # of the picture, in units of the outermost level
TOP = 130  # pixels, for a legend of two rows below the title
ARROWS = 0.35, 0.75  # of a trajectory's length in the picture, where it has them


def lyapunov_surface(
    basins: CertifiedBasins,
    points: FixedPoints,
    memory: int | None = None,
    saddle: int | None = None,
    *,
    title: str | None = None,
) -> go.Figure:
    """Levels of the Lyapunov functions of ``dynsys.certified_basins(points)``, and trajectories.

    Two variables are drawn in their phase plane, around all points that have a proof; more in the plane of one memory
    and one saddle, given by their numbers: else the memory with the largest ball and the saddle of the least V.
    Raises ValueError where nothing is proved, of one variable, and for numbers of other kinds of points.
    """
    shown = surfaces(basins, points, memory, saddle)
    flat = points.states.shape[1] == 2
    figure = go.Figure()
    x, y = _room(shown, flat)
    if shown[0].energy is not None:
        _draw_energy(figure, shown[0], shown[0].middle if flat else np.zeros(2), x, y)
    for surface in shown:
        _draw(figure, surface, surface.middle if flat else np.zeros(2), first=surface is shown[0])
    _draw_points(figure, shown, points, flat)
    names = ("x<sub>1</sub>", "x<sub>2</sub>") if flat else _names(shown[0], points)
    axes = style.alike((names[0], *x), (names[1], *y), showgrid=False, mirror=True)
    style.under(figure, title, _notes(shown, flat, points), **axes)
    return figure.update_layout(margin={"t": TOP if title else TOP - 35})


def _names(surface: Surface, points: FixedPoints) -> tuple[str, str]:
    if surface.saddle < 0:
        return "along the longest half-axis of the proved ellipsoid", "along the next one"
    names = f"from point {surface.memory} to point {surface.saddle}", "along the longest half-axis off that line"
    to_saddle = np.abs(surface.E @ (points.states[surface.saddle] - surface.middle))
    return names if to_saddle[0] > to_saddle[1] else names[::-1]


def _draw(figure: go.Figure, surface: Surface, at: Array, *, first: bool) -> None:
    """Everything of one memory, drawn about ``at``."""
    line = {"color": style.PALE, "width": 1.2, "dash": "dash"}
    outer = surface.level(surface.beyond) + at
    figure.add_trace(_curve(outer, line, "through the saddle, not proved", first))
    border = {"color": style.BLUE, "width": 3}
    figure.add_trace(
        _curve(surface.level(1.0) + at, border, "border of what is proved", first, fill="rgba(0,114,178,0.10)")
    )
    for k, V in enumerate(LEVELS):
        thin = {"color": style.paler(style.BLUE, 0.45), "width": 1}
        figure.add_trace(_curve(surface.level(V) + at, thin, "Lyapunov surfaces", first and k == 0))
    turn = np.linspace(0, 2 * np.pi, 121)
    ball = at + surface.radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    figure.add_trace(_curve(ball, {"color": style.BLUE, "width": 1.4, "dash": "dot"}, "proved ball", first))
    for runs, name, colour in (
        (surface.outside, "from outside", style.PALE),
        (surface.inward, "trajectories", style.INK),
    ):
        _trajectories(figure, [surface.places(run) + at for run in runs], name, colour, first)


def _draw_energy(
    figure: go.Figure, surface: Surface, at: Array, x: tuple[float, float], y: tuple[float, float]
) -> None:
    """Levels of the energy of the states of the plane, and the one below which it proves something."""
    assert surface.energy is not None
    across, up = (np.linspace(ends[0], ends[1], GRID) for ends in _widest(x, y))
    E = surface.energy(surface.states(np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2) - at))
    shared: dict[str, Any] = {"x": across, "y": up, "z": E.reshape(GRID, GRID), "showscale": False}
    low, high = float(E.min()), float(np.quantile(E, 0.9))
    levels: dict[str, Any] = {"start": low, "end": high, "size": (high - low) / 16 or 1.0, "coloring": "none"}
    line = {"color": style.paler(style.GREEN, 0.5), "width": 0.9}
    figure.add_trace(
        go.Contour(
            **shared,
            contours=levels,
            line=line,
            name="energy",
            showlegend=True,
            hovertemplate="energy: %{z:.4g}<extra></extra>",
        )
    )
    if np.isfinite(surface.highest):
        one = {"start": surface.highest, "end": surface.highest, "size": 1, "coloring": "none"}
        bold = {"color": style.GREEN, "width": 2.4}
        figure.add_trace(
            go.Contour(**shared, contours=one, line=bold, name="energy proved", showlegend=True, hoverinfo="skip")
        )


def _curve(
    places: NDArray[np.floating[Any]], line: dict[str, Any], name: str, named: bool, fill: str | None = None
) -> go.Scatter:
    return go.Scatter(
        x=places[:, 0],
        y=places[:, 1],
        mode="lines",
        line=line,
        name=name,
        legendgroup=name,
        showlegend=named,
        hoverinfo="skip",
        **({"fill": "toself", "fillcolor": fill} if fill else {}),
    )


def _trajectories(figure: go.Figure, runs: list[Array], name: str, colour: str, named: bool) -> None:
    runs = thinning.thinned(runs, thinning.LIMIT // 16)
    joined = thinning.joined(runs)
    figure.add_trace(_curve(joined, {"color": colour, "width": 1.1}, name, named))
    heads = np.array([head for run in runs for head in _heads(run)]).reshape(-1, 3)
    figure.add_trace(
        go.Scatter(
            x=heads[:, 0],
            y=heads[:, 1],
            mode="markers",
            marker={"symbol": "arrow", "angle": heads[:, 2], "size": 9, "color": colour},
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
        )
    )


def _heads(run: Array) -> list[tuple[float, float, float]]:
    """Places of arrows along a trajectory, and the angle of each, clockwise from above."""
    steps = np.diff(run, axis=0)
    gone = np.cumsum(np.linalg.norm(steps, axis=1))
    if not len(gone) or gone[-1] == 0:
        return []
    at = np.searchsorted(gone, np.array(ARROWS) * gone[-1])
    middles = (run[at] + run[at + 1]) / 2
    angles = np.degrees(np.arctan2(steps[at, 0], steps[at, 1]))
    return [(float(x), float(y), float(a)) for (x, y), a in zip(middles, angles, strict=True)]


def _draw_points(figure: go.Figure, shown: Sequence[Surface], points: FixedPoints, flat: bool) -> None:
    """All points of the phase plane; of another plane the memory and the saddle."""
    surface = shown[0]
    here = np.ones(len(points), dtype=bool)
    if not flat:
        here = np.isin(np.arange(len(points)), [surface.memory, surface.saddle])
    texts = style.hover(points)
    for group in style.groups(points):
        rows = group.rows[here[group.rows]]
        if len(rows):
            places = points.states[rows] if flat else surface.places(points.states[rows])
            figure.add_trace(markers(group, places, [texts[i] for i in rows], rows))


def _room(shown: Sequence[Surface], flat: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    outer = [surface.level(max(surface.beyond, 1.0)) + (surface.middle if flat else 0.0) for surface in shown]
    low = np.min([each.min(axis=0) for each in outer], axis=0)
    high = np.max([each.max(axis=0) for each in outer], axis=0)
    middle, half = (low + high) / 2, ROOM * (high - low) / 2
    (a, b), (c, d) = np.stack([middle - half, middle + half], axis=1).tolist()
    return (a, b), (c, d)


def _widest(*ends: tuple[float, float]) -> list[tuple[float, float]]:
    """As far as windows show of the two, which have one scale."""
    half = WIDEST * max(high - low for low, high in ends) / 2
    return [((low + high) / 2 - half, (low + high) / 2 + half) for low, high in ends]


def _notes(shown: Sequence[Surface], flat: bool, points: FixedPoints) -> list[str]:
    proved = (
        "In the blue area V falls at every step but at the point itself: no trajectory crosses a level outwards, and "
        "all come to the point."
    )
    one = shown[0]
    green = "Thin green: the energy of the states of the plane."
    if np.isfinite(one.highest):
        green += f" The part around point {one.memory} that is lower than the bold line is proved to come to it."
    energy = [] if one.energy is None else [green]
    if flat:
        return [f"{style.counted(points)}.", proved, *energy]
    where = "the plane of its two longest half-axes" if one.saddle < 0 else f"the plane of it and point {one.saddle}"
    return [
        f"Around point {one.memory}, of {points.states.shape[1]} variables, in {where}. {proved}",
        "Trajectories leave this plane; they are drawn at the level of V that they are at, in the direction of their "
        "shadow, orthogonal in the sense of V.",
        *energy,
    ]

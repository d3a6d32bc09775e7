"""The phase plane: speed or energy, flow, nullclines (Jang, figure 2); of many variables a slice of their space."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import plotly.figure_factory as ff
import plotly.graph_objects as go
import torch
from numpy.typing import NDArray

from dynsys.io.text import paragraphs
from dynsys.plots import style
from dynsys.plots.portrait.slices import Plane, plane_of
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.speed import q_of
from dynsys.systems.system import System
from dynsys.trajectories.projection import as_array

Array = NDArray[np.float64]
Bounds = tuple[tuple[float, float], tuple[float, float]]

GRID = 240  # even, so that a nullcline through the middle is not made of exact zeros
ROWS = 4096  # states whose velocities are computed at a time
IN_PLANE = 0.02  # of the picture: points nearer to a slice are drawn as in it
STREAMS = 48  # a coarser grid for the streamlines, which plotly traces in Python


def phase_plane(
    system: System,
    points: FixedPoints | None = None,
    *,
    plane: Literal["components", "modes", "readouts"] | Any = "components",
    through: int | Any | None = None,
    shading: Literal["speed", "energy"] = "speed",
    bounds: tuple[float, float] | Bounds | None = None,
    input: Any = None,
    title: str | None = None,
) -> go.Figure:
    """Contours of log10 q, streamlines of the velocity, and the fixed points; of two variables both nullclines as well.

    Of more variables it is a slice: the plane of the points' first two principal components, of the two leading modes
    of the point ``through`` which it goes, of the first two readouts, or of two directions (2, n). What is shaded is
    that of the states in the plane; streamlines follow the part of their velocity that lies in it. Points off the plane
    are drawn paler, where their shadows fall. ``shading`` "energy" is for networks that have one.

    ``bounds`` is (low, high) for both axes or ((low, high), (low, high)); where None, they enclose the points, or else
    are the system's box, or else [-2, 2]. ``input`` (n_input,) is held: where None, that of the points, or else zeros.
    Streamlines of a map follow its displacement G(x) - x. Raises ValueError for one state variable, and for planes
    that cannot be told.
    """
    if system.n_state < 2:
        raise ValueError("the system has 1 state variable; a phase plane needs 2 or more")
    held = _held(system, points, input)
    cut = Plane.whole() if system.n_state == 2 else plane_of(system, points, plane, through)
    limits = _bounds(system, points, bounds, held, cut)
    n = GRID if system.n_state == 2 else GRID // 2
    x, y, F, states = _velocities(system, cut, limits, n, held)
    along = F @ cut.E.T

    figure = go.Figure()
    figure.add_trace(_energy(system, held, x, y, states) if shading == "energy" else _speed(x, y, F))
    if np.isfinite(along).all() and along.any():
        figure.add_trace(_streamlines(system, cut, limits, held))
    if system.n_state == 2:
        figure.add_trace(_nullcline(x, y, F[..., 0], "x<sub>1</sub> nullcline (F<sub>1</sub> = 0)", style.BROWN))
        figure.add_trace(_nullcline(x, y, F[..., 1], "x<sub>2</sub> nullcline (F<sub>2</sub> = 0)", style.GREEN))
    span = max(high - low for low, high in limits)
    away = np.zeros(0) if points is None else cut.away(points.states)
    if points is not None:
        _draw_points(figure, points, cut, away > IN_PLANE * span, limits)
    outside = int((away > IN_PLANE * span).sum())
    share = float(np.nanmedian(np.linalg.norm(along, axis=-1) / np.maximum(np.linalg.norm(F, axis=-1), 1e-300)))
    told = paragraphs(
        style.TEXT,
        "plane",
        shading,
        system.kind,
        system.n_state,
        share,
        points and style.counted(points),
        len(away),
        outside,
    )
    caption, room = style.lines(told)
    return style.dressed(
        figure,
        title,
        caption,
        below=58,
        xaxis=style.axis(cut.names[0], range=list(limits[0]), showgrid=False, mirror=True),
        yaxis=style.axis(cut.names[1], range=list(limits[1]), showgrid=False, mirror=True),
        margin={"l": 80, "r": 30, "t": 95 if title else 60, "b": room},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"},
    )


def _draw_points(figure: go.Figure, points: FixedPoints, cut: Plane, off: NDArray[np.bool_], limits: Bounds) -> None:
    texts, places = style.hover(points), cut.places(points.states)
    (low_x, high_x), (low_y, high_y) = limits
    shown = (low_x <= places[:, 0]) & (places[:, 0] <= high_x) & (low_y <= places[:, 1]) & (places[:, 1] <= high_y)
    for group in style.groups(points):
        for rows, opacity in (
            (group.rows[~off[group.rows]], 1.0),
            (group.rows[off[group.rows] & shown[group.rows]], 0.35),
        ):
            if len(rows):
                drawn = markers(group, places[rows], [texts[i] for i in rows], rows)
                name = group.label if opacity == 1 else f"{group.label}, off the plane"
                figure.add_trace(drawn.update(opacity=opacity, name=name))


def _held(system: System, points: FixedPoints | None, input: Any) -> torch.Tensor:
    if input is None:
        given = points.inputs[0] if points is not None and len(points) else np.zeros(system.n_input)
    else:
        given = as_array(input).reshape(-1)
    if len(given) != system.n_input:
        raise ValueError(f"input has {len(given)} values; the system takes {system.n_input}")
    return torch.as_tensor(given, dtype=torch.float64).reshape(1, -1)


def _bounds(system: System, points: FixedPoints | None, bounds: Any, held: torch.Tensor, cut: Plane) -> Bounds:
    if bounds is not None:
        pairs = np.broadcast_to(as_array(bounds), (2, 2))
    elif points is not None and len(points) and (len(points) > 1 or system.n_state == 2):
        places = cut.places(points.states)
        low, high = places.min(axis=0), places.max(axis=0)
        half = np.maximum(0.5 * (high - low), 0.25 * float((high - low).max()))
        half = np.where(half > 0, 1.8 * half, 1.0)
        pairs = np.stack([(low + high) / 2 - half, (low + high) / 2 + half], axis=1)
    else:
        pairs = _of_box(system, held, cut)
    if not (np.isfinite(pairs).all() and (pairs[:, 0] < pairs[:, 1]).all()):
        raise ValueError(
            f"bounds are {np.asarray(pairs).tolist()}; each must be finite and (low, high) with low < high"
        )
    (a, b), (c, d) = pairs.tolist()
    return (a, b), (c, d)


def _of_box(system: System, held: torch.Tensor, cut: Plane) -> Array:
    """The extent of the reachable box along each axis; of many variables a third, as a state is seldom in corners."""
    box = system.box(held)
    if box is None:
        return np.array([[-2.0, 2.0]] * 2)
    low, high = (as_array(edge)[0] for edge in box)
    if system.n_state == 2:
        return np.stack([low, high], axis=1)
    reach = float(np.linalg.norm(high - low)) / 6
    return np.array([[-reach, reach]] * 2)


def _velocities(
    system: System, cut: Plane, bounds: Bounds, n: int, held: torch.Tensor
) -> tuple[Array, Array, Array, Array]:
    """The two axes (n,), F at the states of their grid, and these, (n, n, n_state), rows along the second."""
    x, y = (np.linspace(low, high, n) for low, high in bounds)
    states = cut.states(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    parts = (torch.as_tensor(states[i : i + ROWS]) for i in range(0, len(states), ROWS))
    F = np.concatenate([as_array(system.velocity(some, held.expand(len(some), -1))) for some in parts])
    return x, y, F.reshape(n, n, -1), states.reshape(n, n, -1)


def _speed(x: Array, y: Array, F: Array) -> go.Contour:
    with np.errstate(divide="ignore"):
        log_q = np.log10(q_of(torch.as_tensor(F)).numpy())
    floor = np.percentile(log_q[np.isfinite(log_q)], 1) if np.isfinite(log_q).any() else 0.0
    return _shaded(x, y, np.maximum(log_q, floor), "log<sub>10</sub> q", "log10 q")


def _energy(system: System, held: torch.Tensor, x: Array, y: Array, states: Array) -> go.Contour:
    energy = system.energy_function(held)
    if energy is None:
        raise ValueError(f"no energy is known of {system.name}: shading='speed' is for any system")
    return _shaded(
        x, y, as_array(energy.value(states.reshape(-1, system.n_state))).reshape(len(y), len(x)), "energy", "energy"
    )


def _shaded(x: Array, y: Array, z: Array, title: str, name: str) -> go.Contour:
    return go.Contour(
        x=x,
        y=y,
        z=z.astype(np.float32),
        colorscale=[[0, "#6F94B8"], [0.35, "#A9C1D6"], [0.7, "#DCE6EF"], [1, "#FBFCFD"]],
        ncontours=16,
        line={"width": 0.4, "color": "rgba(255,255,255,0.7)"},
        colorbar={"title": {"text": title}, "thickness": 14, "len": 0.7, "outlinewidth": 0, "x": 1.01},
        name=name,
        hovertemplate=f"{name}: %{{z:.4g}}<extra></extra>",
    )


def _streamlines(system: System, cut: Plane, bounds: Bounds, held: torch.Tensor) -> go.Scatter:
    x, y, F, _ = _velocities(system, cut, bounds, STREAMS, held)
    F = F @ cut.E.T
    still = ~F.any(axis=-1)
    F[still] = 1e-12 * np.abs(F).max()  # plotly divides by the speed, and a fixed point may lie on the grid
    (low_x, high_x), (low_y, high_y) = bounds
    arrow = 0.022 * min(high_x - low_x, high_y - low_y)
    lines = ff.create_streamline(x, y, F[..., 0], F[..., 1], density=1.1, angle=0.35, arrow_scale=arrow).data[0]
    lines.update(
        line={"color": "rgba(60,60,60,0.55)", "width": 1.1}, name="streamlines", hoverinfo="skip", showlegend=True
    )
    return lines


def _nullcline(x: Array, y: Array, component: Array, name: str, colour: str) -> go.Contour:
    return go.Contour(
        x=x,
        y=y,
        z=component.astype(np.float32),
        contours={"start": 0, "end": 0, "size": 1, "coloring": "none"},
        line={"color": colour, "width": 2.6},
        showscale=False,
        showlegend=True,
        name=name,
        hoverinfo="skip",
    )


def markers(group: style.Group, places: Array, texts: list[str], rows: NDArray[np.int64]) -> go.Scatter:
    """Points of one kind at places (k, 2); ``rows`` are their numbers."""
    edge = group.colour if group.symbol.endswith("open") else "white"
    return go.Scatter(
        x=places[:, 0],
        y=places[:, 1],
        mode="markers",
        marker={"symbol": group.symbol, "color": group.colour, "size": 15, "line": {"color": edge, "width": 2}},
        name=group.label,
        text=texts,
        customdata=rows,
        hovertemplate="%{text}<extra></extra>",
    )

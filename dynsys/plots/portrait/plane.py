"""The phase plane of a two-dimensional system: its speed, its flow, its nullclines (Jang, figure 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.figure_factory as ff
import plotly.graph_objects as go
import torch
from numpy.typing import NDArray

from dynsys.plots import style
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.speed import q_of
from dynsys.systems.system import Kind, System
from dynsys.trajectories.projection import as_array

Array = NDArray[np.float64]
Bounds = tuple[tuple[float, float], tuple[float, float]]

GRID = 240  # even, so that a nullcline through the middle is not made of exact zeros
STREAMS = 48  # a coarser grid for the streamlines, which plotly traces in Python


def phase_plane(
    system: System,
    points: FixedPoints | None = None,
    *,
    bounds: tuple[float, float] | Bounds | None = None,
    input: Any = None,
    title: str | None = None,
) -> go.Figure:
    """Contours of log10 q, streamlines of the velocity, both nullclines, and the fixed points.

    ``bounds`` is (low, high) for both variables or ((low, high), (low, high)); where None, they enclose the points,
    or else are the system's box, or else [-2, 2]. ``input`` (n_input,) is held: where None, that of the points, or
    else zeros. Streamlines of a map follow its displacement G(x) - x. Raises ValueError unless there are two state
    variables.
    """
    if system.n_state != 2:
        raise ValueError(
            f"the system has {system.n_state} state variables; a phase plane needs 2 (phase_portrait takes any number)"
        )
    held = _held(system, points, input)
    limits = _bounds(system, points, bounds, held)
    x, y, F = _velocities(system, limits, GRID, held)
    with np.errstate(divide="ignore"):
        log_q = np.log10(q_of(torch.as_tensor(F)).numpy())
    floor = np.percentile(log_q[np.isfinite(log_q)], 1) if np.isfinite(log_q).any() else 0.0

    figure = go.Figure()
    figure.add_trace(_speed(x, y, np.maximum(log_q, floor)))
    if np.isfinite(F).all() and F.any():
        figure.add_trace(_streamlines(system, limits, held))
    figure.add_trace(_nullcline(x, y, F[..., 0], "x<sub>1</sub> nullcline (F<sub>1</sub> = 0)", style.BROWN))
    figure.add_trace(_nullcline(x, y, F[..., 1], "x<sub>2</sub> nullcline (F<sub>2</sub> = 0)", style.GREEN))
    if points is not None:
        texts = style.hover(points)
        for group in style.groups(points):
            figure.add_trace(markers(group, points.states[group.rows], [texts[i] for i in group.rows], group.rows))

    moves = "the velocity F" if system.kind is Kind.FLOW else "the displacement G(x) − x"
    caption = f"Shading: log<sub>10</sub> q, q = |F|²/2. Streamlines follow {moves}."
    return style.dressed(
        figure,
        title,
        caption + (f"<br>{style.counted(points)}." if points is not None else ""),
        below=58,
        xaxis=style.axis("x<sub>1</sub>", range=list(limits[0]), showgrid=False, mirror=True),
        yaxis=style.axis("x<sub>2</sub>", range=list(limits[1]), showgrid=False, mirror=True),
        margin={"l": 80, "r": 30, "t": 95 if title else 60, "b": 115},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"},
    )


def _held(system: System, points: FixedPoints | None, input: Any) -> torch.Tensor:
    if input is None:
        given = points.inputs[0] if points is not None and len(points) else np.zeros(system.n_input)
    else:
        given = as_array(input).reshape(-1)
    if len(given) != system.n_input:
        raise ValueError(f"input has {len(given)} values; the system takes {system.n_input}")
    return torch.as_tensor(given, dtype=torch.float64).reshape(1, -1)


def _bounds(system: System, points: FixedPoints | None, bounds: Any, held: torch.Tensor) -> Bounds:
    if bounds is not None:
        pairs = np.broadcast_to(as_array(bounds), (2, 2))
    elif points is not None and len(points):
        low, high = points.states.min(axis=0), points.states.max(axis=0)
        half = np.maximum(0.5 * (high - low), 0.25 * float((high - low).max()))
        half = np.where(half > 0, 1.8 * half, 1.0)
        pairs = np.stack([(low + high) / 2 - half, (low + high) / 2 + half], axis=1)
    else:
        box = system.box(held)
        pairs = np.array([[-2.0, 2.0]] * 2) if box is None else np.stack([as_array(edge)[0] for edge in box], axis=1)
    if not (np.isfinite(pairs).all() and (pairs[:, 0] < pairs[:, 1]).all()):
        raise ValueError(
            f"bounds are {np.asarray(pairs).tolist()}; each must be finite and (low, high) with low < high"
        )
    (a, b), (c, d) = pairs.tolist()
    return (a, b), (c, d)


def _velocities(system: System, bounds: Bounds, n: int, held: torch.Tensor) -> tuple[Array, Array, Array]:
    """The two axes (n,), and F on their grid (n, n, 2), rows along x2."""
    x, y = (np.linspace(low, high, n) for low, high in bounds)
    grid = torch.as_tensor(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    F = system.velocity(grid, held.expand(len(grid), -1))
    return x, y, as_array(F).reshape(n, n, 2)


def _speed(x: Array, y: Array, log_q: Array) -> go.Contour:
    return go.Contour(
        x=x,
        y=y,
        z=log_q.astype(np.float32),
        colorscale=[[0, "#6F94B8"], [0.35, "#A9C1D6"], [0.7, "#DCE6EF"], [1, "#FBFCFD"]],
        ncontours=16,
        line={"width": 0.4, "color": "rgba(255,255,255,0.7)"},
        colorbar={"title": {"text": "log<sub>10</sub> q"}, "thickness": 14, "len": 0.7, "outlinewidth": 0, "x": 1.01},
        name="log10 q",
        hovertemplate="log10 q: %{z:.2f}<extra></extra>",
    )


def _streamlines(system: System, bounds: Bounds, held: torch.Tensor) -> go.Scatter:
    x, y, F = _velocities(system, bounds, STREAMS, held)
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

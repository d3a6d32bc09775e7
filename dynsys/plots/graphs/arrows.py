"""The edges of a graph as arrows, coloured by the time they take, between the nodes and not through them."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import scipy
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from dynsys.attractors.connections import Connections
from dynsys.plots import style

Array = NDArray[np.float64]

SCALE = [[0.0, "#1B3A5C"], [0.35, "#2F7F8F"], [0.7, "#79B15C"], [1.0, "#D9A514"]]  # quick to slow
SHADES = 12  # colours of the edges, each of which is one trace
BENDS = 24  # straight pieces of an edge that bends
LEFT, RIGHT = 0.016, 0.055  # of the width, to either side of a node: where it and its name stand


def edges(connections: Connections, index: dict[str, int], at: Array, sizes: Array) -> list[go.Scatter]:
    """One trace for each colour and width, points on the arrows that tell about them, and the scale of colours.

    ``index`` is the place of a node among ``at`` (k, 2) and ``sizes`` (k,), its diameter in pixels.
    """
    pairs = connections.edges()
    shortest = np.array([_shortest(connections.time[rows]) for rows in pairs.values()])
    low, high, ticks, names = _time_scale(shortest)
    with np.errstate(divide="ignore"):
        part = np.clip((np.log10(shortest) - low) / max(high - low, 1e-9), 0, 1)
    shade = [-1 if np.isnan(share) else round(share * (SHADES - 1)) for share in part]
    drawn = list(zip(shade, [len(rows) > 1 for rows in pairs.values()], strict=True))
    ways = [_way(at[index[source]], at[index[end]], at) for source, end in pairs]
    clear = [sizes[index[end]] / 2 + 1 for _, end in pairs]
    traces = []
    for look in sorted(set(drawn)):
        some = [i for i, other in enumerate(drawn) if other == look]
        width = 2.8 if look[1] else 1.5
        traces.append(_arrows([ways[i] for i in some], [clear[i] for i in some], _colour(look[0]), width))
    if pairs:
        places = np.array([way[0] + 0.3 * (way[-1] - way[0]) if len(way) == 2 else way[len(way) // 3] for way in ways])
        traces.append(_places(places, [_of_edge(connections, pair, rows) for pair, rows in pairs.items()]))
    if ticks:
        traces.append(_colour_bar(low, high, ticks, names, connections.kind))
    return traces


def _way(start: Array, end: Array, at: Array) -> Array:
    """Points (p, 2) from one node to another: straight, or bent round nodes and names of the rows between."""
    levels = np.arange(min(start[1], end[1]) + 1, max(start[1], end[1]))
    bent, x, y = False, [start[0]], [start[1]]
    for level in levels if end[1] > start[1] else levels[::-1]:
        straight = start[0] + (end[0] - start[0]) * (level - start[1]) / (end[1] - start[1])
        passed = _gap(straight, np.sort(at[at[:, 1] == level, 0]))
        bent |= passed != straight
        x, y = [*x, passed], [*y, level]
    ends = np.array([[*x, end[0]], [*y, end[1]]])
    if not bent:
        return ends[:, [0, -1]].T
    order = np.argsort(ends[1])
    along = np.linspace(start[1], end[1], BENDS)
    return np.stack([scipy.interpolate.PchipInterpolator(ends[1, order], ends[0, order])(along), along], axis=1)


def _gap(x: float, nodes: Array) -> float:
    """The place nearest to x in a row that no node (m,) nor its name takes; in a dense row, between two nodes."""
    spacing = float(np.diff(nodes).min()) if len(nodes) > 1 else 1.0
    left, right = min(LEFT, 0.3 * spacing), min(RIGHT, 0.7 * spacing)
    inside = np.flatnonzero((nodes - left < x) & (x < nodes + right))
    if not len(inside):
        return float(x)
    node = nodes[inside[0]]
    return float(node - left if x - (node - left) < node + right - x else node + right)


def _shortest(times: Array) -> float:
    return float(np.nanmin(times)) if np.isfinite(times).any() else float("nan")


def _time_scale(times: Array) -> tuple[float, float, list[float], list[str]]:
    """Ends of the scale in log10, and its ticks: the ends, and 1, 2 and 5 times powers of ten between them."""
    known = times[np.isfinite(times) & (times > 0)]
    if not len(known):
        return 0.0, 1.0, [], []
    low, high = float(np.log10(known.min())), float(np.log10(known.max()))
    if high - low < 0.05:
        low, high = low - 0.05, high + 0.05
    inside = [m * 10.0**e for e in range(-12, 13) for m in (1, 2, 5)]
    clear = 0.12 * (high - low)  # so that no two ticks run into each other
    values = [10**low, *(v for v in inside if low + clear < np.log10(v) < high - clear), 10**high]
    return low, high, [float(np.log10(v)) for v in values], [f"{v:.3g}" for v in values]


def _colour(shade: int) -> str:
    return style.PALE if shade < 0 else str(sample_colorscale(SCALE, shade / (SHADES - 1))[0])


def _arrows(ways: list[Array], clear: list[float], colour: str, width: float) -> go.Scatter:
    """Lines with a head each, ``clear`` pixels before their ends, and breaks between them."""
    gap = np.full((1, 2), np.nan)
    rows = np.concatenate([part for way in ways for part in (way, gap)])
    heads, distances = np.zeros(len(rows)), np.zeros(len(rows))
    last = np.cumsum([len(way) + 1 for way in ways]) - 2
    heads[last], distances[last] = 9 + width, clear
    marker = {"symbol": "arrow", "angleref": "previous", "size": heads, "standoff": distances, "color": colour}
    return go.Scatter(
        x=rows[:, 0],
        y=rows[:, 1],
        mode="lines+markers",
        line={"color": colour, "width": width},
        marker={**marker, "opacity": 1},
        opacity=0.85,
        hoverinfo="skip",
        showlegend=False,
    )


def _places(at: Array, texts: list[str]) -> go.Scatter:
    return go.Scatter(
        x=at[:, 0],
        y=at[:, 1],
        mode="markers",
        marker={"size": 14, "opacity": 0},
        text=texts,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
        name="connections",
    )


def _colour_bar(low: float, high: float, ticks: list[float], names: list[str], kind: str) -> go.Scatter:
    unit = "steps" if kind == "map" else "time"
    bar = {
        "title": {"text": f"{unit} to get there", "side": "right", "font": {"size": 13}},
        "tickvals": ticks,
        "ticktext": names,
        "thickness": 12,
        "len": 0.6,
        "outlinewidth": 0,
        "x": 1.01,
    }
    marker = {"color": [low], "cmin": low, "cmax": high, "colorscale": SCALE, "colorbar": bar, "size": 0.1}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, hoverinfo="skip", showlegend=False)


def _of_edge(connections: Connections, pair: tuple[str, str], rows: list[int]) -> str:
    unit = "steps" if connections.kind == "map" else "units of time"
    lines = [f"<b>{pair[0]} → {pair[1]}</b>"]
    for row in rows[:8]:
        sign = "+" if connections.sign[row] > 0 else "−"
        part = ", imaginary part" if connections.part[row] == "imaginary" else ""
        time = connections.time[row]
        took = f": {time:.3g} {unit}" if np.isfinite(time) else ""
        lines.append(f"mode {connections.mode[row]}{part}, {sign}{took}")
    return "<br>".join(lines + ["…"] * (len(rows) > 8))

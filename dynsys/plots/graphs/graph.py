"""Where memory flows, as a graph: attractors at the bottom, above them the unstable points that lead to them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.attractors.attractor import NO_ATTRACTOR, Node
from dynsys.attractors.basins import Basins
from dynsys.attractors.connections import Connections
from dynsys.io.text import paragraphs, sentence
from dynsys.plots import style
from dynsys.plots.graphs import arrows, layers
from dynsys.result import memories

Array = NDArray[np.float64]

NAMED = 60  # nodes, up to which each has its name beside it
BELOW, WIDTH = 30, 84  # pixels from the lowest row to the caption, whose lines have so many characters
SMALL, LARGE = 14.0, 46.0  # pixels: a node without a basin, and one with all of it


def memory_graph(connections: Connections, basins: Basins | None = None, *, title: str | None = None) -> go.Figure:
    """Every connection from an unstable point to where its branches end, in rows by number of unstable directions.

    An edge is coloured by the time it takes and wider where more branches take it. With ``basins`` an attractor's area
    is its share of the random starts (or, where these are not known, of the task's states). Nodes are named by the
    signs of their outputs where these tell the attractors apart, by their numbers otherwise.
    """
    if basins is not None:
        named = {other.name: other for other in [*connections.others, *basins.others]}
        connections = dataclasses.replace(connections, others=list(named.values()))
    nodes = list(dict.fromkeys([*connections.nodes(), *(basins.attractors if basins is not None else [])]))
    if not nodes:
        return _empty(title)
    level, rows = _levels(connections, nodes)
    index: dict[str, int] = {name: i for i, name in enumerate(nodes)}
    pairs = [(index[source], index[end]) for source, end in connections.edges()]
    x, y = layers.places(level, pairs), level.astype(np.float64)
    sizes = _sizes(nodes, basins)

    figure = go.Figure()
    figure.add_traces(arrows.edges(connections, index, np.stack([x, y], axis=1), sizes))
    names, texts = _names(connections, nodes), [_hover(connections, basins, name) for name in nodes]
    figure.add_traces(_markers(connections, nodes, x, y, sizes, texts))
    if len(nodes) <= NAMED:
        for note in _labels(nodes, names, basins, level, x, y, sizes):
            figure.add_annotation(note)
    top = float(y.max())
    caption, room = style.lines(paragraphs(style.TEXT, "memory_graph", connections, basins, names != nodes), WIDTH)
    return style.dressed(
        figure,
        title,
        caption,
        below=BELOW,
        xaxis={"visible": False, "range": [-0.02, 1.02], "fixedrange": False},
        yaxis={
            "range": [-0.5, top + 0.45],
            "tickvals": list(range(len(rows))),
            "ticktext": rows,
            "ticklabelstandoff": 12,
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
            "automargin": True,
        },
        margin={"l": 120, "r": 40, "t": 90 if title else 60, "b": room - style.BELOW + BELOW},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom", "itemsizing": "constant"},
        hovermode="closest",
    )


def _empty(title: str | None) -> go.Figure:
    hidden: dict[str, Any] = {"visible": False}
    return style.dressed(go.Figure(), title, "No point and no connection.", xaxis=hidden, yaxis=hidden)


def _levels(connections: Connections, nodes: list[Node]) -> tuple[NDArray[np.int64], list[str]]:
    """The row of each node from below (k,), and the rows' names."""
    n_unstable = np.array([connections.n_unstable_of(name) for name in nodes])
    kinds, level = np.unique(n_unstable, return_inverse=True)
    words = ["attractors" if n == 0 else style.plural(int(n), "unstable<br>direction") for n in kinds.tolist()]
    return level.astype(np.int64), words


def _sizes(nodes: list[Node], basins: Basins | None) -> Array:
    """Diameters in pixels (k,): the area of an attractor in proportion to its basin."""
    if basins is None:
        return np.full(len(nodes), 1.4 * SMALL)
    shares = np.array([basins.box.share(name) if name in basins.box.counts else 0.0 for name in nodes])
    return np.sqrt(SMALL**2 + (LARGE**2 - SMALL**2) * shares / max(float(shares.max()), 1e-9))


def _markers(
    connections: Connections, nodes: list[Node], x: Array, y: Array, sizes: Array, texts: list[str]
) -> list[go.Scatter]:
    """One trace per kind of node, as in the other pictures; orbits and oscillations are circles of their own colour."""
    kinds: dict[tuple[str, str, str], list[int]] = {}
    for i, name in enumerate(nodes):
        kinds.setdefault(_look(connections, name), []).append(i)
    return [
        go.Scatter(
            x=x[rows],
            y=y[rows],
            mode="markers",
            marker={
                "symbol": symbol,
                "color": colour,
                "size": sizes[rows],
                "opacity": 1,
                "line": {"color": "white", "width": 1.5},
            },
            name=label,
            text=[texts[i] for i in rows],
            customdata=[nodes[i] for i in rows],
            hovertemplate="%{text}<extra></extra>",
        )
        for (label, symbol, colour), rows in sorted(kinds.items(), key=lambda item: _ranked(item[0][0]))
    ]


def _ranked(label: str) -> int:
    known = [directions if i else "stable" for i, (directions, _, _) in enumerate(style.SHAPES)]
    return known.index(label) if label in known else len(known)


def _look(connections: Connections, name: Node) -> tuple[str, str, str]:
    """Label, symbol and colour."""
    if name in NO_ATTRACTOR:
        return name, "x", style.GREY
    if name.point is None:
        return next(other.kind for other in connections.others if other.name == name), "circle", style.GREEN
    n = connections.n_unstable_of(name)
    directions, symbol, colour = style.SHAPES[min(n, len(style.SHAPES) - 1)]
    return (directions if n else "stable"), symbol, colour


def _names(connections: Connections, nodes: list[Node]) -> list[str]:
    """Signs of the outputs where they tell the attractors apart, else the nodes' own names."""
    readouts = {name: connections.readout_of(name) for name in nodes}
    attractors = set(connections.attractors)
    told_apart = {name: readout for name, readout in readouts.items() if name in attractors}
    named = memories.bits(told_apart)
    if not named:
        return [*nodes]
    scale = memories.scale_of(told_apart)
    of_attractors = dict(named)
    named |= {name: memories.signs(r, scale) for name, r in readouts.items() if name not in named and len(r)}
    for source, end in connections.edges():
        if end in of_attractors:  # a saddle between two memories says nothing of what they differ in, wherever it lies
            named[source] = " ".join(
                a if a == b else "0" for a, b in zip(named[source].split(), named[end].split(), strict=True)
            )
    return [named.get(name, name) for name in nodes]


def _labels(
    nodes: list[Node],
    names: list[str],
    basins: Basins | None,
    level: NDArray[np.int64],
    x: Array,
    y: Array,
    sizes: Array,
) -> list[dict[str, Any]]:
    """Names: below an attractor, with its share, and to the right of any other node."""
    notes = []
    for i, name in enumerate(nodes):
        text, below = names[i], level[i] == 0
        if basins is not None and name in basins.box.counts:
            text += f"<br>{100 * basins.box.share(name):.1f} %"
        beside = {"xanchor": "left", "xshift": sizes[i] / 2 + 1, "yanchor": "middle"}
        under = {"xanchor": "center", "yanchor": "top", "yshift": -sizes[i] / 2 - 4}
        notes.append(
            {
                "name": "label",
                "x": x[i],
                "y": y[i],
                "text": text,
                "showarrow": False,
                "bgcolor": "rgba(255,255,255,0.7)",
                "borderpad": 1,
                "font": {"size": 13, "color": style.INK},
                **(under if below else beside),
            }
        )
    return notes


def _hover(connections: Connections, basins: Basins | None, name: Node) -> str:
    i, readout = name.point, connections.readout_of(name)
    known = [] if basins is None else [shares for shares in basins.all_shares if name in shares.counts]
    return sentence(
        style.TEXT,
        "node",
        name,
        None if i is None else str(connections.stability[i]),
        connections.n_unstable_of(name),
        [] if i is None else connections.ends_of(i),
        style.vector(readout) if len(readout) else None,
        [(shares.of, shares.share(name), *shares.interval(name)) for shares in known],
    )

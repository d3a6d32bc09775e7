"""Networks as points of a map, the nearer the more alike, coloured by what kind they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.io.text import paragraphs
from dynsys.plots import style

Array = NDArray[np.float64]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A2F6E")
HEIGHT = 560


def network_map(
    places: Array, names: Sequence[str], kinds: Sequence[str], distances: Array, *, title: str | None = None
) -> go.Figure:
    """``places`` (k, 2) of networks that have these ``names`` and are of these ``kinds``; ``distances`` (k, k) are the
    true ones, of which the caption says how well the map keeps them."""
    if not len(places) == len(names) == len(kinds) == len(distances):
        given = f"{len(places)} places, {len(names)} names, {len(kinds)} kinds and {len(distances)} rows of distances"
        raise ValueError(f"there are {given}; each network needs one of each")
    figure, sides = go.Figure(), _sides(places)
    for number, kind in enumerate(dict.fromkeys(kinds)):
        rows = [i for i, of in enumerate(kinds) if of == kind]
        figure.add_trace(
            go.Scatter(
                x=places[rows, 0],
                y=places[rows, 1],
                mode="markers+text",
                text=[names[i] for i in rows],
                textposition=[sides[i] for i in rows],
                cliponaxis=False,  # names go on over the margins
                marker={"size": 12, "color": COLOURS[number % len(COLOURS)]},
                name=kind,
                hovertemplate="%{text}<extra>" + kind + "</extra>",
            )
        )
    figure.update_xaxes(style.axis("distance"))
    figure.update_yaxes(style.axis("distance"), scaleanchor="x")  # a distance is the same in all directions
    caption, below = style.lines(paragraphs(style.TEXT, "network_map", len(places), _stress(places, distances)))
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        margin={"l": 80, "r": 60, "t": 90 if title else 40, "b": below},
        height=HEIGHT + below,
    )


def _sides(places: Array) -> list[str]:
    """Where the name of each stands: on the side that is away from its nearest neighbour."""
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argmin(axis=1)
    return [
        "bottom center" if places[near, 1] > place[1] else "top center"
        for place, near in zip(places, nearest, strict=True)
    ]


def _stress(places: Array, distances: Array) -> float:
    """The share of the distances that the map does not keep (Kruskal 1964), 0 where all are 0."""
    drawn = np.linalg.norm(places[:, None] - places, axis=2)
    size = float(np.linalg.norm(distances))
    return float(np.linalg.norm(drawn - distances)) / size if size else 0.0

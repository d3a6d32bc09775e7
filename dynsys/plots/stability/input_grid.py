"""How many points a network has over a grid of two inputs, with the folds and other events on its edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.plots import style, thinning

Array = NDArray[np.float64]
TICKS = 6
SYMBOLS = ("circle", "diamond", "square", "cross", "x", "triangle-up")


def point_map(
    first: Array,
    second: Array,
    counts: NDArray[np.int64],
    events: Array,
    kinds: Sequence[str],
    names: tuple[str, str],
    *,
    curves: Sequence[Array] = (),
    notes: Sequence[str] = (),
    title: str | None = None,
) -> go.Figure:
    """Cells (a, b) coloured by their number of points, with the numbers of stable and unstable ones (a, b, 2) in them,
    -1 for unknown; ``events`` (e, 2) are drawn where they happen, by their kind, and ``curves`` (K, 2) of folds.
    """
    known = counts[..., 0] >= 0
    total = np.where(known, counts.sum(axis=2), np.nan).T
    texts = [[f"{s}+{u}" if s >= 0 else "?" for s, u in row] for row in counts.swapaxes(0, 1)]
    least, most = (int(np.nanmin(total)), int(np.nanmax(total))) if known.any() else (0, 0)
    cells = go.Heatmap(
        x=first,
        y=second,
        z=total,
        text=texts,
        texttemplate="%{text}" if counts[..., 0].size <= 400 else None,
        colorscale="Blues",
        zmin=least if most > least else least - 1,
        zmax=most if most > least else most + 1,
        showscale=most > least,  # one colour says nothing
        colorbar={"title": {"text": "points"}, "dtick": max(1, round((most - least) / TICKS)), "tick0": 0},
        hovertemplate=f"{names[0]} %{{x:.4g}}<br>{names[1]} %{{y:.4g}}<br>stable + unstable: %{{text}}<extra></extra>",
    )
    figure = go.Figure(cells)
    if curves:
        line = thinning.joined([np.asarray(curve) for curve in curves])
        look = {"color": style.INK, "width": 2}
        figure.add_trace(go.Scatter(x=line[:, 0], y=line[:, 1], mode="lines", line=look, name="curves of folds"))
    for k, kind in enumerate(dict.fromkeys(kinds)):
        rows = [i for i, one in enumerate(kinds) if one == kind]
        colour = (style.ORANGE, style.GREEN, style.PURPLE, style.BROWN)[k % 4]
        marker = {"color": colour, "size": 9, "symbol": SYMBOLS[k % len(SYMBOLS)]}
        marker |= {"line": {"color": "white", "width": 1}}
        figure.add_trace(go.Scatter(x=events[rows, 0], y=events[rows, 1], mode="markers", marker=marker, name=kind))
    figure.update_xaxes(style.axis(names[0]))
    figure.update_yaxes(style.axis(names[1]))
    told = (
        "In each cell the numbers of stable and of unstable points; a marker is where an edge between two cells passes "
        "a fold or another event."
    )
    return style.under(figure, title, [told, *notes], showlegend=True)

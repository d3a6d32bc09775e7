"""Which memory a network gives for which under noise, a matrix for each network, and a slider over the levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.plots import style
from dynsys.plots.memory.confusion import SHARES

Counts = NDArray[np.int64]

SMALL = 9  # memories, up to which every cell has its number


def memory_mistakes(
    networks: Mapping[str, Sequence[Counts]],
    names: Sequence[str],
    levels: Sequence[float],
    *,
    shown: int = 0,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> go.Figure:
    """Of each network and level the counts (M, M + 1) of memories given for each right one, the last column for none.

    ``names`` are those of the columns, ``shown`` the number of the level that is seen first. Raises ValueError where
    there is no network, or where a network has not a matrix of that shape for every level.
    """
    if not networks:
        raise ValueError("there is no network to draw; give one at least")
    wanted = (len(names) - 1, len(names))
    for name, matrices in networks.items():
        if len(matrices) != len(levels) or any(np.shape(one) != wanted for one in matrices):
            raise ValueError(f"{name!r} needs a matrix of shape {wanted} for each of {len(levels)} levels")
    figure = make_subplots(
        rows=1, cols=len(networks), subplot_titles=list(networks), horizontal_spacing=0.2 / (len(networks) + 2)
    )
    for level in range(len(levels)):
        for col, matrices in enumerate(networks.values(), 1):
            figure.add_trace(_heat(matrices[level], names, level == shown), 1, col)
    for col in range(1, len(networks) + 1):
        figure.update_xaxes(_plain("memory given"), row=1, col=col)
        figure.update_yaxes(_plain("right memory" if col == 1 else "", autorange="reversed"), row=1, col=col)
    bar = {"title": {"text": "share of<br>the row"}, "tickformat": ".0%"}
    figure.update_layout(
        coloraxis={"colorscale": SHARES, "cmin": 0, "cmax": 1, "colorbar": bar},
        sliders=[_slider(levels, shown, len(networks))],
    )
    caption, below = style.lines(list(notes))
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW + 105,
        margin={"l": 80, "r": 30, "t": 100 if title else 60, "b": below + 135},
        showlegend=False,
        height=680,
    )


def _heat(counts: Counts, names: Sequence[str], visible: bool) -> go.Heatmap:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    text = [[f"{100 * share:.0f}" if share >= 0.005 else "" for share in row] for row in shares]
    return go.Heatmap(
        z=shares,
        x=list(names),
        y=list(names[:-1]),
        customdata=counts,
        text=text if len(names) <= SMALL else None,
        texttemplate="%{text}" if len(names) <= SMALL else None,
        coloraxis="coloraxis",
        visible=visible,
        hovertemplate="right: %{y}, given: %{x}<br>%{z:.2%}, %{customdata:,} steps<extra></extra>",
    )


def _slider(levels: Sequence[float], shown: int, columns: int) -> dict[str, Any]:
    """One step a level, which shows its matrices and hides the others."""
    steps = []
    for k, level in enumerate(levels):
        visible = [at == k for at in range(len(levels)) for _ in range(columns)]
        steps.append({"label": f"{level:.3g}", "method": "restyle", "args": [{"visible": visible}]})
    return {
        "active": shown,
        "steps": steps,
        "currentvalue": {"prefix": "level of noise: "},
        "pad": {"t": 60},
        "x": 0,
        "len": 1.0,
    }


def _plain(title: str, **settings: Any) -> dict[str, Any]:
    return style.axis(title, type="category", showgrid=False, ticks="", tickfont={"size": 10}, **settings)

"""What it takes to flip a memory, as a matrix: the shortest push found between every two, and what is proved held."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dynsys.attractors.flip import Flips
from dynsys.plots import style


def flip_matrix(flips: Flips, *, title: str | None = None) -> go.Figure:
    """Rows are memories that are pushed, columns where the push leads; a last column holds the proved lower bounds.

    Raises ValueError where there are no memories.
    """
    if not len(flips.memories):
        raise ValueError("there are no memories to draw")
    names = [f"point {i}" for i in flips.memories]
    lower = np.where(flips.lower > 0, flips.lower, np.nan)[:, None]
    lengths = np.concatenate([np.where(np.isfinite(flips.upper), flips.upper, np.nan), lower], axis=1)
    beside = [
        [f"by way of point {s}" if s >= 0 else "by an edge state that is no known point" for s in row]
        for row in flips.saddle
    ]
    notes = [[*row, "proved to be held" if r == "" else r] for row, r in zip(beside, flips.reasons, strict=True)]
    texts = [["" if np.isnan(v) else f"{v:.3g}" for v in row] for row in lengths]
    figure = go.Figure(
        go.Heatmap(
            z=lengths,
            x=[*names, "<b>proved</b>"],
            y=names,
            text=texts,
            texttemplate="%{text}" if len(names) <= 24 else None,
            customdata=notes,
            colorscale="Blues",
            colorbar={"title": {"text": "length of the<br>perturbation"}},
            hovertemplate="from %{y} to %{x}: %{z:.4g}<br>%{customdata}<extra></extra>",
        )
    )
    figure.update_xaxes(title="into", side="bottom", type="category")
    figure.update_yaxes(title="memory perturbed", autorange="reversed", type="category")
    return style.captioned(figure, title, [flips.summary()])

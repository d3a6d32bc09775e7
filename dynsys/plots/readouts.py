"""How readouts were learned by FORCE: error and size of the weights of several networks over their training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dynsys.plots import style

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.BROWN)
QUANTITIES = {"mse": "MSE in training", "weight_norm": "|W_out|"}


def readout_learning(runs: Mapping[str, Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """``mse`` (S,) and |W_out|, of all outputs together, against ``step`` (S,) for each of ``runs``, as the curves of a
    run hold them (``weight_norm`` (S, O) is that of each output). Runs of an earlier version, which kept no MSE, are
    named in the caption. Raises ValueError where there is no run.
    """
    if not runs:
        raise ValueError("there are no training runs to draw")
    figure = make_subplots(rows=1, cols=len(QUANTITIES), horizontal_spacing=0.1)
    for col, (key, label) in enumerate(QUANTITIES.items(), 1):
        for i, (name, run) in enumerate(runs.items()):
            if key not in run:
                continue
            line = {"color": COLOURS[i % len(COLOURS)], "width": 1.6}
            shown = {"name": name, "legendgroup": name, "showlegend": col == 1}
            about = f"{name}: %{{y:.4g}}<br>step %{{x}}<extra></extra>"
            y = np.linalg.norm(run[key], axis=1) if np.ndim(run[key]) > 1 else run[key]
            trace = go.Scatter(x=run["step"], y=y, mode="lines", line=line, hovertemplate=about, **shown)
            figure.add_trace(trace, 1, col)
        figure.update_xaxes(style.axis("step of training", rangemode="tozero"), row=1, col=col)
        figure.update_yaxes(style.axis(label, rangemode="tozero"), row=1, col=col)
    text = "Means over equal stretches of the training, in which noise is added to the output that is fed back."
    without = [name for name, run in runs.items() if "mse" not in run]
    if without:
        text += f" No MSE was kept, by an earlier version, of {', '.join(without)}."
    return style.dressed(
        figure,
        title,
        text,
        below=style.BELOW,
        height=460,
        margin={"l": 80, "r": 30, "t": 70, "b": style.BELOW + 40},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.04, "yanchor": "bottom"},
    )

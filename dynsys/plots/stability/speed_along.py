"""A slow curve unrolled: its speed over what it keeps, which way it drifts, and how fast what is across it decays."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.continuous_attractors.slow_curve import SlowCurve
from dynsys.plots import style

Array = NDArray[np.float64]


def speed_along(curve: SlowCurve, *, title: str | None = None) -> go.Figure:
    """Speed on a logarithmic axis above, the rates of the leading eigenvalues at its nodes below."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.6, 0.4])
    for name, colour, mask in (
        ("drifts towards higher values", style.BLUE, curve.drift > 0),
        ("drifts towards lower values", style.ORANGE, curve.drift <= 0),
    ):
        near = mask | np.r_[False, mask[:-1]]  # up to the state at which the sign has changed, so that no gap is left
        y = np.where(near, curve.drawn, np.nan)
        figure.add_trace(
            go.Scatter(x=curve.values, y=y, mode="lines", line={"color": colour, "width": 2.4}, name=name), 1, 1
        )
    ends = curve.values[[0, -1]]
    line = {"color": style.GREY, "width": 1.4, "dash": "dash"}
    figure.add_trace(go.Scatter(x=ends, y=[curve.limit] * 2, mode="lines", line=line, name="speed limit"), 1, 1)
    for value, comes in curve.rests:
        figure.add_vline(value, line={"color": style.GREY, "width": 1, "dash": "solid" if comes else "dot"})
    rates = curve.rates
    for j in range(rates.shape[1]):
        marker = {"color": style.INK, "size": 4}
        rate = go.Scatter(
            x=curve.values[curve.nodes],
            y=rates[:, j],
            mode="markers",
            marker=marker,
            name="eigenvalues",
            showlegend=j == 0,
        )
        figure.add_trace(rate, 2, 1)
    unit = "step" if curve.kind == "map" else "unit of time"
    figure.update_yaxes(style.axis(f"speed per {unit}", **style.powers()), row=1, col=1)
    figure.update_yaxes(style.axis(f"growth rate per {unit}"), row=2, col=1)
    figure.update_xaxes(style.axis(""), row=1, col=1)
    figure.update_xaxes(style.axis(curve.along), row=2, col=1)
    return style.under(figure, title, [curve.sentence], height=640)

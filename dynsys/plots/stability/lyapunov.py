"""Lyapunov exponents: each with its interval, and how their running means came to rest."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dynsys.exponents.spectrum import Exponents
from dynsys.plots import style

CURVES = 6  # running means that are drawn, the first ones
COLOURS = (style.RED, style.BLUE, style.GREEN, style.ORANGE, style.PURPLE, style.SKY, style.BROWN, style.GREY)
BARS = 64  # exponents, up to which each has a bar for its interval; beyond, a band


def lyapunov_spectrum(found: Exponents, *, title: str | None = None) -> go.Figure:
    """The spectrum with confidence intervals, and beside it running means against time unless it is that of an orbit.

    Exponents of minus infinity are counted in the caption and not drawn.
    """
    columns = 1 if found.period else 2  # of an orbit nothing was averaged
    figure = make_subplots(rows=1, cols=columns, horizontal_spacing=0.14)
    shown = np.flatnonzero(np.isfinite(found.values))
    number, values, half = shown + 1, found.values[shown], found.half_width[shown]
    named = {"name": "exponents", "legendgroup": "exponents"}
    if len(shown) > BARS:
        edge = np.concatenate([values + half, (values - half)[::-1]])
        band = {"fill": "toself", "fillcolor": style.paler(style.BLUE, 0.75), "line": {"width": 0}, "mode": "lines"}
        along = np.concatenate([number, number[::-1]])
        figure.add_trace(
            go.Scatter(x=along, y=edge, name=f"{found.level:.0%} interval", hoverinfo="skip", **band), 1, 1
        )
    figure.add_trace(
        go.Scatter(
            x=number,
            y=values,
            mode="markers",
            marker={"color": style.BLUE, "size": 8 if len(shown) <= BARS else 4},
            error_y={"array": half, "color": style.BLUE, "thickness": 1.5, "visible": len(shown) <= BARS},
            hovertemplate="exponent %{x}: %{y:.5g}<extra></extra>",
            **named,
        ),
        1,
        1,
    )
    for i in range(min(CURVES, len(shown)) if columns == 2 else 0):
        figure.add_trace(
            go.Scatter(
                x=found.times,
                y=found.curve[:, shown[i]],
                mode="lines",
                line={"color": COLOURS[i % len(COLOURS)], "width": 2},
                name=f"mean {shown[i] + 1}",
                hovertemplate="after %{x:,.4g}: %{y:.5g}<extra></extra>",
            ),
            1,
            2,
        )
    for column in range(1, columns + 1):
        figure.add_hline(y=0, line={"color": style.GREY, "width": 1, "dash": "dot"}, row=1, col=column)
    per = "per step" if found.is_map else "per unit of time"
    room = {"range": [0.4, number.max() + 0.6]} if len(shown) else {}
    figure.update_xaxes(style.axis("number of the exponent", tickformat="d", **room), row=1, col=1)
    if len(shown) <= 12:
        figure.update_xaxes(dtick=1, row=1, col=1)
    figure.update_yaxes(style.axis(f"Lyapunov exponent {per}"), row=1, col=1)
    if columns == 2:
        figure.update_xaxes(style.axis("steps" if found.is_map else "time"), row=1, col=2)
        figure.update_yaxes(style.axis(f"running mean {per}"), row=1, col=2)
    return style.under(figure, title or f"Lyapunov exponents of {found.name}", [found.sentence.replace("+-", "±")])

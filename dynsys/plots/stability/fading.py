"""Memory that fades: what is left of states and gradients over the delay, single steps, memory curves, and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dynsys.io.text import paragraphs
from dynsys.plots import style

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.BROWN, style.INK, style.GREY)
DASHES = ("solid", "dash", "dot")
DEEPEST = -16.0  # power of ten, below which nothing is drawn: a number of double precision has so many digits


def fading_curves(networks: Sequence[Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """Left: what is left of the gradient of a loss against the delay; right: of a difference of states, the norm of the
    product, with the bound by the norms of the single steps as a dotted line.

    Each network has "name", "product", "bound" and "gradient" (d + 1), powers of ten, None where nothing is left, the
    "rate" and the first "exponent" with its "exponent_half_width". Raises ValueError where there is none.
    """
    if not networks:
        raise ValueError("there is no network to draw; give one at least")
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.1)
    deepest, highest = 0.0, 0.0
    for i, network in enumerate(networks):
        colour = COLOURS[i % len(COLOURS)]
        for column, key, dash in ((1, "gradient", "solid"), (2, "bound", "dot"), (2, "product", "solid")):
            values = _seen(network[key])
            if key != "bound":
                deepest = min(deepest, np.nanmin(values, initial=0.0))
                highest = max(highest, np.nanmax(values, initial=0.0))
            figure.add_trace(
                go.Scatter(
                    x=np.arange(len(values)),
                    y=10.0**values,
                    mode="lines",
                    line={"color": colour, "width": 1.2 if key == "bound" else 2.2, "dash": dash},
                    name=network["name"],
                    legendgroup=network["name"],
                    showlegend=key == "product",
                    hovertemplate=f"{network['name']}, {key}<br>%{{x}} steps: %{{y:.3g}}<extra></extra>",
                ),
                1,
                column,
            )
    bounds = [max(deepest, DEEPEST) - 0.4, min(max(highest, 0.0), 8.0) + 0.6]
    power = {**style.powers(max(1, round((bounds[1] - bounds[0]) / 8))), "range": bounds}
    figure.update_yaxes(style.axis("gradient left, |dC(t)/dh(t−d)| / |dC(t)/dh(t)|", **power), row=1, col=1)
    figure.update_yaxes(style.axis("|dh(t)/dh(t−d)|", **power), row=1, col=2)
    figure.update_xaxes(style.axis("delay d in steps"))
    return style.under(figure, title, paragraphs(style.TEXT, "fading", bounds[0] <= DEEPEST))


def memory_curves(networks: Sequence[Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """The share of an input of k steps ago that a linear readout tells, and the floor of shuffled inputs.

    Each network has "name", "told" (m, K) and "floor" (m,); the mean over its m inputs is drawn. Raises ValueError
    where there is none.
    """
    if not networks:
        raise ValueError("there is no network to draw; give one at least")
    figure = go.Figure()
    longest = 1
    for i, network in enumerate(networks):
        told, floor = np.mean(network["told"], axis=0), float(np.mean(network["floor"]))
        seen = np.flatnonzero(told > 1.3 * floor + 0.01)
        longest = max(longest, int(seen[-1]) + 3 if len(seen) else 1)
        line = {"color": COLOURS[i % len(COLOURS)], "width": 2.2}
        shared: dict[str, Any] = {"mode": "lines", "legendgroup": network["name"]}
        figure.add_trace(
            go.Scatter(
                x=np.arange(len(told)),
                y=told,
                name=network["name"],
                line=line,
                hovertemplate=f"{network['name']}, %{{x}} steps ago: %{{y:.3g}}<extra></extra>",
                **shared,
            )
        )
        figure.add_trace(
            go.Scatter(
                x=[0, len(told) - 1],
                y=[floor, floor],
                line={**line, "width": 1.2, "dash": "dot"},
                showlegend=False,
                hovertemplate=f"{network['name']}, shuffled: {floor:.3g}<extra></extra>",
                **shared,
            )
        )
    figure.update_xaxes(style.axis("delay k in steps", range=[-0.5, longest]))
    figure.update_yaxes(style.axis("share of u(t−k) that h(t) tells", range=[-0.03, 1.05], tickformat=".0%"))
    return style.under(figure, title, paragraphs(style.TEXT, "memory_curves"))


def fading_in_training(rows: Sequence[Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """Over the snapshots of a training: the curves of the gradient left above, the first exponent and the share of
    contracting steps below.

    Each of the rows has "step", and "gradient", "exponent", "exponent_half_width" and "contracting" unless its run
    diverged. Raises ValueError where there is none left.
    """
    rows = [row for row in rows if "reason" not in row]
    if not rows:
        raise ValueError("there is no snapshot to draw; every run of theirs diverges")
    figure = make_subplots(
        rows=2, cols=2, specs=[[{"colspan": 2}, None], [{}, {}]], vertical_spacing=0.16, horizontal_spacing=0.12
    )
    for i, row in enumerate(rows):
        values, shade = _seen(row["gradient"]), style.paler(style.BLUE, 0.75 * (1 - i / max(len(rows) - 1, 1)))
        figure.add_trace(
            go.Scatter(
                x=np.arange(len(values)),
                y=10.0 ** np.where(values < DEEPEST, np.nan, values),
                mode="lines",
                line={"color": shade, "width": 2.2},
                name=f"step {row['step']:,.0f}",
                hovertemplate=f"step {row['step']:,.0f}<br>%{{x}} steps back: %{{y:.3g}}<extra></extra>",
            ),
            1,
            1,
        )
    steps = [row["step"] for row in rows]
    single: dict[str, Any] = {"x": steps, "mode": "lines+markers", "showlegend": False}
    line = {"color": style.BLUE, "width": 2}
    error = {"array": [row["exponent_half_width"] for row in rows], "color": style.BLUE, "thickness": 1.5}
    figure.add_trace(go.Scatter(y=[row["exponent"] for row in rows], line=line, error_y=error, **single), 2, 1)
    figure.add_trace(go.Scatter(y=[row["contracting"] for row in rows], line=line, **single), 2, 2)
    figure.add_hline(y=0, line={"color": style.GREY, "width": 1, "dash": "dot"}, row=2, col=1)
    figure.update_yaxes(style.axis("gradient left", **style.powers(2)), row=1, col=1)
    figure.update_yaxes(style.axis("first exponent"), row=2, col=1)
    figure.update_yaxes(style.axis("steps with |D| < 1", range=[-0.05, 1.05], tickformat=".0%"), row=2, col=2)
    figure.update_xaxes(style.axis("delay d in steps"), row=1, col=1)
    figure.update_xaxes(style.axis("step of the training"), row=2)
    return style.under(figure, title, [], height=760)


def _seen(values: Sequence[float | None] | None) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in values or []], dtype=np.float64)

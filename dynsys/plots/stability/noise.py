"""How much noise networks bear: errors, accuracies and shares against the level; drift against its prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dynsys.plots import style

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.BROWN, style.INK, style.GREY)
DASHES = ("solid", "dash", "dot", "dashdot")  # told apart without colour too
MOST_PLACES = 4000  # of the drift of single memories, for each network
FEW = 100  # times the least value: an axis up to there has more ticks
SHIFT = 0.2  # decades beside the lowest and highest level


def noise_curves(
    networks: Sequence[Mapping[str, Any]],
    levels: Sequence[float],
    *,
    ylabel: str,
    xlabel: str,
    title: str | None = None,
    logarithmic: bool = True,
    percent: bool = False,
    notes: Sequence[str] = (),
) -> go.Figure:
    """One curve for each network with a band, single trials faint behind it, against the level of noise.

    A network is ``name``, ``mean``, ``low`` and ``high`` at each level, ``values`` (trials, levels), and ``floor``, the
    value without noise, or None. Values of None are left out; a network without any other is told in a note. Raises
    ValueError where there is no network.
    """
    if not networks:
        raise ValueError("there is no network to draw; give one at least")
    figure = go.Figure()
    drawn = [(i, network) for i, network in enumerate(networks) if any(v is not None for v in network["mean"])]
    for i, network in drawn:
        _add_trials(figure, network, levels, _colour(i))
    for i, network in drawn:
        _add_band(figure, network, levels, _colour(i))
    for i, network in drawn:
        _add_mean(figure, network, levels, i, percent)
    figure.update_xaxes(style.axis(xlabel, **style.powers(), range=_decades(levels)))
    scale: dict[str, Any] = {"type": "log", **_ticks(networks)} if logarithmic else {}
    if percent:
        scale |= {"tickformat": ".0%", "range": [-0.03, 1.05]}
    figure.update_yaxes(style.axis(ylabel, **scale))
    absent = [network["name"] for network in networks if all(v is None for v in network["mean"])]
    left_out = [f"No curve for {', '.join(absent)}: there is no value at any level."] if absent else []
    return _finished(figure, title, [*notes, *left_out])


def drift_prediction(
    networks: Sequence[Mapping[str, Any]], *, title: str | None = None, notes: Sequence[str] = ()
) -> go.Figure:
    """How far points drift against the first-order prediction |-J^-1 dF|, and the diagonal where the two are equal.

    A network is ``name`` and ``predicted`` and ``drift``, of one shape; None and zero are left out.
    """
    figure, reach = go.Figure(), [np.inf, 0.0]
    for i, network in enumerate(networks):
        x, y = (np.array(network[key], dtype=np.float64).ravel() for key in ("predicted", "drift"))
        known = (x > 0) & (y > 0)
        x, y = x[known], y[known]
        if not len(x):
            continue
        reach = [min(reach[0], x.min(), y.min()), max(reach[1], y.max())]
        kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_PLACES)).astype(int))
        figure.add_trace(
            go.Scattergl(
                x=x[kept],
                y=y[kept],
                mode="markers",
                name=network["name"],
                marker={
                    "color": _colour(i),
                    "size": 5,
                    "opacity": 0.45,
                    "symbol": ("circle", "diamond", "square")[i % 3],
                },
                hovertemplate=f"{network['name']}<br>predicted %{{x:.3g}}<br>drift %{{y:.3g}}<extra></extra>",
            )
        )
    if reach[1] > 0:
        line = {"color": style.INK, "width": 1.2, "dash": "dash"}
        figure.add_trace(
            go.Scatter(x=reach, y=reach, mode="lines", line=line, name="drift = prediction", hoverinfo="skip")
        )
    power = style.powers()
    figure.update_xaxes(style.axis("first-order prediction |J<sup>−1</sup> dF|", **power))
    figure.update_yaxes(style.axis("drift of the point", **power))
    return _finished(figure, title, notes)


def _add_trials(figure: go.Figure, network: Mapping[str, Any], levels: Sequence[float], colour: str) -> None:
    x: list[float | None] = []
    y: list[float | None] = []
    for trial in network["values"]:
        x += [*levels, None]
        y += [*trial, None]
    line = {"color": colour, "width": 0.8}
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="lines",
            line=line,
            opacity=0.25,
            legendgroup=network["name"],
            showlegend=False,
            hoverinfo="skip",
        )
    )


def _add_band(figure: go.Figure, network: Mapping[str, Any], levels: Sequence[float], colour: str) -> None:
    known = [k for k, low in enumerate(network["low"]) if low is not None]
    x = [levels[k] for k in known]
    low, high = ([network[key][k] for k in known] for key in ("low", "high"))
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    figure.add_trace(
        go.Scatter(
            x=[*x, *x[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor=f"rgba({red},{green},{blue},0.22)",
            line={"width": 0},
            mode="lines",
            legendgroup=network["name"],
            showlegend=False,
            hoverinfo="skip",
        )
    )


def _add_mean(figure: go.Figure, network: Mapping[str, Any], levels: Sequence[float], i: int, percent: bool) -> None:
    colour, value = _colour(i), "%{y:.1%}" if percent else "%{y:.3g}"
    figure.add_trace(
        go.Scatter(
            x=list(levels),
            y=network["mean"],
            mode="lines+markers",
            name=network["name"],
            legendgroup=network["name"],
            line={"color": colour, "width": 2.6, "dash": DASHES[i % len(DASHES)]},
            marker={"size": 6, "color": colour},
            hovertemplate=f"{network['name']}<br>level %{{x:.3g}}: {value}<extra></extra>",
        )
    )
    floor = network.get("floor")
    if floor is not None:
        figure.add_trace(
            go.Scatter(
                x=[levels[0], levels[-1]],
                y=[floor, floor],
                mode="lines",
                line={"color": colour, "width": 1.2, "dash": "dot"},
                legendgroup=network["name"],
                showlegend=False,
                hovertemplate=f"{network['name']}<br>without noise: {value}<extra></extra>",
            )
        )


def _decades(levels: Sequence[float]) -> list[float]:
    return [float(np.log10(levels[0])) - SHIFT, float(np.log10(levels[-1])) + SHIFT]


def _ticks(networks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A tick at every power of ten, and at 2 and 5 times one where there are few powers."""
    seen = [v for n in networks for key in ("mean", "low", "high") for v in n[key] if v is not None and v > 0]
    if not seen or max(seen) > FEW * min(seen):
        return style.powers()
    powers = range(int(np.floor(np.log10(min(seen)))) - 1, int(np.ceil(np.log10(max(seen)))) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _finished(figure: go.Figure, title: str | None, notes: Sequence[str]) -> go.Figure:
    caption, below = style.lines(list(notes))
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        margin={"l": 90, "r": 30, "t": 90 if title else 50, "b": below},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"},
        height=620,
    )

"""Which cues come home: shares against Hamming distance, and below, for each load or pattern, where all of them end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dynsys.plots import style

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.BROWN, style.INK, style.GREY)
DASHES = ("solid", "dash", "dot", "dashdot")
OF_FATES = (style.BLUE, style.SKY, style.ORANGE, style.GREEN, style.PURPLE, style.PALE, style.INK)  # in their order
ACROSS, MOST_PANELS = 3, 6
TOP, PANEL, BETWEEN = 400, 300, 190  # pixels of the height


def home_shares(groups: Sequence[Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """Each group is a load or pattern: "name", "distance" (k), "home", "low" and "high" (k), "fates", shares by name.

    Of more than six groups the fates of the first six are drawn. Raises ValueError where there is no group.
    """
    if not groups:
        raise ValueError("there is nothing to draw; give one load or pattern at least")
    shown = list(groups[:MOST_PANELS])
    across = 2 if len(shown) in (2, 4) else min(ACROSS, len(shown))
    rows = -(-len(shown) // across)
    height = TOP + PANEL * rows
    figure = make_subplots(
        rows=1 + rows,
        cols=across,
        specs=[[{"colspan": across}, *[None] * (across - 1)], *[[{}] * across for _ in range(rows)]],
        row_heights=[TOP / height, *[PANEL / height] * rows],
        subplot_titles=["", *[group["name"] for group in shown]],
        vertical_spacing=(BETWEEN if rows == 1 else BETWEEN * 0.75) / height,
        horizontal_spacing=0.05,
    )
    for i, group in enumerate(groups):
        _draw_home(figure, group, i)
    met = [any(any(shares) for shares in of) for of in zip(*(group["fates"].values() for group in shown), strict=True)]
    for i, group in enumerate(shown):
        _draw_fates(figure, group, 2 + i // across, 1 + i % across, met if i == 0 else ())
    share = {"range": [-0.03, 1.05], "tickformat": ".0%"}
    figure.update_yaxes(style.axis("came home", **share), row=1, col=1)
    figure.update_xaxes(style.axis("share of wrong units in the cue"), row=1, col=1)
    for i in range(len(shown)):
        row, col = 2 + i // across, 1 + i % across
        stacked = {"range": [0, 1], "tickformat": ".0%", "showticklabels": col == 1}
        figure.update_yaxes(style.axis("cues" if col == 1 else "", **stacked), row=row, col=col)
        figure.update_xaxes(style.axis("wrong units" if row == rows + 1 else ""), row=row, col=col)
    more = [f"Where cues end is drawn of {len(shown)} of {len(groups)}."] if len(groups) > len(shown) else []
    row_of_names = {"orientation": "h", "x": 0, "xanchor": "left", "yanchor": "bottom", "font": {"size": 12}}
    caption, below = style.lines(["Bands: 95 % intervals. Below: where all cues end.", *more], 80)
    return style.dressed(
        figure,
        title,
        caption,
        below=style.BELOW,
        margin={"l": 75, "r": 20, "t": 110 if title else 70, "b": below},
        legend={**row_of_names, "y": 1.01},
        legend2={**row_of_names, "y": figure.layout.yaxis2.domain[1] + 35 / height},
        height=height + 110 + below,
    )


def _draw_home(figure: go.Figure, group: Mapping[str, Any], i: int) -> None:
    colour, x = COLOURS[i % len(COLOURS)], list(group["distance"])
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    shared: dict[str, Any] = {"legendgroup": group["name"], "mode": "lines"}
    figure.add_trace(
        go.Scatter(
            x=[*x, *x[::-1]],
            y=[*group["high"], *group["low"][::-1]],
            fill="toself",
            fillcolor=f"rgba({red},{green},{blue},0.15)",
            line={"width": 0},
            showlegend=False,
            hoverinfo="skip",
            **shared,
        ),
        1,
        1,
    )
    line = {"color": colour, "width": 2.2, "dash": DASHES[(i // len(COLOURS)) % len(DASHES)]}
    hover = f"{group['name']}, %{{x:.3g}} wrong: %{{y:.1%}} came home<extra></extra>"
    shared["mode"] = "lines+markers"
    figure.add_trace(
        go.Scatter(x=x, y=group["home"], line=line, name=group["name"], hovertemplate=hover, **shared), 1, 1
    )


def _draw_fates(figure: go.Figure, group: Mapping[str, Any], row: int, col: int, named: Sequence[bool]) -> None:
    """Shares stacked on each other, in the order in which they come; those ``named`` are in the legend."""
    for k, (colour, (name, shares)) in enumerate(zip(OF_FATES, group["fates"].items(), strict=True)):
        figure.add_trace(
            go.Scatter(
                x=group["distance"],
                y=shares,
                mode="lines",
                line={"width": 0.5, "color": colour},
                fillcolor=style.paler(colour, 0.25),
                stackgroup=f"{row},{col}",
                name=name,
                legend="legend2",
                showlegend=bool(named) and named[k],
                hovertemplate=f"{group['name']}, %{{x:.3g}} wrong<br>{name}: %{{y:.1%}}<extra></extra>",
            ),
            row,
            col,
        )


def shares_about_memories(rows: Sequence[Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """The share of random states that come to each memory against their distance from it, and what is proved of it.

    A row is a memory: "name", "distance" and "share" (k), "proved", and "nearest", None where there is no other point.
    """
    figure = go.Figure()
    for i, row in enumerate(rows):
        colour, group = COLOURS[i % len(COLOURS)], {"legendgroup": row["name"]}
        line = {"color": colour, "width": 2.2, "dash": DASHES[(i // len(COLOURS)) % len(DASHES)]}
        hover = f"{row['name']}: %{{y:.1%}} come from a distance of %{{x:.3g}}<extra></extra>"
        figure.add_scatter(x=row["distance"], y=row["share"], line=line, name=row["name"], hovertemplate=hover, **group)
        base, marks = -0.03 * (i + 1), {"mode": "lines", "showlegend": False, **group}
        proved = f"{row['name']}: all that start within {row['proved']:.3g} are proved to come<extra></extra>"
        thick = {"color": colour, "width": 7}
        figure.add_scatter(x=[0, row["proved"]], y=[base, base], line=thick, hovertemplate=proved, **marks)
        if row["nearest"] is not None:
            other = f"{row['name']}: another fixed point at {row['nearest']:.3g}<extra></extra>"
            cross = {"symbol": "x", "size": 9, "color": colour}
            figure.add_scatter(
                x=[row["nearest"]], y=[base], marker=cross, hovertemplate=other, **{**marks, "mode": "markers"}
            )
    figure.update_yaxes(style.axis("came to the memory", tickformat=".0%", range=[-0.03 * (len(rows) + 2), 1.05]))
    figure.update_xaxes(style.axis("distance from the memory in the space of states", rangemode="tozero"))
    notes = ["Thick: the distance within which every start is proved to come. Crosses: the nearest other fixed point."]
    return style.under(figure, title, notes, height=480)

"""Many networks side by side: how many points of which kind each of them has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dynsys.plots import style

KINDS = (
    ("stable", "stable", style.BLUE),
    ("saddles", "with unstable directions", style.ORANGE),
    ("marginal", "marginal", style.PURPLE),
    ("slow", "slow points", style.GREY),
)
NAMED = 40  # networks whose names have room below the axis


def counts_of_networks(networks: Sequence[Mapping[str, Any]], *, title: str | None = None) -> go.Figure:
    """A bar for each of the rows of a survey, the networks of most stable points first."""
    if not networks:
        raise ValueError("there are no networks to draw")
    rows = sorted(networks, key=lambda row: (-row["stable"], -row["fixed"], row["name"]))
    names = [row["name"] for row in rows]
    figure = go.Figure()
    for key, label, colour in KINDS:
        counts = [row[key] for row in rows]
        if any(counts):
            figure.add_trace(
                go.Bar(
                    x=list(range(len(rows))),
                    y=counts,
                    name=label,
                    marker_color=colour,
                    text=names,
                    textposition="none",
                    hovertemplate="%{text}<br>%{y} " + label + "<extra></extra>",
                )
            )
    shown = {"tickvals": list(range(len(rows))), "ticktext": names} if len(rows) <= NAMED else {"showticklabels": False}
    figure.update_xaxes(style.axis("" if len(rows) <= NAMED else "networks", showgrid=False, **shown))
    figure.update_yaxes(style.axis("points", rangemode="tozero"))
    return style.under(figure, title, [], barmode="stack", bargap=0.15, height=420)

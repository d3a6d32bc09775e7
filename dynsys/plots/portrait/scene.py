"""What every scene of three principal components is made of: ranges, axes, camera, buttons, lines and markers."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.plots import style, thinning
from dynsys.plots.portrait import camera
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

BESIDE_LEGEND = 0.2  # of the page's width, to the left of the scene
MARGIN = 0.06  # space left around everything that is drawn


def ranges(everything: Array) -> tuple[Array, Array]:
    """Lower and upper end of each axis; one along which nothing differs gets a tenth of the longest."""
    if not len(everything):
        return np.full(3, -1.0), np.full(3, 1.0)
    low, high = everything.min(axis=0), everything.max(axis=0)
    longest = float((high - low).max()) or 1.0
    half = np.maximum((high - low) / 2 + MARGIN * longest, 0.05 * longest)
    return (low + high) / 2 - half, (low + high) / 2 + half


def axis_names(axes: Projection) -> dict[str, str]:
    """What is written at each axis; nothing where there is no component."""
    return {
        key: f"PC {i + 1} ({100 * axes.explained_variance_ratio[i]:.0f} %)" if i < axes.n_shown else ""
        for i, key in enumerate("xyz")
    }


def box(
    names: dict[str, str],
    low: Array,
    high: Array,
    view: camera.Camera,
    domain: dict[str, list[float]] | None = None,
) -> dict[str, Any]:
    """The layout of a scene with fixed ranges, by default beside the legend."""
    depth = camera.depth_axis(view)
    plain = {"autorange": False, "showbackground": False, "zeroline": False, "showspikes": False}
    lines = {"gridcolor": style.GRID, "linecolor": style.PALE, "showticklabels": False, "ticks": ""}
    boxes: dict[str, Any] = {
        f"{key}axis": {
            "title": {"text": "" if key == depth else name, "font": {"size": 14}},
            "range": [float(low[i]), float(high[i])],
            "visible": bool(name),
            **plain,
            **lines,
        }
        for i, (key, name) in enumerate(names.items())
    }
    return {
        **boxes,
        "domain": domain or {"x": [BESIDE_LEGEND, 1.0]},
        "aspectmode": "manual",
        "aspectratio": camera.aspect(view, high - low),
        "camera": view,
        "dragmode": "orbit",
    }


def buttons(views: dict[str, camera.Camera], active: str, names: dict[str, str], span: Array) -> dict[str, Any]:
    """Below the scene. Each also takes back any zoom, and hides the name of the axis that it looks along."""
    changes = []
    for label, view in views.items():
        depth = camera.depth_axis(view)
        shown = {f"scene.{key}axis.title.text": "" if key == depth else name for key, name in names.items()}
        change = {"scene.camera": view, "scene.aspectratio": camera.aspect(view, span), **shown}
        changes.append({"label": label, "method": "relayout", "args": [change]})
    return menu(changes, list(views).index(active), "left")


def menu(buttons: list[dict[str, Any]], active: int, side: str) -> dict[str, Any]:
    """A row of buttons below the scene, at its left or right end; the ``active`` one is pressed at first."""
    return {
        "type": "buttons",
        "direction": "right",
        "visible": len(buttons) > 1,  # a view that is the only one is no choice
        "showactive": True,
        "active": active,
        "x": 0 if side == "left" else 1,
        "xanchor": side,
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 14},
        "bgcolor": "white",
        "bordercolor": style.PALE,
        "font": {"size": 13},
        "buttons": buttons,
    }


def lines(name: str, runs: list[Array], colour: str, width: float, opacity: float) -> go.Scatter3d:
    line = {"color": colour, "width": width}
    return go.Scatter3d(
        **thinning.xyz(thinning.joined(runs)), mode="lines", line=line, opacity=opacity, name=name, hoverinfo="skip"
    )


def markers(group: style.Group, places: Array, texts: list[str]) -> go.Scatter3d:
    marker = {"symbol": group.symbol, "color": group.colour, "size": 7 if group.symbol.startswith("circle") else 5.5}
    return go.Scatter3d(
        **thinning.xyz(places),
        mode="markers",
        marker={**marker, "line": {"color": "white", "width": 1}},
        name=group.label,
        text=texts,
        customdata=group.rows,
        hovertemplate="%{text}<extra></extra>",
    )

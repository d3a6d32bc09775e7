"""A portrait seen from where it is asked to be seen from."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from dynsys.plots.portrait import camera

AWAY = 2.2  # of the eye from the middle: views are orthographic, so that it changes nothing but what lies behind it
SHORT = {"12": camera.TOP, "13": "PC 1 – PC 3", "23": "PC 2 – PC 3"}  # how the views along axes can be named


def turned(figure: go.Figure, view: str) -> go.Figure:
    """The figure, of one scene, seen as ``view`` says; the same figure.

    oblique, 12, 13 and 23 are those of its buttons; AZIMUTH,ELEVATION are degrees: 0,0 looks along the first component
    and 0,90 from above. Raises ValueError for what is neither, and for figures that cannot be turned.
    """
    scenes = [key for key in figure.layout.to_plotly_json() if key.startswith("scene")]
    if len(scenes) != 1:
        raise ValueError("the camera makes no difference to this picture: it has no scene of its own to be turned")
    pressed, changes = _button(figure, SHORT.get(view, view))
    if not changes:
        changes = _from(figure, view)
    figure.update_layout({key.replace(".", "_"): value for key, value in changes.items()})
    if pressed is not None:
        menu, active = pressed
        figure.layout.updatemenus[menu].active = active
    return figure


def _button(figure: go.Figure, label: str) -> tuple[tuple[int, int] | None, dict[str, Any]]:
    """The button of that label, and what it changes."""
    for i, menu in enumerate(figure.layout.updatemenus):
        for j, button in enumerate(menu.buttons):
            if button.label == label and button.method == "relayout":
                return (i, j), dict(button.args[0])
    return None, {}


def _from(figure: go.Figure, view: str) -> dict[str, Any]:
    names = [
        button.label for menu in figure.layout.updatemenus for button in menu.buttons if button.method == "relayout"
    ]
    try:
        azimuth, elevation = (np.radians(float(part)) for part in view.split(","))
    except ValueError:
        known = ", ".join([key for key in ("oblique", *SHORT) if SHORT.get(key, key) in names])
        raise ValueError(f"{view!r} is no camera; it is {known}, or AZIMUTH,ELEVATION in degrees like 40,20") from None
    eye = AWAY * np.array(
        [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
    ).round(9)
    above = bool(np.hypot(eye[0], eye[1]) < 1e-6)
    seen = camera.camera((float(eye[0]), float(eye[1]), float(eye[2])), up=(0, 1, 0) if above else (0, 0, 1))
    axes = [figure.layout.scene[f"{key}axis"].range for key in "xyz"]
    span = np.array([high - low for low, high in axes])
    return {"scene.camera": seen, "scene.aspectratio": camera.aspect(seen, span)}

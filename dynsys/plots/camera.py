"""Where a 3-D scene is looked at from: orthographic views along each axis, and one in which the points lie apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Camera = dict[str, Any]

_OBLIQUE = (1.25, -1.45, 0.8)


def camera(eye: tuple[float, float, float], up: tuple[float, float, float] = (0, 0, 1)) -> Camera:
    """Orthographic, so that parallel edges stay parallel and no point looks nearer than it is."""
    keys = ("x", "y", "z")
    return {
        "eye": dict(zip(keys, eye, strict=True)),
        "up": dict(zip(keys, up, strict=True)),
        "center": dict.fromkeys(keys, 0.0),
        "projection": {"type": "orthographic"},
    }


def presets(places: Array) -> dict[str, Camera]:
    """The views by the name on their button; the oblique one keeps ``places`` (k, 3), in scene units, apart."""
    return {
        "oblique": camera(clearest_view(places)),
        "PC 1 – PC 2": camera((0, 0, 2.2), up=(0, 1, 0)),
        "PC 1 – PC 3": camera((0, -2.2, 0)),
        "PC 2 – PC 3": camera((2.2, 0, 0)),
    }


def clearest_view(places: Array, limit: int = 64) -> tuple[float, float, float]:
    """The eye, a little above the horizon, from which the closest two of the places look furthest apart."""
    if not 2 <= len(places) <= limit:
        return _OBLIQUE
    azimuth, elevation = (
        a.ravel() for a in np.meshgrid(np.radians(np.arange(-90, 90, 4)), np.radians([12, 18, 24, 30]))
    )
    side = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros_like(azimuth)], axis=1)
    eye = np.stack([np.cos(azimuth), np.sin(azimuth), np.tan(elevation)], axis=1) * np.cos(elevation)[:, None]
    height = np.cross(eye, side)
    i, j = np.triu_indices(len(places), 1)
    apart = places[i] - places[j]
    seen = np.hypot(apart @ side.T, apart @ height.T).min(axis=0)
    best = eye[int(np.argmax(seen))] * 2.2
    return float(best[0]), float(best[1]), float(best[2])

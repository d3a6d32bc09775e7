"""Where a 3-D scene is looked at from: orthographic views along each axis, and one in which the points lie apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Camera = dict[str, Any]

OBLIQUE, TOP = "oblique", "PC 1 – PC 2"
WIDTH, HEIGHT = 2.05, 1.7  # of the box in scene units: the page is 2 high, and the legend takes some of its width
NAMES = 0.4  # of the width, for the names of the axes
_EYE = (1.25, -1.45, 0.8)


def camera(eye: tuple[float, float, float], up: tuple[float, float, float] = (0, 0, 1)) -> Camera:
    """Orthographic, so that parallel edges stay parallel and no point looks nearer than it is."""
    keys = ("x", "y", "z")
    return {
        "eye": dict(zip(keys, eye, strict=True)),
        "up": dict(zip(keys, up, strict=True)),
        "center": dict.fromkeys(keys, 0.0),
        "projection": {"type": "orthographic"},
    }


def presets(places: Array, n_shown: int = 3) -> dict[str, Camera]:
    """The views by the name on their button; the oblique one keeps ``places`` (k, 3) apart. What is flat, of less than
    three axes that show anything, has one side to be seen from.
    """
    views = {
        OBLIQUE: camera(clearest_view(places)),
        TOP: camera((0, 0, 2.2), up=(0, 1, 0)),
        "PC 1 – PC 3": camera((0, -2.2, 0)),
        "PC 2 – PC 3": camera((2.2, 0, 0)),
    }
    return views if n_shown == 3 else {TOP: views[TOP]}


def aspect(view: Camera, span: Array, width: float = WIDTH) -> dict[str, float]:
    """An aspect ratio in proportion to ``span`` (3,), the length of each axis, that fits the box into the page."""
    wide, tall = (float(span @ np.abs(way)) for way in screen(view))
    return dict(zip("xyz", (min(width / wide, HEIGHT / tall) * span).tolist(), strict=True))


def width_in(across: float, high: float) -> float:
    """Of a box, in a scene of that many pixels, which is 2 units high."""
    return max(2 * across / high - NAMES, NAMES)


def screen(view: Camera) -> tuple[Array, Array]:
    """The directions (3,) of length 1 which this view shows to the right and upwards."""
    eye, up = (np.array([view[key][name] for name in "xyz"], dtype=np.float64) for key in ("eye", "up"))
    side = np.cross(up, eye)
    height = np.cross(eye, side)
    return side / np.linalg.norm(side), height / np.linalg.norm(height)


def depth_axis(view: Camera) -> str | None:
    """The axis that this view looks along, of which nothing can be seen."""
    along = [key for key in "xyz" if view["eye"][key]]
    return along[0] if len(along) == 1 else None


def clearest_view(places: Array, limit: int = 64) -> tuple[float, float, float]:
    """The eye, a little above the horizon, from which the closest two of the places look furthest apart."""
    if not 2 <= len(places) <= limit:
        return _EYE
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

"""What slow points mean in time and in words: how long a state stays near one, and a result of nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.io.text import sentence
from dynsys.systems.system import System

Array = NDArray[np.float64]

DRIFT = 0.01  # of the usual size of a state: the distance over which a drift is timed


def drift_time(system: System, q: Array, distance: float) -> Array:
    """The time (k,) in which a state of speed q (k,) moves by ``distance``, straight on at the speed it has there.

    In the units of the system's time: steps of a map, and a flow's own. Beside a minimum of q the system is faster, so
    the true time is shorter: on x' = r + x^2 it is arctan(s) / s of this at a distance s sqrt(r). Infinite at a zero.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(distance * system.time_constant / np.sqrt(2 * np.asarray(q, dtype=np.float64)))


def slow_summary(points: Any) -> str | None:
    """One sentence for a result without any fixed point, whose slow points are all there is; else None.

    ``points`` has ``verdict``, ``q``, ``active_bounds`` and ``drift_time`` as ``FixedPoints`` does, and ``about``.
    """
    slow = np.asarray(points.verdict) == "slow"
    if len(slow) == 0 or not slow.all():
        return None
    k = len(slow)
    held = int((np.asarray(points.active_bounds) != 0).any(axis=1).sum())
    unit = "step" if points.about.get("kind") == "map" else "time constant"
    at_a_time = np.sqrt(2 * points.q)
    scale = 1.0 if unit == "step" else float(points.about.get("time_constant", 1.0))
    times = _ends(points.drift_time / scale) if np.isfinite(points.drift_time).all() else None
    return sentence("dynsys.result", "slow_points", k, _ends(at_a_time), times, unit, DRIFT, held)


def across(points: Any) -> str:
    """What happens beside slow points, in directions other than the slow one; nothing where no slow point is inside.

    Within the box J^T F is 0 at a slow point: J has an eigenvalue that is all but 0, whatever the network does, and the
    word "marginal" says nothing. The others tell whether states near it come to the slow direction or leave it.
    ``points`` has ``eigenvalues`` besides what ``slow_summary`` takes.
    """
    slow = (np.asarray(points.verdict) == "slow") & ~(np.asarray(points.active_bounds) != 0).any(axis=1)
    values = np.asarray(points.eigenvalues)[slow]
    if not len(values) or values.shape[1] < 2:
        return ""
    is_map = points.about.get("kind") == "map"
    with np.errstate(divide="ignore"):
        growth = np.log(np.abs(values)) if is_map else values.real / float(points.about.get("time_constant", 1.0))
    known = np.isfinite(values[:, :2]).all(axis=1)
    growth = np.where(np.isfinite(values), growth, -np.inf)[known]
    if not len(growth):
        return ""
    nearest = np.argmin(np.where(np.isfinite(growth), np.abs(growth), np.inf), axis=1)
    growth[np.arange(len(growth)), nearest] = -np.inf
    fastest = growth.max(axis=1)
    decay = fastest[(fastest < 0) & np.isfinite(fastest)]
    slowest = float(-1 / decay.max()) if len(decay) else None
    unit = "steps" if is_map else "units of time"
    return sentence("dynsys.result", "across", len(growth), int((fastest < 0).sum()), slowest, unit)


def _ends(values: Array) -> tuple[float, float]:
    return float(values.min()), float(values.max())

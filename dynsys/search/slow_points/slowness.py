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


def _ends(values: Array) -> tuple[float, float]:
    return float(values.min()), float(values.max())

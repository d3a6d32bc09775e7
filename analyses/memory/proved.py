"""What is proved of a memory with continuous states, beside what was measured: how far from it every start comes home.

Three distances bracket the largest ball about a memory from which everything comes to it. The ball that is proved
(``dynsys.lyapunov.basins``) is inside it; the nearest other fixed point is outside, as that stays where it is; and
random starts at rising distance show what happens between. A wrong unit moves a cue by 2, a missing one by 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.analyses.memory.nets import Net, at_rest
from dynsys.analyses.memory.pattern_files import Patterns
from dynsys.lyapunov.around_point import Reason
from dynsys.lyapunov.basins import CertifiedBasins, certified_basins
from dynsys.models.associative.patterns import overlaps
from dynsys.numerics.deadline import Deadline
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.find import find_fixed_points
from dynsys.systems.system import System

Array = NDArray[np.float64]

LARGEST = 100  # units, up to which it is done
MEMORY = 0.9  # the overlap of a stable point with a pattern, from which on it is its memory
DISTANCES, STARTS = 24, 48  # shells, up to the distance of the negative of a pattern, and random starts on each
SAME = 1e-3  # of the size of a pattern, within which an end is the memory


def proved_basins(net: Net, stored: Patterns, seed: int, deadline: Deadline) -> list[dict[str, Any]] | None:
    """For each pattern the radius proved about its memory, the shares that come to it from further, and the nearest
    other fixed point; None for nets without continuous states, larger ones, and those that hold the cue as input.
    """
    system, n = net.system, stored.S.shape[1]
    if system is None or net.held or n > LARGEST:
        return None
    if deadline.is_over:
        return [{"name": name, "reason": str(Reason.OUT_OF_TIME)} for name in stored.names]
    points = find_fixed_points(system, stored.S, seed=seed, seconds=deadline)
    index = [_memory(points, s) for s in stored.S]
    basins = certified_basins(points, system, budget_seconds=deadline)
    rng, found = np.random.default_rng(seed), []
    for name, s, i in zip(stored.names, stored.S, index, strict=True):
        row: dict[str, Any] = {"name": name, "reason": "no stable point is near it"}
        if i is not None:
            row |= _of_memory(basins, i, s)
            row |= {} if deadline.is_over else _around(system, points, i, rng)
        found.append(row)
    return found


def _memory(points: FixedPoints, s: Array) -> int | None:
    """Which stable point is the memory of the pattern s (n,): of those that overlap with it, the nearest."""
    alike = overlaps(s[None], np.sign(points.states))[:, 0] >= MEMORY
    near = alike & (points.n_unstable == 0) & (points.verdict == "fixed")
    distance = np.where(near, np.linalg.norm(points.states - s, axis=1), np.inf)
    return int(distance.argmin()) if near.any() else None


def _of_memory(basins: CertifiedBasins, j: int, s: Array) -> dict[str, Any]:
    radius, reason = float(basins.radius[j]), str(basins.reasons[j])
    itself = bool(radius > 0 and basins.contains(j, s))
    return {"proved": radius, "reason": reason, "itself": itself, "wrong": wrong_units(basins, j, s)}


def wrong_units(basins: CertifiedBasins, j: int, s: Array) -> int | None:
    """The most wrong units with which every cue of the pattern s is in the ball proved about its memory j.

    None where not even s itself is. To flip unit i adds 4 s_i x_i to the squared distance from x, so the units at which
    that is largest are the worst ones.
    """
    x, radius = basins.states[j], basins.radius[j]
    if not radius > 0:
        return None
    added = np.concatenate([[0.0], np.cumsum(np.sort(4 * s * x)[::-1])])
    worst = np.sqrt(np.maximum.accumulate(((s - x) ** 2).sum() + added)) + basins.error_bound[j]
    inside = int((worst < radius * (1 - 1e-9)).sum())
    return inside - 1 if inside else None


def _around(system: System, points: FixedPoints, i: int, rng: np.random.Generator) -> dict[str, Any]:
    """Shares of random starts that come to point i, by their distance from it, and the nearest other point."""
    x = points.states[i]
    n = len(x)
    others = np.delete(np.linalg.norm(points.states - x, axis=1), i)
    distance = np.linspace(0, 2 * np.sqrt(n), DISTANCES + 1)[1:]
    directions = rng.standard_normal((DISTANCES, STARTS, n))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    starts = (x + distance[:, None, None] * directions).reshape(-1, n)
    ends, _ = at_rest(system, starts, np.zeros((len(starts), system.n_input)))
    came = (np.linalg.norm(ends - x, axis=1) <= SAME * np.sqrt(n)).reshape(DISTANCES, STARTS)
    return {
        "distance": distance.tolist(),
        "share": came.mean(axis=1).tolist(),
        "all": _last(distance, came.all(axis=1)),
        "half": _last(distance, came.mean(axis=1) >= 0.5),
        "nearest": float(others.min()) if len(others) else None,
    }


def _last(distance: Array, met: NDArray[np.bool_]) -> float:
    """The distance up to which it was met at every one, 0 where not at the first."""
    return float(np.concatenate([[0.0], distance])[int(np.cumprod(met).sum())])


def rows_of_proved(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each pattern."""
    return [
        {
            "memory": row["name"],
            "every start proved up to": row.get("proved") or "",
            "so cues with wrong units, up to": "" if row.get("wrong") is None else row["wrong"],
            f"all of {STARTS} starts came up to": row.get("all", ""),
            "half of them up to": row.get("half", ""),
            "nearest other fixed point": "" if row.get("nearest") is None else row["nearest"],
            **({"why none is proved": row["reason"]} if row["reason"] else {}),
        }
        for row in found
    ]

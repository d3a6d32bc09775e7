"""The fixed points of several networks side by side: how many, how stable, and how fast the network moves there.

Time constants are those of the leading mode of a point: the time in which what is left of a perturbation falls e-fold
at a stable point, and in which one grows e-fold at a saddle, in steps of the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.result.fixed_points import FixedPoints

Array = NDArray[np.float64]

SHOWN = 4  # numbers of unstable directions that have a column of their own


def of_points(points: FixedPoints) -> dict[str, Any]:
    """Counts, words and leading time constants of the fixed points, as JSON."""
    fixed = points[points.verdict == "fixed"]
    words, times = fixed.stability.astype(str), leading_times(fixed)
    stable, unstable = np.char.startswith(words, "stable"), fixed.n_unstable > 0
    return {
        "fixed": len(fixed),
        "by_unstable_directions": {str(k): int((fixed.n_unstable == k).sum()) for k in np.unique(fixed.n_unstable)},
        "words": {word: int((words == word).sum()) for word in np.unique(words)},
        "decay": _spread(times[stable]),
        "growth": _spread(-times[unstable]),
        "index_sum": points.search.index_sum,
    }


def leading_times(points: FixedPoints) -> Array:
    """(k,) the e-fold time of each leading mode, in units of the task's steps; negative where it grows."""
    leading = points.leading_eigenvalue
    with np.errstate(divide="ignore"):
        rate = leading.real if points.about["kind"] == "flow" else np.log(np.abs(leading))
        times: Array = -float(points.about.get("time_constant", 1.0)) / rate
    return times


def rows(told: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each network, of what ``of_points`` says."""
    return [{"network": name, **_row(one)} for name, one in told.items()]


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    counts = {int(k): count for k, count in one["by_unstable_directions"].items()}
    more = sum(count for k, count in counts.items() if k >= SHOWN)
    words = one["words"]
    return {
        "fixed points": one["fixed"],
        "stable nodes": words.get("stable node", 0),
        "stable foci": words.get("stable focus", 0),
        **{f"{k} unstable": counts.get(k, 0) for k in range(1, SHOWN)},
        "more": more,
        "marginal": words.get("marginal", 0),
        "decay time at stable points": _told(one["decay"]),
        "growth time at the others": _told(one["growth"]),
    }


def _spread(times: Array) -> dict[str, float] | None:
    known = times[np.isfinite(times)]
    if not len(known):
        return None
    return {"least": float(known.min()), "median": float(np.median(known)), "most": float(known.max())}


def _told(spread: Mapping[str, float] | None) -> str | None:
    return None if spread is None else f"{spread['median']:.3g} ({spread['least']:.3g} to {spread['most']:.3g})"

"""Trajectories made ready to draw: in one form, few enough for a browser, one trace with breaks between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.projection import as_array

Array = NDArray[np.float64]

LIMIT = 100_000  # points in one figure, from which on a browser becomes slow to turn


def runs_of(trajectories: Any, n_state: int) -> list[Array]:
    """Trajectories (T, n), (T, B, n) or a list of (T_i, n) as a list of (T_i, n); None is an empty list."""
    if trajectories is None:
        return []
    if isinstance(trajectories, list | tuple):
        runs = [as_array(run) for run in trajectories]
    else:
        array = as_array(trajectories)
        runs = list(array.swapaxes(0, 1)) if array.ndim == 3 else [array]
    for run in runs:
        if run.ndim != 2 or run.shape[1] != n_state:
            raise ValueError(
                f"a trajectory has shape {run.shape}; with {n_state} state variables it needs (T, {n_state}), "
                f"(T, B, {n_state}), or a list of (T, {n_state})"
            )
    return [run for run in runs if len(run)]


def size(runs: list[Array]) -> int:
    """Points of one trace with a break after each run."""
    return sum(len(run) + 1 for run in runs)


def thinned(runs: list[Array], limit: int) -> list[Array]:
    """The same runs with evenly fewer states, the first and the last among them, so that ``size`` is at most ``limit``.

    Where the runs are too many even for three points each, runs are left out evenly as well.
    """
    if size(runs) <= limit:
        return runs
    most = max(limit // 3, 1)
    if len(runs) > most:
        runs = [runs[i] for i in _evenly(len(runs), most)]
    spare = max(limit - 3 * len(runs), 0)  # beyond two states and a break each
    wanted = max(size(runs) - 3 * len(runs), 1)
    share = min(spare / wanted, 1.0)
    return [run[_evenly(len(run), 2 + int((len(run) - 2) * share))] for run in runs]


def joined(runs: list[Array]) -> NDArray[np.float32]:
    """One array with a row of NaN between runs, so that a single line trace draws them apart."""
    if not runs:
        return np.zeros((0, 3), dtype=np.float32)
    gap = np.full((1, runs[0].shape[1]), np.nan)
    return np.concatenate([part for run in runs for part in (run, gap)][:-1]).astype(np.float32)


def xyz(rows: Any) -> dict[str, Any]:
    """The coordinates (p, 3) as the arguments of a three-dimensional trace."""
    return dict(zip("xyz", np.asarray(rows, dtype=np.float32).T, strict=True))


def _evenly(n: int, wanted: int) -> NDArray[np.int64]:
    """``wanted`` of n indices, evenly spaced, from the first to the last."""
    return np.unique(np.linspace(0, n - 1, min(n, wanted)).round().astype(np.int64))

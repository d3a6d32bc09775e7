"""Trajectories made ready to draw: in one form, few enough for a browser, one trace with breaks between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.trajectories.projection import as_array

Array = NDArray[np.float64]

LIMIT = 100_000  # points in one figure, from which on a browser becomes slow to turn


def runs_of(trajectories: Any, n_state: int, time_axis: int | None = None) -> list[Array]:
    """Trajectories (T, n), a list of (T_i, n), or many in one array as a list of (T_i, n); None is an empty list.

    Of one array ``time_axis`` says whether it is time x trials x units (0) or trials x time x units (1): nothing else
    tells them apart. Raises ValueError where it is needed and not given, and for other shapes.
    """
    if time_axis not in (0, 1, None):
        raise ValueError(f"time_axis is {time_axis!r}; it is 0 for time x trials x units, 1 for trials x time x units")
    if trajectories is None:
        return []
    listed = isinstance(trajectories, list | tuple)
    runs = [as_array(run) for run in trajectories] if listed else _apart(as_array(trajectories), time_axis)
    for run in runs:
        if run.ndim != 2 or run.shape[1] != n_state:
            raise ValueError(
                f"a trajectory has shape {run.shape}; with {n_state} state variables it needs (T, {n_state}), "
                f"(T, B, {n_state}) with time_axis=0, (B, T, {n_state}) with time_axis=1, or a list of (T, {n_state})"
            )
    return [run for run in runs if len(run)]


def _apart(array: Array, time_axis: int | None) -> list[Array]:
    """The runs in one array."""
    if array.ndim != 3:
        return [array]
    if time_axis is None and 1 not in array.shape[:2]:
        a, b = array.shape[:2]
        raise ValueError(
            f"trajectories has shape {array.shape}: give time_axis=0 if these are {b} trials of {a} steps, as simulate "
            f"gives them, or time_axis=1 if they are {a} trials of {b} steps"
        )
    if time_axis is None:
        time_axis = int(array.shape[0] == 1)
    return list(array.swapaxes(0, 1) if time_axis == 0 else array)


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

"""What several trials say together: means with 95 % bands, trial by trial resampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000
TOLD = 1e-5  # of an MSE: what single precision adds or takes by itself


def band(trials: Sequence[Sequence[float | None]], seed: int = 0) -> dict[str, list[float | None]]:
    """``mean``, ``low`` and ``high`` at each level of values (trials, levels), and how many ``trials`` have one.

    The band is that of the mean, by the percentile bootstrap over whole trials: the bits of one trial depend on each
    other. None where no trial has a value; no band where fewer than two have one.
    """
    values = np.array([[np.nan if v is None else v for v in trial] for trial in trials], dtype=np.float64)
    columns = [_of_level(column[~np.isnan(column)], seed) for column in values.T]
    mean, low, high = (list(part) for part in zip(*columns, strict=True))
    return {"mean": mean, "low": low, "high": high, "trials": (~np.isnan(values)).sum(axis=0).tolist()}


def added(errors: Sequence[Sequence[float | None]], noiseless: Sequence[float | None]) -> list[list[float | None]]:
    """What noise adds to the ``errors`` (trials, levels) of runs that have ``noiseless`` (trials,) without it.

    None at levels where it does not add some, by more than ``TOLD`` of it, in every trial that stays finite: trials
    where it happens to add some would say too much. Also None where the run leaves the finite numbers.

    >>> added([[1.0, 3.0], [1.5, 4.0]], [1.0, 1.0])
    [[None, 2.0], [None, 3.0]]
    """
    floor = np.array([[np.nan if value is None else value] for value in noiseless], dtype=np.float64)
    more = np.array([[np.nan if v is None else v for v in trial] for trial in errors], dtype=np.float64) - floor
    more[:, (more <= TOLD * floor).any(axis=0)] = np.nan
    return [[None if np.isnan(value) else float(value) for value in trial] for trial in more]


def ratio(ours: Sequence[Sequence[float | None]], theirs: Sequence[Sequence[float | None]], seed: int = 0) -> Any:
    """The mean of log10(ours / theirs) over trials that met the same noise, at each level, as ``band``."""
    pairs = zip(ours, theirs, strict=True)
    logs = [[_log_ratio(a, b) for a, b in zip(one, other, strict=True)] for one, other in pairs]
    return band(logs, seed)


def _log_ratio(a: float | None, b: float | None) -> float | None:
    return float(np.log10(a / b)) if a is not None and b is not None and a > 0 and b > 0 else None


def _of_level(values: Array, seed: int) -> tuple[float | None, float | None, float | None]:
    if not len(values):
        return None, None, None
    mean = float(values.mean())
    if len(values) < 2:
        return mean, None, None
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return mean, float(found.low), float(found.high)

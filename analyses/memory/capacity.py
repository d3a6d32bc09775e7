"""Recall against load, by simulation: many sizes and seeds, and what they say of a net without end.

A mean over trials is made by the few that collapse: median, mean and the share of collapses are three different things,
and near capacity only the last one counts. Finite nets remember more or less than the mean field says by a term in 1/n,
which a straight line through several sizes takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynsys.io.progress import Progress
from dynsys.models.associative.theory.simulation import TRIALS, Trial

Array = NDArray[np.float64]
COLLAPSED = 0.1  # share of wrong units, beyond which nothing is left of the memory: m < 0.8; the least m is 0.967


@dataclass(frozen=True, eq=False)
class CapacityCurve:
    """Recalls in nets of n units: ``loads`` (L,) as they are, P / n, and by trial (L, T) the shares of wrong units.

    ``first`` is the share that one step of all at once changes in the cue, ``errors`` that at the end; where a run was
    not ``settled`` its error is no result. ``mistakes`` is the share of wrong units in the cues.
    """

    model: str
    n: int
    mistakes: float
    loads: Array
    first: Array
    errors: Array
    settled: NDArray[np.bool_]

    @property
    def overlaps(self) -> Array:
        return 1 - 2 * self.errors

    @property
    def collapses(self) -> Array:
        """The share of trials (L,) that lost the pattern."""
        return (self.errors > COLLAPSED).mean(axis=1)

    @property
    def median(self) -> Array:
        """The median error (L,)."""
        return np.median(self.errors, axis=1)

    @property
    def mean(self) -> Array:
        """The mean error (L,), collapses in it."""
        return self.errors.mean(axis=1)

    def of_kept(self) -> tuple[Array, Array]:
        """The mean overlap (L,) of the trials that did not collapse, and its standard error; NaN of fewer than 2."""
        kept = np.where(self.errors > COLLAPSED, np.nan, self.overlaps)
        count = np.isfinite(kept).sum(axis=1)
        enough = np.where(count > 1, count, np.nan)
        mean = np.nansum(kept, axis=1) / enough
        spread = np.nansum((kept - mean[:, None]) ** 2, axis=1) / (enough - 1)
        return mean, np.sqrt(spread / enough)


def capacity_curve(
    n: int,
    loads: Sequence[float],
    trials: int = 20,
    *,
    model: str = "hebb",
    mistakes: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
    **settings: float,
) -> CapacityCurve:
    """Recall at each load, so many ``trials`` of it, every one with patterns of its own.

    ``mistakes`` is the share of wrong units in the cue. ``settings`` go to the trial, as ``ratio`` of "bidirectional".
    A trial depends on the seed and on its own n, P and number alone. Raises ValueError for loads without a pattern.
    """
    if model not in TRIALS:
        raise ValueError(f"model is {model!r}; capacity is simulated of {', '.join(TRIALS)}")
    if settings and (model != "bidirectional" or set(settings) != {"ratio"}):
        raise ValueError(f"{', '.join(settings)} is no setting of {model}; only bidirectional has one, ratio")
    counts = [round(load * n) for load in loads]
    if n < 1 or trials < 1 or min(counts, default=0) < 1:
        raise ValueError(
            f"there are {n} units, {trials} trials and loads {list(loads)}; each needs a unit, a trial and a pattern"
        )
    if not 0 <= mistakes <= 1:
        raise ValueError(f"mistakes is {mistakes}; the share of wrong units in the cue lies between 0 and 1")
    wrong, rows = round(mistakes * n), []
    for k, P in enumerate(counts):
        draws = [np.random.default_rng([seed, n, P, t]) for t in range(trials)]
        rows.append([TRIALS[model](n, P, rng, wrong, **settings) for rng in draws])
        if progress:
            progress("recalling", k + 1, len(counts))

    def table(value: Callable[[Trial], float]) -> Array:
        return np.array([[value(trial) for trial in row] for row in rows])

    return CapacityCurve(
        model,
        n,
        mistakes,
        np.array(counts) / n,
        table(lambda trial: trial.first),
        table(lambda trial: trial.error),
        table(lambda trial: trial.settled).astype(bool),
    )


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """The overlap (L,) of a net without end at each load, with its standard error; NaN where a size has no memory."""

    loads: Array
    overlap: Array
    standard_error: Array


def extrapolated(curves: Sequence[CapacityCurve]) -> Extrapolation:
    """A straight line in 1/n through the overlaps of the trials that did not collapse, weighted by their errors.

    The standard error is that of the weights, or of the scatter about the line where that is larger. Raises ValueError
    for fewer than 3 sizes and for loads that are not the same in all of them.
    """
    loads = curves[0].loads if curves else np.zeros(0)
    if len({curve.n for curve in curves}) < 3:
        raise ValueError(f"there are {len(curves)} curves; a line in 1/n with its error needs 3 sizes")
    if any(curve.loads.shape != loads.shape or np.abs(curve.loads - loads).max() > 1e-9 for curve in curves):
        raise ValueError("the curves have different loads; choose loads with a whole number of patterns at every n")
    parts = [curve.of_kept() for curve in curves]
    means, errors = (np.array([part[k] for part in parts]) for k in (0, 1))  # (sizes, L)
    x = np.array([1 / curve.n for curve in curves])
    ends = [_intercept(x, m, e) for m, e in zip(means.T, errors.T, strict=True)]
    return Extrapolation(loads, np.array([end[0] for end in ends]), np.array([end[1] for end in ends]))


def _intercept(x: Array, m: Array, e: Array) -> tuple[float, float]:
    if not np.isfinite(m).all():
        return np.nan, np.nan
    if not (e > 0).all():  # no unit was wrong in any trial of some size, so that its spread says nothing
        return (float(m.mean()), 0.0) if (m == m[0]).all() else (np.nan, np.nan)
    A = np.stack([np.ones_like(x), x], axis=1) / e[:, None]
    covariance = np.linalg.inv(A.T @ A)
    line = covariance @ A.T @ (m / e)
    scatter = float((((m / e) - A @ line) ** 2).sum() / max(len(x) - 2, 1))
    return float(line[0]), float(np.sqrt(covariance[0, 0] * max(scatter, 1.0)))

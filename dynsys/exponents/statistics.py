"""What a series of growth rates says of its mean: batch means, intervals, and quantities made of several exponents.

The rates of consecutive pieces of a trajectory depend on each other; those of batches long enough do not, and their
spread gives the error of the mean (Conway 1963; Schmeiser 1982). Dimension and entropy are functions of the means, and
get their intervals by leaving out a batch at a time (Tukey's jackknife).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]

ENOUGH = 16  # batches, below which an interval is not to be trusted


@dataclass(frozen=True)
class Batching:
    """Batches are made longer until the correlation of neighbours is below ``correlated``, of which at least ``fewest``
    remain; fewer than ``none`` give no interval at all.
    """

    correlated: float = 0.1
    fewest: int = ENOUGH
    none: int = 4


@dataclass(frozen=True)
class Batches:
    """Means (M, k) of as many batches, and the correlation between neighbouring ones that is left."""

    means: Array
    correlation: float

    def mean(self) -> Array:
        return np.asarray(_plain_mean(self.means))

    def half_width(self, level: float) -> Array:
        """Of the interval about each mean, (k,); NaN where there are too few batches."""
        M = len(self.means)
        if Batching().none > M:
            return np.full(self.means.shape[1], np.nan)
        with np.errstate(invalid="ignore"):
            spread = np.nan_to_num(self.means.std(axis=0, ddof=1), nan=0.0)  # of minus infinity throughout
        return np.asarray(_quantile(level, M) * spread / np.sqrt(M))

    def of(self, function: Callable[[Array], float], level: float) -> tuple[float, tuple[float, float]]:
        """A function of the means, bias taken off, with its interval; NaN where it is not defined."""
        M, value = len(self.means), function(self.mean())
        if not np.isfinite(value) or Batching().none > M:
            return value, (np.nan, np.nan)
        total = np.where(np.isfinite(self.means), self.means, 0.0).sum(axis=0)
        lost = ~np.isfinite(self.mean())
        without = (total - np.where(np.isfinite(self.means), self.means, 0.0)) / (M - 1)
        without[:, lost] = -np.inf
        pseudo = M * value - (M - 1) * np.array([function(row) for row in without])
        half = _quantile(level, M) * pseudo.std(ddof=1) / np.sqrt(M)
        return value, (value - half, value + half)


def batched(series: Array, rules: Batching | None = None) -> Batches:
    """Batches of a series of rates (T, B, k) of B trajectories, none of them across two trajectories."""
    rules = rules or Batching()
    means = series
    correlation = _correlation(means)
    while abs(correlation) > rules.correlated and len(means) // 2 * means.shape[1] >= rules.fewest and len(means) > 3:
        even = means[len(means) % 2 :]  # the earliest goes where their number is odd
        means = (even[0::2] + even[1::2]) / 2
        correlation = _correlation(means)
    return Batches(means.reshape(-1, means.shape[2]), correlation)


def exactly(values: Array) -> Batches:
    """Batches of exponents (k,) that are known without error."""
    return Batches(np.repeat(values[None], ENOUGH, axis=0), 0.0)


def _correlation(means: Array) -> float:
    """Of each batch with the next, of the exponent for which it is greatest; 0 where nothing varies."""
    if len(means) < 3:
        return 0.0
    finite = np.isfinite(means).all(axis=(0, 1))
    away = means[..., finite] - means[..., finite].mean(axis=(0, 1))
    variance = (away**2).sum(axis=(0, 1))
    scale = np.abs(means[..., finite]).max(initial=0.0)
    varies = variance > (1e-12 * scale) ** 2 * away.shape[0] * away.shape[1]
    if not varies.any():
        return 0.0
    # rows as they follow each other, scaled to as many pairs as there are rows
    pairs = (away[1:] * away[:-1]).sum(axis=(0, 1)) * len(away) / (len(away) - 1)
    rho = pairs[varies] / variance[varies]
    return float(rho[np.abs(rho).argmax()]) if len(rho) <= 4 else float(rho[:4][np.abs(rho[:4]).argmax()])


def _quantile(level: float, M: int) -> float:
    return float(scipy.special.stdtrit(M - 1, (1 + level) / 2))


def _plain_mean(means: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(means).all(axis=0), np.nan_to_num(means, neginf=0.0).mean(axis=0), -np.inf)


def kaplan_yorke(values: Array, complete: bool = True) -> float:
    """Dimension j + (sum of the first j) / |the next|, for the most j whose sum is not negative (Kaplan & Yorke 1979).

    0 where all are negative, their number where even the sum of all is not; NaN where that holds of those computed, and
    others were not.

    >>> round(kaplan_yorke(np.array([0.41929, -1.62327])), 4)
    1.2583
    """
    values = np.sort(np.asarray(values, dtype=np.float64))[::-1]
    sums = np.cumsum(values)
    held = np.flatnonzero(sums >= 0)
    if len(held) == 0:
        return 0.0
    j = int(held[-1]) + 1
    if j == len(values):
        return float(j) if complete else float("nan")
    return j + float(sums[j - 1] / -values[j])


def entropy_rate(values: Array, complete: bool = True) -> float:
    """The sum of the positive ones, which bounds the entropy rate from above and is it in the usual case (Pesin 1977).

    NaN where all that were computed are positive, and others were not.
    """
    values = np.asarray(values, dtype=np.float64)
    if not complete and (values > 0).all():
        return float("nan")
    return float(values[values > 0].sum())

"""What a bidirectional memory of very many units remembers: the mean field at zero temperature.

Layers of N and ratio x N units, P = alpha N pairs. The overlap of the first is m = erf(mt / sqrt(2 s1)), of the second
mt = erf(m / sqrt(2 s2)), and the noise from all other pairs

    s1 = alpha (1/ratio + V^2) / (1 - U V)^2,   s2 = alpha (1 + U^2/ratio) / (1 - U V)^2,
    U = sqrt(2 / (pi s1)) exp(-mt^2 / (2 s1)),  V = sqrt(2 / (pi s2)) exp(-m^2 / (2 s2))

by signal-to-noise analysis: each layer's noise holds the other's answer to its own (Shouno, Kido & Okada 2004). This is
the equilibrium; a run from the pattern itself ends a little above it near the critical load, as units hold themselves
through the other layer (docs/associative.md).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erf

MOST_RATIO = 100  # of the layers: the equations are solved within brackets that were tried up to here
TIGHT = {"xtol": 1e-14, "rtol": 8.9e-16}


@dataclass(frozen=True)
class PairRetrieval:
    """The memory of a BAM: overlaps m and mt of its layers of N and ratio x N units, at P = alpha N pairs."""

    alpha: float
    m: float
    mt: float


def _pair(a: float, ratio: float) -> PairRetrieval:
    """The memory whose first layer has the signal-to-noise ratio a = mt / sqrt(2 s1).

    With b = m / sqrt(2 s2), m = erf(a) and mt = erf(b), both noises follow, s1 = alpha (1/ratio + V^2) / (1 - U V)^2
    and s2 = alpha (1 + U^2/ratio) / (1 - U V)^2; their ratio fixes b, their size alpha.
    """

    def at(b: float) -> tuple[float, float, float, float]:
        s1, s2 = (erf(b) / a) ** 2 / 2, (erf(a) / b) ** 2 / 2
        return s1, s2, np.sqrt(2 / (np.pi * s1)) * np.exp(-a * a), np.sqrt(2 / (np.pi * s2)) * np.exp(-b * b)

    def unequal(b: float) -> float:
        s1, s2, U, V = at(b)
        return float(np.log(s1 / s2) - np.log((1 / ratio + V * V) / (1 + U * U / ratio)))

    b = float(brentq(unequal, 1e-3, 60.0, **TIGHT))
    s1, _, U, V = at(b)
    return PairRetrieval(float(s1 * (1 - U * V) ** 2 / (1 / ratio + V * V)), float(erf(a)), float(erf(b)))


@functools.cache
def _pair_fold(ratio: float) -> float:
    if not 1 / MOST_RATIO <= ratio <= MOST_RATIO:
        raise ValueError(
            f"ratio is {ratio}; the second layer has ratio times the units of the first, 1/{MOST_RATIO} to {MOST_RATIO}"
        )
    grid = np.geomspace(0.3, 6.0, 60)
    best = int(np.argmax([_pair(a, ratio).alpha for a in grid]))
    bracket = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(
        minimize_scalar(lambda a: -_pair(a, ratio).alpha, bounds=bracket, method="bounded", options={"xatol": 1e-10}).x
    )


def pair_critical(ratio: float = 1.0) -> PairRetrieval:
    """The largest load, per unit of the first layer, and the memory there: 0.199802 for equal layers."""
    return _pair(_pair_fold(float(ratio)), float(ratio))


def pair_retrieval(alpha: float, ratio: float = 1.0) -> PairRetrieval | None:
    """The memory of a BAM at the load alpha > 0; None above the critical one."""
    if not alpha > 0 or not np.isfinite(alpha):
        raise ValueError(f"alpha is {alpha}; a load is P / N, a number above 0")
    if alpha > pair_critical(ratio).alpha:
        return None
    fold, high = _pair_fold(float(ratio)), 25.0
    if _pair(high, ratio).alpha > alpha:
        return PairRetrieval(alpha, 1.0, 1.0)  # of erf(25) nothing is missing in float64
    return _pair(float(brentq(lambda a: _pair(a, ratio).alpha - alpha, fold, high, **TIGHT)), ratio)

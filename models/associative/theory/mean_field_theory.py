"""What a Hopfield net of very many units remembers: the mean field at zero temperature.

Amit, Gutfreund & Sompolinsky (1985), replica symmetric, of P = alpha n random patterns by Hebb's rule. With
y = m / sqrt(2 alpha r) the overlap m with one pattern solves

    erf(y) / y - 2 / sqrt(pi) exp(-y^2) = sqrt(2 alpha),   m = erf(y),   r = m^2 / (2 alpha y^2)

The left side rises to a maximum and falls again; its larger solution is the memory. Beyond the maximum there is none.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import erf, erfc, erfcinv

from dynsys.models.associative.patterns import Array

TIGHT = {"xtol": 1e-14, "rtol": 8.9e-16}


def _left(y: float) -> float:
    return float(erf(y) / y - 2 / np.sqrt(np.pi) * np.exp(-(y**2)))


@functools.cache
def _fold() -> float:
    """y at the maximum of the left side, where its derivative is 0: 2 y (2 y^2 + 1) exp(-y^2) = sqrt(pi) erf(y)."""
    return float(
        brentq(lambda y: 2 * y * (2 * y * y + 1) * np.exp(-y * y) - np.sqrt(np.pi) * erf(y), 1.0, 3.0, **TIGHT)
    )


@dataclass(frozen=True)
class Retrieval:
    """The memory at a load alpha: its overlap m, and r, the mean square of the other overlaps in units of their own."""

    alpha: float
    m: float
    r: float

    @property
    def error(self) -> float:
        """The share of wrong units, (1 - m) / 2."""
        return (1 - self.m) / 2

    @property
    def energy(self) -> float:
        """Per unit, with W = sum s s^T / n: -(m^2 + alpha (r - 1)) / 2."""
        return -(self.m**2 + self.alpha * (self.r - 1)) / 2


def retrieval(alpha: float) -> Retrieval | None:
    """The memory at the load alpha > 0; None above the critical load."""
    if not alpha > 0 or not np.isfinite(alpha):
        raise ValueError(f"alpha is {alpha}; a load is P / n, a number above 0")
    if alpha > critical_load():
        return None
    y, most = _fold(), max(1 / np.sqrt(2 * alpha), _fold()) + 1
    if _left(y) > np.sqrt(2 * alpha):  # else it is the fold itself, to the last digit
        y = float(brentq(lambda y: _left(y) - np.sqrt(2 * alpha), y, most, **TIGHT))
    m = float(erf(y))
    return Retrieval(float(alpha), m, float(m**2 / (2 * alpha * y**2)))


@overload
def mean_field(alpha: float) -> float: ...
@overload
def mean_field(alpha: NDArray[Any]) -> Array: ...
def mean_field(alpha: Any) -> Any:
    """The overlap m of a memory with its pattern at the load alpha, one number or an array; 0 above the critical load.

    >>> round(mean_field(0.1), 6), mean_field(0.2)
    (0.997999, 0.0)
    """
    if np.ndim(alpha):
        return np.array([mean_field(float(a)) for a in np.ravel(alpha)]).reshape(np.shape(alpha))
    state = retrieval(float(alpha))
    return 0.0 if state is None else state.m


def critical_load() -> float:
    """alpha_c = 0.1379056, above which no memory is left; there m = 0.967417."""
    return _left(_fold()) ** 2 / 2


def spin_glass_energy(alpha: float) -> float:
    """Per unit, of the states that have no overlap with any pattern: -1/pi - sqrt(2 alpha / pi)."""
    return float(-1 / np.pi - np.sqrt(2 * alpha / np.pi))


@functools.cache
def global_load() -> float:
    """alpha = 0.05185, below which the memories are the states of least energy."""

    def above(alpha: float) -> float:
        state = retrieval(alpha)
        assert state is not None
        return state.energy - spin_glass_energy(alpha)

    return float(brentq(above, 0.01, 0.13, xtol=1e-13))


def first_step_error(alpha: Any) -> Any:
    """The share of a pattern's units that one step of all at once makes wrong: erfc(1/sqrt(2 alpha)) / 2."""
    return erfc(1 / np.sqrt(2 * np.asarray(alpha, dtype=np.float64))) / 2


def load_of_first_step_error(error: float) -> float:
    """The load at which one step leaves this share wrong, between 0 and 1/2."""
    if not 0 < error < 0.5:
        raise ValueError(f"error is {error}; the share of wrong units after one step lies between 0 and 1/2")
    return float(1 / (2 * erfcinv(2 * error) ** 2))


# what is counted as stored differs: docs/associative.md sets these side by side
PATTERNS_STORED: dict[str, Callable[[float], float]] = {
    "most patterns exactly, n / (2 ln n) (McEliece et al. 1987)": lambda n: n / (2 * math.log(n)),
    "all patterns exactly, n / (4 ln n) (McEliece et al. 1987)": lambda n: n / (4 * math.log(n)),
    "n / (2 log2 n), as the lecture notes print it": lambda n: n / (2 * math.log2(n)),
    "0.15 n, by experiment (Hopfield 1982)": lambda n: 0.15 * n,
}

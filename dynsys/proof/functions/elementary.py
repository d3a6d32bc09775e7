"""Functions of one number with all that a proof needs: rounding errors, and how far they bend over an interval.

Each value comes with its error in units in the last place, which a test compares with 60 digits; the two derivatives
are bounded over whole intervals by closed forms: where |phi'| or |phi''| has one peak, the largest is at the peak or at
the end nearest to it.

>>> import torch
>>> low, high = torch.tensor([-1.0, 2.0]).double(), torch.tensor([1.0, 3.0]).double()
>>> TANH.bend(low, high)  # |tanh''| is 4 / (3 sqrt 3) at the most, at 0.6585, and falls from there
tensor([0.7698, 0.1362], dtype=torch.float64)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi, sqrt

import torch
from torch import Tensor

from dynsys.proof.exact import UNIT, UP, power_of_two

SLOPE = 64 * UNIT  # relative error of a slope: two functions, some operations, and a wide margin
STEEPEST_CHANGE = 1.3169578969248166  # log(2 + sqrt 3), where |sigma''| is largest
OF_ERF = 2 / sqrt(pi)


@dataclass(frozen=True)
class Elementary:
    """A function phi: ``value`` is computed to within ``ulps`` units in the last place, ``slope`` to within the part
    ``loose`` of itself. ``steepest`` and ``bend`` are not below |phi'| and |phi''| between low and high but for their
    own rounding, far below 2^-24 of them. Where phi' is steep but has no jump, ``bend`` is its Lipschitz constant.
    """

    value: Callable[[Tensor], Tensor]
    ulps: float
    slope: Callable[[Tensor], Tensor]
    steepest: Callable[[Tensor, Tensor], Tensor]
    bend: Callable[[Tensor, Tensor], Tensor]
    loose: Callable[[Tensor], Tensor] = lambda x: torch.full_like(x, SLOPE)

    def rounding(self, value: Tensor) -> Tensor:
        """The error allowed to computed values; just below a power of two they count as above it, where the exact one
        may be."""
        size = value.abs() * (1 + 16 * UNIT)
        unit = power_of_two(torch.frexp(size).exponent.to(torch.int64).clamp(min=-900) - 53)
        return self.ulps * torch.minimum(unit, 2 * UNIT * size)  # for 0 and subnormal values the second


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) at every x, as max(x, 0) + log1p(exp(-|x|)); torch's own is x itself beyond a threshold of 20."""
    return torch.logaddexp(x, torch.zeros_like(x))


def log_cosh(x: Tensor) -> Tensor:
    """The integral of tanh, without overflow."""
    size = x.abs()
    return size + torch.log1p(torch.exp(-2 * size)) - log(2.0)


def elu(x: Tensor) -> Tensor:
    """x above 0 and exp(x) - 1 below."""
    return torch.where(x > 0, x, torch.expm1(x.clamp_max(0.0)))


def logistic_slope(distance: Tensor) -> Tensor:
    """sigma' at +-distance, exp(-d) / (1 + exp(-d))^2: it falls with the distance."""
    q = torch.exp(-distance)
    return q / (1 + q) ** 2


def _logistic_bend(near: Tensor, far: Tensor) -> Tensor:
    """The largest |sigma''| = q (1 - q) / (1 + q)^3, q = exp(-d), for distances d from near to far: it has one peak."""
    d = _nearest_to(STEEPEST_CHANGE, near, far)
    q = torch.exp(-d)
    return q * -torch.expm1(-d) / (1 + q) ** 3


def _erf_slope(x: Tensor) -> Tensor:
    return OF_ERF * torch.exp(-x * x)


def _erf_bend(low: Tensor, high: Tensor) -> Tensor:
    """The largest |erf''| = 2 d erf'(d): one peak, at 1 / sqrt 2."""
    d = _nearest_to(sqrt(0.5), *_distances(low, high))
    return 2 * d.clamp_max(1e3) * _erf_slope(d)  # erf' is 0 long before, and infinity times 0 is no number


def _distances(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest distance from 0."""
    return torch.maximum(low, -high).clamp_min(0.0), torch.maximum(high, -low)


def _nearest_to(peak: float, low: Tensor, high: Tensor) -> Tensor:
    """The number between low and high that is nearest to the peak."""
    return torch.maximum(high.clamp_max(peak), low)


LOGISTIC = Elementary(
    torch.sigmoid,
    4,
    lambda x: logistic_slope(x.abs()),
    lambda low, high: logistic_slope(_distances(low, high)[0]),
    lambda low, high: _logistic_bend(*_distances(low, high)),
)

TANH = Elementary(  # tanh' (x) = 4 sigma' (2x) and tanh'' (x) = 8 sigma'' (2x)
    torch.tanh,
    2,
    lambda x: 4 * LOGISTIC.slope(2 * x),
    lambda low, high: 4 * LOGISTIC.steepest(2 * low, 2 * high),
    lambda low, high: 8 * LOGISTIC.bend(2 * low, 2 * high),
)

RECTIFIER = Elementary(
    torch.relu,
    0,
    lambda x: (x > 0).to(x.dtype),
    lambda low, high: (high > 0).to(high.dtype),
    lambda low, high: torch.where((low <= 0) & (high >= 0), torch.inf, 0.0),
)

SOFTPLUS = Elementary(  # its slope is sigma, which rises
    softplus,
    8,
    torch.sigmoid,
    lambda low, high: torch.sigmoid(high),
    LOGISTIC.steepest,
)

ERF = Elementary(
    torch.erf,
    4,
    _erf_slope,
    lambda low, high: _erf_slope(_distances(low, high)[0]),
    _erf_bend,
    lambda x: SLOPE + 4 * UNIT * (x * x).clamp_max(1e6),  # exp(-s) magnifies the rounding of s = x^2 by s
)

ELU = Elementary(  # its slope exp(min(x, 0)) has no jump at 0, but its second derivative falls from 1 to 0 there
    elu,
    2,
    lambda x: torch.exp(x.clamp_max(0.0)),
    lambda low, high: torch.exp(high.clamp_max(0.0)),
    lambda low, high: torch.where(low < 0, torch.exp(high.clamp_max(0.0)), 0.0),
)


def power(p: float) -> Elementary:
    """max(x, 0)^p for p > 1. Its slope has no jump, but below p = 2 no Lipschitz constant at 0 either.

    phi'' = p (p - 1) x^(p - 2) rises with x for p >= 2 and falls below, where it is infinite at 0.
    """

    def bend(low: Tensor, high: Tensor) -> Tensor:
        at = high if p >= 2 else low.clamp_min(0.0)
        at = at.clamp_min(0.0) + 0.0  # a root of -0.0 is -inf to torch, where it is a divisor
        return torch.where(high > 0, p * (p - 1) * at ** (p - 2), 0.0)

    def slope(x: Tensor) -> Tensor:
        return p * x.clamp_min(0.0) ** (p - 1)

    return Elementary(lambda x: x.clamp_min(0.0) ** p, 4, slope, lambda low, high: slope(high), bend)


def widened(value: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """value - width and value + width, rounded outward: each is off by one rounding of itself."""
    low, high = value - width, value + width
    return low - (UP - 1) * low.abs(), high + (UP - 1) * high.abs()

"""The dense associative memory of binary units: overlaps count by a power, or by an exponential.

    E(y) = -sum_p F(s(p) . y),   F(h) = h^order (Krotov & Hopfield 2016) or exp(h) (Demircigil et al. 2017)

One unit at a time takes the value of the lower energy, and keeps its own where both have the same. Order 2 is the
Hopfield net of Hebb's rule; the number of random patterns that are stored grows like n^(order - 1), and with exp
like an exponential of n.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import scipy

from dynsys.io.shown import Shown
from dynsys.models.associative.hopfield import checked_order
from dynsys.models.associative.patterns import Array, checked_patterns, checked_vector

SWEEPS = 10_000
EXACT = 2**53  # up to which a whole number is exact in int64 and in float64
UNDERFLOW = 1e-290  # of numbers of at most 1, below which float64 has lost digits


@dataclass(eq=False, repr=False)
class PolynomialMemory(Shown):
    """Bipolar patterns S (P, n) under a whole ``order`` of at least 2, or "exp"."""

    S: Array
    order: int | str = 3

    def __post_init__(self) -> None:
        self.S = checked_patterns(self.S, binary=False)
        whole = isinstance(self.order, int) and self.order >= 2
        if not whole and self.order != "exp":
            raise ValueError(f"order is {self.order!r}; it is a whole number of at least 2, or 'exp'")

    def energy(self, y: Any) -> float:
        """E(y) / F(n), so that a stored pattern has about -1; of "exp" it is -ln(-E) / n, which falls with E."""
        n = self.S.shape[1]
        overlaps = self.S @ checked_vector(y, n, "y", (-1.0, 1.0))
        if isinstance(self.order, str):
            return float(-scipy.special.logsumexp(overlaps) / n)
        return -float(((overlaps / n) ** self.order).sum())

    def gaps(self, i: int, y: Array) -> Array:
        """E(y_i = -1) - E(y_i = 1) of states (..., n), up to a positive factor: the unit takes its sign.

        With h_p the overlaps without unit i it is sum_p s_i(p) (F(h_p + 1) - F(h_p - 1)). Where rounding could have
        its sign, the sign is that of exact arithmetic; 0 is a tie, and only that.
        """
        P, n = self.S.shape
        column = self.S[:, i]
        rest = y @ self.S.T - y[..., i, None] * column
        whole = bool((y == np.rint(y)).all())
        if isinstance(self.order, str):  # F(h + 1) - F(h - 1) = exp(h) (e - 1/e)
            terms = column * np.exp(rest - rest.max(axis=-1, keepdims=True))
            doubt, size = 2 * n, np.abs(terms).sum(axis=-1)
        elif whole and 2 * P * n**self.order < EXACT:
            h = rest.astype(np.int64)
            return np.asarray(((h + 1) ** self.order - (h - 1) ** self.order) @ column.astype(np.int64), dtype=float)
        else:
            up, down = ((rest + 1) / n) ** self.order, ((rest - 1) / n) ** self.order
            terms, doubt, size = column * (up - down), 2 * self.order, (np.abs(up) + np.abs(down)).sum(axis=-1)
        gaps = np.asarray(terms.sum(axis=-1))
        near = np.abs(gaps) <= (P + n + doubt + 9) * np.finfo(np.float64).eps * size + UNDERFLOW
        for where in np.argwhere(near):
            at = tuple(where)
            gaps[at] = self._sign(i, rest[at].astype(int).tolist() if whole else self._overlaps_without(i, y[at]))
        return gaps

    def _overlaps_without(self, i: int, y: Array) -> list[Fraction]:
        """The overlaps of one state y (n,), its unit i left out, not rounded."""
        others = [(j, Fraction(float(c))) for j, c in enumerate(y) if j != i]
        return [sum((s[j] * c for j, c in others), Fraction(0)) for s in self.S.astype(int).tolist()]

    def _sign(self, i: int, overlaps: Sequence[int | Fraction]) -> int:
        """The sign of the gap of one state, by rational numbers."""
        shares: dict[int | Fraction, int] = {}
        for h, c in zip(overlaps, self.S[:, i].astype(int).tolist(), strict=True):
            shares[h] = shares.get(h, 0) + c
        return _sign_of_sum(frozenset((h, c) for h, c in shares.items() if c), self.order)

    def run(self, x: Any, order: Sequence[int] | None = None, seed: int = 0) -> Array:
        """The states (k + 1, n) after each sweep from the cue x, until a whole one changes nothing."""
        n = self.S.shape[1]
        y, fixed, rng = checked_vector(x, n, within=(-1.0, 1.0)), checked_order(order, n), np.random.default_rng(seed)
        states = [y.copy()]
        for _ in range(SWEEPS):
            for i in rng.permutation(n) if fixed is None else fixed:
                gap = float(self.gaps(int(i), y))
                y[i] = np.sign(gap) if gap else y[i]
            states.append(y.copy())
            if (states[-1] == states[-2]).all():
                break
        return np.array(states)


@functools.lru_cache(maxsize=1 << 16)
def _sign_of_sum(shares: frozenset[tuple[int | Fraction, int]], order: int | str) -> int:
    """The sign of sum c (F(h + 1) - F(h - 1)) over pairs h, c with the h all different."""
    if not isinstance(order, str):
        total = sum(c * ((h + 1) ** order - (h - 1) ** order) for h, c in shares)
        return (total > 0) - (total < 0)
    if not shares:
        return 0
    most, digits = max(h for h, _ in shares), 60
    while True:  # no such sum of powers of e is 0 (Lindemann and Weierstrass): enough digits tell its sign
        with localcontext(prec=digits):
            away = ((h - most, c) for h, c in shares)
            total = sum((c * (Decimal(x.numerator) / Decimal(x.denominator)).exp() for x, c in away), Decimal(0))
            if abs(total) > sum(abs(c) for _, c in shares) * Decimal(10) ** (20 - digits):
                return 1 if total > 0 else -1
        digits *= 2

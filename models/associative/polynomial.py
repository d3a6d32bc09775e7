"""The dense associative memory of binary units: overlaps count by a power, or by an exponential.

    E(y) = -sum_p F(s(p) . y),   F(h) = h^order (Krotov & Hopfield 2016) or exp(h) (Demircigil et al. 2017)

One unit at a time takes the value of the lower energy, and keeps its own where both have the same. Order 2 is the
Hopfield net of Hebb's rule; the number of random patterns that are stored grows like n^(order - 1), and with exp
like an exponential of n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from dynsys.models.associative.hopfield import checked_order
from dynsys.models.associative.patterns import Array, checked_patterns, checked_vector

SWEEPS = 10_000
ROUNDING = 1e-13  # of the terms of a gap, up to which it counts as 0: both values have the same energy


@dataclass(eq=False)
class PolynomialMemory:
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
        """E(y_i = -1) - E(y_i = 1) of states (..., n), up to a positive factor: the unit takes its sign."""
        rest = y @ self.S.T - y[..., i, None] * self.S[:, i]
        up, down = rest + self.S[:, i], rest - self.S[:, i]
        if isinstance(self.order, str):
            return np.asarray(scipy.special.logsumexp(up, axis=-1) - scipy.special.logsumexp(down, axis=-1))
        terms = (up / self.S.shape[1]) ** self.order - (down / self.S.shape[1]) ** self.order
        gaps, size = terms.sum(axis=-1), np.abs(terms).sum(axis=-1)
        return np.asarray(np.where(np.abs(gaps) <= ROUNDING * size, 0.0, gaps))

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

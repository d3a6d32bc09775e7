"""The bidirectional associative memory: two layers that recall each other (Kosko 1988).

    y = f(x^T W),  x = f(y^T W^T),  W = sum_p s(p) t(p)^T;   L = -x^T W y

A layer changes at once. No unit is joined to one of its own layer, so L never rises all the same, and a pair that
neither layer leaves is reached. A unit with a net input of 0 keeps its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dynsys.io.shown import Shown
from dynsys.models.associative.patterns import Array, bipolar, checked_patterns, checked_vector, net_inputs, output

LIMIT = 10_000  # passes, which only rounding can use up
FIRST = ("y", "x")


@dataclass(frozen=True, eq=False, repr=False)
class Passes(Shown):
    """A run, layer by layer: ``x`` (k + 1, n) and ``y`` (k + 1, m), the start first, ``energies`` (k + 1,).

    It is also these three in this order. ``layers`` (k) names which layer changed in turn; the last two passes change
    nothing where it ``settled``.
    """

    x: Array
    y: Array
    energies: Array
    layers: tuple[str, ...]
    settled: bool

    @property
    def end(self) -> tuple[Array, Array]:
        return self.x[-1], self.y[-1]

    def __iter__(self) -> Iterator[Array]:
        return iter((self.x, self.y, self.energies))


@dataclass(frozen=True, eq=False, repr=False)
class BidirectionalMemory(Shown):
    """Weights W (n, m) between layers of n and m units, bipolar or ``binary``, that store S (P, n) and T (P, m)."""

    W: Array
    S: Array
    T: Array
    binary: bool = False

    @classmethod
    def hebb(cls, S: Any, T: Any, binary: bool = False) -> Self:
        """W = sum_p s t^T, of binary pairs with 2 s - 1 and 2 t - 1 in their places."""
        S, T = checked_patterns(S, "S", binary), checked_patterns(T, "T", binary)
        if len(S) != len(T):
            raise ValueError(f"there are {len(S)} patterns S and {len(T)} patterns T; they are stored in pairs")
        return cls(bipolar(S).T @ bipolar(T) if binary else S.T @ T, S, T, binary)

    @property
    def low(self) -> float:
        return 0.0 if self.binary else -1.0

    def energy(self, x: Any, y: Any) -> float:
        """L = -x^T W y."""
        n, m = self.W.shape
        return float(-checked_vector(x, n, "x") @ self.W @ checked_vector(y, m, "y"))

    def lower_bound(self) -> float:
        """No pair with |x_i|, |y_j| <= 1 has less energy: -sum |w_ij|."""
        return -float(np.abs(self.W).sum())

    def answer(self, x: Array, y: Array) -> Array:
        """The y-layer after a pass from x, having been y; (m,) or (B, m)."""
        return output(net_inputs(x, self.W), y, self.low)

    def answer_back(self, x: Array, y: Array) -> Array:
        """The x-layer after a pass from y, having been x."""
        return output(net_inputs(y, self.W.T), x, self.low)

    def run(self, x: Any, y: Any, first: str = "y") -> Passes:
        """From the states x (n,) and y (m,), either of which may be all 0 for unknown, until neither layer changes.

        ``first`` is the layer that is updated first: "y" as the algorithm of the lecture notes says, "x" as their
        examples do.
        """
        if first not in FIRST:
            raise ValueError(f"first is {first!r}; the layer that is updated first is 'y' or 'x'")
        n, m = self.W.shape
        within = (self.low, 1.0)
        xs, ys = [checked_vector(x, n, "x", within)], [checked_vector(y, m, "y", within)]
        layers: list[str] = []
        quiet, layer = 0, first
        while quiet < 2 and len(layers) < LIMIT:
            x, y = xs[-1], ys[-1]
            after = (x, self.answer(x, y)) if layer == "y" else (self.answer_back(x, y), y)
            quiet = quiet + 1 if (after[0] == x).all() and (after[1] == y).all() else 0
            xs.append(after[0])
            ys.append(after[1])
            layers.append(layer)
            layer = "x" if layer == "y" else "y"
        energies = [self.energy(x, y) for x, y in zip(xs, ys, strict=True)]
        return Passes(np.array(xs), np.array(ys), np.array(energies), tuple(layers), quiet == 2)

"""The discrete Hopfield net: one unit at a time, with an energy that never rises (Hopfield 1982).

    net_i = x_i + sum_j w_ij y_j - theta_i;   y_i becomes 1 above 0, low below 0, and stays at 0
    E(y) = -1/2 y^T W y - x^T y + theta^T y

The external input x stays on throughout. A change dy_i costs dE = -net_i dy_i - 1/2 w_ii dy_i^2, so E falls at every
change where W is symmetric and has no negative diagonal, and a state that no unit leaves is reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dynsys.io.shown import Shown
from dynsys.models.associative.learning import RULES
from dynsys.models.associative.patterns import (
    Array,
    bipolar,
    checked_matrix,
    checked_patterns,
    checked_vector,
    net_inputs,
    rounding,
)

DRIFT = 1e4  # changes, each of a rounding, within which a net input of a run is summed anew before its sign counts
SWEEPS = 10_000  # of a net that no energy brings to rest, or rounding keeps from it


@dataclass(frozen=True, eq=False, repr=False)
class Visited(Shown):
    """A run, update by update: ``states`` (k + 1, n), the start first, ``nets`` (k,), ``energies`` (k + 1,).

    It is also these three in this order. ``units`` (k,) are the units in the order of their turns, each sweep's n
    together; ``settled`` says that a whole sweep changed nothing.
    """

    net: Hopfield
    start: Array
    external: Array
    units: NDArray[np.int64]
    values: Array
    nets: Array
    settled: bool

    @property
    def states(self) -> Array:
        """(k + 1) n numbers; of a large net ``states_after`` its ``changes`` alone."""
        return self.states_after(np.arange(len(self.units)))

    @property
    def changes(self) -> NDArray[np.int64]:
        """The turns (c,), from 0, at which a unit changed."""
        return np.flatnonzero(self._steps())

    def states_after(self, turns: NDArray[np.int64]) -> Array:
        """The start and the states after these turns in rising order, (c + 1, n)."""
        states = np.repeat(self.start[None], len(turns) + 1, axis=0)
        steps = self._steps()
        for turn in np.flatnonzero(steps):
            states[1 + np.searchsorted(turns, turn) :, self.units[turn]] += steps[turn]
        return states

    def _steps(self) -> Array:
        """By how much the unit of each turn changed, (k,)."""
        n = len(self.start)
        before = np.empty_like(self.values)
        by_unit = np.argsort(self.units, kind="stable").reshape(n, -1)  # the turns of each unit, as many of each
        before[by_unit] = np.concatenate([self.start[:, None], self.values[by_unit][:, :-1]], axis=1)
        return self.values - before

    @property
    def energies(self) -> Array:
        """By what each change costs, -net dy - w_ii dy^2 / 2; ValueError where W is not symmetric."""
        begin, steps = self.net.energy(self.start, self.external), self._steps()
        costs = -self.nets * steps - self.net.W.diagonal()[self.units] * steps**2 / 2
        return begin + np.concatenate([[0.0], np.cumsum(costs)])

    @property
    def end(self) -> Array:
        y = self.start.copy()
        y[self.units[-len(y) :]] = self.values[-len(y) :]  # the last sweep has every unit once
        return y

    @property
    def sweeps(self) -> int:
        return len(self.units) // len(self.start)

    def __iter__(self) -> Iterator[Array]:
        return iter((self.states, self.nets, self.energies))


@dataclass(eq=False, repr=False)
class Hopfield(Shown):
    """Weights W (n, n), stored patterns S (P, n) or None, ``binary`` or bipolar units, thresholds (n,)."""

    W: Array
    S: Array | None = None
    binary: bool = False
    thresholds: Array | float = 0.0

    def __post_init__(self) -> None:
        self.W = checked_matrix(self.W)
        n = len(self.W)
        if self.S is not None:
            self.S = checked_patterns(self.S, binary=self.binary)
            if self.S.shape[1] != n:
                raise ValueError(f"the patterns have {self.S.shape[1]} components and W is {self.W.shape}")
        self.thresholds = checked_vector(np.broadcast_to(self.thresholds, n), n, "thresholds")

    @classmethod
    def hebb(cls, S: Any, binary: bool = False, thresholds: Array | float = 0.0) -> Self:
        """w_ij = sum_p s_i s_j, of binary patterns with 2 s - 1 in place of s; w_ii = 0."""
        return cls.learned(S, "hebb", binary, thresholds)

    @classmethod
    def pseudo_inverse(cls, S: Any, binary: bool = False, thresholds: Array | float = 0.0) -> Self:
        """The projection on the span of the patterns without its diagonal: up to n - 1 independent patterns rest."""
        return cls.learned(S, "pseudo-inverse", binary, thresholds)

    @classmethod
    def storkey(cls, S: Any, binary: bool = False, thresholds: Array | float = 0.0) -> Self:
        """Storkey's rule, pattern by pattern."""
        return cls.learned(S, "storkey", binary, thresholds)

    @classmethod
    def learned(cls, S: Any, rule: str, binary: bool = False, thresholds: Array | float = 0.0) -> Self:
        """A net by the name of its rule in ``learning.RULES``."""
        if rule not in RULES:
            raise ValueError(f"rule is {rule!r}; a Hopfield net learns by {', '.join(RULES)}")
        S = checked_patterns(S, binary=binary)
        return cls(RULES[rule](bipolar(S) if binary else S), S, binary, thresholds)

    @property
    def low(self) -> float:
        return 0.0 if self.binary else -1.0

    @property
    def has_energy(self) -> bool:
        """Whether the energy is one: W symmetric, and no unit inhibits itself.

        Symmetric to the last bit: units that nothing else acts on go round for ever however small their weights are.
        """
        return bool((self.W == self.W.T).all() and (self.W.diagonal() >= 0).all())

    def energy(self, y: Any, x: Any = None) -> float:
        """E of the state y under the external input x, none where it is left out; ValueError where no energy falls."""
        if not self.has_energy:
            raise ValueError(
                "there is no energy: W must be symmetric, with no negative diagonal, for one to fall at every update; "
                f"the largest difference between W and its transpose is {np.abs(self.W - self.W.T).max():.3g}, the "
                f"least entry on the diagonal {self.W.diagonal().min():.3g}; of a W that rounding alone keeps from "
                "symmetry give (W + W.T) / 2"
            )
        n = len(self.W)
        y = checked_vector(y, n, "y")
        x = np.zeros(n) if x is None else checked_vector(x, n)
        return float(-0.5 * y @ self.W @ y - x @ y + self.thresholds @ y)

    def lower_bound(self, x: Any = None) -> float:
        """No state with |y_i| <= 1 has less energy: -1/2 sum |w_ij| - sum |x_i| - sum |theta_i|."""
        x = np.zeros(len(self.W)) if x is None else checked_vector(x, len(self.W))
        return float(-0.5 * np.abs(self.W).sum() - np.abs(x).sum() - np.abs(self.thresholds).sum())

    def nets(self, y: Array, x: Array | float = 0.0) -> Array:
        """The net inputs less the thresholds, in states y (n,) or (B, n)."""
        return net_inputs(y, self.W.T, x - self.thresholds)

    def rests(self, y: Any, x: Any = 0.0) -> bool:
        """Whether no unit would change."""
        y = np.asarray(y, dtype=np.float64)
        net = self.nets(y, x)
        return not ((net > 0) & (y != 1) | (net < 0) & (y != self.low)).any()

    def run(
        self, x: Any, order: Sequence[int] | None = None, seed: int = 0, *, external: Any = None, sweeps: int = SWEEPS
    ) -> Visited:
        """From y = x, sweep after sweep, until a whole one changes nothing.

        ``order`` is that of the units in every sweep, counted from 0; without it each sweep has a random one. What
        stays on is the cue x itself, as the lecture notes have it, or else ``external`` (n,), which may be all zeros.
        Raises ValueError for a cue of another length, with NaN, or beyond the values of a unit.
        """
        n = len(self.W)
        start = checked_vector(x, n, within=(self.low, 1.0))
        held = start if external is None else checked_vector(external, n, "external")
        fixed, rng = checked_order(order, n), np.random.default_rng(seed)
        y, fields = start.copy(), self.nets(start, held)
        less = held - self.thresholds
        doubtful = DRIFT * rounding(np.ones(n), self.W.T, less)
        units, values, nets, settled = [], [], [], False
        for _ in range(sweeps):
            settled = True
            for i in rng.permutation(n) if fixed is None else fixed:
                net = fields[i]
                if abs(net) <= doubtful[i]:
                    net = fields[i] = net_inputs(y, self.W[i, :, None], less[i])[0]
                after = 1.0 if net > 0 else self.low if net < 0 else y[i]
                units.append(i)
                values.append(after)
                nets.append(net)
                if after != y[i]:
                    fields = fields + self.W[:, i] * (after - y[i])
                    y[i], settled = after, False
            if settled:
                break
        return Visited(self, start, held, np.array(units, dtype=np.int64), np.array(values), np.array(nets), settled)


def checked_order(order: Sequence[int] | None, n: int) -> NDArray[np.int64] | None:
    if order is None:
        return None
    units = np.array(order)
    if units.shape != (n,) or sorted(units.tolist()) != list(range(n)):
        raise ValueError(f"order is {list(order)}; it names each of the units 0 to {n - 1} once")
    return units.astype(np.int64)

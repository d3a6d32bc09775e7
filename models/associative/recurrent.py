"""The recurrent auto-associator: all units at once, again and again (the lecture notes, chapter 3).

    x <- f(x^T W),  W = sum_p s(p) s(p)^T - P I

It stops at a stored pattern, or where a state comes again: at a fixed point, or in a cycle. With a symmetric W a state
comes again after one step or two, never more (Goles & Olivos 1980). That is no convergence, and nothing like an energy
need fall: W = [[0, 1], [1, 0]] takes (1, -1) to (-1, 1) and back for ever.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from dynsys.io.shown import Shown
from dynsys.models.associative.patterns import (
    Array,
    are_binary,
    checked_matrix,
    checked_patterns,
    checked_ties,
    checked_vector,
    net_inputs,
    output,
)

LIMIT = 1000  # steps; with a symmetric W far fewer are needed


class Outcome(enum.StrEnum):
    """How a run of the recurrent associator ended."""

    STORED = "stored"
    FIXED = "fixed"
    CYCLE = "cycle"
    LIMIT = "limit"

    @property
    def message(self) -> str:
        return {
            Outcome.STORED: "it reached a stored pattern",
            Outcome.FIXED: "it rests at a state that is not a stored pattern",
            Outcome.CYCLE: "it goes round in a cycle and never rests",
            Outcome.LIMIT: "it was still changing when the steps were used up",
        }[self]


@dataclass(frozen=True, eq=False, repr=False)
class Recall(Shown):
    """The states visited (k, n), the cue first, and how it ended; used as an array it is the states.

    ``period`` is 1 at rest, the length of a cycle, and None where a run was stopped before that could be told: by the
    limit, or at a stored pattern that is no fixed point.
    """

    states: Array
    outcome: Outcome
    period: int | None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.states, dtype=dtype)

    def __getitem__(self, index: Any) -> Any:
        return self.states[index]

    def __len__(self) -> int:
        return len(self.states)

    def __iter__(self) -> Iterator[Array]:
        return iter(self.states)


@dataclass(eq=False, repr=False)
class RecurrentAssociator(Shown):
    """Weights W (n, n), stored patterns S (P, n), the rule for ties, and thresholds (n,).

    ``outcome`` and ``period`` are those of the last run.
    """

    W: Array
    S: Array
    ties: str = "zero"
    thresholds: Array | float = 0.0
    _last: Recall | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.W, self.S = checked_matrix(self.W), checked_patterns(self.S)
        if self.S.shape[1] != len(self.W):
            raise ValueError(f"the patterns have {self.S.shape[1]} components and W is {self.W.shape}; they must agree")
        checked_ties(self.ties)
        self.thresholds = checked_vector(np.broadcast_to(self.thresholds, len(self.W)), len(self.W), "thresholds")

    @classmethod
    def hebb(cls, S: Any, ties: str = "zero", thresholds: Array | float = 0.0) -> Self:
        """The modified rule W = S^T S - P I. ``ties`` "zero" is what the worked examples of the lecture notes do,
        "keep" what their algorithm says.
        """
        S = checked_patterns(S)
        return cls(S.T @ S - len(S) * np.eye(S.shape[1]), S, ties, thresholds)

    @property
    def low(self) -> float:
        return 0.0 if are_binary(self.S) else -1.0

    def step(self, x: Any) -> Array:
        """f(x^T W) of states (n,) or (B, n)."""
        x = np.asarray(x, dtype=np.float64)
        return output(net_inputs(x, self.W, -self.thresholds), x if self.ties == "keep" else 0.0, self.low)

    def run(self, x: Any, limit: int = LIMIT) -> Recall:
        """Follow the cue x (n,) until a step leads to a stored pattern or to a state seen before, ``limit`` at most."""
        states = [checked_vector(x, len(self.W)) + 0.0]  # no -0, whose bytes are others
        seen = {states[0].tobytes(): 0}
        for _ in range(limit):
            y = self.step(states[-1]) + 0.0
            states.append(y)
            before = seen.setdefault(y.tobytes(), len(states) - 1)
            if (y == self.S).all(axis=1).any():
                return self._ended(states, Outcome.STORED, 1 if (self.step(y) == y).all() else None)
            if before < len(states) - 1:
                period = len(states) - 1 - before
                return self._ended(states, Outcome.FIXED if period == 1 else Outcome.CYCLE, period)
        return self._ended(states, Outcome.LIMIT, None)

    def _ended(self, states: list[Array], outcome: Outcome, period: int | None) -> Recall:
        self._last = Recall(np.array(states), outcome, period)
        return self._last

    @property
    def outcome(self) -> Outcome:
        return self._of_last().outcome

    @property
    def period(self) -> int | None:
        return self._of_last().period

    def _of_last(self) -> Recall:
        if self._last is None:
            raise ValueError("nothing has been recalled yet; call run(x) first")
        return self._last

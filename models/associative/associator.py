"""One layer that answers an input pattern with its target: y^T = f(x^T W) (the lecture notes, chapter 3).

What surely works: stored patterns under two sufficient conditions, and disturbed ones within a radius. The lecture
notes give the radius min |s(p)|^2 / |sum_p |s(p)||; it needs orthogonal inputs and bipolar targets, which they do not
say (docs/associative.md). The sharp radius is what remains of the margins on the way to the nearest wrong sign.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dynsys.io.shown import Shown
from dynsys.models.associative import learning
from dynsys.models.associative.patterns import (
    Array,
    are_binary,
    checked_patterns,
    checked_states,
    checked_ties,
    net_inputs,
    output,
)


class Sufficient(enum.StrEnum):
    """Under which of Hebb's rule stores every pair."""

    ORTHOGONAL = "the input patterns are orthogonal to each other, and none is zero"
    AGREEING = "input patterns of different targets are orthogonal, those of one target have no product below 0"


def sufficient_conditions(S: Any, T: Any = None) -> tuple[Sufficient, ...]:
    """Which of the conditions hold for inputs S (P, n) and targets T (P, m), S itself where it is left out.

    >>> [condition.name for condition in sufficient_conditions([[1, 0], [1, 1]], [[1], [1]])]
    ['AGREEING']
    """
    S, T = _pairs(S, T)
    gram, same = S @ S.T, (T[:, None] == T[None]).all(axis=2)
    others = ~np.eye(len(S), dtype=bool)
    if not gram.diagonal().all():
        return ()
    holds = {
        Sufficient.ORTHOGONAL: not gram[others].any(),
        Sufficient.AGREEING: not gram[~same].any() and bool((gram[same] >= 0).all()),
    }
    return tuple(condition for condition, met in holds.items() if met)


@dataclass(frozen=True, eq=False, repr=False)
class Associator(Shown):
    """A layer with weights W (n, m) made of inputs S (P, n) and targets T (P, m); ``rule`` is how.

    A unit whose net input is 0 answers 0 (``ties`` "zero") or with its own input ("keep", auto-association alone).
    """

    W: Array
    S: Array
    T: Array
    rule: str
    ties: str = "zero"
    auto: bool = False

    @classmethod
    def hebb(cls, S: Any, T: Any = None, modified: bool = False, ties: str = "zero") -> Self:
        """W = S^T T; ``modified`` takes P off the diagonal of an auto-associator, which T is left out for.

        Raises ValueError for patterns that are neither bipolar nor binary, and for pairs that do not fit.
        """
        auto = T is None
        S, T = _pairs(S, T)
        if modified and not auto:
            raise ValueError(
                "modified=True takes P off the diagonal of W, which joins a unit to itself: only auto-association has "
                "one; leave T out, or modified"
            )
        W = learning.hebb(S, T) - (len(S) * np.eye(S.shape[1]) if modified else 0.0)
        return cls(W, S, T, "modified" if modified else "hebb", _ties(ties, auto), auto)

    @classmethod
    def pseudo_inverse(cls, S: Any, T: Any = None, ties: str = "zero") -> Self:
        """W = S^+ T, which recalls any linearly independent patterns; ValueError where no W recalls them all."""
        auto = T is None
        S, T = _pairs(S, T)
        return cls(learning.pseudo_inverse(S, T), S, T, "pseudo-inverse", _ties(ties, auto), auto)

    @property
    def low(self) -> float:
        """What a unit gives below its threshold."""
        return 0.0 if are_binary(self.T) else -1.0

    def net(self, x: Any) -> Array:
        """x^T W of cues (n,) or (B, n), real numbers."""
        return net_inputs(checked_states(x, len(self.W)), self.W)

    def recall(self, x: Any) -> Array:
        """f(x^T W), (m,) or (B, m)."""
        net = self.net(x)
        return output(net, np.asarray(x, dtype=np.float64) if self.ties == "keep" else 0.0, self.low)

    @property
    def recalled(self) -> Array:
        """Whether each stored pattern is answered with its target, (P,)."""
        return (self.recall(self.S) == self.T).all(axis=1)

    def disturbance_bound(self) -> float:
        """A length of delta below which f((s(p) + delta)^T W) = t(p) for every p, by the entries of the patterns.

        Raises ValueError where nothing is proved: for binary targets (any d_j > 0 turns a 0 into a 1), for inputs that
        are not orthogonal, and for other rules than Hebb's.
        """
        if self.rule == "pseudo-inverse":
            raise ValueError("the disturbance bound is of Hebb's rule; the sharp radius holds for any weights")
        if Sufficient.ORTHOGONAL not in sufficient_conditions(self.S, self.T):
            raise ValueError(
                "the disturbance bound needs input patterns that are orthogonal to each other, and these are not"
            )
        return float(self._margins().min() / np.linalg.norm(np.abs(self.S).sum(axis=0)))

    def sharp_radius(self) -> float:
        """The largest such length: min over p and j of t_j(p) (s(p)^T W)_j / |W[:, j]|.

        Just beyond it, along -t_j(p) W[:, j] from the pattern where the minimum is, component j is wrong. Raises
        ValueError for binary targets, and where some pattern is not recalled at all.
        """
        margins, lengths = self._margins(), np.linalg.norm(self.W, axis=0)
        return float((margins / lengths).min())

    def _margins(self) -> Array:
        """t_j(p) (s(p)^T W)_j, (P, m), all above 0."""
        if are_binary(self.T):
            raise ValueError(
                "there is no radius for binary targets: where t_j is 0 any disturbance with d_j > 0 gives a 1; "
                "use bipolar targets, 2 t - 1"
            )
        margins = self.T * self.net(self.S)
        if not (margins > 0).all():
            lost = np.flatnonzero(~(margins > 0).all(axis=1))
            raise ValueError(f"there is no radius: the stored patterns {lost.tolist()} (from 0) are not recalled")
        return margins


def _pairs(S: Any, T: Any) -> tuple[Array, Array]:
    S = checked_patterns(S, "S")
    if T is None:
        return S, S
    T = checked_patterns(T, "T")
    if len(S) != len(T):
        raise ValueError(f"there are {len(S)} input patterns and {len(T)} targets; each pattern needs its own target")
    return S, T


def _ties(ties: str, auto: bool) -> str:
    if checked_ties(ties) == "keep" and not auto:
        raise ValueError("ties='keep' keeps what a unit was, and an output unit of a hetero-associator was nothing")
    return ties

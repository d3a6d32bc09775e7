"""What a state of a bipolar net is to its patterns: stored, a negative, a mixture, unfinished, or none of these.

Hebb's rule makes more states stable than it is given: minus s wherever s is, and signs of sums of an odd number of
patterns (Amit, Gutfreund & Sompolinsky 1985); a sum of two leaves at 0 the units on which they disagree, which is a
saddle of a continuous net. Beyond capacity most stable states are near no pattern at all.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynsys.models.associative.patterns import Array, checked_patterns, checked_vector, overlaps

MIXED = (3, 5, 7)  # patterns of a mixture; an even number leaves ties
CONSIDERED = 9  # patterns of the largest overlaps, among which those of a mixture are looked for


class Name(enum.StrEnum):
    """The kinds of states."""

    STORED = "stored"
    NEGATIVE = "negative"
    MIXTURE = "mixture"
    UNFINISHED = "unfinished"
    OTHER = "other"


@dataclass(frozen=True)
class Named:
    """A state by its kind. ``patterns`` (from 0) with ``signs`` are those it is made of, of OTHER the nearest one.

    ``zeros`` counts the units that are left at 0, and ``overlap`` is that with the nearest pattern, of either sign.
    """

    name: Name
    patterns: tuple[int, ...]
    signs: tuple[int, ...]
    zeros: int
    overlap: float

    @property
    def text(self) -> str:
        parts = " ".join(f"{'+' if sign > 0 else '-'}s{p}" for p, sign in zip(self.patterns, self.signs, strict=True))
        return {
            Name.STORED: f"stored pattern {self.patterns[0]}",
            Name.NEGATIVE: f"the negative of pattern {self.patterns[0]}",
            Name.MIXTURE: f"the mixture sign({parts})" + (f", {self.zeros} units at 0" if self.zeros else ""),
            Name.UNFINISHED: f"{parts} where it is not 0, with {self.zeros} units left at 0",
            Name.OTHER: f"no pattern nor a mixture of few near ones; overlap {self.overlap:.3g} with {parts}",
        }[self.name]


def named(y: Any, S: Any) -> Named:
    """What the state y (n,) of -1, 0 and 1 is to the bipolar patterns S (P, n).

    >>> named([1, 1, 1, 1], [[1, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1]]).text
    'the mixture sign(+s0 +s1 +s2)'
    """
    S = checked_patterns(S, binary=False)
    y = checked_vector(y, S.shape[1], "y", (-1.0, 1.0))
    m, zeros = overlaps(S, y), int((y == 0).sum())
    for name, sign in ((Name.STORED, 1), (Name.NEGATIVE, -1)):  # a state may be both, of two patterns
        same = np.flatnonzero((y == sign * S).all(axis=1))
        if len(same):
            return Named(name, (int(same[0]),), (sign,), 0, float(sign))
    nearest = int(np.abs(m).argmax())
    sign = 1 if m[nearest] >= 0 else -1
    pair = _mixture(y, S, m, (2,)) if zeros and y.any() else None
    if pair:
        return Named(Name.MIXTURE, *pair, zeros, float(m[nearest]))
    if zeros and y.any() and ((y == 0) | (y == sign * S[nearest])).all():
        return Named(Name.UNFINISHED, (nearest,), (sign,), zeros, float(m[nearest]))
    mixture = _mixture(y, S, m, MIXED)
    if mixture:
        return Named(Name.MIXTURE, *mixture, zeros, float(m[nearest]))
    return Named(Name.OTHER, (nearest,), (sign,), zeros, float(m[nearest]))


def _mixture(y: Array, S: Array, m: Array, counts: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The fewest patterns with signs, the sign of whose sum is y: those of their overlaps first, if these will do.

    They are among the ``CONSIDERED`` of the largest overlaps, of either sign.
    """
    candidates = sorted(np.argsort(-np.abs(m), kind="stable")[:CONSIDERED].tolist())
    own = np.where(m >= 0, 1, -1)
    least = np.count_nonzero(y) / len(y) - 1e-9  # of the sum of signed overlaps: each unit of y has 1 or more of it
    for count in counts:
        turned = np.array(sorted(itertools.product((1, -1), repeat=count), key=lambda signs: signs.count(-1)))
        for chosen in map(list, itertools.combinations(candidates, count)):
            if np.abs(m[chosen]).sum() < least:
                continue
            signs = turned * own[chosen]
            for row in signs[signs @ m[chosen] >= least]:
                if (np.sign(row @ S[chosen]) == y).all():
                    return tuple(chosen), tuple(row.tolist())
    return None

"""The linear associator g = A f and what lies behind it: Hebb's rule in time, and a unit that feeds itself.

A = eta sum_i g_i f_i^T recalls A f_j = eta |f_j|^2 g_j + crosstalk. The crosstalk eta sum_{k != j} (f_k . f_j) g_k is 0
for orthogonal keys (Anderson 1995; Wayman and Mathew, section 3.1). A here is (m, n), the transpose of the W of the
other nets.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dynsys.io.shown import Shown
from dynsys.models.associative.learning import pseudo_inverse
from dynsys.models.associative.patterns import Array, checked_rows, checked_states, checked_vector
from dynsys.systems.system import Map


@dataclass(frozen=True, eq=False, repr=False)
class LinearAssociator(Shown):
    """A (m, n) made of keys F (P, n) and values G (P, m), rows of real numbers; ``eta`` is 0 without a rate."""

    A: Array
    F: Array
    G: Array
    eta: float

    @classmethod
    def hebb(cls, F: Any, G: Any, eta: float = 1.0) -> Self:
        """A = eta G^T F."""
        F, G = checked_rows(F, "F"), checked_rows(G, "G")
        _check_pairs(F, G)
        if not 0 < eta < np.inf:
            raise ValueError(f"eta is {eta}; a rate of learning is a number above 0")
        return cls(eta * G.T @ F, F, G, float(eta))

    @classmethod
    def pseudo_inverse(cls, F: Any, G: Any) -> Self:
        """A = G^T (F^T)^+, exact for linearly independent keys; ValueError where no A recalls every value."""
        F, G = checked_rows(F, "F"), checked_rows(G, "G")
        _check_pairs(F, G)
        return cls(pseudo_inverse(F, G).T, F, G, 0.0)

    def recall(self, f: Any) -> Array:
        """A f of keys (n,) or (B, n)."""
        return checked_states(f, self.A.shape[1], "f") @ self.A.T

    def gains(self) -> Array:
        """eta |f_j|^2 (P,), the factor of g_j in what Hebb's rule recalls; recall is proportional, not equal."""
        return self._rate() * (self.F**2).sum(axis=1)

    def crosstalk(self) -> Array:
        """What of the other values is in each answer (P, m): A f_j - eta |f_j|^2 g_j."""
        gram = self.F @ self.F.T
        np.fill_diagonal(gram, 0.0)
        return self._rate() * gram @ self.G

    def _rate(self) -> float:
        if self.eta == 0:
            raise ValueError("gains and crosstalk are those of Hebb's rule; the pseudo-inverse has none: A f_j = g_j")
        return self.eta


def storage_ratio(storing: int, learning: int) -> float:
    """q = s / (s + l): the share of neurons that store patterns, the others learn (Haykin 2009)."""
    if storing < 0 or learning < 0 or storing + learning == 0:
        raise ValueError(f"there are {storing} neurons that store and {learning} that learn; give counts, not both 0")
    return storing / (storing + learning)


def hebb_in_time(W0: Any, x: Any, t: float) -> tuple[Array, Array]:
    """W(t) and y(t) = W(t) x by Hebb's rule dW/dt = y x^T under a held input x: W0 (m, n), x (n,).

    W(t) = W0 + W0 x x^T (exp(|x|^2 t) - 1) / |x|^2 grows for ever unless W0 x = 0; from zero weights nothing grows.
    Raises ValueError where it has grown beyond float64.
    """
    W0 = checked_rows(W0, "W0")
    x = checked_vector(x, W0.shape[1])
    if not np.isfinite(t):
        raise ValueError(f"t is {t}; a time is a finite number")
    length = float(np.abs(x).max())
    if length == 0:
        return W0, W0 @ x
    unit = x / length  # whose square neither overflows nor vanishes, as that of x may
    square = float(unit @ unit)
    rows = np.flatnonzero(start := W0 @ unit)  # the others stay, however long
    W = W0.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        grown = np.expm1(square * (length * (length * t))) / square
        W[rows] += grown * np.outer(start[rows], unit)
        y = W @ x
    if not (np.isfinite(W).all() and np.isfinite(y).all()):
        raise ValueError(f"t is {t}, and by then W or W x is beyond what float64 holds; take less than it")
    return W, y


class Feedback(enum.StrEnum):
    """What becomes of the signal in y(n) = w (x(n) + y(n - 1)), by w."""

    DECAYS = "the effect of an input decays"
    LINEAR = "the effect of an input stays, and inputs add up: with a mean that is not 0 it grows linearly"
    EXPONENTIAL = "it grows exponentially"
    ALTERNATES = "the effect of an input stays, with another sign at every step; inputs that are alike cancel"
    EXPONENTIAL_ALTERNATING = "it grows exponentially, with another sign at every step"


def feedback_case(w: float) -> Feedback:
    """The three cases |w| < 1, w = 1, w > 1 (Haykin 2009; Wayman and Mathew, section 4), and the two they leave out.

    >>> [feedback_case(w).name for w in (0.5, 1, 2, -1, -2)]
    ['DECAYS', 'LINEAR', 'EXPONENTIAL', 'ALTERNATES', 'EXPONENTIAL_ALTERNATING']
    """
    if not np.isfinite(w):
        raise ValueError(f"w is {w}; a weight is a finite number")
    if abs(w) < 1:
        return Feedback.DECAYS
    if abs(w) == 1:
        return Feedback.LINEAR if w > 0 else Feedback.ALTERNATES
    return Feedback.EXPONENTIAL if w > 0 else Feedback.EXPONENTIAL_ALTERNATING


def linear_feedback(w: float) -> Map:
    """The same unit as a map, y -> w (x + y) with x its input: its only fixed point is w x / (1 - w)."""
    feedback_case(w)
    return Map(lambda y, x: w * (x + y), n_state=1, n_input=1, name="linear-feedback")


def _check_pairs(F: Array, G: Array) -> None:
    if len(F) != len(G):
        raise ValueError(f"there are {len(F)} keys F and {len(G)} values G; they are stored in pairs")

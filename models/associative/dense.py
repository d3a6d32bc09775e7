"""The dense associative memory with continuous states, whose update is attention (Ramsauer et al. 2020).

    E(x) = 1/2 |x|^2 - (1/beta) ln sum_i exp(beta s_i . x)          x' = S^T softmax(beta S x)

x' is what the concave-convex procedure makes of E, so E falls at every step; the flow dx/dt = x' - x is minus the
gradient of E. Pattern i is separated by Delta_i = s_i . s_i - max_{j != i} s_i . s_j, and M is the largest |s_i|. One
step from x leads near it: the answer misses s_i by a convex combination of the differences s_i - s_j, and the weight of
each is at most exp(-beta (s_i - s_j) . x), hence

    |x' - s_i| <= 2 M (P - 1) exp(-beta (Delta_i - 2 M |x - s_i|))          (their theorem 5)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.lyapunov.energy import Energy
from dynsys.models.associative.elementary import EXP, MINUS_RECIPROCAL
from dynsys.models.associative.patterns import Array, checked_rows, checked_states, random_patterns
from dynsys.models.associative.polynomial import PolynomialMemory
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.system import Kind, System

KINDS = ("map", "flow")
LARGEST = 1e300  # that a sum of products may reach


class DenseMemory(System):
    """Patterns S (P, n) of real numbers and the inverse temperature ``beta``, as a map or as the flow of the gradient.

    Raises ValueError for patterns that are not finite numbers in rows or whose products are beyond float64, a beta that
    is not positive, or another kind.
    """

    name = "dense-memory"
    papers = ("ramsauer2020",)
    title = "dense memory"
    equation = "x' = S^T softmax(beta S x); of a flow dx/dt = x' - x"
    recurrent_weights = "S"
    single_precision = True
    box_is_trapping = True

    def __init__(self, S: Any, beta: float = 1.0, *, kind: str = "map") -> None:
        patterns = checked_rows(S, "S")
        if not 0 < beta < float("inf"):
            raise ValueError(f"beta is {beta}; it must be positive")
        _check_products(patterns, patterns, beta, "S")
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; a dense memory is a {' or a '.join(KINDS)}")
        self.S, self.beta, self.kind = torch.as_tensor(patterns), float(beta), Kind(kind)
        self.n_state = patterns.shape[1]

    @staticmethod
    def polynomial(S: Any, order: int | str = 3) -> PolynomialMemory:
        """The dense memory of binary units, whose overlaps count by a power."""
        return PolynomialMemory(S, order)

    @classmethod
    def random(cls, P: int = 4, n: int = 6, beta: float = 1.0, seed: int = 0) -> Self:
        return cls(random_patterns(P, n, np.random.default_rng(seed)), beta)

    def arrays(self) -> dict[str, Array]:
        """The patterns, by the name that a checkpoint gives them."""
        return {"S": np.asarray(self.S)}

    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides the patterns."""
        return {"beta": self.beta, "kind": str(self.kind)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any], task: Any = None) -> Self:
        return cls(arrays["S"], **settings)

    # the dynamics

    def _weights(self, x: Tensor) -> Tensor:
        return torch.softmax(self.beta * x @ self.S.T, dim=1)  # torch takes the largest off first: nothing overflows

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self._weights(x) @ self.S - x

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        """beta S^T (diag p - p p^T) S - I: minus the Hessian of E, symmetric."""
        p = self._weights(x)
        mean = p @ self.S
        J = self.beta * ((p.unsqueeze(2) * self.S).mT @ self.S - mean.unsqueeze(2) * mean.unsqueeze(1))
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        p = self._weights(x)
        along = p * (v @ self.S.T)
        return self.beta * (along - p * along.sum(1, keepdim=True)) @ self.S - v

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return self.jacobian_product(x, u, w)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        """(sum_i e_i s_i) (1 / sum_i e_i) - x with e_i = exp(beta s_i . x - c), c the largest exponent at the state."""
        reach = (y * self.beta).affine(self.S)
        e = (reach - reach.constant(reach.value.amax(1, keepdim=True).expand_as(reach.value))).through(EXP)
        minus = e.affine(torch.ones(self.n_state, len(self.S), dtype=self.S.dtype)).through(MINUS_RECIPROCAL)
        return e.affine(-self.S.T) * minus - y

    def box(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Every answer is a mean of the patterns."""
        return self.S.amin(0).expand(len(u), -1), self.S.amax(0).expand(len(u), -1)

    def energy_function(self, u: Tensor) -> Energy:
        return Energy(self.energy)

    # in numpy

    def energy(self, x: Any) -> Array:
        """E of states (n,) or (B, n), with the term 1/2 |x|^2 and no additive constant."""
        x, S = self._checked(x), np.asarray(self.S)
        return 0.5 * (x * x).sum(-1) - scipy.special.logsumexp(self.beta * x @ S.T, axis=-1) / self.beta

    def step(self, x: Any) -> Array:
        """One update of states (n,) or (B, n): softmax attention of x over the patterns."""
        x, S = self._checked(x), np.asarray(self.S)
        reach = self.beta * x @ S.T
        weights = np.exp(reach - reach.max(axis=-1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True) @ S)

    def _checked(self, x: Any) -> Array:
        x = checked_states(x, self.n_state)
        _check_products(x, np.asarray(self.S), self.beta, "x")
        return x

    # what the patterns themselves tell

    @property
    def length(self) -> float:
        """M, the largest |s_i|."""
        largest = float(self.S.abs().max()) or 1.0  # taken out, as the squares of small numbers vanish
        return largest * float(np.linalg.norm(np.asarray(self.S) / largest, axis=1).max())

    def separation(self) -> Array:
        """Delta_i (P,), infinite of a single pattern; at most 0 where another pattern reaches as far."""
        gram = np.asarray(self.S) @ np.asarray(self.S).T
        own = gram.diagonal().copy()
        np.fill_diagonal(gram, -np.inf)
        return own - gram.max(axis=1)

    def error_bound(self, distance: float | Array = 0.0) -> Array:
        """|step(x) - s_i| is at most this (P,) for any x within ``distance`` of s_i (theorem 5 of Ramsauer et al.)."""
        exponent = -self.beta * (self.separation() - 2 * self.length * np.asarray(distance))
        with np.errstate(over="ignore"):  # a bound that says nothing is infinite
            return np.asarray(2 * self.length * (len(self.S) - 1) * np.exp(exponent))

    def radius(self) -> float:
        """1 / (beta P M), the radius of the balls about well separated patterns; infinite where all patterns are 0."""
        return 1 / (self.beta * len(self.S) * self.length) if self.length else float("inf")

    def is_separated(self) -> NDArray[np.bool_]:
        """Which patterns (P,) are: Delta_i >= 2 / (beta P) + ln(2 (P - 1) P beta M^2) / beta.

        A step then takes the ball of ``radius`` about s_i into itself, and there is one fixed point in it.
        """
        P, M = len(self.S), self.length
        if P == 1 or M == 0:  # every state is led to the one point there is
            return np.ones(P, dtype=bool)
        return (
            self.separation() >= 2 / (self.beta * P) + (np.log(2 * (P - 1) * P * self.beta) + 2 * np.log(M)) / self.beta
        )


def _check_products(x: Array, S: Array, beta: float, name: str) -> None:
    """That every sum of the formulas is a number: their terms are beta s . x, s . s and x . x."""
    largest = max(float(np.abs(x).max(initial=0.0)), float(np.abs(S).max()))
    most = float(np.sqrt(LARGEST / S.shape[1] / max(beta, 1.0)))
    if largest > most:
        raise ValueError(
            f"{name} holds sizes up to {np.abs(x).max():.3g}; the products of patterns and states have to be numbers "
            f"in float64, which they are up to {most:.3g} here: give all in larger units, and beta by their square"
        )

"""A piecewise-linear system, such as a network of ReLUs, as what it is between its kinks: affine.

With m rectified preactivations y and r = max(y, 0),

    F(x) = A x + B r + c,      y = C x + D r + e,      D strictly lower triangular,

which holds for layers on top of each other (D), leaky ones (A) and maps applied several times (``iterated``). Where
the signs of y are given, the pattern, F is affine; there are at most 2^m such regions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from dynsys.proof.exact import Sum, exact_sum

PARTS = ("A", "B", "c", "C", "D", "e")


@dataclass(frozen=True)
class Pieces:
    """F of one held input in the form above: A (n, n), B (n, m), c (n,), C (m, n), D (m, m), e (m,), float64.

    ``more`` holds what rounding took from them, by name: A stands for A plus all of more["A"]. Proofs count it, the
    rest may leave it out. Raises ValueError where the shapes disagree or D is not strictly lower triangular.
    """

    A: Tensor
    B: Tensor
    c: Tensor
    C: Tensor
    D: Tensor
    e: Tensor
    more: Mapping[str, Sum] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, m = self.n_state, self.n_units
        legal = {"A": (n, n), "B": (n, m), "c": (n,), "C": (m, n), "D": (m, m), "e": (m,)}
        for name, shape in legal.items():
            for given in (tuple(part.shape) for part in self.exactly(name)):
                if given != shape:
                    needs = f"{n} state variables and {m} rectified units need {shape}"
                    raise ValueError(f"{name} has shape {given}; {needs}")
        if bool(self.D.triu().any()):
            raise ValueError(
                "D is not strictly lower triangular: put the units in the order in which they are computed"
            )

    @classmethod
    def summed(cls, A: Sum, B: Sum, c: Sum, C: Sum, D: Sum, e: Sum) -> Pieces:
        """Of numbers that are exact sums. A system without any kink gets a unit that is never active: a region needs a
        pattern."""
        if not len(e[0]):
            B, C, e = (c[0].new_zeros(len(c[0]), 1),), (c[0].new_zeros(1, len(c[0])),), (-c[0].new_ones(1),)
            D = (c[0].new_zeros(1, 1),)
        sums = dict(zip(PARTS, (A, B, c, C, D, e), strict=True))
        more = {name: parts[1:] for name, parts in sums.items()}
        return cls(A[0], B[0], c[0], C[0], D[0], e[0], more)

    def exactly(self, name: str) -> Sum:
        """One of the six as the exact sum that it stands for."""
        return (getattr(self, name), *self.more.get(name, ()))

    def to(self, device: torch.device | str) -> Pieces:
        """The same, with its numbers on ``device``."""
        return Pieces.summed(*(tuple(part.to(device) for part in self.exactly(name)) for name in PARTS))

    @property
    def n_state(self) -> int:
        return len(self.c)

    @property
    def n_units(self) -> int:
        """The number m of preactivations that are rectified."""
        return len(self.e)

    @cached_property
    def constant(self) -> Tensor:
        """(m,) bool: units whose preactivation depends on nothing, so that they have no kink."""
        return ~(self.C != 0).any(1) & ~(self.D != 0).any(1)

    @cached_property
    def depth(self) -> int:
        """The number of units on the longest way through D: 1 where no unit feeds another within one evaluation."""
        feeds, reached, depth = (self.D != 0).double(), (self.D != 0).double(), 1
        while bool(reached.any()):
            reached, depth = ((reached @ feeds) > 0).double(), depth + 1
        return depth

    @cached_property
    def steepness(self) -> Tensor:
        """(m,) how much a preactivation can change per distance of the state, whatever the pattern: an upper bound."""
        own = self.C.abs().sum(1)
        steep = own
        for _ in range(self.depth - 1):
            steep = own + self.D.abs() @ steep
        return steep

    def margins(self, x: Tensor) -> Tensor:
        """The preactivations y (B, m) at states x (B, n)."""
        base = torch.addmm(self.e, x, self.C.T)
        y = base
        for _ in range(self.depth - 1):
            y = base + torch.relu(y) @ self.D.T
        return y

    def pattern(self, x: Tensor) -> Tensor:
        """Which units are active, (B, m) bool; a unit on its kink counts as inactive."""
        return self.margins(x) > 0

    def velocity(self, x: Tensor) -> Tensor:
        """F (B, n) at states x (B, n)."""
        return x @ self.A.T + torch.relu(self.margins(x)) @ self.B.T + self.c

    def affine(self, pattern: Tensor) -> tuple[Tensor, Tensor]:
        """A_s (B, n, n) and b_s (B, n) with F(x) = A_s x + b_s in the regions of ``pattern`` (B, m)."""
        outer = (self.B * pattern.to(self.e.dtype).unsqueeze(1)) @ self.affine_margins(pattern)
        return self.A + outer[..., :-1], self.c + outer[..., -1]

    def affine_margins(self, pattern: Tensor) -> Tensor:
        """y in the regions of ``pattern`` (B, m): its gradients, and behind them the constants, (B, m, n + 1)."""
        s = pattern.to(self.e.dtype)
        inner = torch.cat([self.C, self.e.unsqueeze(1)], dim=1).expand(len(s), -1, -1)
        if self.depth == 1:
            return inner
        one_less = torch.eye(self.n_units, dtype=s.dtype, device=s.device) - self.D * s.unsqueeze(1)
        return torch.linalg.solve_triangular(one_less, inner, upper=False, unitriangular=True)

    def unfolded(self, pattern: Tensor) -> tuple[Tensor, Tensor]:
        """K (B, n + m, n + m) and h (n + m,) with K (x, y) = h at the zeros of F in a region.

        The numbers in K are those of the system, so that no rounding has happened yet.
        """
        n, s = self.n_state, pattern.to(self.e.dtype).unsqueeze(1)
        K = s.new_zeros(len(s), n + self.n_units, n + self.n_units)
        K[:, :n, :n], K[:, n:, :n] = self.A, self.C
        K[:, :n, n:], K[:, n:, n:] = self.B * s, self.D * s
        K.diagonal(dim1=1, dim2=2)[:, n:].sub_(1.0)
        return K, -torch.cat([self.c, self.e])


def iterated(pieces: Pieces, k: int) -> Pieces:
    """The map G = x + F applied k times, again less x; units and patterns of one step after the other (m k).

    Where G has a linear part (A is not -I) the products below are rounded, and what rounding took is left out;
    ``unrolled`` loses nothing.
    """
    n, m = pieces.n_state, pieces.n_units
    A, B, C = pieces.A, pieces.B, pieces.C
    one = torch.eye(n, dtype=A.dtype, device=A.device)
    seen = [one]  # x after j steps as a function of x ...
    fed: list[list[Tensor]] = [[]]  # ... of the rates of each step before ...
    moved = [torch.zeros_like(pieces.c)]  # ... and of nothing
    P = A + one
    for _ in range(k):
        seen.append(P @ seen[-1])
        fed.append([P @ gain for gain in fed[-1]] + [B])
        moved.append(P @ moved[-1] + pieces.c)
    D = A.new_zeros(m * k, m * k)
    for j in range(k):
        rows = slice(m * j, m * (j + 1))
        D[rows, rows] = pieces.D
        for i, gain in enumerate(fed[j]):
            D[rows, m * i : m * (i + 1)] = C @ gain
    e = torch.cat([C @ moved[j] + pieces.e for j in range(k)])
    return Pieces(seen[k] - one, torch.cat(fed[k], 1), moved[k], torch.cat([C @ x for x in seen[:k]]), D, e)


def unrolled(pieces: Pieces, k: int) -> Pieces:
    """The k states (x_0, ..., x_{k-1}) of a cycle of the map G = x + F as one state: zero where each leads to the next.

    Units come in the order of ``iterated``, and the numbers are those of ``pieces``, unrounded.
    """
    if k == 1:
        return pieces
    one = torch.eye(pieces.n_state, dtype=pieces.A.dtype, device=pieces.A.device)
    each = torch.eye(k, dtype=pieces.A.dtype, device=pieces.A.device)

    def of_each(name: str) -> Sum:
        return tuple(torch.kron(each, part) if part.ndim == 2 else part.repeat(k) for part in pieces.exactly(name))

    A = exact_sum(*of_each("A"), torch.kron(each, one) - torch.kron(each.roll(1, dims=1), one))
    return Pieces.summed(A, *(of_each(name) for name in PARTS[1:]))

"""A piecewise-linear system, such as a network of ReLUs, as what it is between its kinks: affine.

With m rectified preactivations y and r = max(y, 0),

    F(x) = A x + B r + c,      y = C x + D r + e,      D strictly lower triangular,

which holds for layers on top of each other (D), leaky ones (A) and maps applied several times (``iterated``). Where
the signs of y are given, the pattern, F is affine; there are at most 2^m such regions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pieces:
    """F of one held input in the form above: A (n, n), B (n, m), c (n,), C (m, n), D (m, m), e (m,), float64.

    Raises ValueError where the shapes disagree or D is not strictly lower triangular.
    """

    A: Tensor
    B: Tensor
    c: Tensor
    C: Tensor
    D: Tensor
    e: Tensor

    def __post_init__(self) -> None:
        n, m = self.n_state, self.n_units
        legal = {"A": (n, n), "B": (n, m), "c": (n,), "C": (m, n), "D": (m, m), "e": (m,)}
        for name, shape in legal.items():
            given = tuple(getattr(self, name).shape)
            if given != shape:
                raise ValueError(f"{name} has shape {given}; {n} state variables and {m} rectified units need {shape}")
        if bool(self.D.triu().any()):
            raise ValueError(
                "D is not strictly lower triangular: put the units in the order in which they are computed"
            )

    def to(self, device: torch.device | str) -> Pieces:
        """The same, with its numbers on ``device``."""
        return Pieces(*(getattr(self, field.name).to(device) for field in fields(self)))

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
        s = pattern.to(self.e.dtype)
        inner = torch.cat([self.C, self.e.unsqueeze(1)], dim=1).expand(len(s), -1, -1)
        if self.depth > 1:
            one_less = torch.eye(self.n_units, dtype=s.dtype, device=s.device) - self.D * s.unsqueeze(1)
            inner = torch.linalg.solve_triangular(one_less, inner, upper=False, unitriangular=True)
        outer = (self.B * s.unsqueeze(1)) @ inner
        return self.A + outer[..., :-1], self.c + outer[..., -1]

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


@dataclass(frozen=True)
class Hinges:
    """A piecewise-linear function of one number, slope x + the sum over k of bends[k] max(x - places[k], 0)."""

    slope: float
    bends: tuple[float, ...] = ()
    places: tuple[float, ...] = ()


RELU = Hinges(0.0, (1.0,), (0.0,))


def hinged_rates(W: Tensor, drive: Tensor, f: Hinges = RELU) -> Pieces:
    """F = -x + W f(x) + drive: the state is the preactivation. The units are those of one hinge after the other."""
    one, K = torch.eye(len(W), dtype=W.dtype, device=W.device), len(f.bends)
    B = torch.cat([bend * W for bend in f.bends], 1) if K else W[:, :0]
    e = drive.new_tensor(f.places).repeat_interleave(len(W)).neg() + 0.0
    return Pieces(f.slope * W - one, B, drive, one.repeat(K, 1), W.new_zeros(len(e), len(e)), e)


def hinged_activity(W: Tensor, drive: Tensor, f: Hinges = RELU) -> Pieces:
    """F = -x + f(W x + drive): the state is the rate itself. The units are those of one hinge after the other."""
    one, K = torch.eye(len(W), dtype=W.dtype, device=W.device), len(f.bends)
    B = torch.cat([bend * one for bend in f.bends], 1) if K else W[:, :0]
    e = torch.cat([drive - place for place in f.places]) if K else drive[:0]
    return Pieces(f.slope * W - one, B, f.slope * drive, W.repeat(K, 1), W.new_zeros(len(e), len(e)), e)


def paced(pieces: Pieces, pace: Tensor) -> Pieces:
    """Row i of F times pace_i (n,)."""
    rows = pace.unsqueeze(1)
    return replace(pieces, A=rows * pieces.A, B=rows * pieces.B, c=pace * pieces.c)


def iterated(pieces: Pieces, k: int) -> Pieces:
    """The map G = x + F applied k times, again less x; units and patterns of one step after the other (m k).

    Where G has a linear part (A is not -I) the products below are rounded; ``unrolled`` has none.
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
    A = torch.kron(each, pieces.A + one) - torch.kron(each.roll(1, dims=1), one)
    B, C, D = (torch.kron(each, part) for part in (pieces.B, pieces.C, pieces.D))
    return Pieces(A, B, pieces.c.repeat(k), C, D, pieces.e.repeat(k))

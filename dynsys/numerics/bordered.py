"""Bordered matrices M = [H'; b] of curves H(z) = 0: regular where b is not at right angles to the curve's tangent.

By one factorisation they give the tangent (M t = e), corrections, and the sign of det M, which only a branch point
changes (Keller 1977; Govaerts 2000, chapter 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.systems.family import Family


class Factored:
    """Matrices M (R, n + 1, n + 1) by the LU factors of their transposes, which lie in memory as LAPACK wants them."""

    def __init__(self, LU: Tensor, pivots: Tensor) -> None:
        self.LU, self.pivots = LU, pivots  # rows of LU are columns of the factors

    @property
    def side(self) -> Tensor:
        """The sign (R,) of det M."""
        return sign_of_determinant(self.LU, self.pivots)

    def solve(self, right: Tensor, rows: Tensor | None = None) -> Tensor:
        """d (b, n + 1) with M d = right, of all or of some rows."""
        LU, pivots = (self.LU, self.pivots) if rows is None else (self.LU[rows], self.pivots[rows])
        d: Tensor = torch.linalg.lu_solve(LU.mT, pivots, right.unsqueeze(2), adjoint=True).squeeze(2)
        return d

    def tangent(self, like: Tensor) -> Tensor:
        """The tangents (R, n + 1) of M itself, whose part along the border is 1."""
        last = torch.zeros_like(like)
        last[:, -1] = 1.0
        return self.solve(last)


class Workspace:
    """Memory for matrices and their factors, kept from step to step: fresh memory costs a third of a step."""

    def __init__(self) -> None:
        self._kept: tuple[Tensor, ...] = ()

    def matrices(self, like: Tensor) -> Tensor:
        """Room (R, n, n) for one matrix for each of the rows of like (R, n)."""
        R, n = like.shape
        if not self._kept or len(self._kept[0]) < R or self._kept[0].shape[1] != n:
            M, pivots = like.new_empty(R, n, n), torch.empty(R, n, dtype=torch.int32, device=like.device)
            self._kept = M, torch.empty_like(M), pivots, pivots[:, 0].clone()
        return self._kept[0][:R]

    def factorised(self, M: Tensor) -> Factored:
        """The factors of what ``matrices`` gave; they serve until the next."""
        _, LU, pivots, info = (part[: len(M)] for part in self._kept)
        torch.linalg.lu_factor_ex(M.mT, out=(LU.mT, pivots, info))
        return Factored(LU, pivots)


def sign_of_determinant(LU: Tensor, pivots: Tensor) -> Tensor:
    """The signs (B,) of the determinants of factorised matrices: of the pivots, and of the row exchanges."""
    negative = (LU.diagonal(dim1=1, dim2=2) < 0).sum(dim=1)
    exchanges = (pivots != torch.arange(1, LU.shape[1] + 1, device=LU.device)).sum(dim=1)
    return torch.where((negative + exchanges) % 2 == 0, 1.0, -1.0).to(LU.dtype)


CONTRACTION = 0.3  # of a correction, that the next one may be
CORRECTIONS = 12
SETTLED = 1e-10  # a correction after which a point counts as reached
AT_ROUNDING = 1e-7  # a correction that may be the work of rounding where the next is no smaller


@dataclass(frozen=True, eq=False)
class Factors:
    """M at one point, factorised: gives tangents and corrections.

    ``beyond`` is the tangent of M itself, where the factors serve the cell on the other side of a snapshot: J is the
    same there, F_p is not, so that only steps without a change of p are taken from them.
    """

    LU: Tensor
    pivots: Tensor
    sign: int
    beyond: Tensor | None = None

    def solve(self, F: Tensor, last: float) -> Tensor:
        """The d (n + 1,) with M d = (F, last)."""
        right = torch.cat([F, F.new_tensor([last])]).unsqueeze(1)
        return torch.linalg.lu_solve(self.LU, self.pivots, right).squeeze(1)

    def step(self, F: Tensor) -> Tensor:
        """A step d with [J F_p] d = F."""
        d = self.solve(F, 0.0)
        return d if self.beyond is None else d - self.beyond * (d[-1] / self.beyond[-1])


@dataclass(frozen=True, eq=False)
class Corrected:
    """A point (n + 1,) of a curve, the corrections it took, and the length of the first."""

    z: Tensor
    corrections: int
    first: float


class Bordered:
    """Newton's method in (x, p) for one family; lengths in x are measured in ``unit``, those in p in snapshots."""

    def __init__(self, family: Family, unit: float) -> None:
        self.family, self.unit = family, unit

    def length(self, d: Tensor) -> float:
        return float((d[:-1].square().sum() / self.unit**2 + d[-1].square()).sqrt())

    def row(self, t: Tensor) -> Tensor:
        """The row whose product with a step is its part along t."""
        return torch.cat([t[:-1] / self.unit**2, t[-1:]])

    def factors(self, z: Tensor, cell: int, border: Tensor) -> Factors | None:
        """M at z (n + 1,); None where it is singular or not finite."""
        x, p = z[:-1], float(z[-1])
        n = len(x)
        M = z.new_empty(n + 1, n + 1)
        M[:n, :n] = self.family.jacobian(x, p)
        M[:n, n] = self.family.rate(x, p, cell)
        M[n] = self.row(border) * self.unit  # of the size of the other rows; it changes neither tangent nor sign
        LU, pivots, info = torch.linalg.lu_factor_ex(M)
        diagonal = LU.diagonal()
        if int(info) or not bool(torch.isfinite(diagonal).all()):
            return None
        swaps = int((pivots != torch.arange(1, n + 2, dtype=pivots.dtype)).sum())
        return Factors(LU, pivots, -1 if (int((diagonal < 0).sum()) + swaps) % 2 else 1)

    def tangent(self, factors: Factors, like: Tensor) -> Tensor:
        """The unit tangent whose product with ``like`` is positive."""
        t = factors.solve(like.new_zeros(len(like) - 1), 1.0)
        t = t / self.length(t)
        return t if float(self.row(like) @ t) > 0 else -t

    def correct(
        self, z: Tensor, constraint: Tensor, cell: int, factors: Factors, t: Tensor, allowed: float
    ) -> Corrected | None:
        """The zero of F near z with constraint . z as it is; None where that is unsure.

        ``factors`` may be those of a point nearby, t the tangent there; where they do not do, M is factorised once
        more. No correction may be longer than ``allowed``.
        """
        first, before, fresh = 0.0, float("inf"), False
        for k in range(1, CORRECTIONS + 1):
            F = self.family.velocity(z[:-1], float(z[-1]))
            d = self._step(F, constraint, factors, t)
            size = self.length(d)
            if size > CONTRACTION * before and size > SETTLED:
                if before <= AT_ROUNDING:
                    return Corrected(z, k, first)
                renewed = None if fresh else self.factors(z, cell, t)
                if renewed is None:
                    return None
                factors, t, fresh = renewed, self.tangent(renewed, t), True
                d = self._step(F, constraint, factors, t)
                size = self.length(d)
            if not size <= allowed:
                return None
            z, before, first = z + d, size, first or size
            if size <= SETTLED:
                return Corrected(z, k, first)
        return None

    def _step(self, F: Tensor, constraint: Tensor, factors: Factors, t: Tensor) -> Tensor:
        d = factors.step(-F)
        return d - t * ((constraint @ d) / (constraint @ t))

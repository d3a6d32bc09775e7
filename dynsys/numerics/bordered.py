"""Bordered matrices M = [H'; b] of curves H(z) = 0: regular where b is not at right angles to the curve's tangent.

By one factorisation they give the tangent (M t = e), corrections, and the sign of det M, which only a branch point
changes (Keller 1977; Govaerts 2000, chapter 2).
"""

from __future__ import annotations

import torch
from torch import Tensor


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

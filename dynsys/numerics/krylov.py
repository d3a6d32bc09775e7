"""Krylov subspaces of many operators at once: one batched product serves every state of a batch.

A Jacobian is never formed here. The same Arnoldi basis gives Newton steps (GMRES) and leading eigenvalues (Ritz).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

Operator = Callable[[Tensor], Tensor]  # (B, n) -> (B, n), row i through the i-th matrix

TINY = 1e-38  # instead of a division by zero, in either precision
CHECK_EVERY = 4  # vectors between two looks at the residuals


@dataclass
class Basis:
    """Orthonormal V (B, m + 1, n) and Hessenberg H (B, m + 1, m) with A V_m = V_{m+1} H, grown one vector at a time."""

    V: Tensor
    H: Tensor
    size: int = 0

    @classmethod
    def starting(cls, start: Tensor, limit: int) -> Basis:
        """Room for ``limit`` vectors, the first along ``start`` (B, n); a zero start gives a zero basis."""
        B, n = start.shape
        V, H = start.new_empty(B, limit + 1, n), start.new_zeros(B, limit + 1, limit)
        V[:, 0] = _normalised(start, vector_norm(start, dim=1))
        return cls(V, H)

    def grow(self, operator: Operator, passes: int = 2) -> None:
        """One Arnoldi step; orthogonalised twice it stays orthogonal to rounding, once to the accuracy of a search."""
        j = self.size
        w = operator(self.V[:, j])
        length = vector_norm(w, dim=1)
        known, column = self.V[:, : j + 1], self.H[:, : j + 1, j]
        row = w.unsqueeze(1)  # as a row: five times faster than V w as a column
        for _ in range(passes):
            h = torch.bmm(row, known.mT)
            row = row - torch.bmm(h, known)
            column += h.squeeze(1)
        w = row.squeeze(1)
        rest = vector_norm(w, dim=1)
        spent = rest <= 10 * torch.finfo(w.dtype).eps * length  # the space is exhausted: an invariant subspace
        self.H[:, j + 1, j] = rest.masked_fill(spent, 0.0)
        self.V[:, j + 1] = w * (1 / rest.masked_fill_(spent, torch.inf)).unsqueeze(1)
        self.size += 1


def _normalised(w: Tensor, length: Tensor) -> Tensor:
    return torch.where(length > 0, 1.0 / length, 0.0).unsqueeze(1) * w


def gmres(operator: Operator, b: Tensor, rtol: Tensor, limit: int = 64, share: float = 1.0) -> tuple[Tensor, Tensor]:
    """Solve A x = b for each row by GMRES, from zero, until a ``share`` of the relative residuals is below ``rtol``.

    Returns x (B, n) and the relative residuals (B,) reached within ``limit`` vectors; it never restarts. A share
    below 1 keeps a batch from waiting for its hardest rows.
    """
    limit = min(limit, b.shape[1])
    passes = 1 if bool((rtol >= 1e-4).all()) else 2
    basis, beta = Basis.starting(b, limit), vector_norm(b, dim=1)
    while True:
        basis.grow(operator, passes)
        if basis.size % CHECK_EVERY and basis.size < limit:
            continue
        y, residual = _least_squares(basis.H[:, : basis.size + 1, : basis.size], beta)
        if basis.size == limit or float((residual <= rtol).float().mean()) >= share:
            return torch.bmm(y.mT, basis.V[:, : basis.size]).squeeze(1), residual


def _least_squares(H: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """min |beta e1 - H y| by QR, with the exhausted directions of a zero column left at zero."""
    Q, R = torch.linalg.qr(H)
    g = Q[:, 0, :].unsqueeze(2) * beta[:, None, None]
    size = R.diagonal(dim1=1, dim2=2).abs()
    dead = size <= 10 * torch.finfo(H.dtype).eps * size.amax(dim=1, keepdim=True).clamp_min(TINY)
    if bool(dead.any()):
        R = R + torch.diag_embed(dead.to(R.dtype))
        g = g.masked_fill(dead.unsqueeze(2), 0.0)
    y = torch.linalg.solve_triangular(R, g, upper=True)
    rest = H @ y
    rest[:, 0, 0] -= beta
    return y, vector_norm(rest, dim=(1, 2)) / beta.clamp_min(TINY)

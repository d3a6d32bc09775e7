"""The straight line between two systems, F_s = (1 - s) F_0 + s F_1, each state with its own s.

Of a network whose velocity is linear in its weights, as a rate network's is, F_s is the network with the weights in
between. Linear equations in its Jacobian are solved roughly, in single precision where the systems have one: they serve
Newton steps, whose F is in double precision, so that the zeros come out in double precision all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.krylov import Operator, gmres
from dynsys.system import System

DENSE_LIMIT = 64  # units, up to which Jacobians are factorised
VECTORS = 120  # that GMRES may use for one solve
USELESS = 0.1  # relative residual of GMRES, above which a factorisation is worth its price

Matrix = Callable[[Tensor], Tensor]  # rows -> whole matrices


@dataclass(frozen=True)
class Blend:
    """Between ``before`` and ``after`` with the inputs u (B, m) held. ``rows`` below are rows of u."""

    before: System
    after: System
    u: Tensor

    def velocity(self, x: Tensor, s: Tensor, rows: Tensor) -> Tensor:
        """F_s at x (b, n) with s (b,)."""
        end = self.after.velocity(x, self.u[rows])
        if bool((s == 1).all()):
            return end
        return torch.lerp(self.before.velocity(x, self.u[rows]), end, s.unsqueeze(1))

    def slope(self, x: Tensor, rows: Tensor) -> Tensor:
        """dF_s/ds (b, n), the same for all s."""
        return self.after.velocity(x, self.u[rows]) - self.before.velocity(x, self.u[rows])

    def jacobian(self, x: Tensor, s: Tensor, rows: Tensor) -> Tensor:
        end = self.after.jacobian(x, self.u[rows])
        if bool((s == 1).all()):
            return end
        return torch.lerp(self.before.jacobian(x, self.u[rows]), end, s[:, None, None])

    def linearised(self, x: Tensor, s: Tensor, rows: Tensor) -> Operator:
        """v -> dF_s/dx v in the precision of ``dtype``."""
        before, after = self._rough
        x, u = x.to(self.dtype), self.u[rows].to(self.dtype)
        end = after.linearised(x, u)
        if bool((s == 1).all()):
            return end
        start, weight = before.linearised(x, u), s.to(self.dtype).unsqueeze(1)
        return lambda v: torch.lerp(start(v), end(v), weight)

    def solve(self, x: Tensor, s: Tensor, rows: Tensor, right: Tensor, forcing: float) -> Tensor:
        """(dF_s/dx)^-1 right (b, n), to the relative residual ``forcing``; NaN where it is singular."""

        def matrix(some: Tensor) -> Tensor:
            return self.jacobian(x[some], s[some], rows[some])

        if self.is_small:
            return _by_lu(matrix(torch.arange(len(x))), right)
        return _by_gmres(right, self.linearised(x, s, rows), matrix, forcing, self.dtype)

    def solve_bordered(
        self, x: Tensor, s: Tensor, rows: Tensor, scale: Tensor, border: Tensor, right: Tensor, forcing: float
    ) -> Tensor:
        """d (b, n + 1) with J d_x + F_s / scale d_s = right_x and border . d = right_s: regular at a fold, too.

        ``scale`` (b, 1) is the unit of d_x; ``border`` and ``right`` are (b, n + 1).
        """
        n = x.shape[1]
        F_s = self.slope(x, rows) / scale

        def matrix(some: Tensor) -> Tensor:
            upper = torch.cat([self.jacobian(x[some], s[some], rows[some]), F_s[some].unsqueeze(2)], dim=2)
            return torch.cat([upper, border[some].unsqueeze(1)], dim=1)

        if self.is_small:
            return _by_lu(matrix(torch.arange(len(x))), right)
        product, column, row = self.linearised(x, s, rows), F_s.to(self.dtype), border.to(self.dtype)

        def operator(v: Tensor) -> Tensor:
            upper = torch.addcmul(product(v[:, :n].contiguous()), column, v[:, n:])
            return torch.cat([upper, (row * v).sum(1, keepdim=True)], dim=1)

        return _by_gmres(right, operator, matrix, forcing, self.dtype)

    @property
    def is_small(self) -> bool:
        return self.after.n_state <= DENSE_LIMIT

    @property
    def dtype(self) -> torch.dtype:
        """In which linear equations are solved."""
        single = self.before.single_precision and self.after.single_precision
        return torch.float32 if single and not self.is_small else torch.float64

    @cached_property
    def _rough(self) -> tuple[System, System]:
        return self.before.to(dtype=self.dtype), self.after.to(dtype=self.dtype)


def _by_gmres(right: Tensor, operator: Operator, matrix: Matrix, forcing: float, dtype: torch.dtype) -> Tensor:
    """By GMRES, and by LU where that does not do."""
    size = vector_norm(right, dim=1, keepdim=True).clamp_min(1e-300)
    scaled = (right / size).to(dtype)
    found, residual = gmres(operator, scaled, torch.full_like(scaled[:, 0], forcing), VECTORS)
    d = found.to(right.dtype) * size
    for some in (residual > USELESS).nonzero():
        d[some] = _by_lu(matrix(some), right[some])
    return d


def _by_lu(A: Tensor, right: Tensor) -> Tensor:
    d, info = torch.linalg.solve_ex(A, right.unsqueeze(2))
    return torch.where((info == 0).unsqueeze(1), d.squeeze(2), torch.nan)

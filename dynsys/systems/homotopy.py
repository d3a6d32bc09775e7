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

from dynsys.numerics.krylov import Operator, gmres
from dynsys.systems.system import System

DENSE_LIMIT = 64  # units, up to which Jacobians are factorised
FEW = 4  # states, up to which old factorisations are cheaper than the many vectors of GMRES without
VECTORS = 120  # that GMRES may use for one solve
OLD = 12  # vectors that an old factorisation may leave GMRES to find, before it is renewed
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
        """dF_s/ds (b, n), the same for all s, in the precision of ``dtype``."""
        before, after = self._rough
        x, u = x.to(self.dtype), self.u[rows].to(self.dtype)
        return after.velocity(x, u) - before.velocity(x, u)

    def jacobian(self, x: Tensor, s: Tensor, rows: Tensor) -> Tensor:
        """dF_s/dx (b, n, n) in the precision of ``dtype``."""
        before, after = self._rough
        x, u = x.to(self.dtype), self.u[rows].to(self.dtype)
        end = after.jacobian(x, u)
        if bool((s == 1).all()):
            return end
        return torch.lerp(before.jacobian(x, u), end, s.to(self.dtype)[:, None, None])

    def linearised(self, x: Tensor, s: Tensor, rows: Tensor) -> Operator:
        """v -> dF_s/dx v in the precision of ``dtype``."""
        before, after = self._rough
        x, u = x.to(self.dtype), self.u[rows].to(self.dtype)
        end = after.linearised(x, u)
        if bool((s == 1).all()):
            return end
        start, weight = before.linearised(x, u), s.to(self.dtype).unsqueeze(1)
        return lambda v: torch.lerp(start(v), end(v), weight)

    def product(self, x: Tensor, s: Tensor, rows: Tensor, v: Tensor) -> Tensor:
        """dF_s/dx v (b, n) in the precision of ``dtype``."""
        return self.linearised(x, s, rows)(v.to(self.dtype)).to(v.dtype)

    def solve(self, x: Tensor, s: Tensor, rows: Tensor, right: Tensor, forcing: float) -> Tensor:
        """(dF_s/dx)^-1 right (b, n), to the relative residual ``forcing``; NaN where it is singular."""

        def matrix(some: Tensor) -> Tensor:
            return self.jacobian(x[some], s[some], rows[some])

        if self.is_small:
            return _by_lu(matrix(torch.arange(len(x))), right)
        return self._solved(rows, right, self.linearised(x, s, rows), matrix, self._plain, forcing)

    def solve_bordered(
        self, x: Tensor, s: Tensor, rows: Tensor, scale: Tensor, border: Tensor, right: Tensor, forcing: float | Tensor
    ) -> Tensor:
        """d (b, n + 1) with J d_x + F_s / scale d_s = right_x and border . d = right_s: regular at a fold, too.

        ``scale`` (b, 1) is the unit of d_x; ``border`` and ``right`` are (b, n + 1).
        """
        n = x.shape[1]
        column, row = self.slope(x, rows) / scale.to(self.dtype), border.to(self.dtype)

        def matrix(some: Tensor) -> Tensor:
            A = column.new_empty(len(some), n + 1, n + 1)
            A[:, :n, :n] = self.jacobian(x[some], s[some], rows[some])
            A[:, :n, n], A[:, n] = column[some], row[some]
            return A

        product = self.linearised(x, s, rows)

        def operator(v: Tensor) -> Tensor:
            upper = torch.addcmul(product(v[:, :n].contiguous()), column, v[:, n:])
            return torch.cat([upper, (row * v).sum(1, keepdim=True)], dim=1)

        return self._solved(rows, right, operator, matrix, self._bordered, forcing)

    def _solved(
        self, rows: Tensor, right: Tensor, operator: Operator, matrix: Matrix, factors: Factors, forcing: float | Tensor
    ) -> Tensor:
        if len(rows) > FEW:
            return _by_gmres(right, operator, matrix, forcing, self.dtype)
        return factors.solve(rows, right, operator, matrix, forcing, self.dtype)

    @property
    def is_small(self) -> bool:
        return self.after.n_state <= DENSE_LIMIT

    @property
    def dtype(self) -> torch.dtype:
        """In which linear equations are solved."""
        single = self.before.single_precision and self.after.single_precision
        return torch.float32 if single and not self.is_small else torch.float64

    @cached_property
    def _plain(self) -> Factors:
        return Factors()

    @cached_property
    def _bordered(self) -> Factors:
        return Factors()

    @cached_property
    def _rough(self) -> tuple[System, System]:
        return self.before.to(dtype=self.dtype), self.after.to(dtype=self.dtype)


class Factors:
    """LU factors of one matrix for each of some curves, made where they were first needed.

    Further along the curve they precondition GMRES, which then needs a few vectors only; where it needs more, the
    factors are made anew.
    """

    def __init__(self) -> None:
        self.held: dict[int, tuple[Tensor, Tensor]] = {}

    def solve(
        self,
        rows: Tensor,
        right: Tensor,
        operator: Operator,
        matrix: Matrix,
        forcing: float | Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        """``operator``^-1 right (b, n) for the curves ``rows``; NaN where it is singular."""
        self._renew([i for i, row in enumerate(rows.tolist()) if row not in self.held], rows, matrix, dtype)
        d, residual = self._preconditioned(rows, right, operator, forcing, dtype)
        old = residual > forcing
        if bool(old.any()):
            self._renew(old.nonzero().squeeze(1).tolist(), rows, matrix, dtype)
            d, residual = self._preconditioned(rows, right, operator, forcing, dtype)
        for some in (~(residual <= USELESS)).nonzero():
            d[some] = _by_lu(matrix(some), right[some])
        return d

    def _renew(self, places: list[int], rows: Tensor, matrix: Matrix, dtype: torch.dtype) -> None:
        for i in places:
            LU, pivots, _ = torch.linalg.lu_factor_ex(matrix(torch.tensor([i])).to(dtype))
            self.held[int(rows[i])] = LU, pivots

    def _preconditioned(
        self, rows: Tensor, right: Tensor, operator: Operator, forcing: float | Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        factors = [self.held[row] for row in rows.tolist()]

        def back(v: Tensor) -> Tensor:
            return torch.cat(
                [torch.linalg.lu_solve(*held, v[i : i + 1].unsqueeze(2)).squeeze(2) for i, held in enumerate(factors)]
            )

        size = vector_norm(right, dim=1, keepdim=True).clamp_min(1e-300)
        scaled = (right / size).to(dtype)
        y, residual = gmres(lambda v: operator(back(v)), scaled, _each(forcing, scaled), OLD)
        return back(y).to(right.dtype) * size, residual


def _by_gmres(right: Tensor, operator: Operator, matrix: Matrix, forcing: float | Tensor, dtype: torch.dtype) -> Tensor:
    """By GMRES, and by LU where that does not do."""
    size = vector_norm(right, dim=1, keepdim=True).clamp_min(1e-300)
    scaled = (right / size).to(dtype)
    found, residual = gmres(operator, scaled, _each(forcing, scaled), VECTORS)
    d = found.to(right.dtype) * size
    for some in (residual > USELESS).nonzero():
        d[some] = _by_lu(matrix(some), right[some])
    return d


def _each(forcing: float | Tensor, right: Tensor) -> Tensor:
    return torch.as_tensor(forcing).to(right).expand(len(right))


def _by_lu(A: Tensor, right: Tensor) -> Tensor:
    d, info = torch.linalg.solve_ex(A.to(right), right.unsqueeze(2))
    return torch.where((info == 0).unsqueeze(1), d.squeeze(2), torch.nan)

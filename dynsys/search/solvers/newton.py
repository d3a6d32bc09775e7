"""Newton's method, J d = -F, with backtracking on q: quadratic near a fixed point, so it ends every search.

Small systems solve by LU, large ones by GMRES on products J v, which needs no Jacobian at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.krylov import gmres
from dynsys.search.solvers.base import Info, Solver, backtrack
from dynsys.systems.held import Held

DENSE_LIMIT = 128  # units, up to which a factorisation per step and start is affordable
LU_LIMIT = 64  # units, up to which batched LU is cheaper than GMRES
USELESS = 0.3  # relative residual of GMRES, above which a factorisation is worth its price
CHUNK = 16  # Jacobians of a large system formed at a time


class NewtonState(NamedTuple):
    x: Tensor
    F: Tensor
    previous: Tensor  # |F| one step ago, for the forcing term
    idle: Tensor  # steps in a row that hardly lowered |F|


@dataclass(frozen=True)
class Newton(Solver):
    """Newton with backtracking; ``vectors`` is the most that GMRES may use for one step of a large system."""

    name: ClassVar[str] = "newton"
    max_steps: int = 40
    tolerance: float = 0.0  # it is the finish itself: on to the rounding error
    vectors: int = 48
    tightest: float = 1e-8  # forcing term, relative residual of a step
    loosest: float = 1e-2
    share: float = 0.9  # of a batch that has to meet its forcing term before the step is taken
    dense_limit: int = LU_LIMIT
    patience: int = 3  # steps in a row that leave |F| above ``least_gain`` times what it was
    least_gain: float = 0.8

    def init(self, held: Held, x: Tensor) -> NewtonState:
        F = held.velocity(x)
        size = vector_norm(F, dim=1)
        return NewtonState(x, F, size, torch.zeros_like(size))

    def step(self, held: Held, state: NewtonState) -> tuple[NewtonState, Info]:
        x, F, _, idle = state
        d = self._direction(held, state)
        size = vector_norm(F, dim=1)
        slope = -(size * size)  # d/da q(x + a d) at 0 is F . J d, which is -|F|^2 for an exact step
        x_new, F_new, length = backtrack(held, x, F, d, slope)
        idle = torch.where(vector_norm(F_new, dim=1) > self.least_gain * size, idle + 1, 0.0)
        stuck = (length == 0) | (idle >= self.patience)
        return NewtonState(x_new, F_new, size, idle), Info(length, stuck)

    def _direction(self, held: Held, state: NewtonState) -> Tensor:
        x, F, previous, _ = state
        if x.shape[1] <= self.dense_limit:
            return dense_direction(held.jacobian(x), F)
        size = vector_norm(F, dim=1)
        gained = (size / previous.clamp_min(1e-30)) ** 2
        forcing = (0.5 * gained).clamp(self.tightest, self.loosest)  # Eisenstat & Walker 1996

        d, residual = gmres(held.linearised(x), -F, forcing, self.vectors, self.share)
        stopped_early = float((residual <= forcing).float().mean()) >= self.share
        useless = () if stopped_early else torch.split((residual > USELESS).nonzero().squeeze(1), CHUNK)
        for rows in useless:
            d[rows] = dense_direction(held.system.jacobian(x[rows], held.u[rows]), F[rows])
        return d


def dense_direction(J: Tensor, F: Tensor) -> Tensor:
    """-J^-1 F by LU; the shortest least-squares solution where J is singular to working precision."""
    column = F.unsqueeze(2)
    d, info = torch.linalg.solve_ex(J, column)
    size = vector_norm(F, dim=1)
    residual = vector_norm(torch.baddbmm(column, J, d, alpha=-1), dim=(1, 2))
    failed = (info != 0) | ~(residual <= torch.finfo(F.dtype).eps ** 0.4 * size)
    if bool(failed.any()):
        failed &= (size > 0) & torch.isfinite(J).all(dim=(1, 2)) & torch.isfinite(F).all(dim=1)
        d[failed] = torch.linalg.pinv(J[failed], rtol=1e-12) @ column[failed]
    return d.squeeze(2).neg_()

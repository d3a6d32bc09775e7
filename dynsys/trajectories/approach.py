"""The test that a trajectory is on its way to an attractor, made before it has come to rest there.

A state x near the attractor p, with e = x - p, belongs to it where F is linear between the two, where that holds for
the slow directions as well, where the trajectory has come nearer at the pace of the slowest mode, and where it has come
nearer as the linearised system has from the same state. With J the Jacobian of F (of G^k - 1 for a phase of a cycle of
period k) the first two say

    |J^-i F(x) - J^(1-i) e| <= |J^(1-i) e| / 4,    i = 1, 2, 3:

every power of J^-1 gives more weight to the slow directions, in which a saddle or another basin may be near. They do
not see what is slow but turns fast, such as the way in to a focus. So half of the last steps are made again by the
linearised system, from the same state e', and where it ends the two may differ by a quarter of what it came nearer:

    |e - A e'| <= (|e'| - |A e'|) / 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.krylov import gmres
from dynsys.numerics.rounding import EPS, is_zero
from dynsys.numerics.runge_kutta import Course, advance
from dynsys.systems.angles import nearest
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import Kind, Product, System

LINEAR = 0.25  # of the distance, seen through a power of J^-1, that F may deviate from its linearisation
POWERS = 3  # of J^-1
PACE = 0.5  # of the decay of the slowest mode, that the distance must have kept up with
UNDONE = 0.25  # of what the linearised system came nearer, that may be undone
CLOSE = 1e-6  # of a state's usual size: farther off, rest is not rest at this attractor,
ROUNDED = 1e4  # nor if it is farther off than these units in its last place
STEP_ERROR = 1e-5  # of a state's size: nearer than this a flow's steps tell nothing
KRYLOV_RESIDUAL, KRYLOV_VECTORS = 1e-3, 128


@dataclass(frozen=True)
class Phase:
    """One phase of an attractor under the held input u (m,): its state x (n,), and J of ``system`` with its factors.

    ``J`` and ``LU`` are None where the state is too large for them; Krylov solves are made instead. ``excess`` is how
    far the leading eigenvalue lies beyond the boundary of stability; it is negative.
    """

    owner: int
    x: Tensor
    u: Tensor
    system: System
    J: Tensor | None
    LU: tuple[Tensor, Tensor] | None
    excess: float

    @property
    def period(self) -> int:
        """Steps of the map in one of ``system``."""
        return self.system.k if isinstance(self.system, Iterated) else 1

    def linearised(self, B: int) -> Product:
        """J v for each of B rows."""
        if self.J is not None:
            transposed = self.J.T
            return lambda v: v @ transposed
        return self.system.linearised(self.x.repeat(B, 1), self.u.repeat(B, 1))

    def solve(self, b: Tensor) -> Tensor:
        """J^-1 b for each row of b (B, n)."""
        if self.LU is not None:
            return torch.linalg.lu_solve(*self.LU, b.T).T
        return gmres(self.linearised(len(b)), b, torch.full_like(b[:, 0], KRYLOV_RESIDUAL), KRYLOV_VECTORS)[0]

    def pace(self, duration: float) -> float:
        """By how much the slowest mode shrinks in ``duration`` (steps, or time constants)."""
        if self.system.kind is Kind.FLOW:
            return float(np.exp(self.excess * duration))
        return float(np.power(max(1.0 + self.excess, 0.0), duration / self.period))

    def arrived(self, history: Tensor, duration: float, u: Tensor, unit: float) -> Tensor:
        """Whether (B,) trajectories, the ``history`` (T + 1, B, n) of which took ``duration``, are on their way to it,
        or at rest there.
        """
        x, T = history[-1], len(history) - 1
        back = (T // 2) // self.period * self.period
        if back == 0:
            return torch.zeros(len(x), dtype=torch.bool, device=x.device)
        periods = self.system.periods
        e, e_before = nearest(x - self.x, periods), nearest(history[-1 - back] - self.x, periods)
        F = self.system.velocity(x, u)
        distance, time = vector_norm(e, dim=1), duration * back / T
        shrunk = distance <= vector_norm(e_before, dim=1) * self.pace(time) ** PACE
        linear = self._is_linear(e, F)
        arrived = shrunk & linear
        if bool(arrived.any()):
            arrived[arrived.clone()] = self._comes_nearer(e_before[arrived], e[arrived], time)
        size = unit + vector_norm(self.x)
        if self.system.kind is Kind.FLOW:
            arrived |= linear & (distance <= STEP_ERROR * size)
        near = CLOSE * unit + ROUNDED * EPS * vector_norm(self.x)
        close = (~arrived & (distance <= near)).nonzero().squeeze(1)
        if len(close):  # at rest they may come no nearer
            F = F[close]
            arrived[close] = is_zero(self.system, x[close], u[close], F, unit)
        return arrived

    def _is_linear(self, e: Tensor, F: Tensor) -> Tensor:
        linear = torch.ones(len(e), dtype=torch.bool, device=e.device)
        for _ in range(POWERS):
            F = self.solve(F)
            linear &= vector_norm(F - e, dim=1) <= LINEAR * vector_norm(e, dim=1)
            e = self.solve(e)
        return linear

    def _comes_nearer(self, before: Tensor, after: Tensor, time: float) -> Tensor:
        """Whether the linearised system, from ``before``, comes nearer and ends by ``after``."""
        tangent = _Tangent(self.linearised(len(before)), before.shape[1], self.system.kind)
        none = before[:, :0]
        if self.system.kind is Kind.MAP:
            alone = before
            for _ in range(round(time) // self.period):
                alone = alone + tangent.velocity(alone, none)
        else:
            course = Course.starting(tangent, before, none, 0.0)
            advance(tangent, course, none, 0.0, time, whole=True)
            alone = course.x
        nearer = vector_norm(before, dim=1) - vector_norm(alone, dim=1)
        return vector_norm(after - alone, dim=1) <= UNDONE * nearer


class _Tangent(System):
    """The linearised system of a fixed batch, whose state is the distance from the point."""

    def __init__(self, product: Product, n: int, kind: Kind) -> None:
        self._product, self.n_state, self.kind = product, n, kind

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self._product(x)

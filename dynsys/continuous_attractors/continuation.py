"""Walking along a manifold of fixed points: a step along the tangents, then Newton's method back to a zero of F.

On a manifold of dimension d the Jacobian J has d null vectors T, its tangents, and d left null vectors A. So Newton's
step is taken in the bordered system (Govaerts 2000, "Numerical methods for bifurcations of dynamical equilibria")

    [ J    A ] [ dx ]     [ -F ]
    [ T'   0 ] [  l ]  =  [  0 ]

which is as well conditioned as J is across the manifold. At an isolated marginal point, such as a fold, no dx brings F
to zero beside it, and the walk ends where it began.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import ZERO, is_zero
from dynsys.systems.system import System

NULL = 1e-6  # of the largest singular value of J, beneath which a direction may be tangent to a manifold
ON_IT = 4 * ZERO  # times the rounding error, as its samples come from below and a walk has many
CORRECTIONS = 8
FIRST_STEP, LONGEST_STEP, SHORTEST_STEP = 1e-2, 0.2, 1e-5  # in units of the state
GROWTH = 2.0
MOST_CORRECTED = 0.25  # of a step, that the correction may move
LEAST_COSINE = 0.95  # between the directions before and after a step
SAME = 1e-6  # in units of the state: nearer than this, two states on a manifold are one


class End(enum.StrEnum):
    """Why a walk ended."""

    CLOSED = "came back to where it began"
    BOX = "reached the bounds of the reachable states"
    FAR = "went as far as was asked"
    BLOCKED = "came to where there are no further zeros beside the last"
    BUDGET = "used up its steps"


@dataclass(frozen=True)
class Place:
    """States x (B, n) on a manifold, with orthonormal tangents T and cotangents A (B, n, d) there."""

    x: Tensor
    T: Tensor
    A: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Place:
        return Place(self.x[rows], self.T[rows], self.A[rows])

    @staticmethod
    def joined(places: list[Place]) -> Place:
        return Place(*(torch.cat([getattr(p, name) for p in places]) for name in ("x", "T", "A")))


@dataclass(frozen=True)
class Walker:
    """Moves on the manifolds of ``system`` under the input u (1, m); ``unit`` is the usual size of a state."""

    system: System
    u: Tensor
    unit: float

    def singular_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of J at x (1, n), the least first: left vectors (n, n) in columns, values (n,), right vectors in columns."""
        U, S, Vh = torch.linalg.svd(self.system.jacobian(x, self.u)[0])
        return U.flip(1), S.flip(0), Vh.mT.flip(1)

    def is_zero(self, x: Tensor, F: Tensor) -> Tensor:
        """Where |F| (B,) cannot be told from zero."""
        return is_zero(self.system, x, self._held(x), F, self.unit, ON_IT)

    def corrected(self, x: Tensor, borders: Place) -> tuple[Place, Tensor]:
        """The zeros of F nearest to x (B, n) across the borders, with their frames, and whether (B,) each is one."""
        n, d = borders.T.shape[1:]
        u, before = self._held(x), torch.full_like(x[:, 0], torch.inf)
        F = self.system.velocity(x, u)
        for _ in range(CORRECTIONS):
            size = vector_norm(F, dim=1)
            going = ~(size >= 0.5 * before)  # at rounding a step no longer halves |F|
            if not bool((going & (size > 0)).any()):
                break
            M = self._bordered(x, borders)
            step = torch.linalg.solve_ex(M, torch.cat([-F, F.new_zeros(len(F), d)], dim=1).unsqueeze(2))[0]
            x_new = x + torch.where(going.unsqueeze(1), step[:, :n, 0], 0.0)
            F_new = self.system.velocity(x_new, u)
            better = vector_norm(F_new, dim=1) < size
            x, F = torch.where(better.unsqueeze(1), x_new, x), torch.where(better.unsqueeze(1), F_new, F)
            before = torch.where(better, size, 0.0)
        place, framed = self._framed(x, borders)
        return place, framed & self.is_zero(x, F)

    def _bordered(self, x: Tensor, borders: Place) -> Tensor:
        J, d = self.system.jacobian(x, self._held(x)), borders.T.shape[2]
        corner = J.new_zeros(len(J), d, d)
        return torch.cat([torch.cat([J, borders.A], dim=2), torch.cat([borders.T.mT, corner], dim=2)], dim=1)

    def _framed(self, x: Tensor, borders: Place) -> tuple[Place, Tensor]:
        """The tangents and cotangents at x, turned as little as may be, and where (B,) there are such."""
        n, d = borders.T.shape[1:]
        M = self._bordered(x, borders)
        right = M.new_zeros(len(M), n + d, d)
        right[:, n:] = torch.eye(d, dtype=M.dtype, device=M.device)
        T = torch.linalg.solve_ex(M, right)[0][:, :n]
        A = torch.linalg.solve_ex(M.mT, right)[0][:, :n]
        good = torch.isfinite(T).all(dim=(1, 2)) & torch.isfinite(A).all(dim=(1, 2))
        T, A = torch.where(good[:, None, None], T, borders.T), torch.where(good[:, None, None], A, borders.A)
        return Place(x, _orthonormal(T), _orthonormal(A)), good

    def walk(self, start: Place, direction: Tensor, farthest: float, most_steps: int) -> tuple[list[Place], End]:
        """From ``start`` (one state) along the tangent vector ``direction`` (n,): the states met, and why it ended.

        ``farthest`` is a distance from the start. Steps grow while the manifold is straight.
        """
        here, t, length = start, direction, FIRST_STEP * self.unit
        met: list[Place] = []
        blocked = End.BLOCKED
        for _ in range(most_steps):
            if length < SHORTEST_STEP * self.unit:
                return met, blocked
            there, t_new, obstacle = self._step(here, t, length)
            if obstacle is not None:
                length, blocked = length / GROWTH, obstacle
                continue
            if len(met) > 2 and self._passes(here, t, start.x, length):
                return met, End.CLOSED
            here, t, blocked = there, t_new, End.BLOCKED
            met.append(here)
            if float((here.x - start.x).norm()) >= farthest:
                return met, End.FAR
            length = min(GROWTH * length, LONGEST_STEP * self.unit)
        return met, End.BUDGET

    def _step(self, here: Place, t: Tensor, length: float) -> tuple[Place, Tensor, End | None]:
        """One step, the direction after it, and what stood in its way."""
        there, good = self.corrected(here.x + length * t, here)
        t_new = there.T[0] @ (there.T[0].mT @ t)  # the old direction, as near as the new tangents come to it
        t_new = t_new / t_new.norm()
        straight = float((there.x - here.x - length * t).norm()) <= MOST_CORRECTED * length
        if not bool(good) or not straight or not float(t @ t_new) >= LEAST_COSINE:
            return there, t_new, End.BLOCKED
        return there, t_new, None if self.is_inside(there.x) else End.BOX

    def _passes(self, here: Place, t: Tensor, x: Tensor, length: float) -> bool:
        """Whether the step of this length from ``here`` along t passes through the state x (1, n)."""
        ahead = float((x - here.x)[0] @ t)
        if not 0 <= ahead <= 1.1 * length or float((x - here.x).norm()) > 1.5 * length:
            return False
        return bool(self.reaches(here, x).all())

    def reaches(self, start: Place, x: Tensor, most_steps: int = 1) -> Tensor:
        """Whether (B,) walks on the manifold from ``start`` (B states) straight towards each x (B, n) come to it."""
        here, reached = start, torch.zeros(len(x), dtype=torch.bool, device=x.device)
        rows = torch.arange(len(x), device=x.device)
        for _ in range(most_steps + 2):  # two more that only turn the tangent for the last digits
            ahead = (here.T.mT @ (x[rows] - here.x).unsqueeze(2)).squeeze(2)
            left = vector_norm(ahead, dim=1, keepdim=True)
            ahead = ahead * (LONGEST_STEP * self.unit / left.clamp_min(1e-300)).clamp_max(1.0)
            there, good = self.corrected(here.x + (here.T @ ahead.unsqueeze(2)).squeeze(2), here)
            apart = vector_norm(x[rows] - there.x, dim=1)
            nearer = good & (apart < vector_norm(x[rows] - here.x, dim=1))
            reached[rows[good & (apart <= SAME * self.unit)]] = True
            going = nearer & (apart > SAME * self.unit)
            if not bool(going.any()):
                break
            here, rows = there[going], rows[going]
        return reached

    def is_inside(self, x: Tensor) -> bool:
        """Whether the states x (B, n) are among the reachable ones."""
        box = self.system.box(self.u)
        if box is None:
            return bool(torch.isfinite(x).all())
        margin = 1e-9 * (box[1] - box[0])
        return bool(((x >= box[0] - margin) & (x <= box[1] + margin)).all())

    def _held(self, x: Tensor) -> Tensor:
        return self.u.expand(len(x), -1)


def _orthonormal(V: Tensor) -> Tensor:
    """Orthonormal columns (B, n, d) that span the same and point the same way."""
    Q, R = torch.linalg.qr(V)
    return Q * R.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)

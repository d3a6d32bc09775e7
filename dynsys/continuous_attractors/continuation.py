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
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.continuation.arclength import GOES_ON, ArclengthSettings, Ending, Front, Problem, Step, follow
from dynsys.numerics.newton import NewtonSettings
from dynsys.numerics.rounding import ZERO, is_zero
from dynsys.systems.held import Held

NULL = 1e-6  # of the largest singular value of J, beneath which a direction may be tangent to a manifold
ON_IT = 4 * ZERO  # times the rounding error, as its samples come from below and a walk has many
CORRECTIONS = 8
WALK = ArclengthSettings(  # lengths are in units of the state
    first_step=1e-2,
    shortest_step=1e-5,
    longest_step=0.2,
    turn=0.3,
    newton=NewtonSettings(stray=0.25, converged=1e-3),
    aimed=(1.0, 1.0, 0.3),
    curved=False,
)
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
    """Moves on the manifolds of a system ``held`` at one input."""

    held: Held

    def singular_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of J at x (1, n), the least first: left vectors (n, n) in columns, values (n,), right vectors in columns."""
        U, S, Vh = torch.linalg.svd(self.held.jacobian(x)[0])
        return U.flip(1), S.flip(0), Vh.mT.flip(1)

    def is_zero(self, x: Tensor, F: Tensor) -> Tensor:
        """Where |F| (B,) cannot be told from zero."""
        return is_zero(self.held.expand(len(x)), x, F, ON_IT)

    def corrected(self, x: Tensor, borders: Place) -> tuple[Place, Tensor]:
        """The zeros of F nearest to x (B, n) across the borders, with their frames, and whether (B,) each is one."""
        n, d = borders.T.shape[1:]
        held, before = self.held.expand(len(x)), torch.full_like(x[:, 0], torch.inf)
        F = held.velocity(x)
        for _ in range(CORRECTIONS):
            size = vector_norm(F, dim=1)
            going = ~(size >= 0.5 * before)  # at rounding a step no longer halves |F|
            if not bool((going & (size > 0)).any()):
                break
            M = self._bordered(x, borders)
            step = torch.linalg.solve_ex(M, torch.cat([-F, F.new_zeros(len(F), d)], dim=1).unsqueeze(2))[0]
            x_new = x + torch.where(going.unsqueeze(1), step[:, :n, 0], 0.0)
            F_new = held.velocity(x_new)
            better = vector_norm(F_new, dim=1) < size
            x, F = torch.where(better.unsqueeze(1), x_new, x), torch.where(better.unsqueeze(1), F_new, F)
            before = torch.where(better, size, 0.0)
        place, framed = self._framed(x, borders)
        return place, framed & self.is_zero(x, F)

    def _bordered(self, x: Tensor, borders: Place) -> Tensor:
        J, d = self.held.expand(len(x)).jacobian(x), borders.T.shape[2]
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
        curve = _NullCurve(self, start, direction, farthest)
        settings = replace(WALK.scaled(self.held.unit), max_steps=most_steps)
        ending = follow(curve, iter([curve.front(settings.first_step)]), 1, settings).ending
        return curve.met, curve.end or (End.BUDGET if ending == Ending.OUT_OF_STEPS else curve.obstacle)

    def reaches(self, start: Place, x: Tensor, most_steps: int = 1) -> Tensor:
        """Whether (B,) walks on the manifold from ``start`` (B states) straight towards each x (B, n) come to it."""
        here, reached = start, torch.zeros(len(x), dtype=torch.bool, device=x.device)
        rows = torch.arange(len(x), device=x.device)
        for _ in range(most_steps + 2):  # two more that only turn the tangent for the last digits
            ahead = (here.T.mT @ (x[rows] - here.x).unsqueeze(2)).squeeze(2)
            left = vector_norm(ahead, dim=1, keepdim=True)
            ahead = ahead * (WALK.longest_step * self.held.unit / left.clamp_min(1e-300)).clamp_max(1.0)
            there, good = self.corrected(here.x + (here.T @ ahead.unsqueeze(2)).squeeze(2), here)
            apart = vector_norm(x[rows] - there.x, dim=1)
            nearer = good & (apart < vector_norm(x[rows] - here.x, dim=1))
            reached[rows[good & (apart <= SAME * self.held.unit)]] = True
            going = nearer & (apart > SAME * self.held.unit)
            if not bool(going.any()):
                break
            here, rows = there[going], rows[going]
        return reached


class _NullCurve(Problem):
    """The curve on a manifold of dimension d that goes on in one direction, as zeros (x, l) of F(x) + A l.

    The left null vectors A make up for the rank that J lacks; on the manifold l = 0. Of d tangents those at right
    angles to the direction are held, x from the last state. Borders are renewed from state to state.
    """

    def __init__(self, walker: Walker, start: Place, direction: Tensor, farthest: float) -> None:
        self.walker, self.start, self.here, self.farthest = walker, start, start, farthest
        self.t = direction
        self.met: list[Place] = []
        self.end: End | None = None
        self.obstacle = End.BLOCKED

    def front(self, h: float) -> Front:
        one, z = torch.zeros(1, dtype=torch.long), self._with_slack(self.here.x[0])
        t = self._with_slack(self.t)
        return Front.at(one, z, t, self.bordered(z, one, t).side, h)

    def _with_slack(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.new_zeros(self.here.T.shape[2])])[None]

    def _held(self) -> Tensor:
        """Tangents (n, d - 1) at right angles to the direction."""
        T = self.here.T[0]
        return T @ torch.linalg.qr((T.mT @ self.t).unsqueeze(1), mode="complete")[0][:, 1:]

    def residual(self, z: Tensor, curve: Tensor) -> Tensor:
        n = self.walker.held.system.n_state
        F = self.walker.held.velocity(z[:, :n]) + z[:, n:] @ self.here.A[0].mT
        return torch.cat([F, (z[:, :n] - self.here.x) @ self._held()], dim=1)

    def derivative(self, z: Tensor, curve: Tensor, out: Tensor) -> None:
        n = self.walker.held.system.n_state
        out.zero_()
        out[:, :n, :n] = self.walker.held.jacobian(z[:, :n])
        out[:, :n, n:] = self.here.A
        out[:, n:, :n] = self._held().mT

    def after(self, step: Step) -> tuple[Front, Tensor]:
        """The state met, with every digit, if it is a zero that can be reached; else a shorter step."""
        n, walker, going = self.walker.held.system.n_state, self.walker, torch.full((1,), GOES_ON)
        if not bool(step.taken):
            self.obstacle = End.BLOCKED
            return step.after, going
        there, good = walker.corrected(step.after.z[:, :n], self.here)
        if not bool(good) or not bool(walker.held.is_inside(there.x)):
            self.obstacle = End.BOX if bool(good) else End.BLOCKED
            return step.before._replace(h=WALK.shrinking * step.length, steps=step.after.steps), going
        if len(self.met) > 2 and self._closes(float(step.length)):
            self.end = End.CLOSED
            return step.after, torch.full_like(going, Ending.CLOSED)
        t = there.T[0] @ (there.T[0].mT @ self.t)  # the old direction, as near as the new tangents come to it
        self.here, self.t, self.obstacle = there, t / t.norm(), End.BLOCKED
        self.met.append(there)
        if float((there.x - self.start.x).norm()) >= self.farthest:
            self.end = End.FAR
            return step.after, torch.full_like(going, Ending.OTHER)
        z, t = self._with_slack(there.x[0]), self._with_slack(self.t)
        return step.after._replace(z=z, t=t, side=self.bordered(z, going, t).side), going

    def _closes(self, length: float) -> bool:
        """Whether the step of this length passes through the start."""
        way = self.start.x - self.here.x
        if not 0 <= float(way[0] @ self.t) <= 1.1 * length or float(way.norm()) > 1.5 * length:
            return False
        return bool(self.walker.reaches(self.here, self.start.x).all())


def _orthonormal(V: Tensor) -> Tensor:
    """Orthonormal columns (B, n, d) that span the same and point the same way."""
    Q, R = torch.linalg.qr(V)
    return Q * R.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)

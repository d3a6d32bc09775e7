"""Directional fibers: curves of states along which F keeps its direction (Katz & Reggia 2018, IEEE TNNLS).

For a direction c the fiber is the set of x with F(x) = alpha c for some scalar alpha. Generically it is a curve in
(x, alpha), and every fixed point on it is a crossing of alpha = 0. It is followed by prediction and correction with
the bordered matrix [J, -c; t'], t being the curve's tangent: that is regular even where J is singular and the curve
turns back in alpha. All fibers of a batch take their steps at once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dynsys.search.fibers.zeros_on_fibers import SETTLED, Passage, Record, cubic, sign_of_determinant
from dynsys.systems.system import System

DENSE_LIMIT = 1000  # state variables, above which a factorisation per step is no use
WORKING_MEMORY = 256e6  # bytes of bordered matrices, Jacobians and factors
LOOK = 25  # steps between two looks at the crossings that wait


class Ending(enum.IntEnum):
    """How a fiber ended; of its two ends, the greater value speaks for the whole."""

    CLOSED = 0
    LEFT = 1
    OUT_OF_STEPS = 2
    STUCK = 3

    @property
    def message(self) -> str:
        return _MESSAGES[self]


_MESSAGES = {
    Ending.CLOSED: "came back to where it began: a closed loop",
    Ending.LEFT: "left the reachable box far behind",
    Ending.OUT_OF_STEPS: "used up its steps",
    Ending.STUCK: "stopped where no step was short enough to be sure of the branch",
}


@dataclass(frozen=True)
class Crossings:
    """What a batch of B fibers met: K states near fixed points, and how each fiber ended."""

    x: Tensor  # (K, n), polished by Newton where that stayed near the crossing, else interpolated
    residual: Tensor  # (K,) |F| at x
    fiber: Tensor  # (K,) which fiber each belongs to
    outcome: Tensor  # (B,) ``Ending`` values
    steps: Tensor  # (B,) steps tried, both ways together
    evaluations: int  # velocities
    factorisations: int
    refused: int  # steps that failed a check


class _Front(NamedTuple):
    """The running ends of fibers: one row per end; what is fixed for an end comes first."""

    end: Tensor  # (R,) 2 * fiber, + 1 for the end that runs backwards
    c: Tensor  # (R, n)
    u: Tensor  # (R, m)
    z_first: Tensor  # (R, n + 1)
    t_first: Tensor  # (R, n + 1)
    side: Tensor  # (R,) the sign of det [J, -c; t'], which no regular curve changes
    z: Tensor  # (R, n + 1) the state and alpha
    t: Tensor  # (R, n + 1) unit tangent
    bend: Tensor  # (R, n + 1) change of t per length over the step before
    h: Tensor  # (R,) length of the next step
    steps: Tensor  # (R,)

    def rows(self, which: Tensor) -> _Front:
        return _Front(*(part[which] for part in self))


@dataclass
class _Work:
    """What has been spent and found so far, and arrays kept from step to step: fresh memory costs a third of a step."""

    outcome: Tensor  # (2 B,) -1 while an end runs
    steps: Tensor  # (2 B,)
    record: Record
    bordered: Tensor  # (R, n + 1, n + 1)
    factors: Tensor
    pivots: Tensor
    info: Tensor
    evaluations: int = 0
    factorisations: int = 0
    refused: int = 0

    def close(self, loops: list[int]) -> None:
        """Both ends of these fibers are at their end."""
        for fiber in loops:
            self.outcome[2 * fiber : 2 * fiber + 2] = Ending.CLOSED

    def going(self, front: _Front, outcome: Tensor) -> _Front | None:
        """The ends that go on, after how this step ended (R,) has been entered; None where none does."""
        before = self.outcome[front.end]
        self.outcome[front.end] = torch.where(before < 0, outcome, before)
        self.steps[front.end] = front.steps
        going = self.outcome[front.end] < 0
        if bool(going.all()):
            return front
        return front.rows(going) if bool(going.any()) else None

    def result(self, x0: Tensor) -> Crossings:
        met = [crossing for crossing in self.record.met if not crossing.is_start]
        ends = self.outcome.view(-1, 2)
        return Crossings(
            torch.stack([crossing.x for crossing in met]) if met else x0[:0],
            torch.tensor([crossing.residual for crossing in met], dtype=x0.dtype, device=x0.device),
            torch.tensor([crossing.fiber for crossing in met], dtype=torch.long, device=x0.device),
            torch.where((ends == Ending.CLOSED).any(dim=1), int(Ending.CLOSED), ends.amax(dim=1)),
            self.steps.view(-1, 2).sum(dim=1),
            self.evaluations + self.record.evaluations,
            self.factorisations + self.record.factorisations,
            self.refused,
        )


@dataclass(frozen=True)
class Fibers:
    """Settings of the second engine. Lengths are relative to the size of the reachable box.

    A step is accepted if the orientation of the curve is kept, the predictor was not farther off than ``stray`` of the
    step, the corrector contracted by ``contraction`` and the tangent turned by no more than ``turn`` radians; else it
    is halved. These checks refuse leaps to another branch in practice; they are not a proof.
    """

    max_steps: int = 2000  # tried at each of a fiber's two ends
    width: int = 64  # fibers in the batch at once, where their matrices fit into WORKING_MEMORY
    first_step: float = 2e-3
    shortest_step: float = 1e-9
    turn: float = 0.8
    stray: float = 0.3
    contraction: float = 0.3
    margin: float = 10.0  # beyond the box, in its half-widths: nearer than 5, fibers that moved away did come back
    both_ways: bool = True

    def follow(self, system: System, x0: Tensor, c: Tensor, u: Tensor) -> Crossings:
        """Follow the fiber through each x0 (B, n) with direction c (B, n) under the input u (B, m), both ways.

        x0 is a fixed point with any c, or any state with c along F(x0); what is a little off is corrected first. Where
        x0 is itself a fixed point it is not reported. Raises ValueError for shapes that do not fit, for a direction of
        length 0 or not finite, and for a system too large for dense factorisations.
        """
        _check(system, x0, c, u)
        B = len(x0)
        width = max(1, min(self.width, int(WORKING_MEMORY / (2 * 3 * 8 * (system.n_state + 1) ** 2))))
        with torch.no_grad():
            size, low, high = _surroundings(system, x0, u, self.margin)
            work = _work(x0, min(2 * B, 2 * width + 2), Record(system, u, size))
            c = c / c.norm(dim=1, keepdim=True)
            queue = list(torch.split(torch.arange(B, device=x0.device), max(width // 2, 1))) if B else []
            front, since = None, 0
            while front is not None or queue:
                while queue and (front is None or len(front.end) <= width):
                    rows = queue.pop(0)
                    fresh = self._begin(system, x0[rows], c[rows], u[rows], rows, size, work)
                    front = fresh if front is None else _Front(*map(torch.cat, zip(front, fresh, strict=True)))
                assert front is not None
                bounds = low[front.end // 2], high[front.end // 2]
                front, outcome = self._step(system, front, size, bounds, work)
                since += 1
                if since >= LOOK or bool((outcome >= 0).all()):
                    work.close(work.record.look())
                    since = 0
                front = work.going(front, outcome)
            work.close(work.record.look())
        return work.result(x0)

    def _begin(
        self, system: System, x: Tensor, c: Tensor, u: Tensor, fiber: Tensor, size: float, work: _Work
    ) -> _Front:
        """Both ends of new fibers, at their start corrected onto the curve."""
        F = system.velocity(x, u)
        z = torch.cat([x, (F * c).sum(1, keepdim=True)], dim=1)
        A = torch.cat([system.jacobian(x, u), -c.unsqueeze(2)], dim=2)
        Q, R = torch.linalg.qr(A.mT, mode="complete")
        t = Q[:, :, -1]
        for _ in range(4):  # the shortest way onto the curve: it is at right angles to t
            H = system.velocity(z[:, :-1], u) - z[:, -1:] * c
            y = torch.linalg.solve_triangular(R[:, :-1].mT, H.unsqueeze(2), upper=False)
            d = (Q[:, :, :-1] @ y).squeeze(2)
            z = torch.where((d.norm(dim=1) < 0.1 * size).unsqueeze(1), z - d, z)
        work.evaluations += 5 * len(x)
        work.factorisations += len(x)
        at_zero = (F.norm(dim=1) <= SETTLED * size).nonzero().squeeze(1)
        z[at_zero, -1] = 0.0  # so that the start is no crossing
        side = torch.linalg.slogdet(torch.cat([A, t.unsqueeze(1)], dim=1))[0]
        ways = (1, -1) if self.both_ways else (1,)
        h = torch.full_like(side, self.first_step * size)
        ends = [
            _Front(
                2 * fiber + (way < 0), c, u, z, way * t, way * side, z, way * t, torch.zeros_like(t), h,
                torch.zeros_like(fiber),
            )
            for way in ways
        ]  # fmt: skip
        for i in at_zero.tolist():
            work.record.start(x[i], int(fiber[i]), int(torch.sign(t[i, -1])))
        return _Front(*map(torch.cat, zip(*ends, strict=True)))

    def _step(
        self, system: System, front: _Front, size: float, bounds: tuple[Tensor, Tensor], work: _Work
    ) -> tuple[_Front, Tensor]:
        """One step of every end: the front after it, and how ends ended (R,), -1 where they go on."""
        z, t, h, n = front.z, front.t, front.h, front.c.shape[1]
        q, tangent, (first, second, third), side = _corrected(system, front, work)
        off = first / h
        floor = 1e-10 * size
        slack = torch.maximum(
            (second - floor).clamp_min(0) / first,
            (third - floor).clamp_min(0) / second,
        ).nan_to_num(0.0)
        angle = 2 * torch.asin((0.5 * (tangent - t).norm(dim=1)).clamp(max=1.0))
        fit = (off <= self.stray) & (slack <= self.contraction) & (angle <= self.turn) & (side == front.side)
        fit &= torch.isfinite(q).all(dim=1) & torch.isfinite(tangent).all(dim=1)
        factor = torch.minimum(0.5 * self.turn / angle, (0.25 * self.stray / off) ** 0.5)
        factor = torch.minimum(factor, (0.3 * self.contraction / slack) ** (1 / 3)).nan_to_num(0.5)
        h_next = h * torch.where(fit, factor.clamp(0.5, 2.0), factor.clamp(0.25, 0.5))
        work.refused += len(fit) - int(fit.sum())

        length = (q - z).norm(dim=1)
        a, b = z[:, n], q[:, n]
        dips = (a * b > 0) & (a * t[:, n] < 0) & (b * tangent[:, n] > 0)
        rows = (fit & ((a * b < 0) | dips)).nonzero().squeeze(1)
        if len(rows):
            parts = (front.end, front.side, length, z, q, t, tangent)
            work.record.waiting.append(Passage(*(part[rows] for part in parts)))
        closed = fit & _passes(front.z_first, front.t_first, z, t, q, tangent, length) & (front.steps > 0)
        x, alpha, pace = q[:, :n], q[:, n], tangent[:, n]
        outside = ((x < bounds[0]) | (x > bounds[1])).any(dim=1)
        outcome = torch.full_like(front.end, -1)
        steps = front.steps + 1
        outcome[steps >= self.max_steps] = Ending.OUT_OF_STEPS
        outcome[h_next < self.shortest_step * size] = Ending.STUCK
        outcome[fit & outside & (alpha * pace > 0)] = Ending.LEFT
        outcome[closed] = Ending.CLOSED
        taken = fit.unsqueeze(1)
        bend = torch.where(taken, (tangent - t) / length.unsqueeze(1), front.bend)
        after = front._replace(
            z=torch.where(taken, q, z), t=torch.where(taken, tangent, t), bend=bend, h=h_next, steps=steps
        )
        return after, outcome


def _corrected(system: System, front: _Front, work: _Work) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
    """Predictor and corrector: the next points and tangents, the lengths of three corrections, and the orientation."""
    c, u, z, t, h = front.c, front.u, front.z, front.t, front.h.unsqueeze(1)
    R, n = c.shape
    p = z + h * t + (0.5 * h * h) * front.bend
    A = work.bordered[:R]
    A[:, :n, :n] = system.jacobian(p[:, :n], u)
    A[:, :n, n] = -c
    A[:, n] = t
    LU, pivots, info = work.factors[:R].mT, work.pivots[:R], work.info[:R]
    torch.linalg.lu_factor_ex(A.mT, out=(LU, pivots, info))  # A lies in memory as LAPACK wants its transpose
    side = sign_of_determinant(LU, pivots)
    # The first correction and the tangent at p share the factorisation, and so do the two after it.
    right = z.new_zeros(R, n + 1, 2)
    right[:, :n, 0] = p[:, n:] * c - system.velocity(p[:, :n], u)
    right[:, n, 1] = 1.0
    first, tangent = torch.linalg.lu_solve(LU, pivots, right, adjoint=True).unbind(2)
    q = p + first
    right[:, :n, 0] = q[:, n:] * c - system.velocity(q[:, :n], u)
    right[:, n, 0] = 0.0
    second = torch.linalg.lu_solve(LU, pivots, right[:, :, :1], adjoint=True).squeeze(2)
    q = q + second
    right[:, :n, 0] = q[:, n:] * c - system.velocity(q[:, :n], u)
    right[:, :n, 1] = tangent[:, n:] * c - system.jacobian_product(q[:, :n], u, tangent[:, :n])
    right[:, n, 1] = 1.0 - (t * tangent).sum(1)
    third, change = torch.linalg.lu_solve(LU, pivots, right, adjoint=True).unbind(2)
    q, tangent = q + third, tangent + change
    tangent = tangent / tangent.norm(dim=1, keepdim=True)
    work.evaluations += 3 * R
    work.factorisations += R
    return q, tangent, [first.norm(dim=1), second.norm(dim=1), third.norm(dim=1)], side


def _work(x: Tensor, rows: int, record: Record) -> _Work:
    B, n = x.shape
    return _Work(
        torch.full((2 * B,), -1, device=x.device),
        torch.zeros(2 * B, dtype=torch.long, device=x.device),
        record,
        x.new_empty(rows, n + 1, n + 1),
        x.new_empty(rows, n + 1, n + 1),
        torch.empty(rows, n + 1, dtype=torch.int32, device=x.device),
        torch.empty(rows, dtype=torch.int32, device=x.device),
    )


def _passes(z0: Tensor, t0: Tensor, z: Tensor, t: Tensor, q: Tensor, tangent: Tensor, length: Tensor) -> Tensor:
    """Whether the curve between z and q goes through z0 in the direction of t0."""
    before, after = (t0 * (z - z0)).sum(1), (t0 * (q - z0)).sum(1)
    near = (before < 0) & (after >= 0) & ((q - z0).norm(dim=1) <= 2 * length)
    if not bool(near.any()):
        return near
    scale = length.unsqueeze(1)
    weights = cubic(before / (before - after))
    at = (weights.unsqueeze(1) @ torch.stack([z, q, t * scale, tangent * scale], dim=1)).squeeze(1)
    return near & ((at - z0).norm(dim=1) <= 0.05 * length) & ((t0 * tangent).sum(1) > 0)


def _surroundings(system: System, x0: Tensor, u: Tensor, margin: float) -> tuple[float, Tensor, Tensor]:
    """The usual size of a state, and bounds (B, n) beyond which a fiber that moves away does not come back.

    Where no box is known, it is ten times as large as the starts.
    """
    box = system.box(u)
    if box is None:
        far = 10 * x0.abs().amax(dim=1, keepdim=True).clamp_min(1.0).expand_as(x0)
        return float(far.norm(dim=1).median()) / 10, -far, far
    low, high = box
    half = 0.5 * (high - low)
    return float(half.norm(dim=1).median()), low - margin * half, high + margin * half


def _check(system: System, x0: Tensor, c: Tensor, u: Tensor) -> None:
    n = system.n_state
    if n > DENSE_LIMIT:
        raise ValueError(
            f"{system.name} has {n} state variables; fibers factorise an (n, n) matrix per step and go up to "
            f"{DENSE_LIMIT}: search with another engine"
        )
    if x0.ndim != 2 or x0.shape[1] != n or c.shape != x0.shape or u.shape != (len(x0), system.n_input):
        raise ValueError(
            f"x0 has shape {tuple(x0.shape)}, c {tuple(c.shape)} and u {tuple(u.shape)}; fibers of a system of {n} "
            f"state variables and {system.n_input} inputs need (B, {n}), (B, {n}) and (B, {system.n_input})"
        )
    size = c.norm(dim=1)
    bad = ~(torch.isfinite(size) & (size > 0))
    if bool(bad.any()):
        raise ValueError(
            f"{int(bad.sum())} of {len(c)} directions are zero or not finite; a direction needs a positive length"
        )

"""Directional fibers: curves of states along which F keeps its direction (Katz & Reggia 2018, IEEE TNNLS).

For a direction c the fiber is the set of x with F(x) = alpha c for some scalar alpha. Generically it is a curve in
(x, alpha), and every fixed point on it is a crossing of alpha = 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.continuation.arclength import GOES_ON, ArclengthSettings, Ending, Front, Problem, Step, follow
from dynsys.numerics.newton import NewtonSettings
from dynsys.search.fibers.zeros_on_fibers import Passage, Record
from dynsys.systems.system import System

DENSE_LIMIT = 1000  # state variables, above which a factorisation per step is no use
WORKING_MEMORY = 256e6  # bytes of bordered matrices, Jacobians and factors

ARCLENGTH = ArclengthSettings(first_step=2e-3, shortest_step=1e-9, newton=NewtonSettings(converged=3e-3, corrections=4))


@dataclass(frozen=True)
class Crossings:
    """What a batch of B fibers met: K states near fixed points, and how each fiber ended."""

    x: Tensor  # (K, n), polished by Newton where that stayed near the crossing, else interpolated
    residual: Tensor  # (K,) |F| at x
    fiber: Tensor  # (K,) which fiber each belongs to
    outcome: Tensor  # (B,) ``Ending`` values; of a fiber's two ends, the greater speaks for the whole
    steps: Tensor  # (B,) steps tried, both ways together
    refused: int  # steps that failed a check


@dataclass(frozen=True)
class Fibers:
    """Settings of the second engine. Lengths are relative to the size of the reachable box."""

    arclength: ArclengthSettings = ARCLENGTH
    margin: float = 10.0  # beyond the box, in its half-widths: nearer than 5, fibers that moved away did come back
    both_ways: bool = True
    look: int = 25  # steps between two looks at the crossings that wait

    def follow(self, system: System, x0: Tensor, c: Tensor, u: Tensor) -> Crossings:
        """Follow the fiber through each x0 (B, n) with direction c (B, n) under the input u (B, m), both ways.

        x0 is a fixed point with any c, or any state with c along F(x0); what is a little off is corrected first. Where
        x0 is itself a fixed point it is not reported. Raises ValueError for shapes that do not fit, for a direction of
        length 0 or not finite, and for a system too large for dense factorisations.
        """
        _check(system, x0, c, u)
        with torch.no_grad():
            fiber = _Fiber(self, system, x0, c / c.norm(dim=1, keepdim=True), u)
            width = max(1, min(self.arclength.width, int(WORKING_MEMORY / (2 * 3 * 8 * (system.n_state + 1) ** 2))))
            settings = dataclasses.replace(self.arclength.scaled(fiber.record.size), width=width)
            ended = follow(fiber, fiber.ends(settings), 2 * len(x0), settings)
        return fiber.result(ended.ending, ended.steps, ended.refused)


class _Fiber(Problem):
    """H(x, alpha) = F(x) - alpha c. Curve 2 i is the forward end of fiber i, 2 i + 1 the one that runs backwards."""

    def __init__(self, fibers: Fibers, system: System, x0: Tensor, c: Tensor, u: Tensor) -> None:
        self.fibers, self.system, self.x0, self.c, self.u = fibers, system, x0, c, u
        size, self.low, self.high = _surroundings(system, x0, u, fibers.margin)
        self.record = Record(system, u, size)
        self.z_first, self.t_first = (x0.new_zeros(len(x0), system.n_state + 1) for _ in range(2))
        self.loops = torch.zeros(len(x0), dtype=torch.bool, device=x0.device)
        self.since = 0

    def residual(self, z: Tensor, curve: Tensor) -> Tensor:
        fiber = curve // 2
        return torch.addcmul(self.system.velocity(z[:, :-1], self.u[fiber]), z[:, -1:], self.c[fiber], value=-1)

    def derivative(self, z: Tensor, curve: Tensor, out: Tensor) -> None:
        out[:, :, :-1] = self.system.jacobian(z[:, :-1], self.u[curve // 2])
        out[:, :, -1] = -self.c[curve // 2]

    def product(self, z: Tensor, curve: Tensor, v: Tensor) -> Tensor:
        fiber = curve // 2
        Jv = self.system.jacobian_product(z[:, :-1], self.u[fiber], v[:, :-1])
        return torch.addcmul(Jv, v[:, -1:], self.c[fiber], value=-1)

    def ends(self, settings: ArclengthSettings) -> Iterator[Front]:
        """Both ends of the fibers, some at a time, at their start corrected onto the curve."""
        for fiber in torch.split(torch.arange(len(self.x0), device=self.x0.device), max(settings.width // 2, 1)):
            F = self.system.velocity(self.x0[fiber], self.u[fiber])
            z = torch.cat([self.x0[fiber], (F * self.c[fiber]).sum(1, keepdim=True)], dim=1)
            A = z.new_empty(len(z), z.shape[1] - 1, z.shape[1])
            self.derivative(z, 2 * fiber, A)
            t = torch.linalg.qr(A.mT, mode="complete")[0][:, :, -1]
            M = self.bordered(z, 2 * fiber, t)
            for _ in range(4):  # the shortest way onto the curve: it is at right angles to t
                H = self.residual(z, 2 * fiber)
                d = M.solve(torch.cat([H, torch.zeros_like(z[:, :1])], dim=1))
                z = torch.where(vector_norm(d, dim=1, keepdim=True) < 0.1 * self.record.size, z - d, z)
            for i in (vector_norm(F, dim=1) <= self.record.settled).nonzero().squeeze(1).tolist():
                z[i, -1] = 0.0  # so that the start is no crossing
                self.record.start(self.x0[fiber[i]], int(fiber[i]), int(torch.sign(t[i, -1])))
            self.z_first[fiber], self.t_first[fiber] = z, t
            ways = (1, -1) if self.fibers.both_ways else (1,)
            ends = [
                Front.at(2 * fiber + (way < 0), z, way * t, way * M.side, settings.first_step) for way in ways
            ]  # fmt: skip
            yield Front(*map(torch.cat, zip(*ends, strict=True)))

    def after(self, step: Step) -> tuple[Front, Tensor]:
        before, after, taken = step.before, step.after, step.taken
        fiber, way = after.curve // 2, (1 - 2 * (after.curve % 2)).to(after.z).unsqueeze(1)
        a, b, pace = before.z[:, -1], after.z[:, -1], after.t[:, -1]
        dips = (a * b > 0) & (a * before.t[:, -1] < 0) & (b * pace > 0)
        rows = (taken & ((a * b < 0) | dips)).nonzero().squeeze(1)
        if len(rows):
            parts = (after.curve, after.side, step.length, before.z, after.z, before.t, after.t)
            self.record.waiting.append(Passage(*(part[rows] for part in parts)))
        closed = step.passes(self.z_first[fiber], way * self.t_first[fiber]) & (before.steps > 0)
        x = after.z[:, :-1]
        outside = ((x < self.low[fiber]) | (x > self.high[fiber])).any(dim=1)
        ending = torch.full_like(after.curve, GOES_ON)
        ending[taken & outside & (b * pace > 0)] = Ending.LEFT
        ending[closed] = Ending.CLOSED
        self.since += 1
        if self.since >= self.fibers.look:
            self._look()
        ending[self.loops[fiber]] = Ending.CLOSED
        return after, ending

    def _look(self) -> None:
        self.loops[self.record.look()] = True
        self.since = 0

    def result(self, ending: Tensor, steps: Tensor, refused: int) -> Crossings:
        self._look()
        met = [crossing for crossing in self.record.met if not crossing.is_start]
        ends, x0 = ending.view(-1, 2).to(self.x0.device), self.x0
        closed = (ends == Ending.CLOSED).any(dim=1) | self.loops
        return Crossings(
            torch.stack([crossing.x for crossing in met]) if met else x0[:0],
            torch.tensor([crossing.residual for crossing in met], dtype=x0.dtype, device=x0.device),
            torch.tensor([crossing.fiber for crossing in met], dtype=torch.long, device=x0.device),
            torch.where(closed, int(Ending.CLOSED), ends.amax(dim=1)),
            steps.view(-1, 2).sum(dim=1),
            refused,
        )


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

"""What becomes of a batch of starts: the cheap way down to near a zero, and the dear way from there to its last digit.

The first is paid for every start, in float32 and on the system's reduction where it has them. The second is paid only
for states that the catalogue does not know yet, in float64 and on the system itself.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import at_origin, is_zero
from dynsys.proof.certificate import only_rounding
from dynsys.search.descent import Descent, Outcome, descend
from dynsys.search.solvers import DENSE_LIMIT, Newton, Solver
from dynsys.search.solvers.newton import dense_direction
from dynsys.search.starts import visited
from dynsys.systems.angles import wrapped
from dynsys.systems.held import Held
from dynsys.systems.speed import gradient, q_of
from dynsys.systems.system import Reduction, System

HANDOVER = 1e-4  # |F| relative to a state's size, where a start may be told from others and joined to a known point
CLOSER = 2e-6  # the same, as near as single precision goes: for large systems, whose dear end is very dear
FORCING, SHARE = 0.1, 0.6  # of a Newton-Krylov step on the cheap way: relative residual, and how many must meet it
NEAR_ZERO = 1e-5  # the same, where the last descent of a large system begins
FINISH_LIMIT = 512  # units, up to which the few states that are finished are worth a factorisation per step
SMALL = 1e-2  # of a state's size: a state this near to the origin may be at it
MOVED = 1e-3  # of a state's size: farther than this, Newton has gone to another point than the solver's
STATIONARY = 1e-4  # of |grad q| * size / q, beneath which a start has plainly reached a minimum
NO_CHANGE = 1e-12  # of the largest entry of J where a trajectory goes: a row below it shows no change at all
FARTHER_OUT = 0.01  # of the way there, that a state is moved on
HELD_TOGETHER = 16  # Jacobians looked at together
FURTHER, PLAINLY = 64, 100.0  # Newton steps, and times its rounding error, from which |F| is plainly more than that
LEAST_UNIT = 1e-100  # beneath which squares of lengths vanish
FAR_OUTSIDE = 0.05  # of the box's width: a state this far outside it is on its way to no point inside


class Rejection(enum.StrEnum):
    """Why a start gave no point."""

    DIVERGED = "left every bound or became NaN"
    STUCK = "stopped where no step lowers q any more"
    OUT_OF_STEPS = "used up its steps"
    OUTSIDE = "ended outside the states that the network can reach"
    TOO_FAST = "reached a minimum of q above the limit for slow points"
    NO_MINIMUM = "slow, and q stationary, but not at a minimum of q"
    NOT_CONVERGED = "slow, but not brought to a minimum of q within the steps allowed"
    ESCAPED = "left the states that the network can reach, and met no minimum of q on the way"
    NOT_FOLLOWED = "slow, and beyond the number of slow states that are followed"
    HELD = "ended far from the network's own trajectories, where rounding holds a variable that moves elsewhere"
    ONLY_ROUNDING = "ended where only rounding makes F zero: it is proved that there is no fixed point near"
    NOT_FINITE = "was given with NaN or infinite values"


@dataclass(frozen=True)
class Landed:
    """Where starts (B, n) have come on the cheap way: x, F and outcome; ``near`` (B,) marks those that are near a zero.

    ``groups`` tells which of the search's inputs each belongs to, ``unit`` the usual size of a state here.
    """

    x: Tensor
    F: Tensor
    outcome: Tensor
    near: Tensor
    groups: Tensor
    unit: float

    def __getitem__(self, rows: Tensor) -> Landed:
        x, F, outcome, near, groups = (part[rows] for part in self._parts())
        return Landed(x, F, outcome, near, groups, self.unit)

    def _parts(self) -> tuple[Tensor, ...]:
        return self.x, self.F, self.outcome, self.near, self.groups

    @staticmethod
    def joined(waves: Sequence[Landed]) -> Landed:
        parts = zip(*(wave._parts() for wave in waves), strict=True)
        x, F, outcome, near, groups = (torch.cat(part) for part in parts)
        return Landed(x, F, outcome, near, groups, min(wave.unit for wave in waves))


@dataclass(frozen=True)
class Finished:
    """What the dear end made of landed states: ``zero`` (B,) those that are zeros in the box; the rest slow or not."""

    x: Tensor
    F: Tensor
    zero: Tensor
    slow: Tensor  # states (k, n), still to be followed to their minimum of q
    slow_groups: Tensor
    rejected: Counter[Rejection]
    unit: float  # by which that was told


class Descender:
    """Both ways down, for one system; ``inputs`` (G, n_input) are those of the search."""

    def __init__(self, system: System, inputs: Tensor, unit: float, slow_q: float) -> None:
        self.system, self.inputs, self.unit, self.slow_q = system, inputs, unit, slow_q
        self.fast = system.to(dtype=torch.float32) if system.single_precision else system
        self.reduction: Reduction | None = self.fast.reduction()
        self._box = system.box(inputs)
        self._reach, self._late = (self._box, self._box) if self._box else _ranges(system, inputs)

    def land(self, solver: Solver, x: Tensor, groups: Tensor) -> Landed:
        """The cheap way, for starts x (B, n); a solver asked for by name goes all of its own way instead."""
        if isinstance(solver, Newton):
            solver = dataclasses.replace(solver, tolerance=HANDOVER, loosest=FORCING, tightest=FORCING, share=SHARE)
        if solver.tolerance >= HANDOVER:
            end, F, outcome = self._roughly(solver, x, groups)
        else:
            down = descend(solver, Held(self.system, self.inputs[groups], self.unit), x)
            end, F, outcome = wrapped(down.x, self.system.periods), down.F, down.outcome
        near = outcome == Outcome.CONVERGED
        if solver.tolerance < HANDOVER and self.system.n_state <= DENSE_LIMIT:
            near = outcome != Outcome.DIVERGED  # Newton may end what the solver has not
        return Landed(end, F, outcome, near, groups, self._size_reached(end, F, groups, outcome))

    def nearer(self, landed: Landed, rows: Tensor) -> Landed:
        """Some landed states taken on by the cheap way, to where more of them can be told from each other."""
        solver = Newton(tolerance=CLOSER, loosest=FORCING, tightest=FORCING, share=SHARE)
        x, F, _ = self._roughly(solver, landed.x[rows], landed.groups[rows])
        good = q_of(F) < q_of(landed.F[rows])
        rows = rows[good]
        new = dataclasses.replace(landed, x=landed.x.clone(), F=landed.F.clone())
        new.x[rows], new.F[rows] = x[good], F[good]
        return new

    def _roughly(self, solver: Solver, x: Tensor, groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """In float32 and by the reduction, where there are such: only zeros are looked for."""
        y, u = x, self.inputs[groups]
        if self.system.single_precision:
            y, u = y.float(), u.float()
        system = self.fast
        if self.reduction is not None:
            system, y = self.reduction.system, self.reduction.start(y)
        down = descend(solver, Held(system, u, self.unit), y)
        end = (down.x if self.reduction is None else self.reduction.lift(down.x, u)).double()
        F = down.F if end is down.x else self.system.velocity(end, self.inputs[groups])
        end = wrapped(end, self.system.periods)
        return end, F, torch.where(torch.isfinite(F).all(dim=1), down.outcome, int(Outcome.DIVERGED))

    def _size_reached(self, x: Tensor, F: Tensor, groups: Tensor, outcome: Tensor) -> float:
        """The usual size of a state again: starts may have been much farther out than anything they lead to.

        A state that ends at the origin, as far as F tells, has no size.
        """
        size, telling = vector_norm(x, dim=1), outcome != Outcome.DIVERGED
        small = (telling & (size < SMALL * self.unit)).nonzero().squeeze(1)
        if len(small):
            telling[small] = ~at_origin(Held(self.system, self.inputs[groups[small]]), x[small], F[small])
        return min(self.unit, float(size[telling].median()) if bool(telling.any()) else self.unit) or self.unit

    def finish(self, landed: Landed) -> Finished:
        """Newton in float64 from states near a zero; the others are judged as they are."""
        u = self.inputs[landed.groups]
        first = Descent(landed.x, landed.F, landed.outcome, torch.zeros_like(landed.outcome))
        near = self.may_be_zeros(landed)
        held = Held(self.system, u, landed.unit)
        last = self._to_the_end(held, first, near)
        last = dataclasses.replace(last, x=wrapped(last.x, self.system.periods))
        zero = near & is_zero(held, last.x, last.F)
        further, some = self._further(held, last, zero)
        unit = self._unit_for(held[some], last.x[some], last.F[some])
        last = further
        if unit < landed.unit:
            return self.finish(dataclasses.replace(landed, x=last.x, F=last.F, outcome=last.outcome, unit=unit))
        inside = self.inside(last.x, landed.groups)
        slow, where = self._slow(first, last, zero, landed.groups)
        reached = self.within_reach(last.x, landed.groups) | (zero & inside)
        rejected = self._reasons(held, last, zero | (landed.near & ~near), reached, slow)
        shut = self.shut(last.x, landed.groups, zero & inside)
        zero, refused = accepted(held, last.x, zero & inside & ~shut)
        refused[Rejection.HELD] += int(shut.sum())
        return Finished(last.x, last.F, zero, where[slow], landed.groups[slow], rejected + refused, landed.unit)

    def shut(self, x: Tensor, groups: Tensor, zero: Tensor) -> Tensor:
        """Which of the zeros x (B,) are those of a gate that has shut, where no trajectory of an unbounded system goes.

        One variable there has a velocity that is zero to rounding whatever the state near by, and not so where
        trajectories go, and a value that it never comes to by itself.
        """
        shut = torch.zeros_like(zero)
        if self._box is not None:
            return shut
        beyond = ~self._in(self._late, x, groups)
        rows = (zero & beyond.any(dim=1)).nonzero().squeeze(1)
        for some in torch.split(rows, HELD_TOGETHER) if len(rows) else ():
            u, low, high = self.inputs[groups[some]], *(bound[groups[some]] for bound in self._late)
            rows_of_J = self.system.jacobian((low + high) / 2, u).abs().amax(dim=2)
            usual = rows_of_J.amax(dim=1)
            still = self.system.jacobian(x[some], u).abs().amax(dim=2) <= NO_CHANGE * usual.unsqueeze(1)
            still &= rows_of_J > NO_CHANGE * usual.unsqueeze(1)
            out = FARTHER_OUT * (x[some] - torch.clamp(x[some], low, high))
            change = (self.system.velocity(x[some] + out, u) - self.system.velocity(x[some], u)).abs()
            still &= change <= NO_CHANGE * (usual * vector_norm(out, dim=1)).unsqueeze(1)  # and so it is farther out
            shut[some] = (still & beyond[some]).any(dim=1)
        return shut

    def _to_the_end(self, held: Held, first: Descent, near: Tensor) -> Descent:
        """Small systems by LU; large ones by GMRES, and by LU the few where that falls short of the last digits."""
        n = self.system.n_state
        if n <= FINISH_LIMIT:
            return _continued(Newton(dense_limit=n), held, first, near)
        last = _continued(Newton(tolerance=NEAR_ZERO), held, first, near)
        closer = near & (last.outcome == Outcome.CONVERGED)
        last = _continued(Newton(loosest=1e-7), held, last, closer)  # two steps, not four
        short = closer & (last.outcome != Outcome.CONVERGED)
        return _continued(Newton(dense_limit=n), held, last, short)

    def _further(self, held: Held, last: Descent, zero: Tensor) -> tuple[Descent, Tensor]:
        """Zeros taken on while Newton halves |F| and it is far above what the digits of x do to it, and which of them
        (k,) have come to where it is not: the unit, by which they counted as zeros before, is too large for them."""
        x, F = last.x.clone(), last.F.clone()
        going = zero.nonzero().squeeze(1) if self.system.n_state <= FINISH_LIMIT else zero.nonzero()[:0, 0]
        going = going[~is_zero(held[going], x[going], F[going], PLAINLY, False)]
        ended = [going[:0]]
        for _ in range(FURTHER):
            if not len(going):
                break
            there = x[going] + dense_direction(held[going].jacobian(x[going]), F[going])
            F_there = held[going].velocity(there)
            moved = vector_norm(there - last.x[going], dim=1)
            better = (q_of(F_there) < q_of(F[going]) / 4) & (moved <= MOVED * (vector_norm(there, dim=1) + held.unit))
            going = going[better]
            x[going], F[going] = there[better], F_there[better]
            there_yet = is_zero(held[going], x[going], F[going], PLAINLY, False)
            ended.append(going[there_yet])
            going = going[~there_yet]
        return dataclasses.replace(last, x=x, F=F), torch.cat(ended)

    def _unit_for(self, held: Held, x: Tensor, F: Tensor) -> float:
        """The unit, smaller by powers of ten, by which none of the states x (B, n) would count as a zero."""
        while len(x) and held.unit > LEAST_UNIT and bool(is_zero(held, x, F).any()):
            held = dataclasses.replace(held, unit=held.unit / 10)
        return held.unit

    def may_be_zeros(self, landed: Landed) -> Tensor:
        """Which landed states (B,) are near a zero that may lie in the box."""
        return landed.near & self.inside(landed.x, landed.groups, FAR_OUTSIDE)

    def inside(self, x: Tensor, groups: Tensor, share: float = 1e-9) -> Tensor:
        """Where x (B, n) is within the reachable box, a little rounding allowed."""
        if self._box is None:
            return torch.isfinite(x).all(dim=1)
        return self._in(self._box, x, groups, share).all(dim=1)

    @staticmethod
    def _in(bounds: tuple[Tensor, Tensor], x: Tensor, groups: Tensor, share: float = 0.0) -> Tensor:
        """Which variables (B, n) are within their bounds, a share of the width allowed."""
        low, high = (bound[groups] if len(bound) > 1 else bound for bound in bounds)
        margin = share * (high - low) if share else 0.0
        return (x >= low - margin) & (x <= high + margin)

    def within_reach(self, x: Tensor, groups: Tensor) -> Tensor:
        """Where x (B, n) is within the reachable box, or without one about where trajectories go."""
        return torch.isfinite(x).all(dim=1) & self._in(self._reach, x, groups, 1e-9 if self._box else 0.0).all(dim=1)

    def _slow(self, first: Descent, last: Descent, zero: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Which starts reached a slow state that is not a zero's, and where: the solver's state, else Newton's.

        Newton, which needs a zero, leaps away from a minimum of q; so a leap does not speak against the solver's state.
        """
        q_first, q_last = q_of(first.F), q_of(last.F)
        leapt = vector_norm(last.x - first.x, dim=1) > MOVED * (vector_norm(first.x, dim=1) + self.unit)
        at_first = (first.outcome != Outcome.CONVERGED) & (q_first <= self.slow_q) & (~zero | leapt)
        at_last = ~zero & (q_last <= self.slow_q)
        where = torch.where(at_first.unsqueeze(1), first.x, last.x)
        slow = (at_first | at_last) & self.within_reach(where, groups)
        return slow, where

    def _reasons(self, held: Held, last: Descent, zero: Tensor, inside: Tensor, slow: Tensor) -> Counter[Rejection]:
        reasons: Counter[Rejection] = Counter()
        reasons[Rejection.OUTSIDE] = int((zero & ~inside & ~slow).sum())
        lost = ~zero & ~slow
        diverged = lost & (last.outcome == Outcome.DIVERGED)
        reasons[Rejection.DIVERGED] = int(diverged.sum())
        rest = (lost & ~diverged).nonzero().squeeze(1)
        if len(rest):
            x, F = last.x[rest], last.F[rest]
            slope = vector_norm(gradient(held[rest], x), dim=1) * (vector_norm(x, dim=1) + self.unit)
            at_minimum = slope <= STATIONARY * q_of(F)
            escaped = ~inside[rest]
            at_minimum &= ~escaped
            stuck = ~at_minimum & ~escaped & (last.outcome[rest] != Outcome.OUT_OF_STEPS)
            reasons[Rejection.ESCAPED] = int(escaped.sum())
            reasons[Rejection.TOO_FAST] = int(at_minimum.sum())
            reasons[Rejection.STUCK] = int(stuck.sum())
            reasons[Rejection.OUT_OF_STEPS] = len(rest) - sum(int(n.sum()) for n in (escaped, at_minimum, stuck))
        return +reasons


def _ranges(system: System, inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
    """About where trajectories go, and what they come to, under each of the inputs (G, m)."""
    found = [visited(system, inputs[g : g + 1]) for g in range(len(inputs))]
    both = ([each.reach for each in found], [each.late for each in found])
    return [(torch.cat([low for low, _ in bounds]), torch.cat([high for _, high in bounds])) for bounds in both]


def accepted(held: Held, x: Tensor, zero: Tensor) -> tuple[Tensor, Counter[Rejection]]:
    """Those of the zeros (B,) that a point can be made of, and how many cannot, by reason."""
    rows = zero.nonzero().squeeze(1)
    false = only_rounding(held[rows], x[rows])
    steep = ~false & ~torch.isfinite(gradient(held[rows], x[rows])).all(dim=1)  # J is infinite: no eigenvalues
    zero = zero.clone()
    zero[rows] = ~false & ~steep
    return zero, +Counter({Rejection.ONLY_ROUNDING: int(false.sum()), Rejection.NOT_CONVERGED: int(steep.sum())})


def _continued(solver: Solver, held: Held, before: Descent, which: Tensor) -> Descent:
    """The descent taken up again from where some starts stopped; the others stay as they are."""
    rows = which.nonzero().squeeze(1)
    if len(rows) == 0:
        return before
    after = descend(solver, held[rows], before.x[rows])
    merged = dataclasses.replace(before, x=before.x.clone(), F=before.F.clone(), outcome=before.outcome.clone())
    merged.x[rows], merged.F[rows], merged.outcome[rows] = after.x, after.F, after.outcome
    return merged

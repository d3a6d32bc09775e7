"""One wave of a search: a batch of starts, taken down by the solver and then by Newton, and what became of each."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.descent import Descent, Outcome, descend
from dynsys.rounding import ZERO, rounding
from dynsys.solvers import DENSE_LIMIT, Newton, Problem, Solver
from dynsys.speed import gradient, q_of
from dynsys.system import System

HANDOVER = 1e-5  # |F| relative to a state's size, where the last, precise descent begins
MOVED = 1e-3  # of a state's size: farther than this, Newton has gone to another point than the solver's
STATIONARY = 1e-4  # of |grad q| * size / q, beneath which a start has plainly reached a minimum


class Rejection(enum.StrEnum):
    """Why a start gave no point."""

    DIVERGED = "left every bound or became NaN"
    STUCK = "stopped where no step lowers q any more"
    OUT_OF_STEPS = "used up its steps"
    OUTSIDE = "ended outside the states that the network can reach"
    TOO_FAST = "reached a minimum of q above the limit for slow points"
    NO_MINIMUM = "slow, but not at a minimum of q"
    NOT_FOLLOWED = "slow, and beyond the number of slow states that are followed"


@dataclass(frozen=True)
class Wave:
    """States x with velocities F that have converged to rounding, slow states still to be followed, and the rejected.

    ``groups`` and ``slow_groups`` tell which of the search's inputs each belongs to.
    """

    x: Tensor
    F: Tensor
    groups: Tensor
    slow: Tensor
    slow_groups: Tensor
    rejected: Counter[Rejection]
    unit: float  # the usual size of a state here


@dataclass(frozen=True)
class Descender:
    """What every wave of a search shares; calling it works through one wave."""

    system: System
    solver: Solver
    inputs: Tensor  # (G, n_input)
    unit: float
    slow_q: float

    def __call__(self, x: Tensor, groups: Tensor) -> Wave:
        u = self.inputs[groups]
        problem = Problem(self.system, u)
        first = self._way_there(problem, x)
        unit = self._size_reached(first)
        last = self._to_the_end(problem, first, unit)
        zero = last.F.norm(dim=1) <= ZERO * rounding(self.system, last.x, u, last.F, unit)
        inside = self._inside(last.x, u)
        slow, where = self._slow(first, last, zero, u)
        rejected = self._reasons(last, u, zero, inside, slow)
        good = zero & inside
        return Wave(last.x[good], last.F[good], groups[good], where[slow], groups[slow], rejected, unit)

    def _size_reached(self, first: Descent) -> float:
        """The usual size of a state again: starts may have been much farther out than anything they lead to."""
        size = first.x.norm(dim=1)
        size = size[torch.isfinite(size) & (first.outcome != Outcome.DIVERGED)]
        return min(self.unit, float(size.median()) if len(size) else self.unit) or self.unit

    def _way_there(self, problem: Problem, x: Tensor) -> Descent:
        """The solver's descent; Newton on a large system goes the first part of it in float32, at half the cost."""
        if not isinstance(self.solver, Newton):
            return descend(self.solver, problem, x, self.unit)
        if not self.system.single_precision or self.system.n_state <= DENSE_LIMIT:
            return descend(dataclasses.replace(self.solver, tolerance=HANDOVER), problem, x, self.unit)
        coarse = dataclasses.replace(self.solver, tolerance=HANDOVER, tightest=1e-3)
        single = Problem(self.system.to(dtype=torch.float32), problem.u.float())
        rough = descend(coarse, single, x.float(), self.unit)
        x = rough.x.double()
        return dataclasses.replace(rough, x=x, F=problem.velocity(x))

    def _to_the_end(self, problem: Problem, first: Descent, unit: float) -> Descent:
        """Newton in float64; on a large system only where the way there has led near a zero.

        Where GMRES falls short of the last digits (many unstable directions), LU finishes the few that are left.
        """
        n = self.system.n_state
        if n <= DENSE_LIMIT:
            return descend(Newton(), problem, first.x, unit)
        near = first.outcome == Outcome.CONVERGED
        last = _continued(Newton(loosest=1e-7), problem, first, near, unit)  # two steps, not four
        short = near & (last.outcome != Outcome.CONVERGED)
        return _continued(Newton(dense_limit=n), problem, last, short, unit)

    def _inside(self, x: Tensor, u: Tensor) -> Tensor:
        """Where x is within the reachable box, a little rounding allowed."""
        box = self.system.box(u)
        if box is None:
            return torch.isfinite(x).all(dim=1)
        low, high = box
        margin = 1e-9 * (high - low)
        return ((x >= low - margin) & (x <= high + margin)).all(dim=1)

    def _slow(self, first: Descent, last: Descent, zero: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Which starts reached a slow state that is not a zero's, and where: the solver's state, else Newton's.

        Newton, which needs a zero, leaps away from a minimum of q; so a leap does not speak against the solver's state.
        """
        q_first, q_last = q_of(first.F), q_of(last.F)
        leapt = (last.x - first.x).norm(dim=1) > MOVED * (first.x.norm(dim=1) + self.unit)
        at_first = (first.outcome != Outcome.CONVERGED) & (q_first <= self.slow_q) & (~zero | leapt)
        at_last = ~zero & (q_last <= self.slow_q)
        where = torch.where(at_first.unsqueeze(1), first.x, last.x)
        slow = (at_first | at_last) & torch.isfinite(where).all(dim=1) & self._inside(where, u)
        return slow, where

    def _reasons(self, last: Descent, u: Tensor, zero: Tensor, inside: Tensor, slow: Tensor) -> Counter[Rejection]:
        reasons: Counter[Rejection] = Counter()
        reasons[Rejection.OUTSIDE] = int((zero & ~inside & ~slow).sum())
        lost = ~zero & ~slow
        diverged = lost & (last.outcome == Outcome.DIVERGED)
        reasons[Rejection.DIVERGED] = int(diverged.sum())
        rest = (lost & ~diverged).nonzero().squeeze(1)
        if len(rest):
            x, F = last.x[rest], last.F[rest]
            slope = gradient(self.system, x, u[rest]).norm(dim=1) * (x.norm(dim=1) + self.unit)
            at_minimum = slope <= STATIONARY * q_of(F)
            stuck = ~at_minimum & (last.outcome[rest] != Outcome.OUT_OF_STEPS)
            reasons[Rejection.TOO_FAST] = int(at_minimum.sum())
            reasons[Rejection.STUCK] = int(stuck.sum())
            reasons[Rejection.OUT_OF_STEPS] = len(rest) - int(at_minimum.sum()) - int(stuck.sum())
        return +reasons


def _continued(solver: Solver, problem: Problem, before: Descent, which: Tensor, unit: float) -> Descent:
    """The descent taken up again from where some starts stopped; the others stay as they are."""
    rows = which.nonzero().squeeze(1)
    if len(rows) == 0:
        return before
    after = descend(solver, problem.at(rows), before.x[rows], unit)
    merged = dataclasses.replace(before, x=before.x.clone(), F=before.F.clone(), outcome=before.outcome.clone())
    merged.x[rows], merged.F[rows], merged.outcome[rows] = after.x, after.F, after.outcome
    return merged

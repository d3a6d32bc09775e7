"""The engine that runs any solver over a batch of starts; a start leaves the batch as soon as it is finished."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import is_zero, rate
from dynsys.search.solvers.base import Problem, Solver
from dynsys.systems.speed import q_of


class Outcome(enum.IntEnum):
    """How the descent from one start ended."""

    OUT_OF_STEPS = 0
    CONVERGED = 1
    STUCK = 2
    DIVERGED = 3


@dataclass(frozen=True)
class Descent:
    """Where each start ended: x and F (B, n), outcome (B,) as ``Outcome`` values, steps taken (B,)."""

    x: Tensor
    F: Tensor
    outcome: Tensor
    steps: Tensor


def descend(
    solver: Solver, problem: Problem, x: Tensor, unit: float, tol_q: float | None = None, tol_dq: float = 0.0
) -> Descent:
    """Run ``solver`` from every row of x (B, n) until |F| is small, no step helps, or its steps are used up.

    Small is what the solver says, or with ``tol_q`` that q is no larger; with ``tol_dq`` a step that changes q by no
    more than such a share of it does not help.
    """
    B = len(x)
    out = Descent(
        x.clone(),
        problem.velocity(x),
        torch.full((B,), int(Outcome.OUT_OF_STEPS), device=x.device),
        torch.zeros(B, dtype=torch.long, device=x.device),
    )
    rows = torch.arange(B, device=x.device)
    state = solver.init(problem, x)
    pace = rate(problem.system, x, problem.u, state.F, unit)  # a tolerance on |F| needs F's own units
    stuck = torch.zeros(B, dtype=torch.bool, device=x.device)
    for step in range(solver.max_steps + 1):
        enough = solver.tolerance * pace[rows] * (vector_norm(state.x, dim=1) + unit)
        if tol_q is not None:
            enough = torch.full_like(enough, (2 * tol_q) ** 0.5)
        elif solver.tolerance == 0:
            small = is_zero(problem.system, state.x, problem.u, state.F, unit)
            enough = torch.where(small, torch.inf, 0.0)
        outcome = _judge(state, stuck, enough, unit)
        out.x[rows], out.F[rows], out.outcome[rows], out.steps[rows] = state.x, state.F, outcome, step
        going = (outcome == Outcome.OUT_OF_STEPS).nonzero().squeeze(1)
        if len(going) == 0 or step == solver.max_steps:
            break
        if len(going) < len(rows):
            rows, problem, state = rows[going], problem.at(going), type(state)(*(part[going] for part in state))
        q = q_of(state.F)
        state, info = solver.step(problem, state)
        stuck = info.stuck
        if tol_dq:  # a step that was refused changes nothing, and the next one may be taken
            stuck = stuck | ((info.length > 0) & ((q_of(state.F) - q).abs() <= tol_dq * q))
    return out


def _judge(state: Any, stuck: Tensor, enough: Tensor, unit: float) -> Tensor:
    x, size = state.x, vector_norm(state.F, dim=1)
    outcome = torch.full_like(stuck, int(Outcome.OUT_OF_STEPS), dtype=torch.long)
    outcome[stuck] = Outcome.STUCK
    outcome[size <= enough] = Outcome.CONVERGED
    outcome[~torch.isfinite(size) | ~(vector_norm(x, dim=1) <= 1e8 * (1 + unit))] = Outcome.DIVERGED
    return outcome

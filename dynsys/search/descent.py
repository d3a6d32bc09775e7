"""The engine that runs any solver over a batch of starts; a start leaves the batch as soon as it is finished."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import is_zero, rate
from dynsys.search.solvers.base import Solver
from dynsys.systems.held import Held
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


def descend(solver: Solver, held: Held, x: Tensor, tol_q: float | None = None, tol_dq: float = 0.0) -> Descent:
    """Run ``solver`` from every row of x (B, n) until |F| is small, no step helps, or its steps are used up.

    Small is what the solver says, or with ``tol_q`` that q is no larger; with ``tol_dq`` a step that changes q by no
    more than such a share of it does not help.
    """
    B = len(x)
    state = solver.init(held, x)
    out = Descent(
        x.clone(),
        state.F.clone(),
        torch.full((B,), int(Outcome.OUT_OF_STEPS), device=x.device),
        torch.zeros(B, dtype=torch.long, device=x.device),
    )
    rows = torch.arange(B, device=x.device)
    relative = tol_q is None and solver.tolerance > 0  # a tolerance on |F| needs F's own units
    pace = solver.tolerance * rate(held, x, state.F) if relative else None
    stuck = torch.zeros(B, dtype=torch.bool, device=x.device)
    for step in range(solver.max_steps + 1):
        reached = vector_norm(state.x, dim=1)
        if pace is not None:
            enough: Tensor | float = torch.addcmul(held.unit * pace, pace, reached)
        elif tol_q is not None:
            enough = (2 * tol_q) ** 0.5
        else:
            small = is_zero(held, state.x, state.F)
            enough = torch.where(small, torch.inf, 0.0)
        outcome = _judge(reached, vector_norm(state.F, dim=1), stuck, enough, held.unit)
        done = outcome != Outcome.OUT_OF_STEPS
        if step == solver.max_steps or bool(done.all()):
            out.x[rows], out.F[rows], out.outcome[rows], out.steps[rows] = state.x, state.F, outcome, step
            break
        if bool(done.any()):
            left, going = done.nonzero().squeeze(1), (~done).nonzero().squeeze(1)
            over = rows[left]
            out.x[over], out.F[over], out.outcome[over] = state.x[left], state.F[left], outcome[left]
            out.steps[over] = step
            rows, held = rows[going], held[going]
            state = type(state)(*(part[going] for part in state))
            pace = pace if pace is None else pace[going]
        q = q_of(state.F) if tol_dq else None
        state, info = solver.step(held, state)
        stuck = info.stuck
        if q is not None:  # a step that was refused changes nothing, and the next one may be taken
            stuck = stuck | ((info.length > 0) & ((q_of(state.F) - q).abs() <= tol_dq * q))
    return out


def _judge(reached: Tensor, size: Tensor, stuck: Tensor, enough: Tensor | float, unit: float) -> Tensor:
    """The outcome (B,) of states of norm ``reached``, where F has norm ``size``."""
    outcome = stuck.long() * int(Outcome.STUCK)
    outcome = torch.where(size <= enough, int(Outcome.CONVERGED), outcome)
    bounded = (size < torch.inf) & (reached <= 1e8 * (1 + unit))
    return torch.where(bounded, outcome, int(Outcome.DIVERGED))

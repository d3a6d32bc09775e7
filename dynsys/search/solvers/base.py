"""What a solver is, and what runs it: immutable settings with ``init`` and ``step``, over a batch of starts.

Everything that changes is the state handed on. A start leaves the batch as soon as it is finished. Solvers that go
along one direction per start share the backtracking on q (Armijo's condition).
"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import is_zero, rate
from dynsys.systems.held import Held
from dynsys.systems.speed import q_of

SUFFICIENT = 1e-4
TOGETHER = (
    2**13
)  # numbers in the states of one call of F: of few starts or small ones several halvings are tried at once


class Info(NamedTuple):
    """What the engine wants to know about a step: how long it was, and where no step could be taken any more."""

    length: Tensor  # (B,)
    stuck: Tensor  # (B,) bool


@dataclass(frozen=True)
class Solver(abc.ABC):
    """A method that lowers q from a batch of starts at once.

    For developers: a state is a NamedTuple of tensors with one row per start, the first two being x and F; a start
    leaves the batch by dropping its row. Give ``init`` and ``step``, add the class to ``SOLVERS``, and every test of
    solvers runs on it.
    """

    name: ClassVar[str]
    max_steps: int = 100
    tolerance: float = 1e-9  # |F| relative to the size of the state, from where Newton is left to finish

    @abc.abstractmethod
    def init(self, held: Held, x: Tensor) -> Any:
        """The state at the starts x (B, n)."""

    @abc.abstractmethod
    def step(self, held: Held, state: Any) -> tuple[Any, Info]:
        """One step of every start."""


def backtrack(
    held: Held, x: Tensor, F: Tensor, d: Tensor, slope: Tensor, first: Tensor | None = None, halvings: int = 12
) -> tuple[Tensor, Tensor, Tensor]:
    """x + a d with q lowered by at least a small share of what its slope (B,) along d promises, a = first, first/2, ...

    Returns the new x and F and the length of each step; a start for which no a will do stays, with length 0.
    """
    q, a = q_of(F), torch.ones_like(slope) if first is None else first
    x_new, F_new, good = _tried(held, x, q, d, slope, a)
    length = a * vector_norm(d, dim=1)
    if bool(good.all()):
        return x_new, F_new, length
    kept = good.unsqueeze(1)
    x_new, F_new = torch.where(kept, x_new, x), torch.where(kept, F_new, F)
    waiting = (~good & torch.isfinite(length)).nonzero().squeeze(1)
    whole, length = length, torch.where(good, length, 0.0)
    tried = 0
    while len(waiting) and tried < halvings:
        k = min(halvings - tried, max(1, TOGETHER // (len(waiting) * x.shape[1])))
        share = x.new_tensor([0.5**i for i in range(tried + 1, tried + k + 1)]).repeat_interleave(len(waiting))
        rows = waiting.repeat(k)
        x_try, F_try, good = _tried(held[rows], x[rows], q[rows], d[rows], slope[rows], share * a[rows])
        good = good.view(k, -1)
        found = good.any(dim=0)
        taken = (good.to(torch.uint8).argmax(dim=0) * len(waiting) + torch.arange(len(waiting), device=x.device))[found]
        rows = waiting[found]
        x_new[rows], F_new[rows], length[rows] = x_try[taken], F_try[taken], share[taken] * whole[rows]
        waiting, tried = waiting[~found], tried + k
    return x_new, F_new, length


def _tried(held: Held, x: Tensor, q: Tensor, d: Tensor, slope: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x + a d, F there, and whether q has been lowered enough."""
    x_try = torch.addcmul(x, a.unsqueeze(1), d)
    F_try = held.velocity(x_try)
    return x_try, F_try, q_of(F_try) <= torch.addcmul(q, a, slope, value=SUFFICIENT)


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

"""What a solver is: immutable settings with ``init`` and ``step``; everything that changes is the state handed on.

Solvers that go along one direction per start share the backtracking on q (Armijo's condition).
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.systems.held import Held
from dynsys.systems.speed import q_of

SUFFICIENT = 1e-4
TOGETHER = 2**13  # numbers in one call of F: for few starts or small ones several halvings are tried at once


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

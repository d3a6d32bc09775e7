"""Backtracking on q along one direction per start (Armijo's condition)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.search.solvers.base import Problem
from dynsys.systems.speed import q_of

SUFFICIENT = 1e-4


def backtrack(
    problem: Problem, x: Tensor, F: Tensor, d: Tensor, slope: Tensor, first: Tensor | None = None, halvings: int = 12
) -> tuple[Tensor, Tensor, Tensor]:
    """x + a d with q lowered by at least a small share of what its slope (B,) along d promises, a = first, first/2, ...

    Returns the new x and F and the length of each step; a start for which no a will do stays, with length 0.
    """
    q, a = q_of(F), torch.ones_like(slope) if first is None else first
    x_new, F_new, good = _tried(problem, x, q, d, slope, a)
    length = torch.where(good, a * vector_norm(d, dim=1), 0.0)
    if bool(good.all()):
        return x_new, F_new, length
    failed = ~good.unsqueeze(1)
    x_new, F_new = torch.where(failed, x, x_new), torch.where(failed, F, F_new)
    waiting = (~good & torch.isfinite(d).all(dim=1)).nonzero().squeeze(1)
    for _ in range(halvings):
        if len(waiting) == 0:
            break
        a = a / 2
        x_try, F_try, good = _tried(problem.at(waiting), x[waiting], q[waiting], d[waiting], slope[waiting], a[waiting])
        taken = waiting[good]
        x_new[taken], F_new[taken] = x_try[good], F_try[good]
        length[taken] = (a[taken] * vector_norm(d[taken], dim=1)).to(length.dtype)
        waiting = waiting[~good]
    return x_new, F_new, length


def _tried(
    problem: Problem, x: Tensor, q: Tensor, d: Tensor, slope: Tensor, a: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """x + a d, F there, and whether q has been lowered enough."""
    x_try = torch.addcmul(x, a.unsqueeze(1), d)
    F_try = problem.velocity(x_try)
    return x_try, F_try, q_of(F_try) <= torch.addcmul(q, a, slope, value=SUFFICIENT)

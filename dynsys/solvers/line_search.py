"""Backtracking on q along one direction per start (Armijo's condition)."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.solvers.base import Problem
from dynsys.speed import q_of

SUFFICIENT = 1e-4


def backtrack(
    problem: Problem, x: Tensor, F: Tensor, d: Tensor, slope: Tensor, first: Tensor | None = None, halvings: int = 12
) -> tuple[Tensor, Tensor, Tensor]:
    """x + a d with q lowered by at least a small share of what its slope (B,) along d promises, a = first, first/2, ...

    Returns the new x and F and the length of each step; a start for which no a will do stays, with length 0.
    """
    q, a = q_of(F), torch.ones_like(slope) if first is None else first
    x_new, F_new, length = x.clone(), F.clone(), torch.zeros_like(slope)
    waiting = torch.isfinite(d).all(dim=1).nonzero().squeeze(1)
    for _ in range(halvings + 1):
        if len(waiting) == 0:
            break
        here = problem.at(waiting)
        x_try = x[waiting] + a[waiting].unsqueeze(1) * d[waiting]
        F_try = here.velocity(x_try)
        good = q_of(F_try) <= q[waiting] + SUFFICIENT * a[waiting] * slope[waiting]
        taken = waiting[good]
        x_new[taken], F_new[taken] = x_try[good], F_try[good]
        length[taken] = (a[taken] * d[taken].norm(dim=1)).to(length.dtype)
        waiting = waiting[~good]
        a = a / 2
    return x_new, F_new, length

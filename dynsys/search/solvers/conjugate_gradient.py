"""Nonlinear conjugate gradients on q, Polak-Ribiere+ with a line search (Polak & Ribiere 1969; Gilbert & Nocedal 1992).

It needs only products with J and J^T, so a step is cheap at any size; it takes many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from dynsys.search.solvers.base import Info, Solver, backtrack
from dynsys.systems.held import Held


class ConjugateGradientState(NamedTuple):
    x: Tensor
    F: Tensor
    g: Tensor  # grad q
    d: Tensor  # search direction


@dataclass(frozen=True)
class ConjugateGradient(Solver):
    """Polak-Ribiere+; the first trial step minimises |F + a J d|, which is exact near a fixed point."""

    name: ClassVar[str] = "conjugate-gradient"
    max_steps: int = 3000
    tolerance: float = 1e-6

    def init(self, held: Held, x: Tensor) -> ConjugateGradientState:
        F = held.velocity(x)
        g = held.transposed_product(x, F)
        return ConjugateGradientState(x, F, g, -g)

    def step(self, held: Held, state: ConjugateGradientState) -> tuple[ConjugateGradientState, Info]:
        x, F, g, d = state
        Jd = held.jacobian_product(x, d)
        slope = (F * Jd).sum(1)
        first = -slope / (Jd * Jd).sum(1).clamp_min(1e-300)
        x_new, F_new, length = backtrack(held, x, F, d, slope, first)
        g_new = held.transposed_product(x_new, F_new)
        beta = ((g_new * (g_new - g)).sum(1) / (g * g).sum(1).clamp_min(1e-300)).clamp_min(0.0)
        d_new = -g_new + beta.unsqueeze(1) * d
        downhill = (g_new * d_new).sum(1) < 0
        failed = length == 0  # start again along the gradient; stuck only if that was the direction already
        restart = ~downhill | failed
        stuck = failed & ((d + g).norm(dim=1) <= 1e-12 * g.norm(dim=1))
        d_new = torch.where(restart.unsqueeze(1), -g_new, d_new)
        return ConjugateGradientState(x_new, F_new, g_new, d_new), Info(length, stuck)

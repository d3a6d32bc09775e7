"""Gradient descent on q with a line search (Cauchy 1847): what second-order methods are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from dynsys.search.solvers.base import Info, Solver, backtrack
from dynsys.systems.held import Held


class GradientDescentState(NamedTuple):
    x: Tensor
    F: Tensor


@dataclass(frozen=True)
class GradientDescent(Solver):
    """Steepest descent; the first trial step minimises |F + a J d|, as that of conjugate gradients."""

    name: ClassVar[str] = "gradient-descent"
    max_steps: int = 4000
    tolerance: float = 1e-4

    def init(self, held: Held, x: Tensor) -> GradientDescentState:
        return GradientDescentState(x, held.velocity(x))

    def step(self, held: Held, state: GradientDescentState) -> tuple[GradientDescentState, Info]:
        x, F = state
        d = -held.transposed_product(x, F)
        Jd = held.jacobian_product(x, d)
        slope = -(d * d).sum(1)
        first = -slope / (Jd * Jd).sum(1).clamp_min(1e-300)
        x_new, F_new, length = backtrack(held, x, F, d, slope, first)
        return GradientDescentState(x_new, F_new), Info(length, length == 0)

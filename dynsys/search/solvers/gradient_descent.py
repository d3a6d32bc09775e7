"""Gradient descent on q with a line search (Cauchy 1847): what second-order methods are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from dynsys.search.solvers.base import Info, Problem, Solver
from dynsys.search.solvers.line_search import backtrack


class GradientDescentState(NamedTuple):
    x: Tensor
    F: Tensor


@dataclass(frozen=True)
class GradientDescent(Solver):
    """Steepest descent; the first trial step minimises |F + a J d|, as that of conjugate gradients."""

    name: ClassVar[str] = "gradient-descent"
    max_steps: int = 4000
    tolerance: float = 1e-4

    def init(self, problem: Problem, x: Tensor) -> GradientDescentState:
        return GradientDescentState(x, problem.velocity(x))

    def step(self, problem: Problem, state: GradientDescentState) -> tuple[GradientDescentState, Info]:
        x, F = state
        d = -problem.gradient(x, F)
        Jd = problem.system.jacobian_product(x, problem.u, d)
        slope = -(d * d).sum(1)
        first = -slope / (Jd * Jd).sum(1).clamp_min(1e-300)
        x_new, F_new, length = backtrack(problem, x, F, d, slope, first)
        return GradientDescentState(x_new, F_new), Info(length, length == 0)

"""Damped Gauss-Newton (Levenberg-Marquardt): (J^T J + m I) d = -J^T F.

Dearer per step than conjugate gradients and far fewer steps; unlike Newton it does not fail where J is singular, so it
also descends to slow points. The damping m follows the gain ratio (Nielsen 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.search.solvers.base import Info, Solver
from dynsys.systems.held import Held
from dynsys.systems.speed import q_of


class GaussNewtonState(NamedTuple):
    x: Tensor
    F: Tensor
    damping: Tensor  # (B,)
    growth: Tensor  # (B,) factor of the damping after a step that failed
    idle: Tensor  # (B,) steps in a row that hardly lowered |F|


@dataclass(frozen=True)
class GaussNewton(Solver):
    """Levenberg-Marquardt; ``damping`` is the first m relative to the largest diagonal entry of J^T J.

    A search for zeros gives up a start after ``patience`` steps in a row that leave |F| above ``least_gain`` times what
    it was: mostly it has come to a minimum of q that is no zero. Without a patience it goes on down to that minimum.
    """

    name: ClassVar[str] = "gauss-newton"
    max_steps: int = 200
    damping: float = 1e-3
    patience: int | None = None
    least_gain: float = 0.9

    def init(self, held: Held, x: Tensor) -> GaussNewtonState:
        J = held.jacobian(x)
        largest = (J * J).sum(1).amax(1)  # the diagonal of J^T J holds the squared columns
        return GaussNewtonState(
            x, held.velocity(x), self.damping * largest, torch.full_like(largest, 2.0), torch.zeros_like(largest)
        )

    def step(self, held: Held, state: GaussNewtonState) -> tuple[GaussNewtonState, Info]:
        x, F, damping, growth, idle = state
        J = held.jacobian(x)
        g = (J.mT @ F.unsqueeze(2)).squeeze(2)
        d = damped_step(J.mT @ J, g, damping)
        x_try = x + d
        F_try = held.velocity(x_try)
        promised = 0.5 * (d * (damping.unsqueeze(1) * d - g)).sum(1)
        q, q_try = q_of(F), q_of(F_try)
        gain = (q - q_try) / promised.clamp_min(1e-300)
        good = (gain > 0) & torch.isfinite(F_try).all(dim=1)
        idle = torch.where(good & (q_try <= self.least_gain**2 * q), 0.0, idle + 1)
        new = GaussNewtonState(
            torch.where(good.unsqueeze(1), x_try, x),
            torch.where(good.unsqueeze(1), F_try, F),
            *damped_next(gain, good, damping, growth),
            idle,
        )
        length = vector_norm(d, dim=1)
        tiny = length <= 1e-15 * (vector_norm(x, dim=1) + 1e-300)
        stuck = (tiny & ~good) | ~torch.isfinite(length)
        if self.patience is not None:
            stuck |= idle >= self.patience
        return new, Info(torch.where(good, length, 0.0), stuck)


def damped_step(A: Tensor, g: Tensor, damping: Tensor) -> Tensor:
    """-(A + damping)^-1 g (B, n), A being J'J, which is overwritten; 0 where that fails: more damping follows."""
    A.diagonal(dim1=1, dim2=2).add_(damping.unsqueeze(1))
    L, _ = torch.linalg.cholesky_ex(A)
    d: Tensor = torch.cholesky_solve(-g.unsqueeze(2), L).squeeze(2)
    return torch.where(torch.isfinite(d), d, 0.0)


def damped_next(gain: Tensor, good: Tensor, damping: Tensor, growth: Tensor) -> tuple[Tensor, Tensor]:
    """The damping (B,) after a step, and the factor by which it grows if the next fails (Nielsen 1999)."""
    shrunk = (1 - (2 * gain - 1) ** 3).clamp(1 / 3, 2.0)
    after = torch.where(good, damping * shrunk, damping * growth).clamp_min(1e-30)
    return after, torch.where(good, 2.0, 2 * growth)

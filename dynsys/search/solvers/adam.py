"""Adam on q, one learning rate for all starts: the first-order baseline that other tools use (Kingma & Ba 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from dynsys.search.solvers.base import Info, Solver
from dynsys.systems.held import Held


class AdamState(NamedTuple):
    x: Tensor
    F: Tensor
    mean: Tensor
    square: Tensor
    age: Tensor  # (B,) steps taken


@dataclass(frozen=True)
class Adam(Solver):
    """Adam whose learning rate falls from ``rate`` to a thousandth of it over ``max_steps``, so that it settles."""

    name: ClassVar[str] = "adam"
    max_steps: int = 4000
    tolerance: float = 1e-4
    rate: float = 0.05
    decay_mean: float = 0.9
    decay_square: float = 0.999

    def init(self, held: Held, x: Tensor) -> AdamState:
        zero = torch.zeros_like(x)
        return AdamState(x, held.velocity(x), zero, zero, zero[:, 0])

    def step(self, held: Held, state: AdamState) -> tuple[AdamState, Info]:
        x, F, mean, square, age = state
        g = held.transposed_product(x, F)
        age = age + 1
        mean = self.decay_mean * mean + (1 - self.decay_mean) * g
        square = self.decay_square * square + (1 - self.decay_square) * g * g
        rate = self.rate * 1e-3 ** (age / self.max_steps)
        unbiased = mean / (1 - self.decay_mean**age).unsqueeze(1)
        spread = (square / (1 - self.decay_square**age).unsqueeze(1)).sqrt() + 1e-12
        d = -rate.unsqueeze(1) * unbiased / spread
        x = x + d
        return AdamState(x, held.velocity(x), mean, square, age), Info(d.norm(dim=1), torch.zeros_like(age) > 0)

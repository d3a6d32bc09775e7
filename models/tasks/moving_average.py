"""The two-point moving average (Sussillo & Barak 2013): the output holds the mean of the last two pulses.

Two numbers have to be remembered, the last pulse and the one before: a network that has learned it has a plane of slow
points, a state for each pair of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dynsys.models.tasks.trials import Array, Practice, Seed, Trials, TrialTask, check_fields

CLOSE = 0.01  # squared error up to which the task counts as learned; to say 0 is an error of 1/6


@dataclass(frozen=True)
class MovingAverage(TrialTask):
    """Inputs are the size of a pulse, uniform in [-1, 1], for ``pulse`` steps, and beside it a 1 as long as it lasts.

    From the beginning of one pulse to that of the next it takes ``shortest`` to ``longest`` steps. The output counts
    where two pulses have come, ``settle`` steps after the beginning of the last of them.
    """

    steps: int = 100
    pulse: int = 5
    settle: int = 10
    shortest: int = 15
    longest: int = 35

    practice: ClassVar[Practice] = Practice(units=100, steps=2000, rate=0.03, state_noise=0.02, enough=5e-4)
    n_input: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_fields(
            self,
            steps=self.steps >= 2 * self.longest,
            pulse=1 <= self.pulse <= self.settle,
            settle=self.settle < self.shortest,
            shortest=self.shortest <= self.longest,
        )

    @property
    def length(self) -> int:
        return self.steps

    def trials(self, count: int, seed: Seed) -> Trials:
        rng = np.random.default_rng(seed)
        n = self.steps // self.shortest + 1
        gaps = rng.integers(self.shortest, self.longest + 1, (count, n))
        begins = np.cumsum(gaps, axis=1) - gaps[:, :1] + rng.integers(self.shortest, size=(count, 1))
        sizes = rng.uniform(-1, 1, (count, n))
        inputs, target = np.zeros((count, self.steps, 2)), np.zeros((count, self.steps, 1))
        mask = np.zeros((count, self.steps), dtype=np.bool_)
        for i, k in np.argwhere(begins < self.steps):
            at = begins[i, k]
            inputs[i, at : at + self.pulse] = sizes[i, k], 1.0
            mask[i, at : at + self.settle] = False
            if k > 0:
                target[i, at:] = sizes[i, k - 1 : k + 1].mean()
                mask[i, at + self.settle :] = True
        return Trials(inputs, target, mask)

    def scores(self, trials: Trials, output: Array) -> dict[str, float]:
        return {"mse": trials.mse(output)}

    def learned(self, scores: Mapping[str, float]) -> bool:
        return scores["mse"] <= CLOSE

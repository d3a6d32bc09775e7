"""Delayed match to sample: was the second stimulus the same as the first, which has to be remembered meanwhile?

A network that has learned it has during the delay a stable state for each item, or slow ones that last long enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dynsys.models.tasks.trials import Array, Practice, Seed, Trials, TrialTask, check_fields

RIGHT = 0.95  # share of right answers from which on the task counts as learned
BRIEF = 5  # steps that an item, an answer and the longest delay take at first
EASY, GROWING = 60, 400  # steps of training with those, and until they are as long as asked for


@dataclass(frozen=True)
class MatchToSample(TrialTask):
    """One of two items is shown for ``shown`` steps, each on an input of its own; after a delay of ``shortest`` to
    ``longest`` steps one is shown again, and in ``response`` steps after that the output is to be 1 where it is the
    same and -1 where not. Half of the trials match.
    """

    shown: int = 10
    shortest: int = 10
    longest: int = 40
    response: int = 10

    practice: ClassVar[Practice] = Practice(steps=1500, rate=0.05, state_noise=0.05, enough=5e-3)
    n_input: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_fields(
            self,
            shown=self.shown >= 1,
            shortest=0 <= self.shortest <= self.longest,
            longest=self.longest >= 1,
            response=self.response >= 1,
        )

    @property
    def length(self) -> int:
        return 2 * self.shown + self.longest + self.response

    def trials(self, count: int, seed: Seed) -> Trials:
        rng = np.random.default_rng(seed)
        first, second = rng.integers(2, size=(2, count))
        again = self.shown + rng.integers(self.shortest, self.longest + 1, size=count)
        since = np.arange(self.length) - again[:, None]  # steps from the beginning of the second stimulus
        inputs = np.zeros((count, self.length, 2))
        inputs[:, : self.shown] = np.eye(2)[first][:, None]
        inputs += ((since >= 0) & (since < self.shown))[..., None] * np.eye(2)[second][:, None]
        mask = (since >= self.shown) & (since < self.shown + self.response)
        target = np.where(mask, np.where(first == second, 1.0, -1.0)[:, None], 0.0)
        mask[:, 0] = True  # where the output is to be 0
        return Trials(inputs, target[..., None], mask)

    def eased(self, step: int) -> MatchToSample:
        """Delays, items and answers are brief at first: over long ones no gradient reaches a gated network."""
        share = min(max(step - EASY, 0) / GROWING, 1.0)

        def between(first: int, whole: int) -> int:
            first = min(first, whole)
            return first + round(share * (whole - first))

        brief = {name: between(BRIEF, getattr(self, name)) for name in ("shown", "longest", "response")}
        return dataclasses.replace(self, shortest=between(0, self.shortest), **brief)

    def scores(self, trials: Trials, output: Array) -> dict[str, float]:
        """The share of right signs in the steps that ask for an answer."""
        asked = trials.target[..., 0] != 0
        right = np.sign(output[..., 0]) == trials.target[..., 0]
        return {"accuracy": float(right[asked].mean()), "mse": trials.mse(output)}

    def learned(self, scores: Mapping[str, float]) -> bool:
        return scores["accuracy"] >= RIGHT

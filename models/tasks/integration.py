"""Context-dependent integration (Mante et al. 2013): of two noisy streams of evidence, integrate the one that counts.

A network that has learned it has under each context a line of slow points along which it integrates, and a direction of
its input, the selection vector, that it moves along that line for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dynsys.models.tasks.trials import Array, Practice, Seed, Trials, TrialTask, check_fields

RIGHT = 0.9  # share of right choices from which on the task counts as learned
CONTEXTS = ("motion", "color")


@dataclass(frozen=True)
class Integration(TrialTask):
    """Inputs are motion, color, and which of them counts, (1, 0) or (0, 1); the output is to be the sign of its sum.

    ``stimulus`` steps of ``dt`` milliseconds bring evidence: a mean between -``coherence`` and ``coherence``, drawn for
    each stream, and ``noise`` per square root of a millisecond. The choice is to be held for ``response`` steps after
    it; at the first step the output is to be 0. The context stays on throughout.
    """

    stimulus: int = 75
    response: int = 10
    dt: float = 10.0
    coherence: float = 0.1875
    noise: float = 1.0

    practice: ClassVar[Practice] = Practice(units=100, steps=1200, batch=64, rate=0.02, state_noise=0.1)
    n_input: ClassVar[int] = 4

    def __post_init__(self) -> None:
        check_fields(
            self,
            stimulus=self.stimulus >= 1,
            response=self.response >= 1,
            dt=self.dt > 0,
            coherence=self.coherence > 0,
            noise=self.noise >= 0,
        )

    @property
    def length(self) -> int:
        return self.stimulus + self.response

    @property
    def held(self) -> Array:
        """Each context without evidence."""
        return np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])

    def trials(self, count: int, seed: Seed) -> Trials:
        rng = np.random.default_rng(seed)
        context = rng.integers(2, size=count)
        mean = rng.uniform(-self.coherence, self.coherence, (count, 1, 2))
        shown = mean + self.noise / np.sqrt(self.dt) * rng.standard_normal((count, self.stimulus, 2))
        inputs = np.zeros((count, self.length, 4))
        inputs[:, : self.stimulus, :2] = shown
        inputs[..., 2:] = np.eye(2)[context][:, None]
        target = np.zeros((count, self.length, 1))
        target[:, self.stimulus :, 0] = np.sign(shown.sum(axis=1))[np.arange(count), context][:, None]
        mask = np.zeros((count, self.length), dtype=np.bool_)
        mask[:, 0] = mask[:, self.stimulus :] = True
        return Trials(inputs, target, mask)

    def scores(self, trials: Trials, output: Array) -> dict[str, float]:
        """The share of right choices in each context, in the last step, and the squared error."""
        right = np.sign(output[:, -1, 0]) == trials.target[:, -1, 0]
        shares = {
            f"accuracy_{name}": float(right[trials.inputs[:, -1, 2 + i] > 0].mean()) for i, name in enumerate(CONTEXTS)
        }
        return {**shares, "mse": trials.mse(output)}

    def learned(self, scores: Mapping[str, float]) -> bool:
        return min(scores[f"accuracy_{name}"] for name in CONTEXTS) >= RIGHT

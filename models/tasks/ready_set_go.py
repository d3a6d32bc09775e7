"""Ready, set, go (Jazayeri & Shadlen 2010): reproduce the time between two pulses.

After the second pulse the output is to rise as fast as makes it pass 1 when the same time has gone by again: what a
network remembers of the interval is a speed (Remington et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dynsys.models.tasks.trials import Array, Practice, Seed, Trials, TrialTask, check_fields

BEYOND = 1.25  # times the interval, to which the ramp goes on
CLOSE = 0.1  # mean relative error of the interval up to which the task counts as learned


@dataclass(frozen=True)
class ReadySetGo(TrialTask):
    """A pulse of ``pulse`` steps on the first input within ``wait`` steps, and one on the second after an interval of
    ``shortest`` to ``longest`` steps. The output is 0 until that begins, and from there the time since then over the
    interval."""

    shortest: int = 12
    longest: int = 30
    pulse: int = 2
    wait: int = 10

    practice: ClassVar[Practice] = Practice(units=100, steps=2000, rate=0.03, state_noise=0.02, enough=5e-4)
    n_input: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_fields(
            self,
            shortest=self.pulse < self.shortest <= self.longest,
            longest=self.longest >= 1,
            pulse=self.pulse >= 1,
            wait=self.wait >= 1,
        )

    @property
    def length(self) -> int:
        return self.wait + self.longest + int(BEYOND * self.longest) + 1

    def trials(self, count: int, seed: Seed) -> Trials:
        rng = np.random.default_rng(seed)
        ready = rng.integers(self.wait, size=(count, 1))
        interval = rng.integers(self.shortest, self.longest + 1, size=(count, 1))
        t = np.arange(self.length)
        pulses = [(t >= begin) & (t < begin + self.pulse) for begin in (ready, ready + interval)]
        ramp = np.maximum(t - ready - interval, 0) / interval
        return Trials(np.stack(pulses, axis=2).astype(float), ramp[..., None], ramp <= BEYOND)

    def scores(self, trials: Trials, output: Array) -> dict[str, float]:
        """The mean error of the interval after which the output first passes 1, over the interval that was shown; an
        output that never does is wrong by all of it.
        """
        first, second = (trials.inputs[..., k].argmax(axis=1) for k in (0, 1))
        errors = []
        for begin, shown, z in zip(second, second - first, output[..., 0], strict=True):
            later = z[begin:]
            (over,) = np.nonzero((later[:-1] < 1) & (later[1:] >= 1))
            made = over[0] + (1 - later[over[0]]) / (later[over[0] + 1] - later[over[0]]) if len(over) else 0.0
            errors.append(min(abs(made / shown - 1), 1.0))
        return {"interval_error": float(np.mean(errors)), "mse": trials.mse(output)}

    def learned(self, scores: Mapping[str, float]) -> bool:
        return scores["interval_error"] <= CLOSE

"""The sine-wave generator (Sussillo & Barak 2013): a constant input says how fast the output is to oscillate.

There are 51 inputs, j / 51 + 1 / 4, and as many frequencies, equally spaced from 0.1 to 0.6 radians per time constant.
At each of them a network that has learned it has an unstable focus inside a limit cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dynsys.models.tasks.trials import Array, Practice, Seed, Trials, TrialTask, check_fields

COARSE = 0.5  # of a time constant, which backpropagation takes in one step
PERIODS = 3.5  # of each sine in a test, of which the first is not judged
PRACTISED = 2.0  # of each sine at the least, in one long run
SHOWN = 5  # inputs at which a network is looked at
CLOSE = 0.05  # relative error of every frequency up to which the task counts as learned


@dataclass(frozen=True)
class SineWave(TrialTask):
    """``waves`` frequencies from ``slowest`` to ``fastest``, in radians per time constant; a step is ``dt`` of these.

    In a trial of ``steps`` the wave begins at 0, as does a network; in one long run it goes on where it was.
    """

    waves: int = 51
    slowest: float = 0.1
    fastest: float = 0.6
    dt: float = 0.1
    steps: int = 600

    practice: ClassVar[Practice] = Practice(units=100, batch=51, alpha=COARSE, force_units=500, force_steps=340_000)
    n_input: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_fields(
            self,
            waves=self.waves >= 2,
            slowest=0 < self.slowest < self.fastest,
            fastest=self.fastest * self.dt < np.pi,
            dt=self.dt > 0,
            steps=self.steps >= 1,
        )

    @classmethod
    def by_backpropagation(cls, **chosen: Any) -> Self:
        return cls(**{"dt": COARSE, "steps": 120, **chosen})

    @property
    def length(self) -> int:
        return self.steps

    @property
    def levels(self) -> Array:
        """The inputs (waves,)."""
        return np.arange(self.waves) / self.waves + 0.25

    @property
    def frequencies(self) -> Array:
        """What they stand for, (waves,), in radians per step."""
        return np.linspace(self.slowest, self.fastest, self.waves) * self.dt

    @property
    def held(self) -> Array:
        return self.levels[np.linspace(0, self.waves - 1, min(SHOWN, self.waves)).round().astype(int), None]

    def trials(self, count: int, seed: Seed) -> Trials:
        """Each input once before any comes again, in random order."""
        return self._waves(self._order(count, seed), self.steps)

    def trial(self, steps: int, seed: Seed) -> Trials:
        """A run in which the wave changes its frequency and never jumps: every ``length`` steps, or after ``PRACTISED``
        periods where these are longer, as less of a slow one does not tell how slow it is."""
        order = self._order(-(-steps // self.steps), seed)
        lengths = np.maximum(self.steps, np.ceil(PRACTISED * 2 * np.pi / self.frequencies)).astype(np.int64)
        which = np.repeat(order, lengths[order])[:steps]
        wave = np.sin(np.cumsum(self.frequencies[which]))
        return Trials(self.levels[which, None], wave[:, None], np.ones(steps, dtype=np.bool_))

    def test(self, seed: Seed) -> Trials:
        """Every input once, for as long as the slowest takes for ``PERIODS`` periods."""
        return self._waves(np.arange(self.waves), int(PERIODS * 2 * np.pi / self.frequencies[0]))

    def scores(self, trials: Trials, output: Array) -> dict[str, float]:
        """The largest and the median relative error of the frequencies, and the least and largest amplitude."""
        wanted = self.frequencies[np.searchsorted(self.levels, trials.inputs[:, 0, 0] - 0.5 / self.waves)]
        later = output[:, int(output.shape[1] / PERIODS) :, 0]
        error = np.abs(_turning(later) / wanted - 1)
        size = (later.max(axis=1) - later.min(axis=1)) / 2
        return {
            "frequency_error": float(error.max()),
            "median_frequency_error": float(np.median(error)),
            "least_amplitude": float(size.min()),
            "largest_amplitude": float(size.max()),
        }

    def learned(self, scores: Mapping[str, float]) -> bool:
        return scores["frequency_error"] <= CLOSE and scores["least_amplitude"] >= 0.5

    def _order(self, count: int, seed: Seed) -> NDArray[np.int64]:
        rng = np.random.default_rng(seed)
        return np.concatenate([rng.permutation(self.waves) for _ in range(-(-count // self.waves))])[:count]

    def _waves(self, which: NDArray[np.int64], steps: int) -> Trials:
        shape = (len(which), steps)
        wave = np.sin(np.outer(self.frequencies[which], np.arange(1, steps + 1)))
        inputs = np.broadcast_to(self.levels[which, None], shape).copy()
        return Trials(inputs[..., None], wave[..., None], np.ones(shape, dtype=np.bool_))


def _turning(waves: Array) -> Array:
    """Radians per step (B,) of waves (B, T), from the first to the last time that each passes 0 on its way up; 0 for
    one that does not pass it twice.
    """
    found = np.zeros(len(waves))
    for i, wave in enumerate(waves):
        (up,) = np.nonzero((wave[:-1] < 0) & (wave[1:] >= 0))
        if len(up) > 1:
            passed = up + wave[up] / (wave[up] - wave[up + 1])
            found[i] = 2 * np.pi * (len(up) - 1) / (passed[-1] - passed[0])
    return found

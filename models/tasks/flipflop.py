"""The flip-flop task (Jang, section 6): every output holds the sign of the last pulse on its own input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEARNED = 0.99  # settled bit accuracy from which on a network counts as one that has learned the task


@dataclass(frozen=True)
class FlipFlop:
    """When pulses come. ``overlap=False``: one pulse at a time on a random channel, gaps exponentially distributed.

    With ``overlap=True`` every channel starts a pulse at each step with probability 1 / ``gap``, independently of the
    others, as those of the paper are.
    All lengths are in steps.
    """

    bits: int = 3
    pulse: int = 20
    gap: float = 100.0
    settle: int = 40  # a bit counts as settled this long after a pulse began
    overlap: bool = False

    def __post_init__(self) -> None:
        whole = all(isinstance(value, int) for value in (self.bits, self.pulse, self.settle))
        if not whole or self.bits < 1 or self.pulse < 1 or self.settle < self.pulse or not self.gap > 0:
            raise ValueError(
                f"flip-flop with bits={self.bits}, pulse={self.pulse}, gap={self.gap}, settle={self.settle}; "
                "it needs whole numbers bits >= 1, pulse >= 1 and settle >= pulse, and gap > 0"
            )

    @property
    def n_input(self) -> int:
        """One channel for each bit."""
        return self.bits

    @property
    def n_output(self) -> int:
        """One output for each bit."""
        return self.bits

    @property
    def transitions(self) -> int:
        """How many things there are to learn: from each of 2^bits memories, what either pulse on each channel does."""
        return 2 * self.bits << self.bits

    def trial(self, steps: int, seed: int | list[int]) -> Trial:
        """A run of ``steps`` steps; the same seed gives the same run."""
        rng = np.random.default_rng(seed)
        inputs, target = np.zeros((steps, self.bits)), np.zeros((steps, self.bits))
        quiet = np.full(steps, self.settle)  # steps since the last pulse began, on any channel
        for start, channel, sign in self._pulses(steps, rng):
            inputs[start : start + self.pulse, channel] = sign
            target[start:, channel] = sign
            quiet[start:] = np.arange(steps - start)
        return Trial(inputs, target, settled=quiet >= self.settle)

    def trials(self, count: int, steps: int, seed: int | list[int]) -> Trial:
        """Many runs of ``overlap``, as arrays with a first axis for the runs."""
        if not self.overlap:
            runs = [self.trial(steps, [*np.atleast_1d(seed), run]) for run in range(count)]
            return Trial(*(np.stack([getattr(run, key) for run in runs]) for key in ("inputs", "target", "settled")))
        rng = np.random.default_rng(seed)
        begins = rng.random((count, steps, self.bits)) < 1 / self.gap
        signs = rng.choice([-1.0, 1.0], begins.shape)
        now = np.arange(steps)[None, :, None]
        last = np.maximum.accumulate(np.where(begins, now, -1), axis=1)  # the step at which the last pulse began
        target = np.where(last >= 0, np.take_along_axis(signs, np.maximum(last, 0), axis=1), 0.0)
        inputs = np.where((last >= 0) & (now - last < self.pulse), target, 0.0)
        quiet = np.where(last.max(axis=2) >= 0, now[..., 0] - last.max(axis=2), self.settle)
        return Trial(inputs, target, settled=quiet >= self.settle)

    @staticmethod
    def scores(trial: Trial, output: Array) -> dict[str, float]:
        """See ``Trial.score``."""
        return trial.score(output)

    @staticmethod
    def learned(scores: Mapping[str, float]) -> bool:
        """Whether a network with these scores remembers."""
        return scores["settled_bit_accuracy"] >= LEARNED

    def _pulses(self, steps: int, rng: np.random.Generator) -> list[tuple[int, int, float]]:
        if self.overlap:
            starts = np.argwhere(rng.random((steps, self.bits)) < 1 / self.gap)
            return [(int(start), int(channel), float(rng.choice([-1.0, 1.0]))) for start, channel in starts]
        pulses, start = [], 0
        while start < steps:
            pulses.append((start, int(rng.integers(self.bits)), float(rng.choice([-1.0, 1.0]))))
            start += self.pulse + int(rng.exponential(self.gap))
        return pulses


@dataclass(frozen=True)
class Trial:
    """Inputs (T, bits), target (T, bits), and where (T,) the last pulse is long enough ago to judge the memory.

    Many trials have axes of their own before these.
    """

    inputs: Array
    target: Array
    settled: Mask

    def score(self, output: Array) -> dict[str, float]:
        """MSE of the output (..., T, bits), and MSE and bit accuracy where settled. A bit not pulsed yet has no target
        and counts in none of them; a measure of nothing is NaN.

        ``mse_after_pulses`` is the part of the MSE that comes before all has settled again: how fast a network turns.
        """
        pulsed, settled = self.target != 0, self.settled[..., None]
        right, squared = np.sign(output) == self.target, (output - self.target) ** 2
        mse = _mean(squared, pulsed)
        return {
            "mse": mse,
            "mse_after_pulses": _mean(squared * ~settled, pulsed),
            "settled_mse": _mean(squared, pulsed & settled),
            "settled_bit_accuracy": _mean(right, pulsed & settled),
        }

    def confusion(self, output: Array, clear: float) -> NDArray[np.int64]:
        """How often (2^b, 2^b + 1) an output (T, b) said each memory where each was right, memories in binary order.

        Counted are settled steps at which every bit has been pulsed. The last column is for outputs of which one is
        nearer to zero than ``clear``, or not finite: they say no memory.
        """
        bits = output.shape[1]
        counted = self.settled & (self.target != 0).all(axis=1)
        worth = 1 << np.arange(bits)[::-1]
        right, given = ((part[counted] > 0) @ worth for part in (self.target, output))
        given = np.where((np.abs(output[counted]) >= clear).all(axis=1), given, 1 << bits)
        counts = np.zeros((1 << bits, (1 << bits) + 1), dtype=np.int64)
        np.add.at(counts, (right, given), 1)
        return counts


def of_the_error(scores: Mapping[str, float | None], settle: int) -> str:
    """What part of the MSE comes where, of the scores of a trial; nothing where there is no error.

    >>> of_the_error({"mse": 0.04, "mse_after_pulses": 0.03}, 40)
    '75 % of it within 40 steps of the beginning of a pulse'
    """
    mse, after = scores.get("mse"), scores.get("mse_after_pulses")
    if not mse or after is None or not np.isfinite(mse):
        return ""
    return f"{100 * after / mse:.0f} % of it within {settle} steps of the beginning of a pulse"


def _mean(values: NDArray[Any], where: Mask) -> float:
    where = np.broadcast_to(where, values.shape)
    return float(np.mean(values[where])) if where.any() else float("nan")

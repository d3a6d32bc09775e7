"""Sequences to remember: which of them was read (many to one), and one of them from a cue (one to many).

Those are two of the kinds of association that the lecture notes on memory networks name; the flip-flop is many to
many. A pattern is a smooth sequence on a few channels, a random sum of the first harmonics with a mean square of 1.
What is read is disturbed, so that a test is of sequences and cues that were never seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynsys.models.tasks.flipflop import Trial

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

HARMONICS = 3


@dataclass(frozen=True)
class Patterns:
    """``patterns`` sequences of ``length`` steps on ``channels`` channels, drawn from ``seed``; the standard deviation
    of what is added to all that is read is ``noise``."""

    patterns: int = 8
    length: int = 20
    channels: int = 2
    noise: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.patterns < 2 or self.channels < 1 or self.length < 2 * HARMONICS + 1 or not 0 <= self.noise < np.inf:
            raise ValueError(
                f"{self.patterns} patterns of {self.length} steps on {self.channels} channels with noise "
                f"{self.noise:g}: needed are 2 patterns, {2 * HARMONICS + 1} steps and 1 channel or more, and noise of "
                "0 or more"
            )

    def sequences(self) -> Array:
        """The patterns themselves, (patterns, length, channels)."""
        rng = np.random.default_rng(self.seed)
        phase = 2 * np.pi * np.arange(self.length) / self.length
        waves = np.stack([f(k * phase) for k in range(1, HARMONICS + 1) for f in (np.cos, np.sin)])
        drawn = np.einsum("pck,kt->ptc", rng.standard_normal((self.patterns, self.channels, len(waves))), waves)
        scale: Array = np.sqrt((drawn**2).mean(axis=(1, 2), keepdims=True))
        return drawn / scale


@dataclass(frozen=True)
class ManyToOne(Patterns):
    """A disturbed pattern is read, and after its last step it is asked which one it was."""

    @property
    def n_input(self) -> int:
        return self.channels

    @property
    def n_output(self) -> int:
        return self.patterns

    def examples(self, count: int, seed: int | list[int]) -> tuple[Array, Ints]:
        """What is read (count, length, channels), and which pattern (count,) it is."""
        rng = np.random.default_rng(seed)
        which = rng.integers(self.patterns, size=count)
        clean = self.sequences()[which]
        return clean + self.noise * rng.standard_normal(clean.shape), which

    def trial(self, steps: int, seed: int | list[int]) -> Trial:
        """Patterns one after the other for ``steps`` steps; the last step of each is judged."""
        inputs, which = self.examples(-(-steps // self.length), seed)
        target = np.repeat(np.eye(self.patterns)[which], self.length, axis=0)
        at_end = np.tile(np.arange(self.length) == self.length - 1, len(which))
        return Trial(inputs.reshape(-1, self.channels)[:steps], target[:steps], at_end[:steps])


@dataclass(frozen=True)
class OneToMany(Patterns):
    """A disturbed cue is read in the first step, a 1 on the channel of a pattern, and then nothing; the pattern is told
    from that step on."""

    @property
    def n_input(self) -> int:
        return self.patterns

    @property
    def n_output(self) -> int:
        return self.channels

    def examples(self, count: int, seed: int | list[int]) -> tuple[Array, Array]:
        """What is read (count, length, patterns), and what is to be told (count, length, channels)."""
        rng = np.random.default_rng(seed)
        which = rng.integers(self.patterns, size=count)
        inputs = np.zeros((count, self.length, self.patterns))
        inputs[:, 0] = np.eye(self.patterns)[which] + self.noise * rng.standard_normal((count, self.patterns))
        return inputs, self.sequences()[which]

    def trial(self, steps: int, seed: int | list[int]) -> Trial:
        """Cues and what follows, one after the other for ``steps`` steps."""
        inputs, target = self.examples(-(-steps // self.length), seed)
        rows, told = inputs.reshape(-1, self.patterns)[:steps], target.reshape(-1, self.channels)[:steps]
        return Trial(rows, told, np.ones(len(rows), dtype=np.bool_))

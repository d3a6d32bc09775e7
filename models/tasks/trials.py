"""Tasks that come in trials: what goes in, what is to come out, and where that is judged."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dynsys.io.shown import Shown

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Seed = int | list[int]

TEST = 256  # trials of a test


@dataclass(frozen=True, repr=False)
class Trials(Shown):
    """``inputs`` (B, T, m), ``target`` (B, T, o), and the ``mask`` (B, T) of the steps that count; one run has no B."""

    inputs: Array
    target: Array
    mask: Mask

    def mse(self, output: Array) -> float:
        """The mean squared error of the output (B, T, o) where it counts."""
        return float(np.mean((output - self.target)[self.mask] ** 2))

    def joined(self, steps: int) -> Trials:
        """The trials one after the other, as one run of so many steps."""
        parts = (self.inputs, self.target, self.mask)
        return Trials(*(np.concatenate(list(part))[:steps] for part in parts))


@dataclass(frozen=True)
class Practice:
    """How a task is learned where nothing else is chosen: by backpropagation, and by FORCE."""

    units: int = 64
    steps: int = 2000
    batch: int = 64
    rate: float = 0.03  # of Adam, over the square root of the units
    enough: float = 0.0  # squared error of a validation at which training ends
    alpha: float = 0.2  # dt / tau of a leaky network
    state_noise: float = 0.0  # of a leaky network, in units of its state
    force_units: int = 300
    force_steps: int = 100_000
    force_noise: float = 0.05
    force_gain: float = 1.2
    force_scale: float = 1.0  # range of the feedback and input weights of an echo state network


class TrialTask(abc.ABC):
    """A task of trials, each of ``length`` steps and each begun from the first state of a network.

    For developers: a frozen dataclass whose fields are what papers choose, with ``n_input``, ``n_output``, ``length``,
    ``trials``, ``scores`` and ``learned``; ``held`` where the input does not go back to zero, ``practice`` where the
    usual one will not do, and a line in ``TASKS`` (``models/registry.py``).
    """

    practice: ClassVar[Practice] = Practice()
    n_input: ClassVar[int]
    n_output: ClassVar[int] = 1

    @classmethod
    def by_backpropagation(cls, **chosen: Any) -> Self:
        """The task as it is learned by backpropagation; a field that is not chosen may differ from FORCE's there."""
        return cls(**chosen)

    @property
    @abc.abstractmethod
    def length(self) -> int:
        """Steps of a trial."""

    @abc.abstractmethod
    def trials(self, count: int, seed: Seed) -> Trials:
        """So many trials; the same seed gives the same ones."""

    def trial(self, steps: int, seed: Seed) -> Trials:
        """A run of so many steps: trials one after the other."""
        return self.trials(-(-steps // self.length), seed).joined(steps)

    def eased(self, step: int) -> TrialTask:
        """The task at so many steps of training, where easier trials come first; in most tasks they do not."""
        return self

    def test(self, seed: Seed) -> Trials:
        """Trials on which a network is judged."""
        return self.trials(TEST, seed)

    @abc.abstractmethod
    def scores(self, trials: Trials, output: Array) -> dict[str, float]:
        """What the output (B, T, o) is worth, in the words of the task."""

    @abc.abstractmethod
    def learned(self, scores: Mapping[str, float]) -> bool:
        """Whether a network with these scores counts as one that has learned the task."""

    @property
    def held(self) -> Array:
        """The inputs (G, n_input) at which a network that has learned it is looked at: zero, unless the task says."""
        return np.zeros((1, self.n_input))


def fields_of(kind: type[TrialTask], options: Mapping[str, str]) -> dict[str, Any]:
    """Fields of a task from what a user wrote, as whole numbers or not, as their defaults are; raises ValueError."""
    usual: dict[str, Any] = {field.name: type(field.default) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name, text in options.items():
        if name not in usual:
            raise ValueError(f"{name} is nothing that can be set of this task; there are {', '.join(usual)}")
        try:
            usual[name](text)
        except ValueError:
            legal = "a whole number" if usual[name] is int else "a number"
            raise ValueError(f"{name} is {text!r}; it has to be {legal}") from None
    return {name: usual[name](text) for name, text in options.items()}


def check_fields(task: Any, **sound: bool) -> None:
    """Raise ValueError for the first field of the task that is not ``sound``, with what the task was given."""
    for name, fits in sound.items():
        if not fits:
            raise ValueError(f"{name} is {getattr(task, name)!r}, of which {type(task).__name__} can make nothing")

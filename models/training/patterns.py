"""How recurrent networks learn sequences: many to one by cross-entropy at the end, one to many by the squared error."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dynsys.models.networks.recurrent import RecurrentNetwork
from dynsys.models.tasks.patterns import ManyToOne, OneToMany
from dynsys.models.training.backprop import Backprop
from dynsys.models.training.beginning import USUAL, check_beginning
from dynsys.models.training.flipflop import BEGIN, RATE
from dynsys.models.training.learning import Course
from dynsys.models.training.optimisers import ADAM, rate_beside_adam
from dynsys.systems.system import System

TASKS: dict[str, type[ManyToOne] | type[OneToMany]] = {"many-to-one": ManyToOne, "one-to-many": OneToMany}
NOISE = {"many-to-one": 0.3, "one-to-many": 0.1}
STEPS = 2000
VALIDATION, TEST = 1, 2  # kinds of examples that no training step sees
EXAMPLES = 1000  # of a validation and of the test
LEARNED = 0.05  # share of wrong answers, or squared error over that of the pattern, up to which it counts as learned
SHOWN = 20  # patterns of the test that are kept


@dataclass(frozen=True)
class PatternsLesson:
    """Examples of the task; the error is the share of wrong answers, or the mean squared error of what is told.

    A pattern has a mean square of 1, so that to tell nothing is an error of 1.
    """

    task: ManyToOne | OneToMany
    batch: int = 64
    seed: int = 0

    def loss(self, network: nn.Module, step: int) -> Tensor:
        inputs, target = self.examples(self.batch, 0, step)
        output = self.output(network, inputs)
        if isinstance(self.task, ManyToOne):
            return functional.cross_entropy(output, target)
        return functional.mse_loss(output, target)

    def error(self, network: nn.Module) -> float:
        return self.score(network, VALIDATION)

    def score(self, network: nn.Module, kind: int = TEST) -> float:
        """The error on examples of that kind."""
        inputs, target = self.examples(EXAMPLES, kind)
        with torch.no_grad():
            output = self.output(network, inputs)
        if isinstance(self.task, ManyToOne):
            return float((output.argmax(1) != target).double().mean())
        return float(functional.mse_loss(output.double(), target.double()))

    def output(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """What the network says: after the whole sequence (B, patterns), or in every step (B, length, channels)."""
        assert isinstance(network, RecurrentNetwork)
        whole: Tensor = network.readout(network.whole(inputs)) if isinstance(self.task, ManyToOne) else network(inputs)
        return whole

    def examples(self, count: int, *kind: int) -> tuple[Tensor, Tensor]:
        """What is read, in single precision, and what is to be said."""
        inputs, target = self.task.examples(count, [self.seed, *kind])
        wanted = torch.as_tensor(target)
        return torch.as_tensor(inputs).float(), wanted if isinstance(self.task, ManyToOne) else wanted.float()


def patterns_course(
    kind: str,
    cell: str,
    *,
    patterns: int = 8,
    length: int = 20,
    channels: int = 2,
    noise: float | None = None,
    units: int = 64,
    layers: int = 1,
    bidirectional: bool = False,
    steps: int | None = None,
    batch: int = 64,
    learning_rate: float | None = None,
    optimizer: str = ADAM,
    momentum: float | None = None,
    begin: str = USUAL,
    reach: float | None = None,
    identity: float | None = None,
    seed: int = 0,
) -> Course:
    """``kind`` is "many-to-one" or "one-to-many", ``cell`` a name in ``CELLS``; ``seed`` draws patterns and weights."""
    check_beginning(begin, identity, reach)
    task = TASKS[kind](patterns, length, channels, NOISE[kind] if noise is None else noise, seed)
    lesson = PatternsLesson(task, batch, seed)
    first = {**BEGIN.get(cell, {}), "begin": begin, "reach": reach}
    first |= {} if identity is None else {"identity": identity}
    shape: dict[str, Any] = {"layers": layers, "bidirectional": bidirectional}
    network = RecurrentNetwork(cell, task.n_input, units, task.n_output, seed=seed, **shape, **first)
    usual = RATE / units**0.5 * rate_beside_adam(optimizer)
    how: dict[str, Any] = {"learning_rate": usual if learning_rate is None else learning_rate}
    how |= {"optimizer": optimizer, "momentum": momentum}
    settings = Backprop(steps or STEPS, seed=seed, **how)
    name = "test_error" if kind == "many-to-one" else "test_mse"

    def judge() -> tuple[dict[str, float], bool]:
        error = lesson.score(network)
        return {name: error}, error <= LEARNED

    def system() -> System | None:
        return None if bidirectional else network.system(task)

    about = {"model": cell, "units": units, **shape, **how, **first, **dataclasses.asdict(lesson)}
    return Course(network, lesson, settings, system, judge, lambda: shown(lesson, network), about)


def shown(lesson: PatternsLesson, network: RecurrentNetwork) -> dict[str, Any]:
    """Some patterns of the test one after the other: ``test_input``, ``test_output`` and ``test_target``, (T, .).

    Many to one nothing is to be said before the end, and so nothing is shown.
    """
    if isinstance(lesson.task, ManyToOne):
        return {}
    inputs, target = lesson.examples(SHOWN, TEST)
    with torch.no_grad():
        output = network(inputs)
    every = {"test_input": inputs, "test_output": output, "test_target": target}
    return {key: np.ascontiguousarray(value.flatten(0, 1).double().numpy()) for key, value in every.items()}

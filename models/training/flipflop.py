"""How a vanilla network, an IRNN, a GRU or an LSTM learns the flip-flop task: short trials, and a longer test."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.networks.recurrent import RecurrentNetwork
from dynsys.models.tasks.flipflop import LEARNED, FlipFlop
from dynsys.models.training.backprop import Backprop
from dynsys.models.training.beginning import USUAL, check_beginning
from dynsys.models.training.learning import Course
from dynsys.models.training.optimisers import ADAM, rate_beside_adam
from dynsys.systems.system import System

STEPS = 3000
RATE = 0.05  # of Adam, over the square root of the units
BEGIN: dict[str, dict[str, Any]] = {"irnn": {"identity": 0.8, "input_scale": 0.5}}  # where it is not torch's start
FASTER = {"irnn": 2.0}  # times that rate of Adam: 5 times fewer steps than from the identity and N(0, 0.1^2)
PRACTICE_GAP, GAP = 4.0, 30.0  # steps between the pulses of one bit, in training and in the task
SETTLE = 3  # steps after which a bit is judged
ENOUGH = 1e-4  # settled MSE at which training ends
SHOWN = 400  # steps of the test that are kept
VALIDATION, TEST = 1, 2  # kinds of trials that no training step sees


def flipflop_course(
    cell: str,
    *,
    bits: int = 3,
    units: int = 64,
    layers: int = 1,
    bidirectional: bool = False,
    steps: int | None = None,
    learning_rate: float | None = None,
    optimizer: str = ADAM,
    momentum: float | None = None,
    begin: str = USUAL,
    reach: float | None = None,
    identity: float | None = None,
    seed: int = 0,
) -> Course:
    """Pulses of one step, in training one in four steps of each bit; ``cell`` is a name in ``CELLS``.

    ``begin``, ``reach`` and ``identity`` are of an IRNN, see ``RecurrentNetwork``.
    """
    check_beginning(begin, identity, reach)
    task = FlipFlop(bits, pulse=1, gap=GAP, settle=SETTLE, overlap=True)
    practice = dataclasses.replace(task, gap=PRACTICE_GAP)
    lesson = FlipFlopLesson(practice, task, seed=seed)
    first = {**BEGIN.get(cell, {}), "begin": begin, "reach": reach}
    first |= {} if identity is None else {"identity": identity}
    shape: dict[str, Any] = {"layers": layers, "bidirectional": bidirectional}
    network = RecurrentNetwork(cell, bits, units, bits, seed=seed, **shape, **first)
    faster = FASTER.get(cell, 1.0) if optimizer == ADAM else 1.0
    usual = RATE * faster / units**0.5 * rate_beside_adam(optimizer)
    how: dict[str, Any] = {
        "learning_rate": usual if learning_rate is None else learning_rate,
        "optimizer": optimizer,
        "momentum": momentum,
    }
    settings = Backprop(steps or STEPS, enough=ENOUGH, seed=seed, **how)

    def judge() -> tuple[dict[str, float], bool]:
        metrics = lesson.score(network)
        return metrics, metrics["settled_bit_accuracy"] >= LEARNED

    def curves() -> dict[str, Any]:
        inputs, target = lesson.trials(task, 1, SHOWN, [seed, TEST])
        with torch.no_grad():
            output = network(inputs)
        shown = {"test_input": inputs, "test_output": output, "test_target": target}
        return {key: value[0].double().numpy() for key, value in shown.items()}

    about = {"model": cell, "units": units, **shape, **how, **first, **dataclasses.asdict(lesson)}

    def system() -> System | None:
        return None if bidirectional else network.system(task)

    return Course(network, lesson, settings, system, judge, curves, about)


@dataclass(frozen=True)
class FlipFlopLesson:
    """Trials of ``practice``, ``batch`` of ``steps`` steps each; the error is the settled MSE of the task.

    A bit that has not been pulsed yet has no target and counts nowhere.
    """

    practice: FlipFlop
    task: FlipFlop
    batch: int = 32
    steps: int = 64
    test_batch: int = 32
    test_steps: int = 400
    seed: int = 0

    def loss(self, network: nn.Module, step: int) -> Tensor:
        inputs, target = self.trials(self.practice, self.batch, self.steps, [self.seed, 0, step])
        squares = (network(inputs) - target) ** 2
        return squares[target != 0].mean()

    def error(self, network: nn.Module) -> float:
        return self.score(network, VALIDATION)["settled_mse"]

    def score(self, network: nn.Module, kind: int = TEST) -> dict[str, float]:
        """As ``Trial.score``, over all of the trials."""
        trials = self.task.trials(self.test_batch, self.test_steps, [self.seed, kind])
        with torch.no_grad():
            output = network(torch.as_tensor(trials.inputs).float())
        return trials.score(output.double().numpy())

    def trials(self, task: FlipFlop, count: int, steps: int, seed: list[int]) -> tuple[Tensor, Tensor]:
        """inputs and target (B, T, bits) in single precision."""
        some = task.trials(count, steps, seed)
        return torch.as_tensor(some.inputs).float(), torch.as_tensor(some.target).float()

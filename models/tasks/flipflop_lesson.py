"""The flip-flop task as a lesson for backpropagation: short trials of dense pulses, and a longer test."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dynsys.models.tasks.flipflop import FlipFlop

VALIDATION, TEST = 1, 2  # kinds of trials that no training step sees


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

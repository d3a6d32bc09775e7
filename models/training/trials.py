"""How networks learn tasks of trials by backpropagation: the squared error where the task says that it counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynsys.models.networks.leaky import FORMS, LeakyRateNetwork
from dynsys.models.networks.recurrent import RecurrentNetwork
from dynsys.models.tasks.trials import Array, Trials, TrialTask
from dynsys.models.training.backprop import Backprop
from dynsys.models.training.beginning import USUAL, check_beginning
from dynsys.models.training.flipflop import BEGIN
from dynsys.models.training.learning import Course
from dynsys.models.training.optimisers import ADAM, rate_beside_adam
from dynsys.systems.system import System

VALIDATION, TEST = 1, 2  # kinds of trials that no training step sees
VALIDATED = 128  # trials of a validation
SHOWN = 10  # trials of the test that are kept


@dataclass(frozen=True)
class TrialsLesson:
    """``batch`` new trials in every step, easier ones first where the task has such; the error is the squared one,
    where it counts, on trials that stay."""

    task: TrialTask
    batch: int
    seed: int = 0

    def loss(self, network: nn.Module, step: int) -> Tensor:
        trials = self.task.eased(step).trials(self.batch, [self.seed, 0, step])
        squares = (self._driven(network, trials, step) - torch.as_tensor(trials.target).float()) ** 2
        return squares[torch.as_tensor(trials.mask)].mean()

    def error(self, network: nn.Module) -> float:
        trials = self.task.trials(VALIDATED, [self.seed, VALIDATION])
        return trials.mse(output_of(network, trials.inputs))

    def _driven(self, network: nn.Module, trials: Trials, step: int) -> Tensor:
        """The output under the noise of that step, where the network has any."""
        inputs = torch.as_tensor(trials.inputs).float()
        if not isinstance(network, LeakyRateNetwork):
            return network(inputs)
        return network(inputs, noise_seed=int(np.random.SeedSequence([self.seed, step]).generate_state(1)[0]))


def output_of(network: nn.Module, inputs: Array) -> Array:
    """What the network makes of inputs (B, T, m), without noise."""
    with torch.no_grad():
        output: Array = network(torch.as_tensor(inputs).float()).double().numpy()
    return output


def trials_course(
    kind: type[TrialTask],
    model: str,
    *,
    chosen: Mapping[str, Any],
    units: int | None = None,
    layers: int = 1,
    alpha: float | None = None,
    state_noise: float | None = None,
    dale: float | None = None,
    activation: str = "tanh",
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    optimizer: str = ADAM,
    momentum: float | None = None,
    begin: str = USUAL,
    reach: float | None = None,
    identity: float | None = None,
    seed: int = 0,
) -> Course:
    """``model`` is a name in ``CELLS`` or in ``FORMS``, ``chosen`` the fields of the task; None is the task's usual.

    ``alpha``, ``state_noise``, ``dale`` and ``activation`` are those of a leaky network, ``begin``, ``reach`` and
    ``identity`` of an IRNN.
    """
    check_beginning(begin, identity, reach)
    task = kind.by_backpropagation(**chosen)
    usual, units = task.practice, units or task.practice.units
    lesson = TrialsLesson(task, batch or usual.batch, seed)
    own: dict[str, Any]
    network: LeakyRateNetwork | RecurrentNetwork
    sizes = (task.n_input, units, task.n_output)
    if model in FORMS:
        own = {"alpha": usual.alpha if alpha is None else alpha, "dale": dale, "activation": activation}
        own |= {"noise": usual.state_noise if state_noise is None else state_noise}
        network = LeakyRateNetwork(model, *sizes, seed=seed, **own)
    else:
        own = {**BEGIN.get(model, {}), "begin": begin, "reach": reach, "layers": layers}
        own |= {} if identity is None else {"identity": identity}
        network = RecurrentNetwork(model, *sizes, seed=seed, **own)
    rate = usual.rate / units**0.5 * rate_beside_adam(optimizer) if learning_rate is None else learning_rate
    how: dict[str, Any] = {"learning_rate": rate, "optimizer": optimizer, "momentum": momentum}
    settings = Backprop(steps or usual.steps, enough=usual.enough, seed=seed, **how)

    def judge() -> tuple[dict[str, float], bool]:
        trials = task.test([seed, TEST])
        scores = task.scores(trials, output_of(network, trials.inputs))
        return scores, task.learned(scores)

    def curves() -> dict[str, Array]:
        trials = task.trials(SHOWN, [seed, TEST])
        told = {"input": trials.inputs, "output": output_of(network, trials.inputs), "target": trials.target}
        return {f"test_{name}": np.concatenate(list(values)) for name, values in told.items()}

    def system() -> System:
        return network.system(task)

    about = {"model": model, "units": units, **own, **how, **dataclasses.asdict(lesson)}
    return Course(network, lesson, settings, system, judge, curves, about)

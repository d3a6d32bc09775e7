"""One run to be repeated under noise: the state it begins in, its inputs, and what ought to come out.

With the flip-flop that is a trial of the task. A network whose task is not known is driven at random, and what comes
out is compared with what comes out without noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynsys.models.echo_state import EchoStateNetwork
from dynsys.models.flipflop import FlipFlop, Trial
from dynsys.models.random_drive import random_drive
from dynsys.system import Kind, System
from dynsys.trajectory import step_length

INITIAL = 0.5  # standard deviation of the first state of an echo state network, as in training
WARM_UP = 100  # steps of a network without a task that are not compared


@dataclass(frozen=True)
class Drive:
    """``first`` (n,) and ``inputs`` (T, m) in float64, the ``trial`` of the task if there is one, and dt / tau."""

    first: Tensor
    inputs: Tensor
    trial: Trial | None
    length: float


def drive_of(system: System, steps: int, seed: int | list[int]) -> Drive:
    """The same for every network of the same task and size."""
    entropy = [int(part) for part in np.atleast_1d(seed)]
    task = getattr(system, "task", None)
    first = _first(system, [*entropy, 1])
    if isinstance(task, FlipFlop):
        trial = task.trial(steps, seed=[*entropy, 0])
        return Drive(first, torch.as_tensor(trial.inputs), trial, _length_of_task(system))
    if task is not None and hasattr(task, "trial") and task.n_input == system.n_input:
        return Drive(first, torch.as_tensor(task.trial(steps, seed=[*entropy, 0]).inputs), None, step_length(system))
    held = system.task_contexts(1, int(np.random.default_rng([*entropy, 0]).integers(2**31)))
    if held is not None:
        u, x = held
        return Drive(x[0], u.expand(steps, -1), None, step_length(system))
    begun, inputs = random_drive(system, first[None], steps, [*entropy, 0])
    return Drive(begun[0], inputs[:, 0], None, step_length(system))


def _first(system: System, seed: list[int]) -> Tensor:
    """A trained first state where there is one; random for an echo state network, which would stay at zero."""
    learned = getattr(system, "initial_state", None)
    if isinstance(learned, Tensor):
        return learned
    if isinstance(system, EchoStateNetwork):
        return torch.as_tensor(np.random.default_rng([*seed, system.n_state]).standard_normal(system.n_state) * INITIAL)
    return torch.zeros(system.n_state, dtype=torch.float64)


def _length_of_task(system: System) -> float:
    """One step of the task, however coarse: that is how the network was trained."""
    return 1.0 / system.time_constant if system.kind is Kind.FLOW else 1.0

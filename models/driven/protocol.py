"""One run to be repeated under noise: the state it begins in, its inputs, and what ought to come out.

With the flip-flop that is a trial of the task, after a pulse on every channel in turn: where a bit was never set there
is nothing to remember, and how long that lasts differs from trial to trial. A network whose task is not known is driven
at random, and what comes out is compared with what comes out without noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.models.driven.random_drive import random_drive
from dynsys.models.rate.echo_state import EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop, Trial
from dynsys.systems.system import Kind, System
from dynsys.trajectories.simulate import step_length

Array = NDArray[np.float64]

INITIAL = 0.5  # standard deviation of the first state of an echo state network, as in training


@dataclass(frozen=True)
class Drive:
    """``first`` (n,) and ``inputs`` (T, m) in float64, the ``trial`` of the task if there is one, and dt / tau.

    The trial is that of the steps after the first ``unjudged``.
    """

    first: Tensor
    inputs: Tensor
    trial: Trial | None
    length: float
    unjudged: int = 0


def drive_of(system: System, steps: int, seed: int | list[int]) -> Drive:
    """The same for every network of the same task and size."""
    entropy = [int(part) for part in np.atleast_1d(seed)]
    task = getattr(system, "task", None)
    first = _first(system, [*entropy, 1])
    if isinstance(task, FlipFlop):
        whole, trial = _set_first(task, task.trial(steps, seed=[*entropy, 0]), [*entropy, 2])
        return Drive(first, torch.as_tensor(whole), trial, _length_of_task(system), len(whole) - steps)
    if task is not None and hasattr(task, "trial") and task.n_input == system.n_input:
        return Drive(first, torch.as_tensor(task.trial(steps, seed=[*entropy, 0]).inputs), None, step_length(system))
    held = system.task_contexts(1, int(np.random.default_rng([*entropy, 0]).integers(2**31)))
    if held is not None:
        u, x = held
        return Drive(x[0], u.expand(steps, -1), None, step_length(system))
    begun, inputs = random_drive(system, first[None], steps, [*entropy, 0])
    return Drive(begun[0], inputs[:, 0], None, step_length(system))


def _set_first(task: FlipFlop, trial: Trial, seed: list[int]) -> tuple[Array, Trial]:
    """The inputs with a pulse of random sign on every channel before them, and the trial with its bits set so."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], task.bits)
    setting = np.zeros((task.bits * task.settle, task.bits))
    for channel, sign in enumerate(signs):
        setting[channel * task.settle :][: task.pulse, channel] = sign
    target = np.where(trial.target == 0, signs, trial.target)
    return np.concatenate([setting, trial.inputs]), Trial(trial.inputs, target, trial.settled)


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

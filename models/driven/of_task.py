"""Where a network goes at its own task, or at random inputs where none is known, and the inputs it is held at."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsys.models.driven.random_drive import bounded, driven_trajectories
from dynsys.models.tasks.trials import Array, TrialTask
from dynsys.systems.system import System


def driven_or_of_task(system: Any, first: Tensor, steps: int, seed: int) -> Tensor:
    """The states (steps, runs, n_state) from ``first`` (runs, n_state) at its task, else under random inputs."""
    if system.task is None:
        return driven_trajectories(system, first, steps, seed)
    return trajectories_of_task(system, system.task, first, steps, seed)


def trajectories_of_task(system: System, task: Any, first: Tensor, steps: int, seed: int) -> Tensor:
    """The states under the inputs of trials of its task, (steps, runs, n_state); where a trial begins from the first
    state, each of those that follow does so too."""
    if isinstance(task, TrialTask):
        trials = task.trials(len(first) * -(-steps // task.length), seed)
        blocks = np.split(trials.inputs, len(trials.inputs) // len(first))
        runs = [bounded(system, first, torch.as_tensor(block.swapaxes(0, 1)).to(first)) for block in blocks]
        return torch.cat(runs)[:steps]
    runs = [task.trial(steps, seed=[seed, run]).inputs for run in range(len(first))]
    return bounded(system, first, torch.as_tensor(np.stack(runs, axis=1)).to(first))


def held_inputs(system: System) -> Array | None:
    """The inputs (G, n_input) at which the task of a network holds it; None where no such task is known."""
    task = getattr(system, "task", None)
    return task.held if isinstance(task, TrialTask) else None

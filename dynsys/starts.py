"""Where a search starts: the network's trajectories, random outputs, the reachable box."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dynsys.system import System
from dynsys.trajectory import states_at

TASK_STEPS, TASK_RUNS = 400, 8  # of the network's own task, from which states are drawn
OUTSIDE = 2.0  # random outputs reach this far, the memories being at +-1


def first_starts(system: System, u: Tensor, n: int, seed: int) -> Tensor:
    """n states (n, n_state) for a system that was given none.

    Half are states of the task with noise, a quarter states of random outputs inside and outside the memory cube
    (seed 003, section 6), a quarter uniform in the reachable box; a source that the system lacks leaves its share to
    the box, and a system without a box gets normal deviates.
    """
    rng = np.random.default_rng(seed)
    parts: list[Tensor] = []
    visited = system.task_trajectories(TASK_STEPS, TASK_RUNS, seed)
    if visited is not None:
        parts.append(_with_noise(states_at(visited.flatten(0, 1), n - n // 2, seed), rng))
    driven = system.states_of_outputs(_tensor(rng.uniform(-OUTSIDE, OUTSIDE, (n // 4, system.n_output)), u))
    if driven is not None:
        parts.append(driven)
    missing = n - sum(len(part) for part in parts)
    parts.append(states_in_box(system, u, missing, rng))
    return torch.cat(parts)


def _tensor(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


def _with_noise(states: Tensor, rng: np.random.Generator) -> Tensor:
    """Each state with its own level of noise, from none to as much as the states themselves vary."""
    spread = states.std(dim=0, keepdim=True) if len(states) > 1 else torch.ones_like(states)
    level = _tensor(rng.uniform(0, 1, (len(states), 1)), states)
    return states + level * spread * _tensor(rng.standard_normal(states.shape), states)


def states_in_box(system: System, u: Tensor, n: int, rng: np.random.Generator) -> Tensor:
    """n states uniform in the reachable box; normal deviates where there is no box.

    A system that is reduced to part of its state draws that part, and the rest follows from it.
    """
    reduction = system.reduction()
    if reduction is not None and reduction.system.n_state < system.n_state:
        return reduction.lift(states_in_box(reduction.system, u, n, rng), u[:1].expand(n, -1))
    box = system.box(u[:1])
    if box is None:
        return _tensor(rng.standard_normal((n, system.n_state)), u)
    low, high = box
    return low + (high - low) * _tensor(rng.uniform(0, 1, (n, system.n_state)), u)

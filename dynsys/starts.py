"""Where a search starts: the network's trajectories, random outputs, the reachable box, or where those come to rest."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from dynsys.system import Kind, System
from dynsys.threads import alone
from dynsys.trajectory import relax, states_at

TASK_STEPS, TASK_RUNS = 400, 8  # of the network's own task, from which states are drawn
OUTSIDE = 2.0  # random outputs reach this far, the memories being at +-1
ITERATED = 300  # steps of a map that comes to rest
RELAXED, COARSE = 30.0, 0.25  # time constants of a flow that does, and in one step of it
MOST_OUTPUTS = 6  # whose corners, 2 to that power, are all visited


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


def resting_states(system: System, u: Tensor, n: int, seed: int, step: float = COARSE) -> Tensor:
    """States (k, n_state) near which the network comes to rest under the input u (1, n_input): let go from n states of
    ``first_starts`` and from every corner of its outputs, in single precision where it has one.

    ``step``, in time constants of a flow, changes how exactly it gets there, not where it can rest.
    """
    begun = first_starts(system, u, n, seed)
    if 0 < system.n_output <= MOST_OUTPUTS:
        corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=system.n_output)), dtype=torch.float64)
        driven = system.states_of_outputs(corners)
        begun = begun if driven is None else torch.cat([driven, begun])
    dtype = torch.float32 if system.single_precision else torch.float64
    steps = ITERATED if system.kind is Kind.MAP else round(RELAXED / step)
    with alone():
        return relax(system.to(dtype=dtype), begun.to(dtype), u.to(dtype), steps, step)[-1].double()


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

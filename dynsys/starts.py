"""Where a search starts: the network's trajectories, random outputs, the reachable box; then from what was found."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dynsys.system import System
from dynsys.trajectory import states_at

TASK_STEPS, TASK_RUNS = 400, 8  # of the network's own task, from which states are drawn
NEAR = 1e-3  # of the distance of its two points, within which a start would only find a known point again
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
    """n states uniform in the reachable box; normal deviates where there is no box."""
    box = system.box(u[:1])
    if box is None:
        return _tensor(rng.standard_normal((n, system.n_state)), u)
    low, high = box
    return low + (high - low) * _tensor(rng.uniform(0, 1, (n, system.n_state)), u)


class Closure:
    """New starts from the points found: midpoints of two, and reflections of one in another (2a - b)."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._tried: set[tuple[int, int, int]] = set()

    def starts(self, system: System, states: Tensor, u: Tensor, groups: list[int], n: int) -> tuple[Tensor, Tensor]:
        """At most n starts not made before, half of them the slowest, and the row of ``u`` that each belongs to."""
        recipes = [r for r in self._recipes(groups) if r not in self._tried]
        if len(recipes) > 8 * n:  # of very many, look at a random part
            recipes = [recipes[i] for i in sorted(self._rng.choice(len(recipes), 8 * n, replace=False))]
        if not recipes:
            return states[:0], torch.zeros(0, dtype=torch.long, device=states.device)
        self._tried.update(recipes)
        kind, a, b = torch.tensor(recipes, device=states.device).T
        weight = torch.where(kind == 0, 0.5, 2.0).to(states.dtype).unsqueeze(1)
        x = weight * states[a] + (1 - weight) * states[b]
        held = torch.tensor(groups, device=states.device)[a]
        between = (states[a] - states[b]).norm(dim=1, keepdim=True)
        apart = torch.cdist(x, states)
        apart[held.unsqueeze(1) != torch.tensor(groups, device=x.device)] = torch.inf
        new = apart.amin(dim=1) > NEAR * between.squeeze(1)
        x, held = x[new], held[new]
        by_speed = torch.argsort(system.velocity(x, u[held]).norm(dim=1), stable=True)
        slowest, rest = by_speed[: n // 2], by_speed[n // 2 :].cpu().numpy()
        others = torch.as_tensor(self._rng.permutation(rest)[: n - len(slowest)], device=x.device, dtype=torch.long)
        chosen = torch.cat([slowest, others])
        return x[chosen], held[chosen]

    def _recipes(self, groups: list[int]) -> list[tuple[int, int, int]]:
        k = range(len(groups))
        pairs = [(a, b) for a in k for b in k if a != b and groups[a] == groups[b]]
        return [(0, a, b) for a, b in pairs if a < b] + [(1, a, b) for a, b in pairs]

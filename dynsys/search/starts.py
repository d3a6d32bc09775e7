"""Where a search starts: the network's trajectories, random outputs, the reachable box, or where those come to rest."""

from __future__ import annotations

import itertools
import weakref
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynsys.numerics.threads import alone
from dynsys.systems.angles import within_a_turn, wrapped
from dynsys.systems.held import Held
from dynsys.systems.system import Kind, System
from dynsys.trajectories.simulate import relax, states_at

TASK_STEPS, TASK_RUNS = 400, 8  # of the network's own task, from which states are drawn
OUTSIDE = 2.0  # random outputs reach this far, the memories being at +-1
ITERATED = 300  # steps of a map that comes to rest
RELAXED, COARSE = 30.0, 0.25  # time constants of a flow that does, and in one step of it
RELEASED, SIZES, KEPT = 24, (0.1, 10.0), 40  # trajectories of a system without a box, sizes, and states kept of each
VISITS, FOLLOWED = 200, 30.0  # steps of a map for which they are followed, and time constants of a flow
SLOWEST = 1e-6  # rate of change of a flow's velocity, for which it is still followed longer
GONE = 1e4  # size of a variable that is gone for good
MOVED, LEEWAY = 0.1, 0.5  # of its first value, that a variable has moved by; of their range, beyond what was visited
BACK = 0.7  # of the largest state that trajectories begin at, within which all end that come back
MEANS, DRAWN = 3, (0.0, 1.4)  # states of a weighted mean, and how far it is drawn in or out
MOST_OUTPUTS = 6  # whose corners, 2 to that power, are all visited


def first_starts(system: System, u: Tensor, n: int, seed: int) -> Tensor:
    """n states (n, n_state) for a system that was given none.

    Half are states of the user's trials, else of the task, with noise, a quarter states of random outputs inside and
    outside the memory cube (Jang, section 6), a quarter uniform in the reachable box; a source that the system lacks
    leaves its share to the box, and a system without a box gets states about where its own trajectories go.
    """
    rng = np.random.default_rng(seed)
    parts: list[Tensor] = []
    visited = system.states_visited(TASK_STEPS, TASK_RUNS, seed)
    if visited is not None:
        parts.append(_with_noise(states_at(visited, n - n // 2, seed), rng))
    driven = system.states_of_outputs(_tensor(rng.uniform(-OUTSIDE, OUTSIDE, (n // 4, system.n_output)), u))
    if driven is not None:
        parts.append(driven)
    missing = n - sum(len(part) for part in parts)
    parts.append(states_in_box(system, u, missing, rng))
    return torch.cat(parts)


def resting_states(system: System, u: Tensor, n: int, seed: int, step: float = COARSE) -> Tensor:
    """States (k, n_state) near which the network comes to rest under the input u (1, n_input), let go from those of
    ``released``."""
    return come_to_rest(Held(system, u), released(system, u, n, seed), step)


def released(system: System, u: Tensor, n: int, seed: int) -> Tensor:
    """n states of ``first_starts``, and one for every corner of the outputs, (k, n_state)."""
    begun = first_starts(system, u, n, seed)
    if 0 < system.n_output <= MOST_OUTPUTS:
        corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=system.n_output)), dtype=torch.float64)
        driven = system.states_of_outputs(corners)
        begun = begun if driven is None else torch.cat([driven, begun])
    return begun


def come_to_rest(held: Held, x: Tensor, step: float = COARSE) -> Tensor:
    """Where the network is long after it was let go from x (k, n_state), in single precision where it has one.

    ``step``, in time constants of a flow, changes how exactly it gets there, not where it can rest.
    """
    system = held.system
    dtype = torch.float32 if system.single_precision else torch.float64
    steps = ITERATED if system.kind is Kind.MAP else round(RELAXED / step)
    with alone():
        return relax(Held(system.to(dtype=dtype), held.u.to(dtype)), x.to(dtype), steps, step)[-1].double()


def _tensor(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


def _with_noise(states: Tensor, rng: np.random.Generator) -> Tensor:
    """Each state with its own level of noise, from none to as much as the states themselves vary."""
    spread = states.std(dim=0, keepdim=True) if len(states) > 1 else torch.ones_like(states)
    level = _tensor(rng.uniform(0, 1, (len(states), 1)), states)
    return states + level * spread * _tensor(rng.standard_normal(states.shape), states)


def states_in_box(system: System, u: Tensor, n: int, rng: np.random.Generator) -> Tensor:
    """n states uniform in the reachable box; where there is no box, about where the system's own trajectories go.

    A system that is reduced to part of its state draws that part, and the rest follows from it.
    """
    reduction = system.reduction()
    if reduction is not None and reduction.system.n_state < system.n_state:
        return reduction.lift(states_in_box(reduction.system, u, n, rng), u[:1].expand(n, -1))
    box = system.box(u[:1])
    if box is None:
        return _where_it_goes(system, u[:1], n, rng)
    low, high = box
    return low + (high - low) * _tensor(rng.uniform(0, 1, (n, system.n_state)), u)


def _where_it_goes(system: System, u: Tensor, n: int, rng: np.random.Generator) -> Tensor:
    """A quarter normal deviates, a quarter states that trajectories pass through, with noise, and half between those.

    What lies between is a weighted mean of a few, drawn out or in: a network of low rank has all its points in a plane
    that its trajectories fall onto, of which random states know nothing.
    """
    anywhere = _scattered(system, u, np.ones((n, 1)), rng)
    passed = visited(system, u).states
    if len(passed) < MEANS:
        return anywhere
    half, quarter = n // 2, n // 4
    weights = _tensor(rng.dirichlet(np.ones(MEANS), half) * rng.uniform(*DRAWN, (half, 1)), u)
    means = (weights.unsqueeze(2) * passed[_drawn(rng, len(passed), (half, MEANS), u)]).sum(dim=1)
    states = _with_noise(passed[_drawn(rng, len(passed), (quarter,), u)], rng)
    return torch.cat([means, states, anywhere[half + quarter :]])


def _scattered(system: System, u: Tensor, size: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Normal deviates of each ``size`` (n, 1), and angles anywhere."""
    x = _tensor(size * rng.standard_normal((len(size), system.n_state)), u)
    if system.periods is None:
        return x
    turns = system.periods.to(u) * _tensor(rng.uniform(0, 1, x.shape), u)
    return torch.where(torch.isfinite(system.periods).to(u.device), turns, x)


def _drawn(rng: np.random.Generator, k: int, shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.as_tensor(rng.integers(0, k, shape), device=like.device)


@dataclass(frozen=True)
class Visited:
    """States (k, n_state) that trajectories from states of many sizes pass through; those that leave for infinity count
    as long as they are finite. ``come_back`` says that none leaves, and that all end well within the largest state that
    they began at: then there seems to be a ball that traps them, in which the indices of fixed points sum to 1.

    ``reach`` are bounds (1, n_state) somewhat beyond the values that each variable comes to, ``late`` those of the
    second half of the trajectories. A variable that stays where it was put, far out, shows nothing of them: a gate that
    is shut to rounding keeps any value.
    """

    states: Tensor
    come_back: bool
    reach: tuple[Tensor, Tensor]
    late: tuple[Tensor, Tensor]


_VISITED: weakref.WeakKeyDictionary[System, dict[tuple[float, ...], Visited]] = weakref.WeakKeyDictionary()


def visited(system: System, u: Tensor) -> Visited:
    """Where trajectories go under the input u (1, n_input), which are followed once for a system and an input."""
    known = _VISITED.setdefault(system, {})
    key = (*u[0].tolist(), float(u.device.index or 0))
    if key not in known:
        draw = np.random.default_rng(0)
        size = np.geomspace(*SIZES, RELEASED)[:, None]
        x = _scattered(system, u, size, draw)
        steps = VISITS if system.kind is Kind.MAP else round(FOLLOWED / COARSE)
        with alone():
            held = Held(system, u.expand(len(x), -1))
            step = COARSE / min(1.0, max(_pace(held, x), SLOWEST))
            states = wrapped(relax(held, x, steps, step), system.periods)
        end = states[-1].norm(dim=1)
        back = bool(torch.isfinite(end).all()) and float(end.max()) <= BACK * float(x.norm(dim=1).max())
        small = torch.as_tensor(size[:, 0] <= 1.0, device=u.device)
        low, high = _range(x, states, small)
        reach = within_a_turn(low - LEEWAY * (high - low), high + LEEWAY * (high - low), system.periods)
        late = within_a_turn(*_range(x, states[steps // 2 :], small), system.periods)
        states = states[:: max(1, steps // KEPT)].flatten(0, 1)
        reached = torch.isfinite(states).all(dim=1) & (states.norm(dim=1) <= GONE * system.n_state**0.5)
        known[key] = Visited(states[reached], back, reach, late)
    return known[key]


def _pace(held: Held, x: Tensor) -> float:
    """How fast F changes with the states x (B, n), the median of what it does from each to the next: a flow is given in
    any unit of time. 1 where it does not change.
    """
    dF = held.velocity(x).diff(dim=0).norm(dim=1)
    return float((dF / x.diff(dim=0).norm(dim=1)).nanmedian()) or 1.0


def _range(x: Tensor, states: Tensor, small: Tensor) -> tuple[Tensor, Tensor]:
    """The least and greatest value (1, n) of each variable in the trajectories ``states`` (T, B, n) from x, infinite
    where none of them stays finite; ``small`` (B,) are those that count from their beginning.
    """
    stays = torch.isfinite(states).all(dim=2).all(dim=0) & (states.norm(dim=2) <= GONE * x.shape[1] ** 0.5).all(dim=0)
    if not bool(stays.any()):
        whole = torch.full_like(x[:1], torch.inf)
        return -whole, whole
    x, states, small = x[stays], states[:, stays], small[stays]
    told = ((states - x).abs() > MOVED * x.abs()) | small.unsqueeze(1)
    told |= ~told.any(dim=0).any(dim=0)
    low = torch.where(told, states, torch.inf).amin(dim=0).amin(dim=0, keepdim=True)
    high = torch.where(told, states, -torch.inf).amax(dim=0).amax(dim=0, keepdim=True)
    return low, high

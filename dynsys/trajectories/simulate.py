"""Trajectories: the map iterated, or the flow in Euler steps, from given states and under given inputs."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.systems.held import Held
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

COARSEST = 0.1  # time constants: the longest Euler step that nobody asked for
STABLE = 2.0  # step times rate of change, up to which Runge-Kutta is stable, with a margin from 2.78
GROWS = 0.7  # cosine of the angle from a velocity to its change, above which it grows


@overload
def simulate(system: System, x: Tensor, inputs: Tensor | int, step: float | None = None) -> Tensor: ...


@overload
def simulate(system: System, x: Array, inputs: Array | int, step: float | None = None) -> Array: ...


def simulate(system: System, x: Any, inputs: Any, step: float | None = None) -> Any:
    """The states after each step, (T, B, n_state), from x (B, n_state); NumPy arrays for NumPy arrays.

    ``inputs`` is (T, n_input) for all, (T, B, n_input), or T, the number of steps, for zeros. ``step`` is a flow's
    Euler step in units of its time constant; 1 / time_constant unless given (one step of the task), but 0.1 at most.
    A map's step is 1.
    """
    if not isinstance(x, Tensor):
        rows = as_rows(x)
        return simulate(system, rows, inputs if isinstance(inputs, int) else as_double(inputs), step).numpy()
    if isinstance(inputs, int):
        inputs = x.new_zeros(inputs, system.n_input)
    length = step_length(system, step)
    states = x.new_empty(len(inputs), *x.shape)
    for t, u in enumerate(inputs):
        x = x + length * system.velocity(x, u.expand(len(x), -1))
        states[t] = x
    return states


def as_double(values: Any) -> Tensor:
    """A tensor of numbers in double precision, of whatever holds them."""
    return values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values, dtype=np.float64))


def as_rows(values: Any) -> Tensor:
    """The same with one row for each state or input; one alone is a row."""
    rows = as_double(values)
    return rows.unsqueeze(0) if rows.ndim == 1 else rows


def relax(held: Held, x: Tensor, steps: int, step: float = 0.1) -> Tensor:
    """Where the states x (B, n_state) go under the inputs held, one for all or for each: (steps, B, n_state).

    A map is iterated; a flow goes by the classical Runge-Kutta method with ``step`` in units of its time constant, or
    for states at which that is too long to be stable, with a shorter one.
    """
    held = held.expand(len(x))
    states = x.new_empty(steps, *x.shape)
    for t in range(steps):
        x = x + held.velocity(x) if held.system.kind is Kind.MAP else _runge_kutta(held, x, step)
        states[t] = x
    return states


def _runge_kutta(held: Held, x: Tensor, step: float) -> Tensor:
    """One step of each state (B, n); how fast the velocity changes along the way says how long it may be, unless it
    grows, which no shorter step would hinder.
    """
    a = held.velocity(x)
    b = held.velocity(x + step / 2 * a)
    size, change = vector_norm(a, dim=1, keepdim=True), vector_norm(b - a, dim=1, keepdim=True)
    grows = ((b - a) * a).sum(dim=1, keepdim=True) > GROWS * size * change
    stiff = torch.where(grows, 1.0, 2 * change / (STABLE * size))
    h = step / stiff.nan_to_num(1.0, posinf=1.0).clamp_min(1.0)
    if bool((h < step).any()):
        b = held.velocity(x + h / 2 * a)
    c = held.velocity(x + h / 2 * b)
    d = held.velocity(x + h * c)
    return x + h / 6 * (a + 2 * b + 2 * c + d)


def step_length(system: System, step: float | None = None) -> float:
    if system.kind is Kind.MAP:
        if step not in (None, 1.0):
            raise ValueError(f"step is {step}; a map has steps of 1")
        return 1.0
    return min(1.0 / system.time_constant, COARSEST) if step is None else step


def states_at(trajectory: Tensor, n: int, seed: int) -> Tensor:
    """n states of a trajectory (T, n_state), drawn evenly at random with no state twice while there are enough."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.cat([torch.randperm(len(trajectory), generator=generator) for _ in range(-(-n // len(trajectory)))])[
        :n
    ]
    return trajectory[rows.to(trajectory.device)]

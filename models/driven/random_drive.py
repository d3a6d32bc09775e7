"""Where a network goes when its task is not known: driven by pulses, by noise, or left alone from random states."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.systems.system import System
from dynsys.trajectories.simulate import simulate

Array = NDArray[np.float64]

PULSES = (1, 3, 10)  # steps that a pulse of +1 or -1 lasts
SHARES = (0.03, 0.2)  # of the time that a channel has a pulse
SCALES = (0.1, 0.3, 1.0, 3.0)  # of Gaussian inputs
WIDEST = 3.0  # of the random states: an LSTM's box can be as wide as 2 / eps
ESCAPED = 1e6  # a run that grows beyond this is set back to where it began


def driven_trajectories(system: System, first: Tensor, steps: int, seed: int) -> Tensor:
    """The states of a map or flow under random inputs, (steps, runs, n_state), the same for the same seed.

    Of every four runs two have sparse pulses and one has noise, from ``first`` (runs, n_state); the fourth has no
    input and starts at random in the box. Without inputs all start at random.
    """
    return bounded(system, *random_drive(system, first, steps, seed))


def random_drive(system: System, first: Tensor, steps: int, seed: int | list[int]) -> tuple[Tensor, Tensor]:
    """The states (runs, n_state) in which these runs begin, and their inputs (steps, runs, n_input)."""
    rng, runs = np.random.default_rng(seed), len(first)
    inputs, scattered = np.zeros((steps, runs, system.n_input)), np.zeros(runs, dtype=bool)
    for run in range(runs):
        if run % 4 == 3 or system.n_input == 0:
            scattered[run] = True
        elif run % 4 == 1:
            inputs[:, run] = rng.standard_normal((steps, system.n_input)) * rng.choice(SCALES)
        else:
            inputs[:, run] = _pulses(rng, steps, system.n_input)
    x = torch.where(torch.as_tensor(scattered)[:, None].to(first.device), _scattered(system, first, rng), first)
    return x, torch.as_tensor(inputs).to(first)


def _pulses(rng: np.random.Generator, steps: int, channels: int) -> Array:
    """Pulses of one length that begin at random on every channel, (steps, channels); a new one ends the old."""
    length, share = int(rng.choice(PULSES)), float(rng.choice(SHARES))
    begins = rng.random((steps, channels)) < share / length
    signs = rng.choice([-1.0, 1.0], (steps, channels))
    u = np.zeros((steps, channels))
    for step, channel in np.argwhere(begins):
        u[step : step + length, channel] = signs[step, channel]
    return u


def _scattered(system: System, first: Tensor, rng: np.random.Generator) -> Tensor:
    """Random states, evenly in the box as far as ``WIDEST``, or normal deviates where there is no box."""
    box = system.box(first.new_zeros(1, system.n_input))
    if box is None:
        return torch.as_tensor(rng.standard_normal(tuple(first.shape))).to(first)
    low, high = (bound.clamp(-WIDEST, WIDEST) for bound in box)
    return low + (high - low) * torch.as_tensor(rng.random(tuple(first.shape))).to(first)


def bounded(system: System, x: Tensor, inputs: Tensor) -> Tensor:
    """The states (steps, runs, n_state) from x under inputs, each run set back to x where it leaves for infinity."""
    if system.box(inputs.new_zeros(1, system.n_input)) is not None:
        return simulate(system, x, inputs)
    first, states = x, []
    for u in inputs:
        x = simulate(system, x, u.unsqueeze(0))[0]
        x = torch.where((x.abs() < ESCAPED).all(dim=1, keepdim=True), x, first)
        states.append(x)
    return torch.stack(states)

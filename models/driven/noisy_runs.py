"""Runs of a network under noise of many levels at once, as fast as the memory allows.

A step of N units reads N^2 weights from memory to use each of them once: with noise of its own for every level that
is all there is to gain. Where one E serves every level, (W + level E) r = W r + E (level r), the levels are the rows
of one product with [W E], and each weight that was read serves all of them.

In a network of layers row k of a batch has the weights W_hh + level_k E, by the same product for each of them.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dynsys.models.driven.perturbation import Noise, perturbed
from dynsys.models.driven.protocol import Drive
from dynsys.models.rate.rate_network import ActivityNetwork, RateNetwork
from dynsys.models.recurrent.base import Recurrent
from dynsys.models.recurrent.layer import Layer
from dynsys.systems.system import Kind, System

BLOCK = 100  # steps whose outputs are handed on together
SHARED = {"W", "W_r"}  # the weights that act on the rates alone
Network = TypeVar("Network", bound=Recurrent)
HIDDEN = re.compile(r"weight_hh_l(\d+)")


@dataclass(frozen=True)
class WeightNoise:
    """E for some of the weights, by name: the network of a level has W + level E."""

    matrices: Noise


@dataclass(frozen=True)
class StateNoise:
    """level sqrt(dt / tau) N(0, 1) on every state variable after every step (Euler-Maruyama); of a map level N(0, 1).

    So a unit that only leaks comes to fluctuate with a standard deviation of level / sqrt(2), whatever the step is.
    """

    seed: tuple[int, ...]


@dataclass(frozen=True)
class InputNoise:
    """level N(0, 1) on every input, drawn anew at every step."""

    seed: tuple[int, ...]


AnyNoise = WeightNoise | StateNoise | InputNoise


def noisy_outputs(
    system: System, drive: Drive, noise: AnyNoise, levels: Sequence[float], dtype: torch.dtype | None = None
) -> Iterator[Tensor]:
    """The outputs (t, levels, width) after each of a block of steps, block after block, until the inputs end.

    The output is the readout, or the state where there is none. Every level meets the same noise, scaled. ``dtype`` is
    float32 where the system computes in it and nothing else is asked for.
    """
    chosen = dtype or (torch.float32 if system.single_precision else torch.float64)
    if isinstance(noise, WeightNoise):
        if can_share(system, noise):
            return _shared(system, drive, noise, levels, chosen)
        if isinstance(system, Recurrent) and levels_share(system, noise.matrices):
            return _layers(system, drive, noise, levels, chosen)
        return _each_its_own(system, drive, noise, levels, chosen)
    return _added(system, drive, noise, levels, chosen)


def can_share(system: System, noise: WeightNoise) -> bool:
    """Whether all levels can go through one product with [W E]."""
    return (
        isinstance(system, RateNetwork)
        and not isinstance(system, ActivityNetwork)
        and getattr(system, "pace", None) is None
        and len(noise.matrices) == 1
        and set(noise.matrices) <= SHARED
    )


def _shared(
    network: System, drive: Drive, noise: WeightNoise, levels: Sequence[float], dtype: torch.dtype
) -> Iterator[Tensor]:
    assert isinstance(network, RateNetwork)
    n, dt = network.n_state, drive.length
    (E,) = noise.matrices.values()
    # Rows are levels and weights are transposed: of all layouts the fastest, 2 to 4 times for 20 levels.
    M = (torch.cat([network.W.T, torch.as_tensor(E).T]) * dt).to(dtype).contiguous()
    system = network.to(dtype=dtype)
    scale = torch.tensor(levels, dtype=dtype).unsqueeze(1)
    x = drive.first.to(dtype).repeat(len(levels), 1)
    signal = torch.empty(len(levels), 2 * n, dtype=dtype)
    for inputs in torch.split(drive.inputs, BLOCK):
        pushes = system.drive(inputs.to(dtype)).mul(dt).expand(len(inputs), -1)
        states = torch.empty(len(inputs), len(levels), n, dtype=dtype)
        for push, state in zip(pushes, states, strict=True):
            signal[:, :n] = system.rates(x)
            torch.mul(signal[:, :n], scale, out=signal[:, n:])
            x.mul_(1 - dt).add_(push).addmm_(signal, M)
            state.copy_(x)
        yield _said(system, states)


def _layers(
    system: Recurrent, drive: Drive, noise: WeightNoise, levels: Sequence[float], dtype: torch.dtype
) -> Iterator[Tensor]:
    own = system.to(dtype=dtype)
    noisy = with_levels(own, noise.matrices, torch.tensor(levels, dtype=dtype).unsqueeze(1))
    x = drive.first.to(dtype).repeat(len(levels), 1)
    for inputs in torch.split(drive.inputs.to(dtype), BLOCK):
        states = torch.empty(len(inputs), *x.shape, dtype=dtype)
        for u, state in zip(inputs, states, strict=True):
            x = x + noisy.velocity(x, u.expand(len(x), -1))
            state.copy_(x)
        yield _said(own, states)


def _each_its_own(
    system: System, drive: Drive, noise: WeightNoise, levels: Sequence[float], dtype: torch.dtype
) -> Iterator[Tensor]:
    systems = [perturbed(system, noise.matrices, level).to(dtype=dtype) for level in levels]
    x = [drive.first.to(dtype).unsqueeze(0) for _ in levels]
    for inputs in torch.split(drive.inputs.to(dtype), BLOCK):
        states = torch.empty(len(inputs), len(levels), system.n_state, dtype=dtype)
        for t, u in enumerate(inputs.unsqueeze(1)):
            for k, own in enumerate(systems):
                x[k] = x[k] + drive.length * own.velocity(x[k], u)
                states[t, k] = x[k][0]
        yield torch.stack([_said(own, states[:, k : k + 1])[:, 0] for k, own in enumerate(systems)], dim=1)


def _added(
    system: System, drive: Drive, noise: StateNoise | InputNoise, levels: Sequence[float], dtype: torch.dtype
) -> Iterator[Tensor]:
    rng, own = np.random.default_rng(noise.seed), system.to(dtype=dtype)
    on_input = isinstance(noise, InputNoise)
    size = 1.0 if on_input or system.kind is Kind.MAP else drive.length**0.5
    scale = size * torch.tensor(levels, dtype=dtype).unsqueeze(1)
    x = drive.first.to(dtype).repeat(len(levels), 1)
    for inputs in torch.split(drive.inputs.to(dtype), BLOCK):
        drawn = rng.standard_normal((len(inputs), system.n_input if on_input else system.n_state))
        states = torch.empty(len(inputs), *x.shape, dtype=dtype)
        for u, xi, state in zip(inputs, torch.as_tensor(drawn).to(dtype), states, strict=True):
            held = (u + scale * xi) if on_input else u.expand(len(x), -1)
            x = x + drive.length * own.velocity(x, held)
            if not on_input:
                x = x + scale * xi
            state.copy_(x)
        yield _said(own, states)


def _said(system: System, states: Tensor) -> Tensor:
    """The readouts of states (t, levels, n), or the states themselves where there is no readout."""
    if not system.n_output:
        return states
    return system.readout(states.flatten(0, 1)).view(*states.shape[:2], system.n_output)


def levels_share(network: Recurrent, noise: Noise) -> bool:
    """Whether the noise is on weights that act on h as they are named, which those of a coupled LSTM do not."""
    return all(
        (match := HIDDEN.fullmatch(name)) is not None and network.layers[int(match[1])].weight_hh.shape == E.shape
        for name, E in noise.items()
    )


def with_levels(network: Network, noise: Noise, levels: Tensor) -> Network:
    """The network for batches of as many rows as there are ``levels`` (L, 1), where ``levels_share``."""
    layers = list(network.layers)
    for name, E in noise.items():
        k = int(name.removeprefix("weight_hh_l"))
        layers[k] = _levelled(layers[k], torch.as_tensor(E).to(levels), levels)
    other = copy.copy(network)
    other.layers = tuple(layers)
    return other


def _levelled(layer: Layer, E: Tensor, levels: Tensor) -> Layer:
    kind, transposed = type(layer), E.T.contiguous()

    def recurrent(self: Layer, h: Tensor, rows: slice | None = None) -> Tensor:
        """W_hh h + b_hh + level E h, (B, gates * units), or some of its rows."""
        own = transposed if rows is None else transposed[:, rows]
        return torch.addmm(kind.recurrent(self, h, rows), h * levels, own)

    noisy: type[Layer] = type(f"Noisy{kind.__name__}", (kind,), {"recurrent": recurrent})
    return noisy(**{field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)})

"""Transfer: a network that remembers some bits learns one more, from the weights it has (Jang, section 7.1).

The grown network has a new column in W_fb and B, drawn at random, and a new row of zeros in W_out; every weight that
was there is unchanged, so that it still does what it did before.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import load, read_checkpoint
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop

NEW_COLUMNS, NEW_WEIGHTS = 1, 2  # beside the seed, so that they are drawn from other numbers than W_r


def grown(network: EchoStateNetwork, task: FlipFlop, config: EchoStateConfig) -> EchoStateNetwork:
    """The network with inputs and outputs for the further bits of ``task``.

    The new columns of W_fb and B are uniform in the ranges of ``config``, and drawn from its seed. Raises ValueError
    where the task has not more bits than the network.
    """
    extra = task.bits - network.n_output
    if extra < 1:
        raise ValueError(
            f"the network has {network.n_output} outputs and the task {task.bits} bits; it grows to a task of more"
        )
    rng = np.random.default_rng([config.seed, NEW_COLUMNS])
    W_fb = rng.uniform(-config.feedback, config.feedback, (network.n_state, extra))
    B = rng.uniform(-config.input_scale, config.input_scale, (network.n_state, extra))
    return EchoStateNetwork(
        network.W_r,
        np.hstack([network.W_fb, W_fb]),
        np.vstack([network.W_out, np.zeros((extra, network.n_state))]),
        np.hstack([network.B, B]),
        tau=network.time_constant,
        activation=network.activation,
        task=task,
    )


def drawn_anew(network: EchoStateNetwork, config: EchoStateConfig) -> EchoStateNetwork:
    """The network with the same recurrent and readout weights, and W_fb and B drawn again from ``config``."""
    rng = np.random.default_rng([config.seed, NEW_WEIGHTS])
    W_fb = rng.uniform(-config.feedback, config.feedback, network.W_fb.shape)
    B = rng.uniform(-config.input_scale, config.input_scale, network.B.shape)
    return EchoStateNetwork(
        network.W_r,
        W_fb,
        network.W_out,
        B,
        tau=network.time_constant,
        activation=network.activation,
        task=network.task,
    )


def unlearned(network: EchoStateNetwork) -> EchoStateNetwork:
    """The same random weights with nothing learned: W_out is zero."""
    return network.with_readout(torch.zeros_like(network.W_out).numpy())


def load_start(path: str | Path, bits: int) -> tuple[EchoStateNetwork, EchoStateConfig]:
    """The network in a run or checkpoint that is to learn one bit more, and what its weights were drawn from.

    A checkpoint that does not say from which ranges it was drawn is taken to be of the usual ones. Raises
    CheckpointError unless it holds an echo state network of ``bits`` inputs and outputs.
    """
    network = load(path)
    if not isinstance(network, EchoStateNetwork):
        raise CheckpointError(
            path, f"it holds a network of the kind {network.name}", "transfer starts from an echo state network (esn)"
        )
    if not network.n_input == network.n_output == bits:
        wrong = f"its network has {network.n_input} inputs and {network.n_output} outputs"
        raise CheckpointError(path, wrong, f"{bits + 1} bits are learned from a network of {bits} bits")
    if network.task is None:
        network = EchoStateNetwork.from_arrays(network.arrays(), network.settings(), FlipFlop(bits))
    about = read_checkpoint(path)[2].get("about") or {}
    config = EchoStateConfig(**about.get("recipe", {}).get("network", {}))
    sizes = {"units": network.n_state, "n_input": bits, "n_output": bits}
    return network, dataclasses.replace(config, **sizes, tau=network.time_constant, activation=network.activation)

"""Train tanh and GRU networks of many units on the 3-bit flip-flop, for the comparison at sizes without figures.

python benchmarks/trained_large.py --folder CHECKPOINTS --networks tanh512,gru512,tanh1024,gru1024
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn

BITS = 3
PULSES = 0.25  # per bit and step
STEPS, BATCH = 48, 32
SETTLED = 0.005  # mean squared error from which on a network counts as trained


class FlipFlopNetwork(nn.Module):
    """One recurrent layer and a linear readout; the names of its parts are those of the state dict."""

    def __init__(self, cell: str, units: int) -> None:
        super().__init__()
        layer = {"tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.rnn = layer(BITS, units, batch_first=True)
        self.readout = nn.Linear(units, BITS)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.rnn(inputs)[0]
        return self.readout(hidden), hidden


def trials(batch: int, steps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pulses of 1 or -1, and the last pulse of each bit as the target; every bit is pulsed in the first step."""
    pulsed = torch.rand(batch, steps, BITS, generator=generator) < PULSES
    pulsed[:, 0] = True
    signs = torch.randint(0, 2, (batch, steps, BITS), generator=generator) * 2.0 - 1.0
    last = torch.where(pulsed, torch.arange(steps)[None, :, None], 0).cummax(dim=1).values
    return torch.where(pulsed, signs, 0.0), signs.gather(1, last)


def train(cell: str, units: int, seed: int, limit: float, rate: float) -> tuple[FlipFlopNetwork, float, float]:
    """The network, its error on the last batches, and the CPU seconds spent; it stops when trained, or at the limit."""
    torch.manual_seed(seed)
    generator, network = torch.Generator().manual_seed(seed), FlipFlopNetwork(cell, units)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    began, error = time.process_time(), 1.0
    while error > SETTLED and time.process_time() - began < limit:
        inputs, targets = trials(BATCH, STEPS, generator)
        loss = ((network(inputs)[0] - targets) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        error += 0.1 * (float(loss.detach()) - error)
    return network, error, time.process_time() - began


def save(network: FlipFlopNetwork, folder: Path, name: str, seed: int) -> None:
    """NAME.pt, a bare state dict, and NAME_trajectories.npz."""
    inputs, targets = trials(16, 64, torch.Generator().manual_seed(seed + 1))
    with torch.no_grad():
        output, hidden = network(inputs)
    torch.save(network.state_dict(), folder / f"{name}.pt")
    arrays = {"inputs": inputs, "targets": targets, "output": output, "hidden": hidden}
    np.savez(folder / f"{name}_trajectories.npz", **{key: value.numpy() for key, value in arrays.items()})


@click.command()
@click.option("--folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the files go.")
@click.option("--networks", default="tanh512,gru512,tanh1024,gru1024", show_default=True, help="Cell and units each.")
@click.option("--limit", default=900.0, show_default=True, help="CPU seconds of training for each.")
@click.option("--rate", default=0.05, show_default=True, help="Learning rate of Adam, times the square root of units.")
@click.option("--seed", default=0, show_default=True)
def main(folder: Path, networks: str, limit: float, rate: float, seed: int) -> None:
    """Train each network with one thread; the files are those that benchmarks/peers.py reads."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for name in networks.split(","):
        found = re.fullmatch(r"(tanh|gru)(\d+)", name)
        if found is None:
            raise click.UsageError(f"--networks has {name}; each is tanh or gru and its units, such as tanh512")
        units = int(found[2])
        network, error, seconds = train(found[1], units, seed, limit, rate / units**0.5)
        save(network, folder, name, seed)
        word = "trained" if error <= SETTLED else "NOT TRAINED"
        print(f"{name}: {word}, mean squared error {error:.4f} after {seconds:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()

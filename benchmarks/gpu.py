"""The search on a GPU: the same points as on the CPU, and seconds beside those of the CPU and of the peer on that GPU.

python benchmarks/gpu.py --checkpoints CHECKPOINTS [--peer FixedPointFinder] [--sizes 1000,4096] [--device cuda]

CHECKPOINTS holds NAME.pt, a state dict, and NAME_trajectories.npz; ``--peer`` is a checkout of FixedPointFinder. With
``--device cpu`` both columns are of the CPU: a rehearsal for a machine that is lent by the minute.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from recurrent import Array, distinct, module_of, noisy_starts, recurrent
from torch import nn

import dynsys

SAME = 1e-8  # of the largest norm of a point: farther apart, two runs have found different points
PATTERNS, GAIN, DISORDER = 4, 1.6, 0.3  # of the networks without figures: memories, and a random part of their weights
SPREAD = 0.3  # standard deviation of their starts about the memories
WARM = 8  # starts of the untimed first run


def hopfield_like(units: int, seed: int) -> tuple[nn.RNN, Array]:
    """A tanh network whose weights are outer products of patterns and a random part, and the patterns."""
    rng = np.random.default_rng(seed)
    patterns = rng.choice([-1.0, 1.0], (PATTERNS, units))
    W = GAIN / units * patterns.T @ patterns + DISORDER / units**0.5 * rng.standard_normal((units, units))
    module = nn.RNN(1, units, batch_first=True)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.weight_hh_l0.copy_(torch.as_tensor(W))
    return module, patterns


def timed(work: Callable[[], Array]) -> tuple[Array, float]:
    began = time.perf_counter()
    states = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return states, time.perf_counter() - began


def ours(checkpoint: Path, starts: Array, device: str) -> tuple[Array, float]:
    """The fixed points, with proofs, words and settling, and the seconds of a warm process."""
    system = dynsys.load(checkpoint)

    def search(some: Array) -> Array:
        points = dynsys.find_fixed_points(system, starts=some, device=device)
        return points[points.verdict == "fixed"].states

    search(starts[:WARM])
    return timed(lambda: search(starts))


def peer(checkpoint: Path, starts: Array, rate: float, device: str) -> tuple[Array, float]:
    from FixedPointFinderTorch import FixedPointFinderTorch

    module = module_of(checkpoint).to(device)
    inputs = np.zeros((1, module.input_size), np.float32)

    def search(some: Array) -> Array:
        finder = FixedPointFinderTorch(module, lr_init=rate, method="joint", verbose=False)
        return np.asarray(finder.find_fixed_points(some.astype(np.float32), inputs)[0].xstar)

    with contextlib.redirect_stdout(io.StringIO()):
        search(starts[:WARM])
        return timed(lambda: search(starts))


def missing(of: Array, among: Array) -> int:
    """How many of the points ``of`` have none like them ``among``."""
    if not len(of) or not len(among):
        return len(of)
    size = np.linalg.norm(of, axis=1).max()
    return int((np.linalg.norm(of[:, None] - among, axis=2).min(axis=1) > SAME * size).sum())


def row(name: str, checkpoint: Path, starts: Array, device: str, rates: list[float]) -> str:
    on_cpu, cpu = ours(checkpoint, starts, "cpu")
    on_gpu, gpu = ours(checkpoint, starts, device)
    line = f"{name:<10} {len(on_cpu):>6} {len(on_gpu):>6} {missing(on_cpu, on_gpu):>4} {missing(on_gpu, on_cpu):>4}"
    line += f" {cpu:>8.2f} {gpu:>8.2f} {cpu / gpu:>7.1f}"
    for rate in rates:
        states, seconds = peer(checkpoint, starts, rate, device)
        real = recurrent(checkpoint).real_points(states)
        line += f"   rate {rate:g}: {seconds:.2f} s, {len(distinct(real))} points, ratio {seconds / gpu:.1f}"
    return line


@click.command()
@click.option("--checkpoints", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--peer", "peer_folder", type=click.Path(exists=True, file_okay=False))
@click.option("--networks", default="tanh16,lstm16,gru16,gru128,tanh256", show_default=True, help="With commas.")
@click.option("--sizes", default="1000,4096", show_default=True, help="Units of networks made here, with commas.")
@click.option("--starts", default=1024, show_default=True)
@click.option("--rates", default="0.1", show_default=True, help="Learning rates of the peer, with commas.")
@click.option("--device", default="cuda", show_default=True)
def main(
    checkpoints: Path, peer_folder: str | None, networks: str, sizes: str, starts: int, rates: str, device: str
) -> None:
    """Print a line for each network."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise click.UsageError("torch sees no GPU here; --device cpu tries the script without one")
    if peer_folder:
        sys.path.insert(0, peer_folder)
    warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")  # in the peer
    tried = [float(rate) for rate in rates.split(",")] if peer_folder else []
    print(f"{'':<10} {'CPU':>6} {device:>6} {'lacking':>9} {'CPU s':>8} {device + ' s':>8} {'ratio':>7}", flush=True)
    for name in filter(None, networks.split(",")):
        begun = noisy_starts(checkpoints / f"{name}_trajectories.npz", starts, 0.5, 0)
        print(row(name, checkpoints / f"{name}.pt", begun, device, tried), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for units in map(int, filter(None, sizes.split(","))):
            module, patterns = hopfield_like(units, 0)
            path = Path(folder) / f"tanh{units}.pt"
            torch.save({f"rnn.{key}": value for key, value in module.state_dict().items()}, path)
            rng = np.random.default_rng(0)
            chosen = rng.integers(len(patterns), size=starts)
            signs = rng.choice([-1.0, 1.0], (starts, 1))
            begun = 0.8 * signs * patterns[chosen] + SPREAD * rng.standard_normal((starts, units))
            print(row(f"tanh{units}", path, begun, device, tried), flush=True)


if __name__ == "__main__":
    main()

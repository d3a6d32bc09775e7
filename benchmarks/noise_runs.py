"""Seconds per 1,000 simulated steps under weight noise, for each way of running the trials, beside what is attainable.

python benchmarks/noise_runs.py --units 1000 --levels 20

A step at one level counts as one simulated step. Everything runs in one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.analyses.noise.trial import measured
from dynsys.models.driven.noisy_runs import WeightNoise, noisy_outputs
from dynsys.models.driven.perturbation import draw_noise, perturbed, weights_of
from dynsys.models.driven.protocol import Drive, drive_of
from dynsys.models.loading.checkpoint import load
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.training.by_force.force import simulate
from dynsys.numerics.threads import alone

Array = NDArray[np.float64]

LOW, HIGH = 1e-4, 1.0
REPEATS = 3


@dataclass(frozen=True)
class Case:
    """One trial: a network, a draw of the noise, the levels, a run of the task."""

    network: EchoStateNetwork
    noise: WeightNoise
    levels: tuple[float, ...]
    drive: Drive

    @property
    def E(self) -> Array:
        return self.noise.matrices["W_r"]


def in_turn_double(case: Case) -> None:
    """As a user would: a noisy copy for each level, and the project's own loop, in float64."""
    for level in case.levels:
        simulate(
            perturbed(case.network, case.noise.matrices, level), case.drive.inputs.numpy(), case.drive.first.numpy()
        )


def in_turn(case: Case, dtype: torch.dtype = torch.float32) -> None:
    """One level after the other, W + level E formed once, a product with a vector in each step."""
    for level in case.levels:
        one = Case(case.network, WeightNoise({"W_r": level * case.E}), (1.0,), case.drive)
        W = (one.network.W + torch.as_tensor(one.E)).to(dtype)
        B, dt = one.network.B.to(dtype), case.drive.length
        x, out = case.drive.first.to(dtype), torch.empty(len(W), dtype=dtype)
        W *= dt
        for push in (case.drive.inputs.to(dtype) @ B.T) * dt:
            torch.mv(W, one.network.rates(x), out=out)
            x.mul_(1 - dt).add_(push).add_(out)


def together_bmm(case: Case) -> None:
    """All levels at once, each with its own matrix: torch.bmm."""
    W = torch.stack([(case.network.W + level * torch.as_tensor(case.E)).float() for level in case.levels])
    dt, x = case.drive.length, case.drive.first.float().repeat(len(case.levels), 1)
    W *= dt
    for push in (case.drive.inputs.float() @ case.network.B.float().T) * dt:
        x = x * (1 - dt) + push + torch.bmm(W, case.network.rates(x).unsqueeze(2)).squeeze(2)


def shared(case: Case, dtype: torch.dtype = torch.float32) -> None:
    """What the study does: one product with [W E] for all levels."""
    for _ in noisy_outputs(case.network, case.drive, case.noise, case.levels, dtype):
        pass


def shared_columns(case: Case) -> None:
    """The same with levels as columns and weights not transposed."""
    n, dt = case.network.n_state, case.drive.length
    M = (torch.cat([case.network.W, torch.as_tensor(case.E)], dim=1) * dt).float()
    scale, x = torch.tensor(case.levels), case.drive.first.float().repeat(len(case.levels), 1).T.contiguous()
    signal = torch.empty(2 * n, len(case.levels))
    for push in (case.drive.inputs.float() @ case.network.B.float().T).unsqueeze(2) * dt:
        signal[:n] = case.network.rates(x)
        torch.mul(signal[:n], scale, out=signal[n:])
        x.mul_(1 - dt).add_(push).addmm_(M, signal)


WAYS: dict[str, Callable[[Case], None]] = {
    "one level after the other, float64 (models/training/by_force/force.py)": in_turn_double,
    "one level after the other, float32": in_turn,
    "all levels, a matrix each, float32 (bmm)": together_bmm,
    "all levels share [W E], as columns, float32": shared_columns,
    "all levels share [W E], as rows, float64": lambda case: shared(case, torch.float64),
    "all levels share [W E], as rows, float32 (the study)": shared,
}


def seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """The least CPU seconds of some repeats: what else the machine does can only add."""

    def once() -> float:
        began = time.process_time()
        run()
        return time.process_time() - began

    return min(once() for _ in range(repeats))


def bandwidth(units: int) -> float:
    """Bytes per second of a product of an (N, N) float32 matrix with a vector, two matrices in turns."""
    matrices, x = [torch.ones(units, units) for _ in range(2)], torch.ones(units)
    return 200 * 4 * units**2 / seconds(lambda: [W @ x for _ in range(100) for W in matrices])


def peak(units: int) -> float:
    """Operations per second of a large product in float32."""
    A = torch.ones(units, units)
    return 2 * units**3 / seconds(lambda: A @ A)


def floor(units: int, levels: int) -> tuple[float, float]:
    """Seconds per simulated step that no way can go below: in turn, and sharing [W E].

    In turn each step reads N^2 numbers; sharing, 2 N^2 for all levels, but every level multiplies with both.
    """
    bytes_read, flops = 4 * units**2, 2 * units**2
    per_second, rate = bandwidth(units), peak(units)
    return bytes_read / per_second, max(2 * bytes_read / per_second / levels, 2 * flops / rate)


def deviation(case: Case) -> tuple[list[dict[str, float | None]], list[dict[str, float | None]]]:
    """What the task scores at every level in float32 and in float64."""
    both = [
        measured(case.network, case.drive, case.noise, case.levels, dtype) for dtype in (torch.float32, torch.float64)
    ]
    single, double = ([dict(zip(s, values, strict=True)) for values in zip(*s.values(), strict=True)] for s in both)
    return single, double


def case_of(network: EchoStateNetwork, levels: Sequence[float], steps: int) -> Case:
    noise = WeightNoise(draw_noise(weights_of(network), ["W_r"], 0))
    return Case(network, noise, tuple(levels), drive_of(network, steps, 0))


@click.command()
@click.option("--units", default=1000, show_default=True, help="Units of an untrained echo state network.")
@click.option("--checkpoint", help="A trained echo state network instead, for which the precisions are compared too.")
@click.option("--levels", default=20, show_default=True, help="Levels from 1e-4 to 1.")
@click.option("--steps", default=100, show_default=True, help="Steps that are timed, after those that set the bits.")
@click.option(
    "--judged", default=5000, show_default=True, help="Steps of the run in which the precisions are compared."
)
def main(units: int, checkpoint: str | None, levels: int, steps: int, judged: int) -> None:
    """Print a row for each way, the floor, and how far float32 is from float64."""
    if checkpoint is not None:
        network = load(Path(checkpoint))
        assert isinstance(network, EchoStateNetwork)
    else:
        task = FlipFlop(bits=4)
        network = EchoStateNetwork.random(EchoStateConfig(units=units, n_input=4, n_output=4), task)
    rising = np.geomspace(LOW, HIGH, levels).tolist()
    with alone():
        case = case_of(network, rising, steps)
        simulated = len(case.drive.inputs) * levels
        print(f"{network.n_state} units, {levels} levels: seconds per 1,000 simulated steps, times the slowest")
        times = {name: seconds(lambda way=way: way(case)) / simulated for name, way in WAYS.items()}
        slowest = max(times.values())
        for name, each in times.items():
            print(f"  {name:55} {1000 * each:8.4f} {slowest / each:6.1f}", flush=True)
        in_turn_floor, shared_floor = floor(network.n_state, levels)
        print(f"  {'no way below, one after the other: memory read':55} {1000 * in_turn_floor:8.4f}")
        print(f"  {'no way below, sharing [W E]: products at the peak':55} {1000 * shared_floor:8.4f}")
        if checkpoint is not None:
            _print_deviation(case_of(network, rising, judged))


def _print_deviation(case: Case) -> None:
    print("\nlevel      MSE float32   MSE float64   settled bits right float32, float64")
    for level, one, two in zip(case.levels, *deviation(case), strict=True):
        bits = one["settled_bit_accuracy"], two["settled_bit_accuracy"]
        print(f"{level:.2e}   {one['mse']:.8f}    {two['mse']:.8f}    {bits[0]:.4f}  {bits[1]:.4f}")


if __name__ == "__main__":
    main()

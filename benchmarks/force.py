"""Microseconds of the processor per step of FORCE training, beside the memory's limit and beside reservoirpy.

python benchmarks/force.py --units 500,1000,2000
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import numpy as np
from scipy.linalg import blas
from threadpoolctl import threadpool_limits

from dynsys.models.rate.echo_state import EchoStateNetwork
from dynsys.models.tasks.flipflop import Trial
from dynsys.models.training.by_force.force import RecursiveLeastSquares, train_force
from dynsys.models.training.by_force.recipes import Recipe, default_recipe


def best_seconds(run: Callable[[], object], repeats: int) -> float:
    """The least of some repeats: what else the machine does can only add."""

    def once() -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    return min(once() for _ in range(repeats))


def bytes_per_step(units: int, bits: int, interval: int) -> float:
    """What must come through the bus: W, a triangle of P per update, and that triangle there and back per batch."""
    weights, triangle = units * (units + 2 * bits), units * (units + 1) / 2
    per_update = triangle * (1 + 2 / RecursiveLeastSquares.WAITING)
    return 8 * (weights + per_update / interval)


def bandwidth(megabytes: float) -> float:
    """Bytes per second of the plainest product with a matrix, in turns with a second one, both of this size together.

    It is that of the cache where the two fit there, so it has to be measured at the size in question.
    """
    n = int(np.sqrt(megabytes * 1e6 / 16))
    matrices, x, y = [np.ones((n, n), order="F") for _ in range(2)], np.ones(n), np.zeros(n)

    def read() -> None:
        for matrix in matrices:
            blas.dgemv(1.0, matrix, x, y=y, overwrite_y=1, trans=1)

    return 16 * n * n / best_seconds(read, repeats=50)


def ours(recipe: Recipe, trial: Trial) -> None:
    network = EchoStateNetwork.random(recipe.network)
    train_force(network, trial.inputs, trial.target, recipe.force)


def theirs(recipe: Recipe, trial: Trial) -> None:
    """The same task and weights in reservoirpy, in the loop its user has to write to feed back and skip updates."""
    from reservoirpy.nodes import RLS, Reservoir

    network, bits = EchoStateNetwork.random(recipe.network), recipe.task.bits
    W_in = np.hstack([network.W_fb.numpy(), network.B.numpy()])
    reservoir = Reservoir(lr=1 / recipe.network.tau, W=network.W_r.numpy(), Win=W_in, bias=np.zeros(network.n_state))
    readout = RLS(alpha=recipe.force.alpha, fit_bias=False)
    z = np.zeros(bits)
    readout.initialize(np.zeros((1, network.n_state)), z[None])
    for t, (u, y) in enumerate(zip(trial.inputs, trial.target, strict=True)):
        r = reservoir.step(np.concatenate([z, u]))
        z = readout.step(r)
        if t % recipe.force.interval == 0:
            readout.partial_fit(r[None], y[None])


def microseconds(train: Callable[[Recipe, Trial], None], units: int, steps: int, repeats: int) -> float:
    """Per step, from the difference of a long and a short run: drawing and copying the network drops out."""
    recipe = default_recipe(units=units)
    runs = {length: recipe.practice.trial(length, seed=1) for length in (steps // 5, steps)}
    short, long = (best_seconds(lambda trial=trial: train(recipe, trial), repeats) for trial in runs.values())
    return (long - short) / (steps - steps // 5) * 1e6


@click.command()
@click.option("--units", default="500,1000", show_default=True, help="Sizes, with commas.")
@click.option("--steps", default=5000, show_default=True, help="Steps of a training run; reservoirpy gets a fifth.")
@click.option("--repeats", default=3, show_default=True, help="Runs of each, of which the fastest counts.")
def main(units: str, steps: int, repeats: int) -> None:
    """Print a table with one row for each size."""
    try:
        import reservoirpy
    except ImportError:
        reservoirpy = None
    peer = f"reservoirpy {reservoirpy.__version__}" if reservoirpy else "reservoirpy (not installed)"
    print(f"units  us/step  MB/step   GB/s limit us  share   {peer}: us/step, ratio")
    with threadpool_limits(1):
        for n in (int(size) for size in units.split(",")):
            recipe = default_recipe(units=n)
            moved = bytes_per_step(n, recipe.task.bits, recipe.force.interval)
            speed = bandwidth(megabytes=16e-6 * n * n)
            limit, mine = moved / speed * 1e6, microseconds(ours, n, steps, repeats)
            row = f"{n:5} {mine:8.1f} {moved / 1e6:8.2f} {speed / 1e9:6.1f} {limit:8.1f} {limit / mine:6.0%}"
            if reservoirpy:
                other = microseconds(theirs, n, steps // 5, repeats)
                row += f"   {other:.0f}, {other / mine:.1f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()

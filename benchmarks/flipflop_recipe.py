"""How reliably a recipe trains the flip-flop task: settled accuracy and error on held-out input over many seeds.

python benchmarks/flipflop_recipe.py --seeds 10 --units 500,1000 --jobs 2
python benchmarks/flipflop_recipe.py --preset paper --seeds 5 --units 1000 --bits 3
"""

from __future__ import annotations

import itertools
import time

import click
import numpy as np
from joblib import Parallel, delayed

from dynsys.models.recipe import LEARNED, PRESETS, train_flipflop


def one_run(preset: str, bits: int, units: int, activation: str, seed: int) -> tuple[float, float, bool, float]:
    """Settled accuracy, settled MSE, whether it learned, CPU seconds."""
    start = time.process_time()
    trained = train_flipflop(PRESETS[preset](bits, units, activation, seed))
    metrics = trained.metrics
    seconds = time.process_time() - start
    return metrics["settled_bit_accuracy"], metrics["settled_mse"], trained.learned, seconds


def numbers(ctx: click.Context, param: click.Parameter, value: str) -> list[int]:
    return [int(number) for number in value.split(",")]


@click.command()
@click.option("--preset", type=click.Choice(list(PRESETS)), default="default", show_default=True)
@click.option("--seeds", default=10, show_default=True, help="How many random seeds for each cell.")
@click.option("--first-seed", default=0, show_default=True, help="The least of the seeds; 0 to 9 were tuned on.")
@click.option("--units", default="500,1000", show_default=True, callback=numbers, help="Sizes, with commas.")
@click.option("--bits", default="3,4", show_default=True, callback=numbers, help="Numbers of bits, with commas.")
@click.option("--activations", default="tanh,logistic", show_default=True, help="Activations, with commas.")
@click.option("--jobs", default=1, show_default=True, help="Runs at a time, each with one thread.")
def main(
    preset: str, seeds: int, first_seed: int, units: list[int], bits: list[int], activations: str, jobs: int
) -> None:
    """Print a table with one row for each size, activation and number of bits."""
    print(f"preset {preset}; learned = settled bit accuracy of at least {LEARNED} on held-out input")
    print("units activation bits  steps  learned  accuracy: least, mean  settled MSE: median, most  CPU seconds a run")
    for n, activation, b in itertools.product(units, activations.split(","), bits):
        runs = (delayed(one_run)(preset, b, n, activation, seed) for seed in range(first_seed, first_seed + seeds))
        accuracy, mse, learned, seconds = np.array(Parallel(n_jobs=jobs)(runs)).T
        steps = PRESETS[preset](b, n, activation).steps
        print(
            f"{n:5} {activation:10} {b:4} {steps:6} {int(learned.sum()):4}/{seeds:<4}"
            f"{accuracy.min():12.4f} {accuracy.mean():11.4f} {np.median(mse):16.1e} {mse.max():10.1e} "
            f"{seconds.mean():11.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

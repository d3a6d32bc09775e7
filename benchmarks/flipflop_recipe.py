"""How reliably a recipe trains the flip-flop task: settled accuracy and error on held-out input over many seeds.

python benchmarks/flipflop_recipe.py --seeds 10 --units 500,1000 --jobs 2
python benchmarks/flipflop_recipe.py --preset paper --seeds 5 --units 1000 --bits 3
python benchmarks/flipflop_recipe.py --preset paper --seeds 5 --units 1000 --bits 3 --weights 1
python benchmarks/flipflop_recipe.py --preset paper --seeds 5 --units 500 --bits 3 --weights 1 --pulse 11 --gap 150
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from typing import Any

import click
import numpy as np
from joblib import Parallel, delayed

from dynsys.models.tasks.flipflop import LEARNED
from dynsys.models.training.by_force.recipes import PRESETS, Recipe, train_esn


def one_run(recipe: Recipe) -> tuple[float, float, bool, float]:
    """Settled accuracy, settled MSE, whether it learned, CPU seconds."""
    start = time.process_time()
    trained = train_esn(recipe)
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
@click.option("--weights", type=float, help="W_fb and B are drawn from [-W, W]; from the preset's range if not given.")
@click.option("--pulse", type=int, help="Steps of a pulse; the preset's if not given.")
@click.option("--gap", type=float, help="Mean steps between pulses, as the preset counts them; its own if not given.")
@click.option("--jobs", default=1, show_default=True, help="Runs at a time, each with one thread.")
def main(
    preset: str,
    seeds: int,
    first_seed: int,
    units: list[int],
    bits: list[int],
    activations: str,
    weights: float | None,
    pulse: int | None,
    gap: float | None,
    jobs: int,
) -> None:
    """Print a table with one row for each size, activation and number of bits."""
    changed = {} if weights is None else {"feedback": weights, "input_scale": weights}
    pulses = {key: value for key, value in (("pulse", pulse), ("gap", gap)) if value is not None}
    told = "".join(f", {key} {value:g}" for key, value in (changed | pulses).items())
    print(f"preset {preset}{told}; learned = settled bit accuracy of at least {LEARNED} on held-out input")
    print("units activation bits  steps  learned  accuracy: least, mean  settled MSE: median, most  CPU seconds a run")
    for n, activation, b in itertools.product(units, activations.split(","), bits):
        recipes = [PRESETS[preset](b, n, activation, seed) for seed in range(first_seed, first_seed + seeds)]
        recipes = [_changed(recipe, changed, pulses) for recipe in recipes]
        runs = (delayed(one_run)(recipe) for recipe in recipes)
        accuracy, mse, learned, seconds = np.array(Parallel(n_jobs=jobs)(runs)).T
        print(
            f"{n:5} {activation:10} {b:4} {recipes[0].steps:6} {int(learned.sum()):4}/{seeds:<4}"
            f"{accuracy.min():12.4f} {accuracy.mean():11.4f} {np.median(mse):16.1e} {mse.max():10.1e} "
            f"{seconds.mean():11.1f}",
            flush=True,
        )


def _changed(recipe: Recipe, network: dict[str, Any], pulses: dict[str, Any]) -> Recipe:
    """The recipe with other ranges of weights and other pulses, in training and in the test."""
    return dataclasses.replace(
        recipe,
        network=dataclasses.replace(recipe.network, **network),
        practice=dataclasses.replace(recipe.practice, **pulses),
        task=dataclasses.replace(recipe.task, **pulses),
    )


if __name__ == "__main__":
    main()

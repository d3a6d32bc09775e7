"""``dynsys train``: a network, trained on a task, into a folder."""

from __future__ import annotations

import click

from dynsys.cli.output import print_json
from dynsys.cli.progress import progress


@click.command()
@click.argument("task", type=click.Choice(["flipflop"]))
@click.argument("model", type=click.Choice(["esn"]))
@click.option("-o", "--out", "folder", required=True, help="Folder of the run.")
@click.option("--bits", default=3, show_default=True, type=click.IntRange(1), help="Bits to remember.")
@click.option("--units", default=1000, show_default=True, type=click.IntRange(2), help="Units of the network.")
@click.option("--activation", default="tanh", show_default=True, type=click.Choice(["tanh", "logistic"]))
@click.option(
    "--preset",
    default="default",
    show_default=True,
    type=click.Choice(["default", "paper"]),
    help="'paper' is table 1 of Jang's term paper; it does not train reliably.",
)
@click.option("--steps", type=click.IntRange(100), help="Steps of training; the preset's own number if not given.")
@click.option(
    "--snapshots",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Keep W_out every so many steps (0: never).",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def train(
    task: str,
    model: str,
    folder: str,
    bits: int,
    units: int,
    activation: str,
    preset: str,
    steps: int | None,
    snapshots: int,
    seed: int,
    as_json: bool,
) -> None:
    """Train MODEL on TASK and write its checkpoint, curves and snapshots.

    \b
    Example:
      dynsys train flipflop esn -o runs/flipflop --bits 3 --units 1000 --seed 0
    """
    import dataclasses
    import time
    from pathlib import Path

    from dynsys.models.checkpoint import FILE_NAME
    from dynsys.models.recipe import LEARNED, PRESETS
    from dynsys.models.training_run import run_training

    recipe = PRESETS[preset](bits, units, activation, seed)
    force = dataclasses.replace(recipe.force, snapshot_every=snapshots)
    recipe = dataclasses.replace(recipe, force=force, steps=steps or recipe.steps)
    began = time.perf_counter()
    with progress() as show:
        trained = run_training(recipe, folder, lambda done, total: show("train", done, total))
    checkpoint, seconds = Path(folder) / FILE_NAME, time.perf_counter() - began
    if as_json:
        print_json(
            {
                "schema": "dynsys.training/1",
                "task": task,
                "model": model,
                "checkpoint": str(checkpoint),
                "seconds": seconds,
                "metrics": trained.metrics,
                "learned": trained.learned,
            }
        )
        return
    scores = trained.metrics
    click.echo(f"{recipe.steps} steps in {seconds:.1f} s; on {recipe.test_steps} held-out steps:")
    click.echo(f"  settled bit accuracy  {scores['settled_bit_accuracy']:.4f}")
    click.echo(f"  settled MSE           {scores['settled_mse']:.2e}")
    click.echo(f"  MSE                   {scores['mse']:.2e}   (the target jumps at once, which no network can)")
    if not trained.learned:
        click.echo(
            f"The network did not learn the task: {LEARNED:.0%} of settled bits are needed. Try another --seed, "
            "more --units, or more --steps."
        )
    click.echo(f"Wrote {checkpoint}. Next: dynsys find {checkpoint} -o {folder}")

"""How reliably the tasks of trials are learned, and how long that takes: what each seed reached on its test.

python benchmarks/tasks.py sine esn
python benchmarks/tasks.py integration leaky-rate --seeds 5
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import click

from dynsys.models.training.learners import LEARNERS, learner

LIMIT = 180.0  # seconds that a training may take


def one_run(task: str, model: str, seed: int, **choices: Any) -> dict[str, Any]:
    """Seconds of the training, whether it learned, and its scores."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        trained = learner(task, model)(folder, seed=seed, **choices)
        took = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {"seed": seed, **took, "steps": trained.steps, "learned": trained.learned, **trained.metrics}


@click.command()
@click.argument("task", type=click.Choice(list(LEARNERS)))
@click.argument("model")
@click.option("--seeds", default=5, show_default=True, help="How many, from 0 on.")
def main(task: str, model: str, seeds: int) -> None:
    """Print a row for each seed, and how many of them learned the task in time."""
    rows = []
    for seed in range(seeds):
        row = one_run(task, model, seed)
        rows.append(row)
        if seed == 0:
            click.echo(" ".join(f"{name.replace('_', ' '):>{max(len(name), 8)}}" for name in row))
        click.echo(" ".join(f"{_shown(value):>{max(len(name), 8)}}" for name, value in row.items()))
    good = sum(row["learned"] and row["cpu"] <= LIMIT for row in rows)
    click.echo(f"{task}, {model}: {good} of {seeds} seeds learned it within {LIMIT:.0f} s of one core")


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()

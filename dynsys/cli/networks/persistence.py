"""``dynsys persistence``: how long networks remember."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.named import OneOf
from dynsys.cli.options import choices_given, loading_options
from dynsys.cli.output import print_json, print_rows
from dynsys.cli.place import PLACE
from dynsys.io.progress import progress


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, type=PLACE)
@click.option("-o", "--out", "folder", required=True, type=PLACE, help="Folder of the report.")
@click.option("--delay", default=100, show_default=True, type=click.IntRange(1), help="Steps that products are over.")
@click.option(
    "--windows", type=click.IntRange(1), help="Of so many steps each; 16 up to 128 variables, 4 up to 512, else 1."
)
@click.option("--scale", default=1.0, show_default=True, type=float, help="Standard deviation of random inputs.")
@click.option("--inputs", type=PLACE, metavar="FILE", help="Recorded inputs, time x n: .npz, .npy, .mat, .csv, .txt.")
@click.option(
    "--beside",
    multiple=True,
    type=OneOf("dynsys.analyses.persistence.study", "BESIDE"),
    help="A fresh network of the size of the first, once for each.",
)
@click.option(
    "--snapshots", type=click.IntRange(0), help="Of a run's training; 8 up to 512 variables, else 0: none of them."
)
@click.option("--no-points", is_flag=True, help="Search for no points, and tell no slow modes.")
@click.option("--no-capacity", is_flag=True, help="Tell no memory capacity.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@loading_options
def persistence(
    checkpoints: tuple[str, ...],
    folder: str,
    delay: int,
    windows: int | None,
    scale: float,
    inputs: str | None,
    beside: tuple[str, ...],
    snapshots: int | None,
    no_points: bool,
    no_capacity: bool,
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """How long the networks in CHECKPOINTs remember: what is left of a state, and of the gradient of a loss, after so
    many steps, under random inputs, at their task, and through training; with first Lyapunov exponents, time constants
    of slow modes and memory capacities beside it.

    \b
    Example:
      dynsys persistence runs/flipflop -o runs/persistence --beside lstm --beside orthogonal
    """
    import shlex
    import sys

    from dynsys.analyses.persistence.report import rows, summary
    from dynsys.analyses.persistence.study import Persistence, run

    settings = Persistence(delay, windows, scale, snapshots, not no_points, not no_capacity, seed)
    command = shlex.join(["dynsys", *sys.argv[1:]])
    told: dict[str, Any] = {"beside": beside, "inputs": inputs, "loading": choices_given(options)}
    with progress() as show:
        results = run(settings, checkpoints, folder, command=command, progress=show, **told)
    if as_json:
        print_json(results)
        return
    for line in summary(results):
        click.echo(line)
    click.echo()
    print_rows(rows(results))
    click.echo(f"\nWrote report.html and results.json into {folder}.")

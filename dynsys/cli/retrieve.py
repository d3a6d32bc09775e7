"""``dynsys retrieve``: table 1 of Ba et al. (2016), from networks trained here."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.numbers import Numbers
from dynsys.cli.output import print_json
from dynsys.cli.place import PLACE
from dynsys.cli.progress import progress


class Names(click.ParamType[tuple[str, ...]]):
    """Names separated by commas."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        return value if isinstance(value, tuple) else tuple(part.strip() for part in str(value).split(","))


@click.command()
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder of the table; what it holds is kept.")
@click.option("--models", default="fast-weights,lstm,irnn", show_default=True, type=Names(), help="Networks to train.")
@click.option("--units", default="20,50", show_default=True, type=Numbers(int, "20,50"), help="Their sizes R.")
@click.option("--seeds", default=2, show_default=True, type=click.IntRange(1), help="How many seeds for each.")
@click.option("--steps", type=click.IntRange(100), help="Steps of training.  [R < 40: 18000, others: 20000]")
@click.option("--batch", type=click.IntRange(1), help="Strings in a step.  [R < 40: 512, others: 128]")
@click.option(
    "--grid",
    default="none",
    show_default=True,
    type=click.Choice(["none", "small"]),
    help="small: try other learning rates, eta, lambda, and the IRNN's first weights.",
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Trainings at a time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def retrieve(folder: str, as_json: bool, **options: Any) -> None:
    """Train networks on associative retrieval and set their test errors beside the paper's.

    Networks of one size R see equally many strings; seed and point of the grid are chosen by validation error. A table
    that was interrupted goes on with the same command.

    \b
    Example:
      dynsys retrieve -o runs/table --models fast-weights,lstm,irnn --units 20,50 --seeds 4 --jobs 2
    """
    from dynsys.analyses.retrieval.report import TABLE, table
    from dynsys.analyses.retrieval.table import Retrieve, run

    options["units"] = tuple(options["units"])
    with progress() as show:
        results = run(Retrieve(**options), folder, show)
    if as_json:
        print_json(results)
        return
    click.echo(table(results))
    click.echo(f"\nWrote {TABLE}, report.html and results.json into {folder}.")

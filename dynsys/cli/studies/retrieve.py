"""``dynsys retrieve``: table 1 of Ba et al. (2016), from networks trained here."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.named import OPTIMISERS
from dynsys.cli.numbers import Numbers
from dynsys.cli.options import GOES_ON, seconds_option, who_works_options
from dynsys.cli.output import print_json, told_if_cut
from dynsys.cli.place import PLACE
from dynsys.cli.studies.grid import Chosen, lists_given
from dynsys.io.errors import typed
from dynsys.io.progress import progress


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
    type=click.Choice(["none", "small", "full"]),
    help="small: one thing changed at a time. full: every point of learning rate x eta x lambda, or of --over.",
)
@click.option(
    "--over",
    multiple=True,
    type=Chosen(),
    metavar="NAME=VALUE,VALUE",
    help="With --grid full: a list of it, like eta=0.05,0.1, once for each; networks without that leave it out.",
)
@click.option(
    "--pairs", default="4", show_default=True, metavar="K|LOW:HIGH", help="Pairs of a string; 2:6 are 2 to 6 of them."
)
@click.option("--optimizer", default="adam", show_default=True, type=OPTIMISERS, help="Of all.")
@click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), help="With --optimizer momentum: mu.  [0.9]")
@seconds_option(GOES_ON)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@who_works_options
def retrieve(
    folder: str,
    as_json: bool,
    over: tuple[tuple[str, tuple[Any, ...]], ...],
    cluster: str | None,
    shard: str | None,
    seconds: float | None,
    **options: Any,
) -> None:
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
    settings = Retrieve(**options, over=lists_given(over, "--over"))
    with told_if_cut(as_json), progress() as show:
        results = run(settings, folder, show, cluster=cluster, shard=shard, seconds=seconds)
    if as_json:
        print_json(results)
        return
    if shard is not None and results["cut"]:
        click.echo(results["cut"]["sentence"])
        return
    if shard is not None:
        waits = (
            f"it waits for {results['left']}, and then has more to do" if results["left"] else "nothing is left to it"
        )
        click.echo(
            f"Shard {shard} is done as far as it can be; {waits}. When all are through, the same command without "
            f"--shard, after: {typed('merge', folder)}"
        )
        return
    click.echo(table(results))
    click.echo(f"\nWrote {TABLE}, report.html and results.json into {folder}.")

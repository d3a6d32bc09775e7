"""``dynsys transfer``: one bit more from scratch, and on top of what a network knows already."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.named import OneOf
from dynsys.cli.options import GOES_ON, seconds_option
from dynsys.cli.output import print_json, print_rows, told_if_cut
from dynsys.cli.place import PLACE
from dynsys.cli.studies.train import Schedule
from dynsys.io.progress import progress


@click.command()
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder of the study; what it holds is kept.")
@click.option("--bits", default=4, show_default=True, type=click.IntRange(2, 6), help="Bits of the larger networks.")
@click.option("--start", type=PLACE, metavar="RUN", help="An esn of one bit less; trained here if not given.")
@click.option("--units", type=click.IntRange(10), help="Units of the networks.  [1000, or as --start]")
@click.option("--activation", type=click.Choice(["tanh", "logistic"]), help="Of the units.  [tanh, or as --start]")
@click.option(
    "--preset",
    default="default",
    show_default=True,
    type=OneOf("dynsys.models.training.by_force.recipes", "PRESETS"),
    help="By which the networks learn, as in dynsys train: 'paper' is table 1 of Jang's term paper.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@click.option("--steps", type=click.IntRange(100), help="Steps of training of the larger networks.  [96000 of 4 bits]")
@click.option(
    "--starts", "n_starts", default=512, show_default=True, type=click.IntRange(1), help="Starts of a search."
)
@click.option("--snapshots", default="0", show_default=True, type=Schedule(), help="As in dynsys train, for evolve.")
@click.option("--fresh", is_flag=True, help="From scratch with feedback and input weights of its own.")
@seconds_option(GOES_ON)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def transfer(folder: str, seconds: float | None, as_json: bool, **options: Any) -> None:
    """Compare a network that learns 4 bits from scratch with one that knows 3 of them already.

    Both are trained on the same pulses from the same random weights, and so is the smaller network between them. Their
    fixed points are found, and the geometry of their memories is measured.

    \b
    Example:
      dynsys transfer -o runs/transfer --bits 4 --units 500 --seed 0
    """
    from dynsys.analyses.report import REPORT, RESULTS
    from dynsys.analyses.transfer.comparison import Transfer
    from dynsys.analyses.transfer.study import run
    from dynsys.analyses.transfer.tables import geometry_rows, network_rows
    from dynsys.analyses.transfer.words import results, sentences

    with told_if_cut(as_json), progress() as show:
        compared = run(Transfer(**options), folder, show, seconds)
    if as_json:
        print_json(results(compared))
        return
    print_rows(network_rows(compared))
    print_rows(geometry_rows(compared))
    for sentence in sentences(compared):
        click.echo(sentence)
    click.echo(f"Wrote {folder}/{REPORT}, {RESULTS} and the runs small, scratch and transfer.")

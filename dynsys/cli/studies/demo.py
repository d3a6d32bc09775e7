"""``dynsys demo``: train, search, classify, draw."""

from __future__ import annotations

import click

from dynsys.cli.options import seconds_option
from dynsys.cli.output import print_points, told_if_cut
from dynsys.cli.place import PLACE
from dynsys.io.progress import progress


@click.command()
@click.option("-o", "--out", "folder", type=PLACE, default="demo", show_default=True, help="Folder for what it makes.")
@click.option("--bits", default=3, show_default=True, type=click.IntRange(1, 6), help="Bits to remember.")
@click.option("--units", default=1000, show_default=True, type=click.IntRange(10), help="Units of the network.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@seconds_option("the search ends with what it has; a training goes on with the same command.")
def demo(folder: str, bits: int, units: int, seed: int, seconds: float | None) -> None:
    """Train a flip-flop network and draw its phase portrait: the main job in one go.

    \b
    Example:
      dynsys demo
    """
    from dynsys.analyses.flipflop import Demo, run
    from dynsys.result.summary import search_lines, summary

    click.echo(f"Training an echo state network of {units} units on the {bits}-bit flip-flop.", err=True)
    with told_if_cut(), progress() as show:
        result = run(Demo(bits=bits, units=units, seed=seed), folder, show, seconds)
    if result.cut is not None:
        click.echo(result.cut.sentence)
    accuracy = result.trained.metrics["settled_bit_accuracy"]
    learned = "" if result.trained.learned else " It did not learn the task: try another seed or more units."
    click.echo(f"The network remembers {accuracy:.1%} of its bits and has {summary(result.points)}.{learned}")
    click.echo("\n".join(search_lines(result.points)) + "\n")
    print_points(result.points)
    click.echo()
    click.echo(f"Open {result.folder / 'portrait.html'} in a browser; everything else is in {result.folder}/.")

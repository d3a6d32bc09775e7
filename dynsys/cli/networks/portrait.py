"""``dynsys portrait``: a run's pictures."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.named import OneOf
from dynsys.cli.numbers import Numbers
from dynsys.cli.place import PLACE


@click.command()
@click.argument("run", type=PLACE)
@click.option(
    "-o", "--out", "path", type=PLACE, default="portrait.html", show_default=True, help="The page to write, .html."
)
@click.option("--png", type=PLACE, help="A still as well, .png, .pdf or .svg by its name; needs the extra 'static'.")
@click.option(
    "--picture",
    type=OneOf("dynsys.analyses.pictures", "PICTURES"),
    help="Phase portrait, eigenvalues, modes by time constant, the graph of 'dynsys basins' or the Lyapunov surfaces "
    "of its proofs, training curves, what "
    "'dynsys evolve' found as an animation or a bifurcation diagram, or the phase plane of a 2-D system; of a "
    "retrieval network where strings lead, whether its settling loop retrieves, or its wrong answers; of an "
    "associative memory its energy in the plane of some patterns.  [phase; of a retrieval network: retrieval]",
)
@click.option("--points", "chosen", type=Numbers(int, "0,3,5"), help="Points to show, like 0,3,5; all if not given.")
@click.option(
    "--fit",
    type=click.Choice(["points", "trajectories"]),
    help="What the principal components of the phase portrait are fitted to.  [points]",
)
@click.option("--starts", is_flag=True, help="Draw the states that the search began from, in the phase portrait.")
@click.option("--patterns", type=Numbers(int, "0,1"), help="Two or three stored patterns, for the landscape.  [first]")
@click.option("--seed", type=click.IntRange(0), help="Seed of the trajectories shown.  [0]")
def portrait(
    run: str,
    path: str,
    png: str | None,
    picture: str | None,
    chosen: list[int] | None,
    starts: bool,
    seed: int | None,
    fit: Any,
    patterns: list[int] | None,
) -> None:
    """Draw the phase portrait of a RUN (a folder that 'dynsys find' wrote) into one self-contained HTML file.

    \b
    Example:
      dynsys portrait runs/flipflop -o portrait.html
    """
    from dynsys.analyses.pictures import draw

    click.echo(draw(picture, run, path, png, chosen, seed, fit, starts, patterns))
    click.echo(f"Wrote {path}" + (f" and {png}" if png else "") + ". Open it in a browser.")

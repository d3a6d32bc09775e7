"""``dynsys compare``: runs side by side."""

from __future__ import annotations

import click

from dynsys.cli.named import OneOf
from dynsys.cli.output import print_json, print_rows
from dynsys.cli.place import PLACE


@click.command()
@click.argument("runs", type=PLACE, nargs=-1, required=True)
@click.option("-o", "--out", "path", type=PLACE, help="Page or still of the map of the networks.")
@click.option("--png", type=PLACE, help="A still as well, .png, .pdf or .svg by its name; needs the extra 'static'.")
@click.option(
    "--representation",
    type=OneOf("dynsys.comparison.matching", "SIMILARITIES"),
    default="cka",
    show_default=True,
    help="How states at points that stand for each other are compared.",
)
@click.option(
    "--dsa",
    type=OneOf("dynsys.comparison.dsa", "METRICS"),
    help="Compare motion under trials of their task as well, by dynamical similarity analysis; extra 'dsa'.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(
    runs: tuple[str, ...], path: str | None, png: str | None, representation: str, dsa: str | None, as_json: bool
) -> None:
    """Compare two or more RUNS (folders that 'dynsys find' wrote): whether their skeletons of points are equal, and how
    far apart they are. What 'dynsys basins' wrote into all of them, their connections, is compared as well.

    \b
    Example:
      dynsys compare runs/seed0 runs/seed1 runs/seed2 -o map.html
    """
    from dynsys.analyses.runs_compared import compare_runs
    from dynsys.plots import network_map
    from dynsys.plots.export import check_drawings, save_drawings

    check_drawings(path, png)
    found = compare_runs(runs, representation, dsa)
    if as_json:
        print_json(found.to_json())
    elif len(runs) == 2:
        click.echo(found.pairs[0, 1].sentence)
        if found.dsa is not None:
            click.echo(f"Distance by dynamical similarity analysis ({dsa}): {found.dsa[0, 1]:.3g}.")
    else:
        print_rows(found.rows())
    if path is not None or png is not None:
        written = save_drawings(network_map(found.places, found.names, found.kinds, found.distances), path, png)
        if not as_json:
            click.echo(written)

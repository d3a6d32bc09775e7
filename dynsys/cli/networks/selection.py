"""``dynsys selection``: lines of slow points under each context, and which input moves the state along them."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.numbers import Numbers
from dynsys.cli.options import choices_given, loading_options
from dynsys.cli.output import print_json, print_rows
from dynsys.cli.place import PLACE


@click.command()
@click.argument("checkpoint", type=PLACE)
@click.option("-o", "--out", "path", type=PLACE, help="Page or still of the lines and their selection vectors.")
@click.option("--png", type=PLACE, help="A still as well, .png, .pdf or .svg by its name; needs the extra 'static'.")
@click.option(
    "--input",
    "held",
    multiple=True,
    type=Numbers(float, "0,0,1,0"),
    help="A context: the input held, again for the next. Those of the network's task if not given.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@loading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def selection(
    checkpoint: str,
    path: str | None,
    png: str | None,
    held: tuple[list[float], ...],
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the line of slow points of an integrating network under each context, its direction, the selection vector
    (the left eigenvector of the slowest mode), and how far that points along each input.

    \b
    Example:
      dynsys selection runs/integration -o selection.html
    """
    from dynsys.analyses.contexts.selection import drawn, selections
    from dynsys.models.loading.checkpoint import load_and_tell
    from dynsys.plots.export import check_drawings, save_drawings

    check_drawings(path, png)
    system, _ = load_and_tell(checkpoint, **choices_given(options))
    found = selections(system, [list(one) for one in held] or None, seed=seed)
    if as_json:
        print_json(found.to_json())
    else:
        print_rows(found.rows(), ("points", "length"))
        if not any(map(len, found.lines)):
            click.echo(
                "No line of slow points lies under any of these inputs; points alone are found by 'dynsys find'."
            )
        for line in system.remarks():
            click.echo(line, err=True)
    if path is not None or png is not None:
        written = save_drawings(drawn(system, found), path, png)
        if not as_json:
            click.echo(written)

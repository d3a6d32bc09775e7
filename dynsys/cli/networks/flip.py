"""``dynsys flip``: what it takes to turn one memory into another."""

from __future__ import annotations

import click

from dynsys.cli.output import print_json
from dynsys.cli.place import PLACE


@click.command()
@click.argument("run", type=PLACE)
@click.option("-o", "--out", "path", type=PLACE, help="Page or still of the matrix; RUN/flip.html if not given.")
@click.option("--png", type=PLACE, help="A still as well, .png, .pdf or .svg by its name; needs the extra 'static'.")
@click.option("--pulses", is_flag=True, help="Bound the least pulse of the input as well.")
@click.option(
    "--duration",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Of a pulse, in a flow's time constants; of a map it lasts a step.",
)
@click.option("--weights", is_flag=True, help="Find the least change of the weights along Hebb's direction as well.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Time for proofs and pushes together.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def flip(
    run: str,
    path: str | None,
    png: str | None,
    pulses: bool,
    duration: float,
    weights: bool,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Bound the smallest perturbation of the state that turns each memory of a RUN (a folder that 'dynsys find' wrote)
    into each other: from below by a ball that is proved to be held, from above by a perturbation that does it. With
    --pulses and --weights also the least pulse of the input, and the least change of the weights in one direction.

    \b
    Example:
      dynsys flip runs/bistable -o flip.html
    """
    from pathlib import Path

    from dynsys.analyses.memory_flow import flipped
    from dynsys.analyses.pictures import draw
    from dynsys.plots.export import check_drawings

    path = path or str(Path(run) / "flip.html")
    check_drawings(path, png)
    found = flipped(run, seconds, duration if pulses else None, weights)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(found.summary())
    draw("flip", run, path, png)
    if not as_json:
        click.echo(f"Wrote {path}{f' and {png}' if png else ''}, and flip.safetensors in {run}.")

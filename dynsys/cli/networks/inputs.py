"""``dynsys inputs``: the points of a network while its held input changes."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.numbers import Numbers
from dynsys.cli.options import choices_given, loading_options, seconds_option
from dynsys.cli.output import print_json, print_rows
from dynsys.cli.place import PLACE
from dynsys.io.progress import progress

INPUT = Numbers(float, "0,0,1")


@click.command()
@click.argument("checkpoint", type=PLACE)
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder for the diagram and its page.")
@click.option("--from", "first", type=INPUT, help="Input at which the path begins; zeros if not given.")
@click.option("--to", "last", type=INPUT, help="Input at which it ends; where it began if not given, a closed path.")
@click.option("--through", type=INPUT, multiple=True, help="A vertex between, again for the next.")
@click.option("--searches", default=3, show_default=True, type=click.IntRange(2), help="Places that are searched.")
@click.option("--verify", is_flag=True, help="Prove the points of these searches.")
@click.option("--jobs", type=click.IntRange(1), help="Threads; all cores if not given.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@seconds_option("the points followed by then make the result.")
@loading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inputs(
    checkpoint: str,
    folder: str,
    first: list[float] | None,
    last: list[float] | None,
    through: tuple[list[float], ...],
    searches: int,
    verify: bool,
    jobs: int | None,
    seed: int,
    seconds: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Follow the fixed points of the network in CHECKPOINT while the input that it is held at changes along a path:
    what is born, lost or changes its stability, and at which input.

    \b
    Examples:
      dynsys inputs runs/flipflop --to 1,0,0 -o runs/pulse
      dynsys inputs model.pt --from 0,0 --through 1,0 -o runs/loop
    """
    from pathlib import Path

    from dynsys.continuation.inputs import follow_inputs
    from dynsys.io.files import check_writable, write_json
    from dynsys.models.loading.checkpoint import load_and_tell
    from dynsys.plots import bifurcation_diagram, save_html

    system, _ = load_and_tell(checkpoint, **choices_given(options))
    begin = [0.0] * system.n_input if first is None else first
    path = [begin, *through, begin if last is None else last]
    if last is None and not through:
        raise click.UsageError("a path needs --to INPUT, or --through INPUT to come back from")
    place = Path(folder)
    check_writable(place)
    with progress() as show:
        found = follow_inputs(
            system, path, searches=searches, verify=verify, workers=jobs, seed=seed, seconds=seconds, progress=show
        )
    found.save(place / "inputs.safetensors")
    write_json(place / "inputs.json", found.to_json())
    save_html(bifurcation_diagram(found, title=f"Fixed points of {system.name} over its input"), place / "inputs.html")
    if as_json:
        print_json(found.to_json())
        return
    sight = found.sight()
    print_rows(sight.rows, sight.right)
    for line in sight.sentences:
        click.echo(line)
    for line in system.remarks():
        click.echo(line, err=True)
    click.echo(f"Wrote {place}/inputs.safetensors, .json and .html.")

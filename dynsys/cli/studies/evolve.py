"""``dynsys evolve``: how the phase portrait forms in training."""

from __future__ import annotations

import shutil
import textwrap

import click

from dynsys.cli.numbers import Numbers
from dynsys.cli.options import seconds_option
from dynsys.cli.output import print_json, told_if_cut
from dynsys.cli.place import PLACE
from dynsys.io.progress import progress

WIDTH, LEAST = 120, 24  # of a line where no terminal says it, and of the column of sentences
EVENTS = 40  # lines printed, of events at which a point is stable; the files hold all


@click.command()
@click.argument("run", type=PLACE)
@click.option("-o", "--out", "folder", type=PLACE, help="Folder of the study; RUN/evolve if not given.")
@click.option("--input", "held", type=Numbers(float, "0,0,1"), help="The input that is held; zeros if not given.")
@click.option(
    "--searches",
    type=click.IntRange(2),
    help="Snapshots that are searched afresh; from there points are followed to the others.  [3]",
)
@click.option("--jobs", type=click.IntRange(1), help="Threads; all cores if not given.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@seconds_option("the points followed by then make the result, and the next run follows them anew.")
@click.option("--again", is_flag=True, help="Follow the points anew, whatever the folder holds already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evolve(
    run: str,
    folder: str | None,
    held: list[float] | None,
    searches: int | None,
    jobs: int | None,
    seed: int,
    seconds: float | None,
    again: bool,
    as_json: bool,
) -> None:
    """Follow the fixed points of a RUN through the snapshots of its training: what is born, lost or changes its
    stability, when, and in which bifurcation. RUN is a folder that 'dynsys train ... --snapshots' wrote.

    \b
    Example:
      dynsys train flipflop esn -o runs/flipflop --units 500 --snapshots log:60
      dynsys evolve runs/flipflop
    """
    from dynsys.analyses.evolve.completeness import warnings
    from dynsys.analyses.evolve.evolution import DIAGRAM, Evolve
    from dynsys.analyses.evolve.study import run as study
    from dynsys.analyses.evolve.words import event_rows, of_the_list, results, sentences
    from dynsys.analyses.report import REPORT, RESULTS
    from dynsys.continuation.follow import SEARCHES

    settings = Evolve(None if held is None else tuple(held), searches or SEARCHES, jobs, seed)
    with told_if_cut(as_json), progress() as show:
        evolution = study(settings, run, folder, show, again, seconds, lambda line: click.echo(line, err=True))
    if evolution.resumed:
        click.echo(
            f"The points had been followed before: read from {evolution.folder / DIAGRAM} (--again follows them anew).",
            err=True,
        )
    if as_json:
        print_json(results(evolution))
        return
    alarms = warnings(evolution.diagram)
    for sentence in alarms:
        click.echo(sentence)
    rows = event_rows(evolution.diagram, stable_only=True)
    for row in rows[:EVENTS]:
        click.echo(event_line(row["step"], row["kind"], row["what"]))
    if len(rows) > EVENTS:
        click.echo(f"... and {len(rows) - EVENTS} lines more")
    if rows:
        click.echo(f"{of_the_list(evolution.diagram)} {REPORT} and {RESULTS} have all.")
    for sentence in sentences(evolution)[len(alarms) :]:
        click.echo(sentence)
    click.echo(f"Wrote {DIAGRAM}, {RESULTS} and {REPORT} into {evolution.folder}.")


def event_line(step: str, kind: str, what: str) -> str:
    """Step and kind whole, and the sentence beside them in as many lines as it takes."""
    start = f"{step:>10}  {kind:<14}  "
    width = max(shutil.get_terminal_size((WIDTH, 0)).columns, len(start) + LEAST)
    return textwrap.fill(what, width, initial_indent=start, subsequent_indent=" " * len(start))

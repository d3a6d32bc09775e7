"""``dynsys survey``: the points of many networks, in one table."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.options import GOES_ON, choices_given, loading_options, seconds_option, sweep_options
from dynsys.cli.output import print_json, print_rows, told_if_cut
from dynsys.cli.place import PLACE
from dynsys.io.errors import typed
from dynsys.io.progress import progress

ROWS = 60  # of the table that are printed
SWEEPING = ("jobs", "cluster", "shard", "retry_failed", "seconds")


@click.command()
@click.argument("files", type=PLACE, nargs=-1, required=True)
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder of the survey; what it holds is kept.")
@click.option(
    "--starts", default=512, show_default=True, type=click.IntRange(1), help="States each search starts from."
)
@click.option("--verify/--no-verify", default=True, show_default=True, help="Prove points; follow trajectories.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@seconds_option(GOES_ON)
@loading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@sweep_options
def survey(
    files: tuple[str, ...], folder: str, starts: int, verify: bool, seed: int, as_json: bool, **given: Any
) -> None:
    """Find the fixed points of many networks: FILES, or all in folders, into one table and page. A file that cannot
    be read is a row with its reason. A survey that was interrupted goes on with the same command.

    \b
    Examples:
      dynsys survey runs/*/checkpoint.safetensors -o runs/survey --jobs 2
      dynsys survey trained/ -o runs/survey --seconds 600
    """
    import shlex
    import sys

    from dynsys.analyses.survey.report import survey_sentences, table_rows
    from dynsys.analyses.survey.study import Survey, run

    sweeping = {key: given.pop(key) for key in SWEEPING}
    settings = Survey(starts, verify, seed, choices_given(given))
    with told_if_cut(as_json), progress() as show:
        results = run(files, settings, folder, show, command=shlex.join(["dynsys", *sys.argv[1:]]), **sweeping)
    if as_json:
        print_json(results)
        return
    if sweeping["shard"] is not None:
        done = len(results["networks"]) + len(results["failed"])
        told = results["cut"]["sentence"] if results["cut"] else f"Shard {sweeping['shard']} is done: {done} networks."
        click.echo(f"{told} When all are, the same command without --shard, after: {typed('merge', folder)}")
        return
    rows = table_rows(results)
    print_rows(rows[:ROWS])
    if len(rows) > ROWS:
        click.echo(f"... and {len(rows) - ROWS} more, in {folder}/table.csv")
    click.echo("\n" + "\n".join(survey_sentences(results)))
    click.echo(f"Wrote table.csv, report.html and results.json into {folder}.")
    if not rows:
        raise click.exceptions.Exit(1)

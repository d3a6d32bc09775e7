"""``dynsys grid``: a network trained at every point of a grid of choices."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.named import TASKS
from dynsys.cli.options import GOES_ON, seconds_option, sweep_options
from dynsys.cli.output import print_json, print_rows, told_if_cut
from dynsys.cli.place import PLACE
from dynsys.io.errors import typed
from dynsys.io.progress import progress


class Chosen(click.ParamType[tuple[str, tuple[Any, ...]]]):
    """NAME=VALUE,VALUE,...: numbers where they are numbers."""

    name = "name=values"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        name, found, values = str(value).partition("=")
        if not found or not name.strip() or not all(part.strip() for part in values.split(",")):
            self.fail(f"{value!r} is not of the form NAME=VALUE,VALUE, like learning-rate=0.001,0.01", param, ctx)
        from dynsys.analyses.grid.points import choice_named

        return choice_named(name), tuple(_number(part.strip()) for part in values.split(","))


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def lists_given(pairs: tuple[tuple[str, tuple[Any, ...]], ...], option: str) -> dict[str, tuple[Any, ...]]:
    """What was given, by the choices' names; UsageError where one is given twice."""
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise click.UsageError(f"{option} {twice.replace('_', '-')}=... was given twice; give it once")
    return dict(pairs)


@click.command()
@click.argument("task", type=TASKS)
@click.argument("model")
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder of the study; what it holds is kept.")
@click.option(
    "--over",
    multiple=True,
    type=Chosen(),
    metavar="NAME=VALUE,VALUE",
    help="A list of the grid, once for each: learning-rate, eta, lambda, units, momentum or any other option of "
    "'dynsys train'.  [learning-rate, eta and lambda, those of them that the network has]",
)
@click.option(
    "--fix", multiple=True, type=Chosen(), metavar="NAME=VALUE", help="What all trainings share, like units=16."
)
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), help="How many seeds for each point.")
@seconds_option(GOES_ON)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@sweep_options
def grid(
    task: str,
    model: str,
    folder: str,
    over: tuple[tuple[str, tuple[Any, ...]], ...],
    fix: tuple[tuple[str, tuple[Any, ...]], ...],
    seeds: int,
    as_json: bool,
    **sweeping: Any,
) -> None:
    """Train MODEL on TASK at every point of the product of some lists, and choose the best by its validation.

    TASK and MODEL are those of 'dynsys train', but esn. A grid that was interrupted goes on with the same command.

    \b
    Examples:
      dynsys grid flipflop gru -o runs/grid --over learning-rate=0.003,0.01,0.03 --over units=8,16 --jobs 2
      dynsys grid retrieval fast-weights -o runs/fast --over learning-rate=0.001,0.003 --over eta=0.1,0.2
    """
    import shlex
    import sys

    from dynsys.analyses.grid.report import best_sentence, grid_rows
    from dynsys.analyses.grid.study import Grid, run

    fixed = lists_given(fix, "--fix")
    many = next((name for name, values in fixed.items() if len(values) != 1), None)
    if many is not None:
        raise click.UsageError(f"--fix {many.replace('_', '-')} is one value; a list is given with --over")
    settings = Grid(task, model, lists_given(over, "--over"), {name: value for name, (value,) in fixed.items()}, seeds)
    with told_if_cut(as_json), progress() as show:
        results = run(settings, folder, show, command=shlex.join(["dynsys", *sys.argv[1:]]), **sweeping)
    if as_json:
        print_json(results)
        return
    shard = sweeping["shard"]
    if shard is not None and results["cut"]:
        click.echo(results["cut"]["sentence"])
        return
    if shard is not None:
        done = sum(len(entry["trials"]) for entry in results["points"])
        click.echo(
            f"Shard {shard} is done: {done} trainings. When all are, the same command without --shard, after: "
            f"{typed('merge', folder)}"
        )
        return
    print_rows(grid_rows(results))
    click.echo(f"\n{best_sentence(results)}")
    if results["best"] is not None:
        best = results["points"][results["best"]]["trials"][0]["folder"]
        click.echo(f"Wrote table.md, report.html and results.json into {folder}. Its network: {folder}/{best}")

"""``dynsys memory``: associative memories, what they recall, how much, and from how far."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.output import print_json, print_rows
from dynsys.cli.place import PLACE
from dynsys.cli.progress import progress
from dynsys.cli.retrieve import Names

MODELS = ("hopfield", "associator", "recurrent", "bam", "polynomial", "dense", "continuous", "descent")


@click.group()
def memory() -> None:
    """Associative memories: Hebb's rule, Hopfield, BAM and dense nets.

    \b
    Example:
      dynsys memory recall letters --only A,J,L,T,X --flip 5 -o runs/recall
    """


class Order(click.ParamType[int | str]):
    """A whole number, or exp."""

    name = "order"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "exp":
            return "exp"
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number, like 3, nor exp", param, ctx)


@memory.command()
@click.argument("patterns", type=PLACE)
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder for report.html and results.json.")
@click.option("--only", type=Names(), help="Which patterns are stored, by their names, like A,J,L.  [all]")
@click.option("--flip", default=0, show_default=True, type=click.IntRange(0), help="Units of a cue that are wrong.")
@click.option("--missing", default=0, show_default=True, type=click.IntRange(0), help="Units of a cue that are 0.")
@click.option("--cue", type=PLACE, help="Cues of your own instead, in any form that PATTERNS has; ? is a missing unit.")
@click.option("--model", default="hopfield", show_default=True, type=click.Choice(MODELS), help="The memory.")
@click.option(
    "--rule",
    type=click.Choice(["hebb", "modified", "pseudo-inverse", "storkey"]),
    help="How hopfield, continuous (hebb, pseudo-inverse, storkey) and associator (hebb, modified, pseudo-inverse) "
    "learn.  [hebb]",
)
@click.option("--ties", type=click.Choice(["zero", "keep"]), help="associator, recurrent: a unit at net 0.  [zero]")
@click.option("--targets", type=PLACE, help="associator, bam: what belongs to each pattern.  [itself; bam: the next]")
@click.option("--first", type=click.Choice(["y", "x"]), help="bam: the layer that is updated first.  [y]")
@click.option("--order", type=Order(), help="polynomial: the power of an overlap, from 2 on, or exp.  [3]")
@click.option("--beta", type=float, help="dense: inverse temperature.  [1]")
@click.option("--gain", type=float, help="continuous: gain of a unit.  [4]")
@click.option("--hold", is_flag=True, default=None, help="hopfield, continuous: the cue stays on as external input.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of cues and of orders.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def recall(
    patterns: str,
    folder: str,
    only: tuple[str, ...] | None,
    flip: int,
    missing: int,
    cue: str | None,
    model: str,
    targets: str | None,
    seed: int,
    as_json: bool,
    **choices: Any,
) -> None:
    """Store PATTERNS and recall them: a strip of pictures for each cue, its energy and its overlap.

    PATTERNS is a folder of small images, a text grid, a .npz file, or 'letters', 26 letters of 5 x 7 that are built in.

    \b
    Examples:
      dynsys memory recall letters --only A,J,L,T,X --flip 5 -o runs/recall
      dynsys memory recall letters --only A,J,X --model continuous --missing 10 -o runs/letters
    """
    from dynsys.analyses.memory.nets import Choices
    from dynsys.analyses.memory.recall import Recall, rows_of, run, sentences

    settings = Recall(patterns, model, only or (), flip, missing, cue, targets, seed, Choices(**choices))
    with progress() as show:
        results = run(settings, folder, show, command=_command())
    if as_json:
        print_json(results)
        return
    print_rows(rows_of(results))
    click.echo()
    for sentence in sentences(results):
        click.echo(sentence)
    click.echo(f"Wrote report.html and results.json into {folder}.")


def _command() -> str:
    import shlex
    import sys

    return shlex.join(["dynsys", *sys.argv[1:]])

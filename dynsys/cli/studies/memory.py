"""``dynsys memory``: associative memories, what they recall, how much, and from how far."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.numbers import Numbers
from dynsys.cli.options import GOES_ON, Command, seconds_option, sweep_options
from dynsys.cli.output import print_json, print_rows, told_if_cut
from dynsys.cli.place import PLACE
from dynsys.cli.studies.retrieve import Names
from dynsys.io.errors import typed
from dynsys.io.progress import progress

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


_NET = (
    click.option("--model", default="hopfield", show_default=True, type=click.Choice(MODELS), help="The memory."),
    click.option(
        "--rule",
        type=click.Choice(["hebb", "modified", "pseudo-inverse", "storkey"]),
        help="How hopfield, continuous (hebb, pseudo-inverse, storkey) and associator (hebb, modified, pseudo-inverse) "
        "learn.  [hebb]",
    ),
    click.option("--ties", type=click.Choice(["zero", "keep"]), help="associator, recurrent: a unit at net 0.  [zero]"),
    click.option("--first", type=click.Choice(["y", "x"]), help="bam: the layer that is updated first.  [y]"),
    click.option("--order", type=Order(), help="polynomial: the power of an overlap, from 2 on, or exp.  [3]"),
    click.option("--beta", type=float, help="dense: inverse temperature.  [1]"),
    click.option("--gain", type=float, help="continuous: gain of a unit.  [4]"),
    click.option(
        "--hold", is_flag=True, default=None, help="hopfield, continuous: the cue stays on as external input."
    ),
)


def net_options(command: Command) -> Command:
    """Which memory, and the fields of ``dynsys.analyses.memory.nets.Choices`` that it may use."""
    for option in reversed(_NET):
        command = option(command)
    return command


@memory.command()
@click.argument("patterns", type=PLACE)
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder for report.html and results.json.")
@click.option("--only", type=Names(), help="Which patterns are stored, by their names, like A,J,L.  [all]")
@click.option("--flip", default=0, show_default=True, type=click.IntRange(0), help="Units of a cue that are wrong.")
@click.option("--missing", default=0, show_default=True, type=click.IntRange(0), help="Units of a cue that are 0.")
@click.option("--cue", type=PLACE, help="Cues of your own instead, in any form that PATTERNS has; ? is a missing unit.")
@net_options
@click.option("--targets", type=PLACE, help="associator, bam: what belongs to each pattern.  [itself; bam: the next]")
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


class Loads(click.ParamType[tuple[float, ...]]):
    """low:high:count, evenly spaced, or numbers with commas."""

    name = "loads"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            if ":" not in value:
                return tuple(float(part) for part in value.split(","))
            first, last, count = value.split(":")
            low, high, n = float(first), float(last), int(count)
            if not (low < high and n >= 2):
                raise ValueError(value)
            return tuple(round(low + (high - low) * i / (n - 1), 12) for i in range(n))
        except ValueError:
            self.fail(f"{value!r} is neither LOW:HIGH:COUNT, like 0.04:0.18:15, nor a list like 0.1,0.12", param, ctx)


@memory.command()
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder of the study; what it holds is kept.")
@click.option(
    "--models",
    default="hebb",
    show_default=True,
    type=Names(),
    help="hebb (Hopfield nets of Hebb's rule), pseudo-inverse, storkey, bidirectional.",
)
@click.option("--sizes", default="250,500,1000", show_default=True, type=Numbers(int, "250,500,1000"), help="Units.")
@click.option("--loads", type=Loads(), help="P / n: LOW:HIGH:COUNT, or a list.  [about the capacity of each]")
@click.option("--trials", default=20, show_default=True, type=click.IntRange(1), help="Sets of patterns for each load.")
@click.option(
    "--mistakes",
    default=0.0,
    show_default=True,
    type=float,
    help="Share of wrong units in a cue; 0: the pattern.",
)
@click.option("--ratio", default=1.0, show_default=True, type=float, help="bidirectional: second layer to the first.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of patterns, cues and orders.")
@seconds_option(GOES_ON)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@sweep_options
def capacity(
    folder: str,
    models: tuple[str, ...],
    sizes: list[int],
    loads: tuple[float, ...] | None,
    trials: int,
    mistakes: float,
    ratio: float,
    seed: int,
    as_json: bool,
    **sweeping: Any,
) -> None:
    """Recall random patterns at rising load in nets of several sizes, and set the errors beside the theory.

    \b
    Example:
      dynsys memory capacity -o runs/capacity --sizes 500,1000,2000 --trials 40 --jobs 2
    """
    from dynsys.analyses.memory.loads import Capacity, rows_of, run, sentences

    settings = Capacity(models, tuple(sizes), loads, trials, mistakes, ratio, seed)
    with told_if_cut(as_json), progress() as show:
        results = run(settings, folder, show, command=_command(), **sweeping)
    if as_json:
        print_json(results)
        return
    for net in results["nets"]:
        click.echo(f"\n{net['model']}")
        print_rows(rows_of(net))
    click.echo()
    _tell_end(sentences(results), folder, sweeping["shard"], results["cut"])


@memory.command()
@click.argument("patterns", required=False, type=PLACE)
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder of the study; what it holds is kept.")
@click.option("--only", type=Names(), help="Which of PATTERNS are stored, by their names, like A,J,L.  [all]")
@click.option("--units", type=click.IntRange(2), help="Without PATTERNS: units of the net.  [200]")
@click.option("--loads", type=Loads(), help="Without PATTERNS: P / n, LOW:HIGH:COUNT or a list.  [0.02,0.05,0.1,0.13]")
@click.option(
    "--distances",
    default="0:0.5:11",
    show_default=True,
    type=Loads(),
    help="Shares of the units that are wrong in a cue, LOW:HIGH:COUNT or a list.",
)
@click.option("--trials", default=50, show_default=True, type=click.IntRange(1), help="Cues at each distance.")
@net_options
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of patterns, cues and orders.")
@seconds_option(GOES_ON)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@sweep_options
def basins(
    patterns: str | None,
    folder: str,
    only: tuple[str, ...] | None,
    units: int | None,
    loads: tuple[float, ...] | None,
    distances: tuple[float, ...],
    trials: int,
    model: str,
    seed: int,
    seconds: float | None,
    as_json: bool,
    jobs: int,
    cluster: str | None,
    shard: str | None,
    retry_failed: bool,
    **choices: Any,
) -> None:
    """Tell from how far cues come home, and where the others end: of random patterns by load, or of PATTERNS.

    \b
    Examples:
      dynsys memory basins -o runs/basins --loads 0.05,0.1,0.13
      dynsys memory basins letters --only A,J,L,T,X -o runs/letters
    """
    from dynsys.analyses.memory.distances import Distances, rows_of, run, sentences
    from dynsys.analyses.memory.nets import Choices

    drawn: dict[str, Any] = {key: value for key, value in (("units", units), ("loads", loads)) if value is not None}
    if patterns is not None and drawn:
        raise click.UsageError(f"--{next(iter(drawn))} is of random patterns; leave it out, or PATTERNS")
    of_cues: dict[str, Any] = {
        "shares": distances,
        "trials": trials,
        "model": model,
        "seed": seed,
        "choices": Choices(**choices),
    }
    settings = Distances(patterns, only or (), **drawn, **of_cues)
    sweeping: dict[str, Any] = {"jobs": jobs, "cluster": cluster, "shard": shard, "retry_failed": retry_failed}
    with told_if_cut(as_json), progress() as show:
        results = run(settings, folder, show, command=_command(), seconds=seconds, **sweeping)
    if as_json:
        print_json(results)
        return
    print_rows(rows_of(results))
    click.echo()
    _tell_end(sentences(results), folder, shard, results["cut"])


def _tell_end(told: list[str], folder: str, shard: str | None, cut: Any) -> None:
    for sentence in told:
        click.echo(sentence)
    if shard is None:
        click.echo(f"Wrote report.html and results.json into {folder}.")
    elif not cut:
        after = typed("merge", folder)
        click.echo(f"Shard {shard} is done. When all are, the same command without --shard, after: {after}")


def _command() -> str:
    import shlex
    import sys

    return shlex.join(["dynsys", *sys.argv[1:]])

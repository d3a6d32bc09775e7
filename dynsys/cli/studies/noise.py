"""``dynsys noise``: how much noise networks bear."""

from __future__ import annotations

import math
from typing import Any

import click

from dynsys.cli.named import OneOf
from dynsys.cli.options import GOES_ON, choices_given, loading_options, seconds_option, sweep_options
from dynsys.cli.output import print_json, print_rows, told_if_cut
from dynsys.cli.place import PLACE
from dynsys.io.errors import typed
from dynsys.io.progress import progress


class Levels(click.ParamType[tuple[float, ...]]):
    """low:high:count, spaced geometrically, or numbers with commas."""

    name = "levels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            return self._spaced(value) if ":" in value else tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(
                f"{value!r} is neither LOW:HIGH:COUNT with 0 < LOW < HIGH and COUNT of 2 or more, like 1e-4:1:20, nor "
                "a list like 0.001,0.01,0.1",
                param,
                ctx,
            )

    @staticmethod
    def _spaced(value: str) -> tuple[float, ...]:
        first, last, count = value.split(":")
        low, high, n = float(first), float(last), int(count)
        if not (0 < low < high < math.inf and n >= 2):
            raise ValueError(value)
        between = (low * (high / low) ** (i / (n - 1)) for i in range(1, n - 1))
        return low, *between, high


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, type=PLACE)
@click.option(
    "-o", "--out", "folder", required=True, type=PLACE, help="Folder of the report; trials that it holds are kept."
)
@click.option(
    "--on", default="weights", show_default=True, type=OneOf("dynsys.analyses.noise.trial", "ON"), help="What gets it."
)
@click.option(
    "--weights", "weights", multiple=True, metavar="NAME", help="Which weights, once for each.  [the recurrent ones]"
)
@click.option(
    "--levels", default="1e-4:1:20", show_default=True, type=Levels(), help="Standard deviations, LOW:HIGH:COUNT."
)
@click.option(
    "--trials", default=10, show_default=True, type=click.IntRange(1), help="Draws of the noise; a band needs 6."
)
@click.option("--steps", default=5000, show_default=True, type=click.IntRange(1), help="Steps of each simulation.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of noise, inputs and states.")
@click.option(
    "--points",
    default="memories",
    show_default=True,
    type=OneOf("dynsys.analyses.noise.trial", "POINTS"),
    help="Which fixed points are followed under noise on the weights: all take at least five times as long.",
)
@click.option("--no-points", is_flag=True, help="The same as --points none.")
@seconds_option(GOES_ON)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@sweep_options
@loading_options
def noise(
    checkpoints: tuple[str, ...],
    folder: str,
    no_points: bool,
    as_json: bool,
    jobs: int,
    cluster: str | None,
    shard: str | None,
    retry_failed: bool,
    seconds: float | None,
    **options: Any,
) -> None:
    """Add Gaussian noise of rising level to networks of one task and size, and see what they still do.

    Every network meets the same noise, inputs and first states. With noise on the weights, the fixed points of each are
    followed as well: those that "dynsys find" left beside a checkpoint, or else found first; the study keeps a copy.
    A study that was interrupted goes on with the same command.

    \b
    Example:
      dynsys noise runs/flipflop -o runs/noise --levels 1e-3:1e-1:5 --trials 6 --jobs 2
    """
    import shlex
    import sys

    from dynsys.analyses.noise.study import NoiseStudy, run

    settings = {key: options.pop(key) for key in ("on", "weights", "levels", "trials", "steps", "seed", "points")}
    study = NoiseStudy(**{**settings, **({"points": "none"} if no_points else {})})
    command = shlex.join(["dynsys", *sys.argv[1:]])
    sweeping: dict[str, Any] = {"jobs": jobs, "cluster": cluster, "shard": shard, "retry_failed": retry_failed}
    told: dict[str, Any] = {"loading": choices_given(options), "command": command, "seconds": seconds}
    with told_if_cut(as_json), progress() as show:
        results = run(study, checkpoints, folder, show, **told, **sweeping)
    if as_json:
        print_json(results)
        return
    _print(results, folder, shard)


def _print(results: dict[str, Any], folder: str, shard: str | None) -> None:
    from dynsys.analyses.noise.tables import by_level, failing, has_task, summary, tells_failures

    for sentence in summary(results):
        click.echo(sentence)
    if tells_failures(results):
        tasks = any(map(has_task, results["networks"]))
        click.echo(f"\n{'MSE and bits right are those without noise; t' if tasks else 'T'}rials fail at these levels:")
        print_rows(failing(results))
    if not all(map(has_task, results["networks"])):
        click.echo("\nMSE against the network's own run without noise, mean and 95 % band over trials:")
        print_rows(by_level(results))
    if results["failed"]:
        click.echo(f"{len(results['failed'])} trials failed, the first: {results['failed'][0]['error']}")
    if shard is None:
        click.echo(f"\nWrote report.html and results.json into {folder}.")
    elif not results["cut"]:
        click.echo(
            f"\nShard {shard} is done. When all are, the same command without --shard, after: {typed('merge', folder)}"
        )

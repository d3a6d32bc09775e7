"""``dynsys train``: a network, trained on a task, into a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dynsys.cli.named import OPTIMISERS, TASKS, OneOf
from dynsys.cli.options import Named, seconds_option
from dynsys.cli.output import print_json
from dynsys.cli.place import PLACE
from dynsys.io.errors import typed
from dynsys.io.progress import progress

if TYPE_CHECKING:
    from dynsys.models.training.learning import Learned


class Schedule(click.ParamType[int | str]):
    """A number of steps, or log: and a number of snapshots."""

    name = "steps|log:count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        from dynsys.models.training.schedule import read_schedule

        try:
            return read_schedule(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("task", type=TASKS)
@click.argument("model")
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder of the run.")
@click.option(
    "--units",
    type=click.IntRange(2),
    help="Units of the network.  [esn: 1000, retrieval: 50, others: 64; trials: of the task]",
)
@click.option("--bits", type=click.IntRange(1), help="Flip-flop: bits to remember.  [3]")
@click.option("--layers", type=click.IntRange(1), help="Cells of torch: layers of the network.  [1]")
@click.option(
    "--bidirectional",
    is_flag=True,
    default=None,
    help="All but esn and fast-weights: a second network reads from the end. Commands then take one --direction.",
)
@click.option(
    "--activation",
    type=OneOf("dynsys.models.networks.leaky", "ACTIVATIONS"),
    help="esn (tanh or logistic), leaky and leaky-rate: of their units.  [tanh]",
)
@click.option(
    "--gain",
    type=click.FloatRange(0),
    help="esn: g of its recurrent weights, N(0, g^2 / units); above 1 it is chaotic untrained.  [1.2, paper: 1.5]",
)
@click.option(
    "--preset",
    type=OneOf("dynsys.models.training.by_force.recipes", "PRESETS"),
    help="esn: 'paper' is table 1 of Jang's term paper; what its text leaves open, as pulses and the range of W_fb and "
    "B, is this project's.  [default]",
)
@click.option("--inner", type=click.IntRange(0), help="fast-weights: inner steps S.  [1]")
@click.option(
    "--eta",
    "rate",
    type=click.FloatRange(0),
    metavar="NUMBER",
    help="fast-weights: rate of the fast weights.  [0.1; with --normalise slow 0.003]",
)
@click.option(
    "--lambda", "decay", type=click.FloatRange(0, 1, max_open=True), help="fast-weights: their decay.  [0.95]"
)
@click.option(
    "--normalise",
    type=OneOf("dynsys.models.fast_weights.network", "NORMALISED"),
    help="fast-weights: layer normalisation of the whole sum, or of W h + C x + b alone.  [all]",
)
@click.option("--start", type=PLACE, metavar="RUN", help="fast-weights: begin from the weights of another run.")
@click.option(
    "--identity",
    type=click.FloatRange(0),
    help="irnn and fast-weights: W begins at this multiple of the identity.  [1, 0.5; flip-flop 0.8]",
)
@click.option(
    "--begin",
    type=OneOf("dynsys.models.training.beginning", "BEGINNINGS"),
    help="irnn and fast-weights: W, U and V begin uniform, or all three at --identity times the identity.  [usual: W]",
)
@click.option(
    "--range",
    "reach",
    type=click.FloatRange(0, min_open=True),
    metavar="NUMBER",
    help="With --begin uniform: between minus this and this.  [sqrt(6 / (rows + columns))]",
)
@click.option("--alpha", type=click.FloatRange(0, 1, min_open=True), help="leaky, leaky-rate: dt / tau.  [of the task]")
@click.option(
    "--state-noise",
    type=click.FloatRange(0),
    help="leaky, leaky-rate: standard deviation of the noise in every unit, in training.  [of the task]",
)
@click.option(
    "--dale",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="leaky, leaky-rate: Dale's law, with this share of the units exciting all others and the rest inhibiting.",
)
@click.option(
    "--set",
    "options",
    multiple=True,
    type=Named(),
    metavar="NAME=VALUE",
    callback=lambda ctx, param, pairs: dict(pairs) or None,
    help="Tasks of trials: a number of the task, as their page has them, like --set delay=40.",
)
@click.option("--patterns", type=click.IntRange(2), help="One-to-many, many-to-one: sequences to remember.  [8]")
@click.option("--length", type=click.IntRange(7), help="One-to-many, many-to-one: steps of each.  [20]")
@click.option("--channels", type=click.IntRange(1), help="One-to-many, many-to-one: channels of each.  [2]")
@click.option(
    "--noise",
    type=click.FloatRange(0),
    help="One-to-many, many-to-one: standard deviation of what is added to all that is read.  [0.1, 0.3]",
)
@click.option("--steps", type=click.IntRange(100), help="Steps of training; the network's own number if not given.")
@click.option(
    "--pairs",
    metavar="K|LOW:HIGH",
    help="Retrieval: pairs of letter and digit, 1 to 26; 2:6 are strings of 2 to 6.  [4]",
)
@click.option("--batch", type=click.IntRange(1), help="All but the flip-flop and esn: examples in a step.")
@click.option("--optimizer", type=OPTIMISERS, help="All but esn.  [adam]")
@click.option(
    "--momentum", type=click.FloatRange(0, 1, max_open=True), help="With --optimizer momentum: its mu.  [0.9]"
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    help="All but esn.  [retrieval: 0.003, flip-flop: 0.05 / sqrt(units); sgd 80, momentum 8 times that]",
)
@click.option(
    "--snapshots",
    default="0",
    show_default=True,
    type=Schedule(),
    help="Keep what has been learned every so many steps (0: never), or at so many steps spaced geometrically from the "
    "first to the last: log:60.",
)
@click.option("--seed", type=click.IntRange(0), help="Seed of everything random.  [0]")
@seconds_option("the network is saved as it is, and the same command goes on with its training.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def train(
    task: str, model: str, folder: str, snapshots: int | str, seconds: float | None, as_json: bool, **options: Any
) -> None:
    """Train MODEL on TASK and write its checkpoint, curves and snapshots.

    TASK is flipflop, retrieval, many-to-one, one-to-many, or a task of trials: sine, integration, moving-average,
    match-to-sample, ready-set-go. MODEL is rnn, irnn, gru, lstm, lstm-peephole or lstm-coupled, fast-weights
    (retrieval), esn (flipflop and trials), leaky or leaky-rate (trials). A training that was interrupted goes on with
    the same command; that of an esn does where --seconds ended it.

    \b
    Examples:
      dynsys train flipflop esn -o runs/flipflop --bits 3 --units 1000 --seed 0
      dynsys train sine esn -o runs/sine
      dynsys train retrieval fast-weights -o runs/retrieval --units 50
      dynsys train retrieval fast-weights -o runs/settling --units 50 --inner 5 --start runs/retrieval
    """
    import time
    from pathlib import Path

    from dynsys.models.loading.run_folder import FILE_NAME, holds_points_of_another
    from dynsys.models.training.learners import learner

    learn, choices = learner(task, model), {key: value for key, value in options.items() if value is not None}
    began = time.perf_counter()
    with progress() as show:
        trained = learn(
            folder,
            snapshots=snapshots,
            on_progress=lambda done, total: show("train", done, total),
            seconds=seconds,
            **choices,
        )
    checkpoint, took = Path(folder) / FILE_NAME, time.perf_counter() - began
    if as_json:
        print_json(
            {
                "schema": "dynsys.training/1",
                "task": task,
                "model": model,
                "checkpoint": str(checkpoint),
                "seconds": took,
                "cut": None if trained.cut is None else trained.cut.to_json(),
                "metrics": trained.metrics,
                "learned": trained.learned,
            }
        )
        return
    click.echo(f"{trained.steps} steps in {took:.1f} s; on what it had not seen:")
    for name, value in trained.metrics.items():
        if name != PART:
            click.echo(f"  {name.replace('_', ' ').replace('mse', 'MSE'):<21} {value:.4g}{_note(name, trained)}")
    if trained.cut is not None:
        click.echo(trained.cut.sentence)
    elif not trained.learned:
        click.echo("The network did not learn the task. Try another --seed, more --units, or more --steps.")
    if holds_points_of_another(folder):
        click.echo(f"The fixed points in {folder} are of the network that was there before.")
    half = () if trained.network is not None else ("--direction", "forward", *RELU.get(model, ()))
    click.echo(f"Wrote {checkpoint}. Next: {typed('find', checkpoint, '-o', folder, *half)}")


PART = "mse_after_pulses"
RELU = {"irnn": ("--activation", "relu")}  # torch's names do not tell it


def _note(name: str, trained: Learned) -> str:
    """Beside the MSE, which part of it comes while the bits settle."""
    from dynsys.models.tasks.flipflop import FlipFlop, of_the_error

    task = getattr(trained.network, "task", None)
    told = of_the_error(trained.metrics, task.settle) if name == "mse" and isinstance(task, FlipFlop) else ""
    return f"   ({told})" if told else ""

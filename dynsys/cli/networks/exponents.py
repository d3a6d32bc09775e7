"""``dynsys exponents``: Lyapunov exponents with intervals and a verdict."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.numbers import Numbers
from dynsys.cli.options import choices_given, loading_options
from dynsys.cli.output import print_json, print_rows
from dynsys.cli.place import PLACE
from dynsys.io.progress import progress

SHOWN = 12  # exponents in the printed table


@click.command()
@click.argument("checkpoint", type=PLACE)
@click.option("-o", "--out", "path", type=PLACE, help="Page or still of the spectrum and how it converged.")
@click.option("--png", type=PLACE, help="A still as well, .png, .pdf or .svg by its name; needs the extra 'static'.")
@click.option("--save", type=PLACE, help="File for all numbers, .safetensors.")
@click.option("-k", "--count", type=click.IntRange(1), help="How many; all up to 512 variables, else 64.")
@click.option("--steps", type=click.IntRange(2), help="Steps that growth is added up over.")
@click.option("--burn-in", type=click.IntRange(0), help="Steps before them, on the way to the attractor.")
@click.option("--starts", type=click.IntRange(1), help="Trajectories; 32 for small systems, fewer for large ones.")
@click.option("--input", "held", type=Numbers(float, "0,0,1"), help="Input held, like 0,0,1; zeros if not given.")
@click.option(
    "--inputs",
    "sequence",
    type=PLACE,
    metavar="FILE",
    help="Inputs that drive it, time x n: .npz, .npy, .mat, .csv, .txt.",
)
@click.option("--step", default=0.1, show_default=True, type=float, help="Of a flow, in its time constants.")
@click.option("--interval", default=0.95, show_default=True, type=float, help="Level of the confidence intervals.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@loading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def exponents(
    checkpoint: str,
    path: str | None,
    png: str | None,
    save: str | None,
    count: int | None,
    steps: int | None,
    burn_in: int | None,
    starts: int | None,
    held: list[float] | None,
    sequence: str | None,
    step: float,
    interval: float,
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Lyapunov exponents of the network in CHECKPOINT, each with a confidence interval, with the Kaplan-Yorke
    dimension and the entropy rate, and whether they have converged.

    \b
    Examples:
      dynsys exponents runs/flipflop
      dynsys exponents model.pt --inputs trial.npz -o exponents.html
    """
    from dynsys.analyses.portrait import title_of
    from dynsys.exponents.lyapunov import ExponentsInterrupted, lyapunov_exponents
    from dynsys.exponents.spectrum import Exponents
    from dynsys.exponents.words import as_dict
    from dynsys.models.loading.checkpoint import load_and_tell
    from dynsys.models.loading.trajectories import inputs_from_file
    from dynsys.plots import lyapunov_spectrum
    from dynsys.plots.export import check_drawings, save_drawings

    if held is not None and sequence is not None:
        raise click.UsageError("--input is held and --inputs is a sequence: give one of the two")
    check_drawings(path, png)
    if save is not None:
        Exponents.check_place(save)
    system, _ = load_and_tell(checkpoint, **choices_given(options))
    inputs = held if sequence is None else inputs_from_file(sequence, system.n_input)
    try:
        with progress() as show:
            found = lyapunov_exponents(
                system,
                count,
                steps=steps,
                burn_in=burn_in,
                starts=starts,
                inputs=inputs,
                interval=interval,
                step=step,
                seed=seed,
                progress=show,
            )
    except ExponentsInterrupted as interrupt:
        found = interrupt.exponents
    if save is not None:
        found.save(save)
    if path is not None or png is not None:
        save_drawings(lyapunov_spectrum(found, title=title_of(system)), path, png)
    if as_json:
        print_json(as_dict(found))
    else:
        sight = found.sight()
        print_rows(sight.rows[:SHOWN], sight.right)
        if len(found) > SHOWN:
            click.echo(f"... and {len(found) - SHOWN} more; --save or --json has all")
        click.echo(found.sentence)
        for line in system.remarks():
            click.echo(line, err=True)
        written = [place for place in (path, png, save) if place is not None]
        if written:
            click.echo(f"Wrote {', '.join(written)}.")
    if found.stopped:
        raise click.exceptions.Exit(130)

"""``dynsys find``: the fixed and slow points of a network."""

from __future__ import annotations

import click

from dynsys.cli.numbers import Numbers
from dynsys.cli.output import print_json, print_points, search_lines
from dynsys.cli.progress import progress


@click.command()
@click.argument("checkpoint")
@click.option("-o", "--out", "folder", required=True, help="Folder for fixed_points.safetensors and .json.")
@click.option("--starts", default=512, show_default=True, type=click.IntRange(1), help="States to start from.")
@click.option(
    "--input",
    "held",
    type=Numbers(float, "0,0,1"),
    help="Input held, like 0,0,1; zeros if not given.",
)
@click.option(
    "--solver", default="auto", show_default=True, help="auto, gauss-newton, conjugate-gradient, newton or adam."
)
@click.option("--slow-q", default=1e-4, show_default=True, type=click.FloatRange(0), help="Largest q of a slow point.")
@click.option("--full-spectrum", is_flag=True, help="All eigenvalues, however large the network.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@click.option("--device", help="cpu or cuda.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def find(
    checkpoint: str,
    folder: str,
    starts: int,
    held: list[float] | None,
    solver: str,
    slow_q: float,
    full_spectrum: bool,
    seed: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Find and classify the fixed and slow points of the network in CHECKPOINT.

    \b
    Example:
      dynsys find runs/flipflop/checkpoint.safetensors -o runs/flipflop
    """
    from dynsys import load
    from dynsys.analyses.run import search_and_save, summary

    system = load(checkpoint)
    with progress() as show:
        points = search_and_save(
            system,
            folder,
            checkpoint,
            show,
            input=held,
            n_starts=starts,
            solver=solver,
            slow_q=slow_q,
            full_spectrum=full_spectrum,
            seed=seed,
            device=device,
        )
    if as_json:
        print_json(points.to_json())
        return
    print_points(points)
    click.echo("\n" + "\n".join(search_lines(points)))
    click.echo(f"\nFound {summary(points)}.")
    click.echo(f"Wrote {folder}/fixed_points.safetensors and .json. Next: dynsys portrait {folder} -o portrait.html")

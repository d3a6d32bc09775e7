"""``dynsys basins``: where memory flows, as a graph."""

from __future__ import annotations

import click

from dynsys.cli.output import print_json
from dynsys.cli.place import PLACE
from dynsys.io.progress import progress


@click.command()
@click.argument("run", type=PLACE)
@click.option("-o", "--out", "path", type=PLACE, help="Page or still of the graph; RUN/graph.html if not given.")
@click.option("--png", type=PLACE, help="A still as well, .png, .pdf or .svg by its name; needs the extra 'static'.")
@click.option("--samples", default=1024, show_default=True, type=click.IntRange(1), help="Starts of each kind.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Time for branches, samples and proofs, each.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the random starts.")
@click.option("--certify", is_flag=True, help="Prove a basin around each stable point too.")
@click.option(
    "--lmi",
    is_flag=True,
    help="With --certify: look for global contraction by a linear matrix inequality; extra 'lmi'.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def basins(
    run: str,
    path: str | None,
    png: str | None,
    samples: int,
    seconds: float | None,
    seed: int,
    certify: bool,
    lmi: bool,
    as_json: bool,
) -> None:
    """Follow every saddle of a RUN (a folder that 'dynsys find' wrote) along its unstable modes, both ways, to where
    it ends, and tell which share of random starts and of the task's own states ends in each attractor. With --certify
    prove besides, rounding included, within which distance of each stable point every state comes to it, and draw
    levels of the Lyapunov function that proves it, below the graph.

    The branches are drawn by 'dynsys portrait RUN' from then on.

    \b
    Example:
      dynsys basins runs/flipflop -o graph.html
    """
    from pathlib import Path

    from dynsys.analyses.memory_flow import MemoryFlow, prove
    from dynsys.analyses.memory_flow import run as follow
    from dynsys.analyses.pictures import draw
    from dynsys.lyapunov.inequality import check_solver
    from dynsys.plots.export import check_drawings

    path = path or str(Path(run) / "graph.html")
    check_drawings(path, png)
    if lmi:
        if not certify:
            raise click.UsageError("--lmi is about what --certify proves; give both")
        check_solver()
    with progress() as show:
        found, shares = follow(MemoryFlow(samples, seconds, seed), run, show)
        proved = prove(run, seconds, show, lmi) if certify else None
    if as_json:
        told = {} if proved is None else {"certified": proved.to_json()}
        print_json({"connections": found.to_json(), "basins": shares.to_json(), **told})
    else:
        click.echo("\n".join([found.summary(), shares.summary(), *([proved.summary()] if proved else [])]))
    draw("graph", run, path, png, below=["surface"] if proved is not None and proved.has_surface else [])
    if not as_json:
        kept = "memory.json and certified.safetensors" if certify else "memory.json"
        click.echo(f"Wrote {path}{f' and {png}' if png else ''}, and {kept} in {run}.")

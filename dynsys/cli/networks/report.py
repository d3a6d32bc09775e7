"""``dynsys report``: everything that one file can tell, on one page."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.options import choices_given, loading_options
from dynsys.cli.place import PLACE
from dynsys.io.progress import progress


@click.command()
@click.argument("checkpoint", type=PLACE)
@click.option("-o", "--out", "path", type=PLACE, required=True, help="The page to write, .html.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@click.option(
    "--seconds",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Time for each part: the search, modes, branches, basins, exponents. What is left out is said.",
)
@click.option("--shared-js", is_flag=True, help="plotly.js once, in a file that the pages of one folder share.")
@loading_options
def report(checkpoint: str, path: str, seed: int, seconds: float, shared_js: bool, **options: Any) -> None:
    """Tell everything about the network in CHECKPOINT on one page: what was recognised, its phase portrait with named
    memories, points, spectra and slow modes, basins and the graph of its saddles, where trajectories settle, Lyapunov
    exponents where they do not, what may be missing, and whom to cite. A click on a point shows what is known of it.

    Of a folder of checkpoints each has its page, and the page named is their index. What was found is kept in PAGE_run
    beside the page (of a RUN in the RUN itself) and is not computed again.

    \b
    Examples:
      dynsys report model.pt -o model.html
      dynsys report runs/flipflop -o flipflop.html
    """
    from dynsys.analyses.one_network.pages import write_pages
    from dynsys.analyses.one_network.study import Whole

    settings = Whole(seed, seconds, choices_given(options))
    with progress() as show:
        written = write_pages(checkpoint, path, settings, show, shared_js)
    for line in written.lines:
        click.echo(line)
    if written.interrupted:
        raise KeyboardInterrupt

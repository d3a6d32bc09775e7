"""What the claims of Jang's paper come to on other networks: the table of ``docs/claims.md``.

    python benchmarks/claims.py FOLDER --units 500 --seeds 5 --jobs 2
    python benchmarks/claims.py FOLDER --preset paper --units 500 --seeds 5 --jobs 2

Interrupted, it goes on with the same command. ``report.html`` in the folder has the figures behind each claim.
"""

from __future__ import annotations

from typing import Any

import click

from dynsys.analyses.claims.study import Claims, run
from dynsys.analyses.report import in_words
from dynsys.io.progress import progress
from dynsys.models.training.by_force.recipes import PRESETS

FORMED = {"default": ("1.2,0.9", "600,log:60"), "paper": ("1.5", "500")}  # gains, and snapshots of their training


@click.command()
@click.argument("folder")
@click.option("--preset", default="default", show_default=True, type=click.Choice(list(PRESETS)), help="The recipe.")
@click.option("--units", default=500, show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--bits", default=4, show_default=True)
@click.option("--trials", default=10, show_default=True, help="Of noise, for each network.")
@click.option("--steps", default=5000, show_default=True, help="Of each of these.")
@click.option("--gains", help="[1.2,0.9; paper: 1.5]")
@click.option("--snapshots", help="Of the training of each gain.  [600,log:60; paper: 500]")
@click.option("--memories-only", is_flag=True, help="Of the networks compared search for stable points alone.")
@click.option("--jobs", default=2, show_default=True)
def main(folder: str, preset: str, jobs: int, gains: str | None, snapshots: str | None, **settings: Any) -> None:
    usual = FORMED[preset]
    formed = {
        "gains": tuple(map(float, (gains or usual[0]).split(","))),
        "snapshots": tuple((snapshots or usual[1]).split(",")),
    }
    with progress() as show:
        results = run(Claims(preset=preset, **formed, **settings), folder, show, jobs=jobs)
    click.echo("| claim | section | seeds | verdict | found |\n|---|---|---|---|---|")
    for claim in results["claims"]:
        cells = (
            claim["claim"],
            claim["section"],
            f"{claim['held']} of {claim['of']}",
            claim["verdict"],
            claim["found"],
        )
        click.echo(f"| {' | '.join(cells)} |")
    for name, table in results["tables"].items():
        head = list(table[0])
        click.echo(f"\n## {name}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
        for row in table:
            click.echo(f"| {' | '.join(in_words(row[key]) for key in head)} |")
    for failed in results["failed"]:
        click.echo(f"\n{failed['id']}: {failed['error']}")


if __name__ == "__main__":
    main()

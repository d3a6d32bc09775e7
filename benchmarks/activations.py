"""Tanh against logistic networks by their fixed points: how many, how stable, how fast (Jang, section 8).

    python benchmarks/activations.py --units 500 --seeds 3

The seed compares the two by their errors under noise alone. Here both learn the flip-flop by the default recipe from
the same random seeds, and a whole search finds their points.
"""

from __future__ import annotations

import click

from dynsys import find_fixed_points
from dynsys.analyses.points_compared import of_points, rows
from dynsys.analyses.report import in_words
from dynsys.models.training.by_force.recipes import PRESETS, train_esn


@click.command()
@click.option("--units", default=500, show_default=True)
@click.option("--bits", default=3, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--preset", default="default", show_default=True, type=click.Choice(list(PRESETS)))
def main(units: int, bits: int, seeds: int, preset: str) -> None:
    """Print a row for each network, as a table of Markdown."""
    begun = False
    for seed in range(seeds):
        for activation in ("tanh", "logistic"):
            trained = train_esn(PRESETS[preset](bits, units, activation, seed))
            points = find_fixed_points(trained.network, seed=seed)
            (row,) = rows({f"{activation}, seed {seed}": of_points(points)})
            row |= {"accuracy": trained.metrics["settled_bit_accuracy"], "index sum": points.search.index_sum}
            if not begun:
                print(f"| {' | '.join(row)} |\n|{'---|' * len(row)}")
                begun = True
            print(f"| {' | '.join(in_words(value) for value in row.values())} |", flush=True)


if __name__ == "__main__":
    main()

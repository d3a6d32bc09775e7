"""Regions of ReLU networks: how many a proof has to look at, what it costs, and what going from region to region finds.

Processor seconds of one thread, so that a busy machine does not count. Networks: h' = max(W h + b, 0) with
W ~ N(0, g^2 / n) and b ~ N(0, 1); the same with a few bistable units among the others; and cycles of a tent map among
other units.

python benchmarks/regions.py
python benchmarks/regions.py --largest 30 --seeds 3
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import click
import numpy as np
import torch

from dynsys.models.rate.leaky_rate import LeakyActivity
from dynsys.models.recurrent.vanilla import RNN
from dynsys.piecewise_linear.region_solve import decided, solve_regions
from dynsys.piecewise_linear.regions import RegionSearch, search_regions
from dynsys.systems.pieces import Pieces

SIZES = (6, 12, 20, 30, 40, 50)
ENUMERATED = 14  # units up to which all regions are solved beside
BISTABLE = 4


def random_network(n: int, seed: int, gain: float = 2.0) -> LeakyActivity:
    rng = np.random.default_rng(seed)
    return LeakyActivity(rng.standard_normal((n, n)) * gain / np.sqrt(n), b=rng.standard_normal(n), activation="relu")


def memory_network(n: int, seed: int) -> LeakyActivity:
    """``BISTABLE`` units h = max(2 h - 1, 0) and n more, all coupled: 2^BISTABLE fixed points or about so many."""
    rng = np.random.default_rng(seed)
    W, b = rng.standard_normal((n, n)) * 0.5 / np.sqrt(n), rng.standard_normal(n)
    W[:BISTABLE, :BISTABLE] *= 0.5
    W[:BISTABLE, BISTABLE:] *= 0.3
    W[range(BISTABLE), range(BISTABLE)] = 2.0
    b[:BISTABLE] = -1.0
    return LeakyActivity(W, b=b, activation="relu")


def tent_network(n: int, seed: int) -> RNN:
    """The tent map of slope 1.9 by two units, driving and driven by n - 2 more."""
    rng = np.random.default_rng(seed)
    W, b = rng.standard_normal((n, n)) * 0.25, rng.standard_normal(n)
    W[:2, :2] = [[1.9, -3.8], [1.9, -3.8]]
    b[:2] = 0.02, -0.48
    return RNN({"weight_ih_l0": np.zeros((n, 1)), "weight_hh_l0": W, "bias_ih_l0": b}, nonlinearity="relu")


def measured(search: Callable[[], RegionSearch]) -> tuple[RegionSearch, float]:
    began = time.process_time()
    found = search()
    return found, time.process_time() - began


def enumeration(pieces: Pieces) -> tuple[int, float]:
    """How many regions hold their own zero, and the seconds, when every one is solved."""
    began = time.process_time()
    m = pieces.n_units
    every = ((torch.arange(2**m).unsqueeze(1) >> torch.arange(m)) & 1).bool()
    inside = decided(pieces, solve_regions(pieces, every))[0]
    return int(inside.sum()), time.process_time() - began


def row(name: str, make: Callable[[int, int], LeakyActivity | RNN], n: int, seeds: int, period: int = 1) -> str:
    """One line of the table: medians over the networks, and ranges of what they hold."""
    proofs, walks, shares, every = [], [], [], []
    for seed in range(seeds):
        system = make(n, seed)
        proof, seconds = measured(lambda system=system: search_regions(system, period=period))  # type: ignore[misc]
        walk, shorter = measured(lambda system=system: search_regions(system, period=period, prove=False))  # type: ignore[misc]
        proofs.append((proof, seconds))
        walks.append((walk, shorter))
        if proof.complete:
            shares.append(f"{len(walk)}/{len(proof)}")
        if n * period <= ENUMERATED and period == 1:
            pieces = system.pieces(torch.zeros(1, system.n_input, dtype=torch.float64))
            assert pieces is not None
            count, took = enumeration(pieces)
            assert count == len(proof)
            every.append(took)
    whole = sum(proof.complete for proof, _ in proofs)
    return " | ".join(
        [
            f"| {name}",
            f"{n * period}",
            f"2^{n * period}",
            ", ".join(str(len(proof)) for proof, _ in proofs),
            f"{median(proof.nodes for proof, _ in proofs):.0f}",
            f"{median(seconds for _, seconds in proofs):.2g} s",
            f"{whole} of {seeds}",
            f"{median(every):.2g} s" if every else "",
            f"{median(walk.solved for walk, _ in walks):.0f}",
            f"{median(seconds for _, seconds in walks):.2g} s",
            f"{', '.join(shares)} |",
        ]
    )


@click.command()
@click.option("--largest", default=50, show_default=True, help="Most units.")
@click.option("--seeds", default=5, show_default=True, help="Networks of each kind and size.")
def main(largest: int, seeds: int) -> None:
    """Print the table of docs/relu.md."""
    torch.set_num_threads(1)
    click.echo(
        "| network | units | regions | points | nodes | proof | complete | all solved | solved | way | found by it |"
    )
    click.echo("|---|---|---|---|---|---|---|---|---|---|---|")
    sizes = [n for n in SIZES if n <= largest]
    for n in sizes:
        click.echo(row("random, g = 2", random_network, n, seeds))
    for n in sizes:
        click.echo(row(f"{BISTABLE} bistable units", memory_network, n, seeds))
    for n, period in ((5, 2), (5, 3), (5, 4), (8, 4)):
        if n * period <= largest:
            click.echo(row(f"tent map, period {period}", tent_network, n, seeds, period))


if __name__ == "__main__":
    main()

"""Topology shared across architectures, geometry not: the test of Maheswaranathan et al. (2019), on the flip-flop.

Networks of several architectures and seeds learn one task; every two of them are compared. Topology is the skeleton of
their fixed points (indices and readouts), geometry the states that they pass under the same inputs (1 less linear CKA,
and 1 less Procrustes' overlap). Does a distance tell whether two networks are of one architecture? Its mean over pairs
of two architectures, less that over pairs of one, is held against the same of shuffled names (one-sided).

python benchmarks/universality.py [--seeds 3] [--map map.html]
"""

from __future__ import annotations

import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import dynsys
from dynsys.comparison.compared import embedded
from dynsys.result.fixed_points import FixedPoints

Array = NDArray[np.float64]

ARCHITECTURES = ("rnn", "gru", "lstm")
STEPS, FIRST = 600, 50  # of the inputs that all networks are given, and those left out
SHUFFLES = 10_000
PARTS = ("skeleton", "spectra", "cka", "procrustes")


def learned(kind: str, seed: int, bits: int, units: int, folder: Path) -> tuple[FixedPoints, Array]:
    """The points of a network, and its states (T, n) under inputs that are the same for all."""
    trained = dynsys.train("flipflop", kind, folder, bits=bits, units=units, seed=seed)
    network: Any = trained.network
    u = network.task.trial(STEPS, seed=[0, 0]).inputs[:, None]
    states = np.asarray(dynsys.simulate(network, np.zeros((1, network.n_state)), np.asarray(u, dtype=np.float64)))
    points = dynsys.find_fixed_points(network)
    accuracy = trained.metrics.get("settled_bit_accuracy", float("nan"))
    stable = int((points.n_unstable == 0).sum())
    print(f"{kind:5s} seed {seed}: bit accuracy {accuracy:.3f}, {len(points)} points, {stable} stable", flush=True)
    return points, states[FIRST:, 0]


def distances(networks: list[tuple[FixedPoints, Array]]) -> tuple[dict[str, Array], Array]:
    """Tables (k, k) of each distance, and whether (k, k) two skeletons have all points in common."""
    k = len(networks)
    tables = {name: np.zeros((k, k)) for name in PARTS}
    same = np.eye(k, dtype=bool)
    for i, j in combinations(range(k), 2):
        (a, x), (b, y) = networks[i], networks[j]
        near = dynsys.compare(a, b, states=(x, y))
        other = dynsys.compare(a, b, states=(x, y), representation="procrustes")
        found = {"skeleton": near.parts["skeleton"], "spectra": near.parts.get("spectra", np.nan)}
        found |= {"cka": near.parts["representation"], "procrustes": other.parts["representation"]}
        for name, value in found.items():
            tables[name][i, j] = tables[name][j, i] = value
        same[i, j] = same[j, i] = near.parts["skeleton"] == 0
    return tables, same


def apart(table: Array, kinds: NDArray[np.str_]) -> tuple[float, float]:
    """Means over pairs of one kind and of two."""
    i, j = np.triu_indices(len(kinds), 1)
    one = kinds[i] == kinds[j]
    return float(np.nanmean(table[i, j][one])), float(np.nanmean(table[i, j][~one]))


def chance(table: Array, kinds: NDArray[np.str_]) -> float:
    """The share of shuffled names by which the difference of both means is as large."""
    within, across = apart(table, kinds)
    rng = np.random.default_rng(0)
    shuffled = [apart(table, rng.permutation(kinds)) for _ in range(SHUFFLES)]
    return float(np.mean([b - a >= across - within - 1e-12 for a, b in shuffled]))


@click.command()
@click.option("--seeds", default=3)
@click.option("--bits", default=2)
@click.option("--units", default=24)
@click.option("--map", "page", help="HTML: the map of the networks by Procrustes' distance, coloured by architecture.")
def main(seeds: int, bits: int, units: int, page: str | None) -> None:
    """Train, search, compare; a row for each distance."""
    networks, kinds = [], []
    with tempfile.TemporaryDirectory() as place:
        for kind in ARCHITECTURES:
            for seed in range(seeds):
                networks.append(learned(kind, seed, bits, units, Path(place) / f"{kind}{seed}"))
                kinds.append(kind)
    tables, same = distances(networks)
    names = np.array(kinds)
    i, j = np.triu_indices(len(names), 1)
    one = names[i] == names[j]
    print(f"equal in all points: {same[i, j][one].sum()} of {one.sum()} pairs of one architecture, ", end="")
    print(f"{same[i, j][~one].sum()} of {(~one).sum()} of two")
    print("distance    one architecture   two   share of shuffled names as far apart")
    for name, table in tables.items():
        within, across = apart(table, names)
        print(f"{name:11s}{within:16.3f}{across:8.3f}{chance(table, names):14.4f}")
    if page:
        table = tables["procrustes"]
        figure = dynsys.plots.network_map(
            embedded(table), [f"{k} {n % seeds}" for n, k in enumerate(kinds)], kinds, table
        )
        dynsys.plots.save_html(figure, page)


if __name__ == "__main__":
    main()

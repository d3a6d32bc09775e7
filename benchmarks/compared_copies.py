"""Copies of runs compared with the runs: distance 0, and a memory less is always seen.

A copy has its states rotated into three dimensions more and shifted, its points in another order, its outputs in
another order and with other signs. The second copy lacks one stable point, drawn at random.

python benchmarks/compared_copies.py RUN... [--copies 1000]
"""

from __future__ import annotations

import dataclasses

import click
import numpy as np

import dynsys
from dynsys.analyses.run import points_of
from dynsys.result.fixed_points import FixedPoints


def copied(points: FixedPoints, rng: np.random.Generator) -> FixedPoints:
    """In other coordinates, another order, and with other names of its outputs."""
    n, outputs = points.states.shape[1], rng.permutation(points.readouts.shape[1])
    Q = np.linalg.qr(rng.standard_normal((n + 3, n + 3)))[0][:n]
    copy = points[rng.permutation(len(points))]
    states = copy.states @ Q + rng.standard_normal(n + 3)
    readouts = copy.readouts[:, outputs] * rng.choice([-1.0, 1.0], len(outputs))
    return dataclasses.replace(copy, states=states, readouts=readouts)


def without_a_memory(points: FixedPoints, rng: np.random.Generator) -> FixedPoints:
    stable = np.flatnonzero(points.n_unstable == 0)
    return points[np.delete(np.arange(len(points)), rng.choice(stable))]


@click.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--copies", default=1000)
def main(runs: tuple[str, ...], copies: int) -> None:
    """A line for each run."""
    for run in runs:
        points, same, seen = points_of(run)[0], 0, 0
        for seed in range(copies):
            rng = np.random.default_rng(seed)
            copy = copied(points, rng)
            whole = dynsys.compare(points, copy)
            less = dynsys.compare(points, without_a_memory(copy, rng))
            same += whole.distance == 0 and whole.skeleton == "equal"
            seen += less.distance > 0 and less.skeleton == "different"
        name, n = points.about.get("name", "a system"), points.states.shape[1]
        told = f"distance 0: {same} of {copies}; a lost memory seen: {seen} of {copies}"
        print(f"{name}, {n} state variables, {len(points)} points: {told}", flush=True)


if __name__ == "__main__":
    main()

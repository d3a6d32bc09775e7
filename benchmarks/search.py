"""What a search finds and what it costs: the flip-flop network, the paper's 2-D example, bistable units.

python benchmarks/search.py --units 1000 --seeds 1
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter

import click
import numpy as np

from dynsys import find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.models.examples.simple2d import Simple2D
from dynsys.models.training.by_force.force import Force
from dynsys.models.training.by_force.recipes import PRESETS, train_esn
from dynsys.result.fixed_points import FixedPoints


@click.command()
@click.option("--units", default=1000, show_default=True)
@click.option("--bits", default=3, show_default=True)
@click.option("--activation", default="tanh", show_default=True)
@click.option("--seeds", default=1, show_default=True, help="Networks trained, seeds 0, 1, ...")
@click.option("--full", is_flag=True, help="Time the full spectrum as well.")
@click.option("--plain", is_flag=True, help="Trained without noise for 60,000 steps, which leaves more fixed points.")
def main(units: int, bits: int, activation: str, seeds: int, full: bool, plain: bool) -> None:
    print("the paper: about 180 s for 20 points at N = 1000")
    print("seed  points  stable  1 unst.  2 unst.  more  max q    index sum  missed >=  search s  classify s  total s")
    for seed in range(seeds):
        recipe = PRESETS["default"](bits, units, activation, seed)
        if plain:
            force = Force(noise=0.0, alpha=1.0, seed=seed)
            recipe = dataclasses.replace(recipe, practice=recipe.task, force=force, steps=60_000)
        network = train_esn(recipe).network
        points, search, total = timed(network, full=False)
        print(row(seed, points, search, total))
        if full:
            _, search, total = timed(network, full=True)
            print(
                f"{seed:4}  with the full spectrum of every point: classify {total - search:.1f} s, total {total:.1f} s"
            )
    known_systems()


def timed(network: object, full: bool) -> tuple[FixedPoints, float, float]:
    """The points, the seconds until classification began, and all seconds."""
    began, marks = time.perf_counter(), []

    def progress(stage: str, done: int, total: int) -> None:
        if stage != "classify":
            marks.append(time.perf_counter() - began)

    points = find_fixed_points(network, full_spectrum=full, progress=progress)
    return points, marks[-1], time.perf_counter() - began


def row(seed: int, points: FixedPoints, search: float, total: float) -> str:
    fixed = points[points.verdict == "fixed"]
    by = Counter(fixed.n_unstable.tolist())
    more = len(fixed) - by[0] - by[1] - by[2]
    report = points.search
    return (
        f"{seed:4}  {len(fixed):6}  {by[0]:6}  {by[1]:7}  {by[2]:7}  {more:4}  {fixed.q.max():.1e}  "
        f"{report.index_sum!s:>9}  {report.estimated_missed or 0:9.1f}  {search:8.1f}"
        f"  {total - search:10.1f}  {total:7.1f}"
    )


def known_systems() -> None:
    print("\nsystems with known fixed points")
    print("system       known  found  stable  largest distance  seconds")
    exact = np.array([[-1.0, -0.5], [1.0, 0.5], [0.0, 0.0]])
    report("simple2d", Simple2D(), exact, 2)
    for n in range(1, 6):
        system = Bistable(n)
        report(f"bistable {n}", system, system.fixed_points()[0], 2**n)


def report(name: str, system: object, exact: np.ndarray, stable: int) -> None:
    began = time.perf_counter()
    points = find_fixed_points(system)
    seconds = time.perf_counter() - began
    distance = np.linalg.norm(points.states[:, None] - exact[None], axis=2).min(axis=1).max()
    found = int(np.char.startswith(points.stability, "stable").sum())
    print(f"{name:12} {len(exact):5}  {len(points):5}  {found:2} of {stable:2}  {distance:16.1e}  {seconds:7.2f}")


if __name__ == "__main__":
    main()

"""How reliably each network learns the flip-flop by backpropagation, and whether its fixed points are the cube's.

The points of a perfect memory of 3 bits are 27 = 3^3: 8 memories, 12 edges, 6 faces and the middle, with 0, 1, 2 and 3
unstable directions.

python benchmarks/flipflop_networks.py --seeds 5
python benchmarks/flipflop_networks.py --cells irnn --units 16 --seeds 10
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import Counter
from math import comb

import click
import numpy as np
from joblib import Parallel, delayed

from dynsys import find_fixed_points
from dynsys.models.training.learners import learner


def one_run(cell: str, units: int, bits: int, seed: int) -> tuple[dict[str, float], int, float, Counter[int], float]:
    """Scores, steps, CPU seconds of training; isolated fixed points by unstable directions, CPU seconds of search."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        learned = learner("flipflop", cell)(folder, units=units, bits=bits, seed=seed)
    trained = time.process_time()
    points = find_fixed_points(learned.network, seed=seed)
    fixed = points[points.verdict == "fixed"]
    kinds = Counter(int(k) for k in fixed.n_unstable)
    return learned.metrics, learned.steps, trained - began, kinds, time.process_time() - trained


def listed(ctx: click.Context, param: click.Parameter, value: str) -> list[str]:
    return value.split(",")


@click.command()
@click.option("--cells", default="rnn,gru,lstm,irnn", show_default=True, callback=listed, help="Networks, with commas.")
@click.option("--units", default="16,64", show_default=True, callback=listed, help="Sizes, with commas.")
@click.option("--bits", default=3, show_default=True)
@click.option("--seeds", default=5, show_default=True, help="How many random seeds for each network and size.")
@click.option("--first-seed", default=0, show_default=True)
@click.option("--jobs", default=1, show_default=True, help="Runs at a time, each with one thread.")
def main(cells: list[str], units: list[str], bits: int, seeds: int, first_seed: int, jobs: int) -> None:
    """Print one row for each network and size."""
    cube = Counter({k: comb(bits, k) * 2 ** (bits - k) for k in range(bits + 1)})
    print(f"cube = its {3**bits} fixed points have {dict(cube)} points with so many unstable directions, and no others")
    print(
        "network       units    accuracy least   settled MSE most       steps  train s: mean, max cube points    find s"
    )
    for cell, n in itertools.product(cells, map(int, units)):
        runs = (delayed(one_run)(cell, n, bits, seed) for seed in range(first_seed, first_seed + seeds))
        scores, steps, train, kinds, search = zip(*Parallel(n_jobs=jobs)(runs), strict=True)
        points = sorted(kind.total() for kind in kinds)
        print(
            f"{cell:13} {n:5} {min(s['settled_bit_accuracy'] for s in scores):16.4f} "
            f"{max(s['settled_mse'] for s in scores):18.1e} {min(steps):5}-{max(steps):<5} "
            f"{np.mean(train):9.1f} {max(train):7.1f} {sum(kind == cube for kind in kinds):4}/{seeds:<2} "
            f"{points[0]:3}-{points[-1]:<3} {np.mean(search):9.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

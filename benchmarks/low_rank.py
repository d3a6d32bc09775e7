"""Complete searches of low-rank networks: agreement with a plain search, and what they cost on one thread.

python benchmarks/low_rank.py [--networks 100] [--units 50] [--sizes]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from numpy.typing import NDArray

import dynsys
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.models.rate.low_rank import LowRank
from dynsys.proof.latent_boxes import BoxSearch, search_boxes

Array = NDArray[np.float64]

APART = 1e-6  # of the size of a state: farther than this from every proved point, a point is another


def network(seed: int, n: int, r: int, kind: str) -> tuple[Array, Array, Array]:
    """M, N and a bias: loadings that overlap, or are independent of each other."""
    rng = np.random.default_rng(seed)
    M, rest, bias = rng.standard_normal((n, r)), rng.standard_normal((n, r)), rng.standard_normal(n)
    N = (rng.uniform(1, 5) * M + rest) / n if kind == "overlapping" else rng.uniform(1, 2) * rest / np.sqrt(n)
    return M, N, (0.0, 0.3)[seed % 2] * bias


def proof(M: Array, N: Array, bias: Array) -> BoxSearch:
    latent = LowRank(M, N, bias=bias).latent(torch.zeros(1, 0, dtype=torch.float64))
    assert latent is not None
    return search_boxes(latent)


def agreement(networks: int, units: int) -> None:
    """Every point of a plain search of the same network with whole weights, among those that are proved?"""
    complete = agreeing = more_proved = missed = 0
    for seed in range(networks):
        M, N, bias = network(seed, units, 1 + seed % 3, ("overlapping", "independent")[seed // 3 % 2])
        found = proof(M, N, bias)
        plain = dynsys.find_fixed_points(LeakyRate(M @ N.T, b=bias), n_starts=256, seed=seed, verify=False)
        fixed = plain[plain.verdict == "fixed"].states
        apart = np.linalg.norm(fixed[:, None] - found.states.numpy(), axis=2)
        beside = apart.min(1) > APART * (1 + np.linalg.norm(fixed, axis=1))
        complete += found.complete
        agreeing += len(found) == len(fixed) and not beside.any()
        more_proved += len(found) > len(fixed)
        missed += found.complete and bool(beside.any())
    print(
        f"{networks} networks of {units} units: {complete} proved to be complete, {agreeing} with the same points as a"
    )
    print(f"plain search, {more_proved} with more; claimed to be complete with a point missing: {missed}")


def sizes() -> None:
    """Seconds of one thread by size, rank and kind of network."""
    print(f"{'units':>6} {'rank':>5}  {'loadings':<12} {'points':>6} {'complete':>9} {'boxes':>8} {'seconds':>8}")
    for n in (100, 500, 2000):
        for r in (1, 2, 3):
            for kind in ("overlapping", "independent"):
                began = time.process_time()
                found = proof(*network(0, n, r, kind))
                spent = time.process_time() - began
                print(f"{n:6} {r:5}  {kind:<12} {len(found):6} {found.complete!s:>9} {found.boxes:8,} {spent:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--units", type=int, default=50)
    parser.add_argument("--sizes", action="store_true", help="only the table of seconds")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sizes()
    if not given.sizes:
        agreement(given.networks, given.units)


if __name__ == "__main__":
    main()

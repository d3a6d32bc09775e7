"""Complete searches of low-rank networks: agreement with a plain search, and what they cost on one thread.

python benchmarks/low_rank.py [--networks 100] [--units 50] [--only sizes relu trained inputs agreement]
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
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.piecewise_linear.latent.search import search_latent_regions
from dynsys.proof.latent_boxes import BoxSearch, search_boxes
from dynsys.proof.latent_inputs import points_over_inputs

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


def relu_sizes() -> None:
    """The same for ReLUs, by the regions of their latent variables."""
    print(f"{'units':>6} {'rank':>5}  {'loadings':<12} {'points':>6} {'complete':>9} {'boxes':>8} {'seconds':>8}")
    for n in (512, 1024, 2000):
        for r in (1, 2, 3):
            for kind in ("overlapping", "independent", "no bias"):
                M, N, _ = network(0, n, r, "independent" if kind == "no bias" else kind)
                bias = None if kind == "no bias" else np.random.default_rng(n + r).standard_normal(n)
                relu, nothing = LowRank(M, N, "relu", bias=bias), torch.zeros(1, 0, dtype=torch.float64)
                latent, pieces = relu.latent(nothing), relu.pieces(nothing)
                assert latent is not None
                assert pieces is not None
                began = time.process_time()
                found = search_latent_regions(latent, pieces)
                spent = time.process_time() - began
                print(f"{n:6} {r:5}  {kind:<12} {len(found):6} {found.complete!s:>9} {found.nodes:8,} {spent:8.2f}")


def trained(seeds: int = 3, units: int = 100) -> None:
    """Networks of rank 2 that have learned to hold one or two bits: every point of a plain search is a proved one."""
    print(
        f"{'bits':>5} {'seed':>5} {'right':>6} {'points':>6} {'stable':>6} {'complete':>9} {'plain':>6} {'beside':>7}"
    )
    for bits in (1, 2):
        for seed in range(seeds):
            learned, right = taught(bits, seed, units)
            points = dynsys.find_fixed_points(learned, n_starts=16)
            whole = LeakyRate((learned.M @ learned.N.T).numpy(), b=learned.b.numpy())
            plain = dynsys.find_fixed_points(whole, n_starts=256, verify=False)
            fixed = plain[plain.verdict == "fixed"].states
            apart = np.linalg.norm(fixed[:, None] - points.states, axis=2).min(1)
            beside = int((apart > APART * (1 + np.linalg.norm(fixed, axis=1))).sum())
            stable = int((points.n_unstable == 0).sum())
            print(
                f"{bits:5} {seed:5} {right:6.1%} {len(points):6} {stable:6} {points.search.complete!s:>9} "
                f"{len(fixed):6} {beside:7}"
            )


def taught(bits: int, seed: int, units: int) -> tuple[LowRank, float]:
    """A network that was trained by backpropagation through Euler steps of 0.2, and how much of its output is right."""
    task, share = FlipFlop(bits=bits, pulse=5, gap=15.0, settle=12), 0.2
    generator = torch.Generator().manual_seed(seed)
    sizes = {"M": (units, 2), "N": (units, 2), "B": (units, bits), "b": (units,), "W": (bits, units)}
    scale = {"M": 1.0, "N": 1 / units, "B": 1.0, "b": 0.1, "W": 1 / units}
    weights = {key: scale[key] * torch.randn(*size, generator=generator) for key, size in sizes.items()}
    for value in weights.values():
        value.requires_grad_()
    rates = [{"params": [weights[key]], "lr": 0.02 * max(scale[key], 0.05)} for key in weights]
    optimiser, right = torch.optim.Adam(rates), 0.0
    for step in range(250):
        trial = task.trials(16, 50, [seed, step])
        u, target = (torch.as_tensor(part, dtype=torch.float32) for part in (trial.inputs, trial.target))
        x, outputs = torch.zeros(16, units), []
        for k in range(50):
            kappa = torch.tanh(x) @ weights["N"]
            x = x + share * (kappa @ weights["M"].T + u[:, k] @ weights["B"].T + weights["b"] - x)
            outputs.append(torch.tanh(x) @ weights["W"].T)
        z, held = torch.stack(outputs, 1), torch.as_tensor(trial.settled)
        loss = (z - target)[held].square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        right = float(((z.sign() == target.sign()) | (target == 0))[held].float().mean())
    M, N, B, b, W = (weights[key].detach().double().numpy() for key in ("M", "N", "B", "b", "W"))
    return LowRank(M, N, bias=b, input=B, readout=W), right


def over_inputs() -> None:
    """The number of points at every input of an interval."""
    t = np.sqrt(0.5)
    print(f"x' = -x + 2 tanh x + u, whose folds are at +-{2 * t - np.arctanh(t):.8f}:")
    _over(LowRank([[2.0]], [[1.0]], input=[[1.0]]), -1.0, 1.0)
    for r in (1, 2):
        M, N, _ = network(0, 100, r, "overlapping")
        print(f"100 units of rank {r}, overlapping loadings, input along the first:")
        _over(LowRank(M, N, input=M[:, :1]), 0.05, 2.0, width=1e-3)


def _over(system: LowRank, start: float, end: float, width: float = 1e-5) -> None:
    began = time.process_time()
    found = points_over_inputs(system, [start], [end], width=width)
    print(f"  {found.sentence}\n  {found.searches} searches, {time.process_time() - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--units", type=int, default=50)
    tables = ("sizes", "relu", "trained", "inputs", "agreement")
    parser.add_argument("--only", nargs="+", choices=tables, default=tables, help="some of the tables")
    given = parser.parse_args()
    torch.set_num_threads(1)
    shown = {"sizes": sizes, "relu": relu_sizes, "trained": trained, "inputs": over_inputs}
    for name in given.only:
        print(f"-- {name}")
        if name == "agreement":
            agreement(given.networks, given.units)
        else:
            shown[name]()


if __name__ == "__main__":
    main()

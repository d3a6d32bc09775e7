"""Recall against load in large Hopfield nets: seconds, against a plain loop and other packages, and against theory.

    python benchmarks/memory_capacity.py

Other packages are compared where they are installed (pip install hopfieldkit hopfieldnetwork). They store by the same
rule and update one unit at a time; at a net input of 0 they give 1, where dynsys keeps the unit.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable

import click
import numpy as np

from dynsys.analyses.memory.capacity import CapacityCurve, capacity_curve, extrapolated
from dynsys.models.associative import mean_field
from dynsys.models.associative.dense import DenseMemory
from dynsys.models.associative.patterns import random_patterns
from dynsys.models.associative.theory.mean_field_of_pairs import pair_retrieval
from dynsys.models.associative.theory.mean_field_theory import first_step_error
from dynsys.models.associative.theory.merging import merging, single_point_below
from dynsys.models.associative.theory.simulation import hebb_trial

LOADS = np.linspace(0.01, 0.2, 20)
LARGE = (0.10, 0.12, 0.13, 0.138, 0.145)
SMALL = (0.06, 0.07, 0.08, 0.09, 0.10, 0.11, 0.12)

Recall = Callable[[int, int, np.random.Generator], float]


def of_dynsys(n: int, P: int, rng: np.random.Generator) -> float:
    return hebb_trial(n, P, rng).error


def of_a_plain_loop(n: int, P: int, rng: np.random.Generator) -> float:
    """What one writes first: W, and sweeps over the units in random order until nothing changes."""
    S = random_patterns(P, n, rng)
    W = S.T @ S
    np.fill_diagonal(W, 0)
    y, changed = S[0].copy(), True
    while changed:
        changed = False
        for i in rng.permutation(n):
            net = W[i] @ y
            if net * y[i] < 0:
                y[i], changed = -y[i], True
    return float(np.mean(y != S[0]))


def of_hopfieldkit(n: int, P: int, rng: np.random.Generator) -> float:
    S = random_patterns(P, n, rng)
    net = importlib.import_module("hopfieldkit.hebbian").HopfieldNetwork(n).fit(S)
    return float(np.mean(net.recall(S[0], seed=0) != S[0]))


def of_hopfieldnetwork(n: int, P: int, rng: np.random.Generator) -> float:
    S = random_patterns(P, n, rng)
    net = importlib.import_module("hopfieldnetwork.libary").HopfieldNetwork(N=n)
    net.train_pattern(S.T)
    net.set_initial_neurons_state(S[0].copy())
    net.update_neurons(1, "async", run_max=True)
    return float(np.mean(S[0] != net.S))


PEERS: dict[str, Recall] = {
    "a plain loop": of_a_plain_loop,
    "hopfieldkit": of_hopfieldkit,
    "hopfieldnetwork": of_hopfieldnetwork,
}


def seconds(recall: Recall, n: int, trials: int) -> tuple[float, float]:
    """Seconds of one trial, the mean over all LOADS, and the mean error."""
    begun, errors = time.perf_counter(), []
    for load in LOADS:
        errors += [recall(n, round(load * n), np.random.default_rng([t, round(load * n)])) for t in range(trials)]
    return (time.perf_counter() - begun) / len(errors), float(np.mean(errors))


def print_speed(n: int) -> None:
    own, error = seconds(of_dynsys, n, 20)
    print(f"{n} units, loads 0.01 to 0.2, one thread\n{'':<18} ms a trial  times dynsys  mean error %")
    print(f"{'dynsys':<18} {1e3 * own:10.2f} {1:13.1f} {100 * error:13.2f}", flush=True)
    for name, recall in PEERS.items():
        try:
            other, error = seconds(recall, n, 2)
        except ImportError:
            print(f"{name:<18} is not installed")
            continue
        print(f"{name:<18} {1e3 * other:10.2f} {other / own:13.1f} {100 * error:13.2f}", flush=True)


def print_targets() -> None:
    for n, loads, trials in ((1000, LOADS, 20), (10_000, LARGE, 5)):
        begun = time.perf_counter()
        curve = capacity_curve(n, loads, trials)
        taken = time.perf_counter() - begun
        print(
            f"{n} units, {len(loads)} loads x {trials} trials: {taken:.2f} s; all settled: {curve.settled.all()}",
            flush=True,
        )


def print_curve(curve: CapacityCurve) -> None:
    print(f"\nn = {curve.n}, {curve.errors.shape[1]} trials; errors in %")
    print("  alpha  one step  theory   median     mean  theory  collapsed")
    for k, load in enumerate(curve.loads):
        m = mean_field(float(load))
        theory = f"{50 * (1 - m):7.3f}" if m else "   none"
        print(
            f"{load:7.4f} {100 * curve.first[k].mean():9.3f} {100 * first_step_error(load):7.3f} "
            f"{100 * curve.median[k]:8.3f} {100 * curve.mean[k]:8.3f} {theory} {curve.collapses[k]:10.3f}",
            flush=True,
        )


def print_extrapolation(trials: int) -> None:
    curves = [capacity_curve(n, SMALL, trials * 4000 // n, seed=1) for n in (500, 1000, 2000, 4000)]
    end = extrapolated(curves)
    print(f"\nextrapolated in 1/n from n = 500 to 4000, {trials} trials at 4000 and more below")
    print("  alpha       overlap  mean field  standard error  off by")
    for load, m, error in zip(end.loads, end.overlap, end.standard_error, strict=True):
        theory = mean_field(float(load))
        print(f"{load:7.3f} {m:13.6f} {theory:11.6f} {error:15.6f} {(m - theory) / error:6.2f} standard errors")


def print_pairs() -> None:
    loads, sizes = (0.10, 0.15, 0.17), (500, 1000, 2000, 4000)
    curves = [capacity_curve(n, loads, 160_000 // n, model="bidirectional", seed=1) for n in sizes]
    end = extrapolated(curves)
    print("\nBAM of equal layers, extrapolated in 1/n from n = 500 to 4000, from the pattern")
    print("  alpha   overlap  mean field  standard error")
    for load, m, error in zip(end.loads, end.overlap, end.standard_error, strict=True):
        state = pair_retrieval(float(load))
        print(f"{load:7.3f} {m:9.5f} {state.m if state else 0:11.5f} {error:15.5f}", flush=True)
    state = pair_retrieval(0.24, 2.0)
    print(f"BAM of ratio 2 at alpha = 0.24, n = 4000, 20 trials; mean field {state.m if state else 0:.5f}")
    for mistakes in (0.0, 0.05, 0.1):
        curve = capacity_curve(4000, [0.24], 20, model="bidirectional", ratio=2.0, seed=1, mistakes=mistakes)
        kept, error = curve.of_kept()
        print(f"  {100 * mistakes:3.0f} % mistakes in the cue: {kept[0]:.4f} +- {error[0]:.4f}", flush=True)


def count_of_points(S: np.ndarray, beta: float, starts: np.ndarray) -> int:
    """By scipy alone, from many starts."""
    from scipy.optimize import root

    memory = DenseMemory(S, beta)
    ends = [root(lambda x: memory.step(x) - x, start, tol=1e-13) for start in starts]
    return len({tuple(np.round(end.x, 5)) for end in ends if np.abs(end.fun).max() < 1e-12})


def print_merging(sets: int) -> None:
    print("\npatterns that merge: beta by continuation, and by a scan for the lowest with more than one point")
    print("  P   n   proved below   continuation           scan  difference")
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        P, n = int(rng.integers(2, 7)), int(rng.integers(2, 7))
        S = rng.standard_normal((P, n))
        try:
            found = merging(S)
        except ValueError as error:
            print(f"{P:3d} {n:3d}   {error}")
            continue
        near = found.state + 1e-2 * rng.standard_normal((20, n))
        starts = np.concatenate([rng.dirichlet(np.full(P, 0.3), 60) @ S, near])
        least = single_point_below(S)
        beyond = found.beta * (1 + np.geomspace(1e-5, 1e-2, 4))  # points may be born, and lost again a little higher
        scanned = np.sort([*np.geomspace(least, 1.05 * found.beta, 40), *beyond])
        k = next(k for k, beta in enumerate(scanned) if count_of_points(S, beta, starts) > 1)
        low, high = scanned[max(k - 1, 0)], scanned[k]
        while high - low > 1e-8:
            middle = (low + high) / 2
            low, high = (low, middle) if count_of_points(S, middle, starts) > 1 else (middle, high)
        print(f"{P:3d} {n:3d} {least:14.6f} {found.beta:14.7f} {high:14.7f} {found.beta - high:11.1e}", flush=True)


@click.command()
@click.option("--trials", default=200, show_default=True, help="At 4000 units, of the extrapolation.")
@click.option("--sets", default=8, show_default=True, help="Of patterns that merge.")
def main(trials: int, sets: int) -> None:
    """Print seconds and ratios, curves, the extrapolation and the merging of dense memories."""
    print_speed(1000)
    print_targets()
    for n, repeats in ((1000, 200), (4000, 50)):
        print_curve(capacity_curve(n, LARGE, repeats))
    print_extrapolation(trials)
    print_pairs()
    print_merging(sets)


if __name__ == "__main__":
    main()

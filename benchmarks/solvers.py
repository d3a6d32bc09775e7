"""Every solver as a finder: what each takes down from the same starts, and what that costs.

    python benchmarks/solvers.py
    python benchmarks/solvers.py --networks rnn --file CHECKPOINT --tolerances 1e-3,1e-8

Each solver goes from all starts by itself, in float64 on the whole system, until |F| falls to the tolerance times the
usual size of a state, or its own limit of steps is reached. The first is a descent that converged, and what it found is
the known fixed point within a hundredth of that size from where it ended, if there is one. Known are the points with an
error bound that a whole search by ``find_fixed_points`` comes to, from four times as many starts.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

import dynsys
from dynsys import find_fixed_points
from dynsys.models.training.learners import learner
from dynsys.numerics.threads import alone
from dynsys.search.descent import Outcome, descend
from dynsys.search.solvers import SOLVERS, Solver
from dynsys.search.starts import first_starts
from dynsys.systems.held import Held
from dynsys.systems.system import System

TRAINED = {"rnn": 32, "gru": 16, "lstm": 16, "esn": 200}  # units of the networks that are trained here
NEAR = 1e-2  # of the usual size of a state, within which a converged descent is at a known point
ORDER = ("gradient-descent", "adam", "conjugate-gradient", "trust-region", "gauss-newton", "newton")


class Counted:
    """A system that counts, a row at a time, the velocities, products with J or its transpose, and Jacobians asked of
    it."""

    def __init__(self, system: System) -> None:
        self._system, self.counts = system, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system, name)

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        self.counts["F"] += len(x)
        return self._system.velocity(x, u)

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        self.counts["J"] += len(x)
        return self._system.jacobian(x, u)

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        self.counts["Jv"] += len(x)
        return self._system.jacobian_product(x, u, v)

    def transposed_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        self.counts["Jv"] += len(x)
        return self._system.transposed_product(x, u, v)

    def linearised(self, x: Tensor, u: Tensor) -> Callable[[Tensor], Tensor]:
        product = self._system.linearised(x, u)

        def counting(v: Tensor) -> Tensor:
            self.counts["Jv"] += len(v)
            return product(v)

        return counting


@dataclasses.dataclass(frozen=True)
class Run:
    """CPU seconds, the share of starts that converged, known points found, and evaluations a start."""

    seconds: float
    converged: float
    found: int
    per_start: dict[str, float]


def run(solver: Solver, system: System, x: Tensor, known: Tensor, unit: float) -> Run:
    counted: Any = Counted(system)
    u = torch.zeros(len(x), system.n_input, dtype=x.dtype)
    began = time.process_time()
    with alone():
        ended = descend(solver, Held(counted, u, unit), x)
    seconds = time.process_time() - began
    there = ended.outcome == Outcome.CONVERGED
    distance, owner = torch.cdist(ended.x[there], known).min(dim=1) if bool(there.any()) else (x[:0, 0], x[:0, 0])
    found = len(set(owner[distance <= NEAR * unit].tolist()))
    counts = {key: counted.counts[key] / len(x) for key in ("F", "Jv", "J")}
    return Run(seconds, float(there.double().mean()), found, counts)


def network(name: str, seed: int, folder: str) -> System:
    learned = learner("flipflop", name)(Path(folder) / name, units=TRAINED[name], bits=3, seed=seed)
    return learned.network


def listed(ctx: click.Context, param: click.Parameter, value: str) -> list[str]:
    return [part for part in value.split(",") if part]


@click.command()
@click.option("--networks", default="rnn,gru,lstm,esn", show_default=True, callback=listed, help="Trained here.")
@click.option("--file", "files", multiple=True, help="A checkpoint besides, once for each.")
@click.option("--starts", default=128, show_default=True)
@click.option("--tolerances", default="1e-3,1e-8", show_default=True, callback=listed)
@click.option("--solvers", default=",".join(ORDER), show_default=True, callback=listed)
@click.option("--seed", default=0, show_default=True)
def main(
    networks: list[str], files: tuple[str, ...], starts: int, tolerances: list[str], solvers: list[str], seed: int
) -> None:
    """Print a row for each network, tolerance and solver."""
    print(f"{starts} starts; steps at most: " + ", ".join(f"{name} {SOLVERS[name]().max_steps}" for name in solvers))
    print(
        "network  variables  tolerance  solver              CPU s  converged  points   F a start  Jv a start  J a start"
    )
    with tempfile.TemporaryDirectory() as folder:
        systems = {name: network(name, seed, folder) for name in networks}
    systems |= {Path(file).stem: dynsys.load(file) for file in files}
    for name, system in systems.items():
        u = torch.zeros(1, system.n_input, dtype=torch.float64)
        points = find_fixed_points(system, n_starts=4 * starts, seed=seed, workers=1)
        fixed = points[(points.verdict == "fixed") & np.isfinite(points.error_bound)]
        known = torch.as_tensor(fixed.states)
        x = first_starts(system, u, starts, seed)
        unit = float(x.norm(dim=1).median())
        for tolerance in map(float, tolerances):
            for one in solvers:
                solver = dataclasses.replace(SOLVERS[one](), tolerance=tolerance)
                told = run(solver, system, x, known, unit)
                print(
                    f"{name:9}{system.n_state:9}  {tolerance:9.0e}  {one:17}{told.seconds:8.2f}  {told.converged:8.0%}"
                    f"  {told.found:3}/{len(known):<3}{told.per_start['F']:10.0f} {told.per_start['Jv']:11.0f}"
                    f" {told.per_start['J']:10.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

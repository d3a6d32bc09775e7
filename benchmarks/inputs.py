"""Ten inputs of a network: carrying its points from one to the next, against a fresh search at each.

dynsys train flipflop rnn -o RUN --units 64
python benchmarks/inputs.py RUN [RUN...]

Two ways through the space of inputs: a ramp, ten inputs evenly from none to a whole pulse of the first bit, and a walk
through ten inputs drawn at random. A fresh search has up to 1024 starts. None proves what it finds
(``verify=False``), and slow points are left out. Seconds are of the processor, one thread: of the fresh searches, of
``points_at_inputs`` with one search, and of ``follow_inputs``, which dates what happens between the inputs as well. A
stable point of the searches is missed where the others know none within 1e-5 of the largest norm of a point, and the
other way round.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import click
import numpy as np
from following import lacking
from numpy.typing import NDArray

from dynsys.continuation.carried import points_at_inputs
from dynsys.continuation.inputs import follow_inputs
from dynsys.models.loading.checkpoint import load
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.find import find_fixed_points
from dynsys.systems.system import System

Array = NDArray[np.float64]

INPUTS, STARTS = 10, 1024


def ways(n_input: int) -> dict[str, Array]:
    """Inputs (10, n_input) by the name of the way through them."""
    ramp = np.linspace(0, 1, INPUTS)[:, None] * np.eye(n_input)[0]
    return {"ramp": ramp, "walk": 0.5 * np.random.default_rng(0).standard_normal((INPUTS, n_input))}


def timed(work: Any) -> tuple[Any, float]:
    began = time.process_time()
    return work(), time.process_time() - began


SETTINGS: dict[str, Any] = {"slow_q": 0.0, "verify": False, "workers": 1}


def fixed(points: FixedPoints) -> FixedPoints:
    return points[points.verdict == "fixed"]


def searched(system: System, input: Array) -> FixedPoints:
    return find_fixed_points(system, input=input, n_starts=STARTS, **SETTINGS)


def compared(system: System, path: Array) -> dict[str, Any]:
    """All three ways at the inputs of ``path``: points, stable points, those that one of them lacks, and seconds."""
    fresh, searching = timed(lambda: [searched(system, input) for input in path])
    near, carrying = timed(lambda: points_at_inputs(system, path, **SETTINGS))
    diagram, following = timed(lambda: follow_inputs(system, path, workers=1))
    told: Counter[str] = Counter()
    for k, (found, known) in enumerate(zip(map(fixed, fresh), map(fixed, near), strict=True)):
        unit = float(np.linalg.norm(found.states, axis=1).max())
        stable = found.n_unstable == 0
        lost, unfound = lacking(found.states, known.states, unit), lacking(known.states, found.states, unit)
        told += Counter(points=len(found), stable=int(stable.sum()), lost=int((lost & stable).sum()))
        told += Counter(unstable_lost=int((lost & ~stable).sum()), more=int((unfound & (known.n_unstable == 0)).sum()))
        told += Counter(lost_following=int((lacking(found.states, diagram.points_at(k).states, unit) & stable).sum()))
    seconds = {"searching": searching, "carrying": carrying, "following": following}
    return {name: told[name] for name in COUNTS} | seconds


COUNTS = ("points", "stable", "lost", "more", "unstable_lost", "lost_following")
COLUMNS = (
    "network", "way", "points", "stable", "missed", "not in the search", "unstable missed", "missed by follow",
    "s searched", "s carried", "s followed", "carried cheaper",
)  # fmt: skip


@click.command()
@click.argument("runs", nargs=-1, required=True)
def main(runs: tuple[str, ...]) -> None:
    """A row for each network and way."""
    print(" | ".join(COLUMNS))
    for run in runs:
        system = load(run)
        for way, path in ways(system.n_input).items():
            row = compared(system, path)
            name = f"{system.name} {system.n_state}"
            counts = [f"{row[key]:d}" for key in COUNTS]
            seconds = [f"{row[key]:.2f}" for key in ("searching", "carrying", "following")]
            ratio = f"{row['searching'] / row['carrying']:.1f} x"
            cells = [name, way, *counts, *seconds, ratio]
            print(" | ".join(f"{cell:>{len(column)}}" for cell, column in zip(cells, COLUMNS, strict=True)), flush=True)


if __name__ == "__main__":
    main()

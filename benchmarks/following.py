"""Following the points of a network through its training, against searching every snapshot afresh.

dynsys train flipflop esn -o RUN --units 500 --snapshots 600 --steps 36000
python benchmarks/following.py RUN

Both use the same search, for fixed points alone (``slow_q=0``), with the same setting of ``verify`` (off unless told)
and the same number of threads. Seconds are of the clock; those of the processor are printed beside them, as a busy
machine stretches the first and not the second. A point is missed by one way where it knows none within 1e-5 of a usual
state of the other's.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from dynsys.continuation.diagram import Diagram
from dynsys.continuation.follow import follow
from dynsys.models.training.snapshots import Snapshots, read_snapshots
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.find import find_fixed_points

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

SAME = 1e-5  # of the largest norm of a point


@dataclass(frozen=True)
class Timed:
    """A result, and the seconds that it took by the clock and of the processor."""

    result: Any
    seconds: float
    processor: float


def timed(work: Any) -> Timed:
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return Timed(result, time.perf_counter() - clock, time.process_time() - processor)


def searched(family: Snapshots, i: int, verify: bool, workers: int | None) -> FixedPoints:
    """The fixed points that a fresh search finds at a snapshot."""
    system = family.system(float(i))
    points = find_fixed_points(system, input=family.u, slow_q=0.0, verify=verify, workers=workers)
    return points[points.verdict == "fixed"]


def lacking(of: Array, among: Array, unit: float) -> Flags:
    """Which of the states ``of`` (k, n) have none like them ``among`` (m, n)."""
    if not len(of) or not len(among):
        return np.ones(len(of), dtype=bool)
    flags: Flags = np.linalg.norm(of[:, None] - among, axis=2).min(axis=1) > SAME * unit
    return flags


@click.command()
@click.argument("run")
@click.option("--verify/--no-verify", default=False, help="Prove what the searches find, in both ways.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads.  [all]")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Search every so many snapshots afresh only.")
def main(run: str, verify: bool, workers: int | None, every: int) -> None:
    """Seconds of both ways on RUN, and the points that each knows at every snapshot."""
    family = read_snapshots(run)
    followed = timed(lambda: follow(family, verify=verify, workers=workers))
    diagram: Diagram = followed.result
    n = len(family.steps)
    rows = [(i, timed(partial(searched, family, i, verify, workers))) for i in [*range(0, n - 1, every), n - 1]]
    unit = max(float(np.linalg.norm(b.states, axis=1).max()) for b in diagram.branches)
    print("step      followed  index sum   searched   not followed  (stable)   not found by the search  (stable)")
    for i, row in rows:
        known, fresh = diagram.points_at(i), row.result
        lost, unfound = lacking(fresh.states, known.states, unit), lacking(known.states, fresh.states, unit)
        print(
            f"{family.steps[i]:<10g}{len(known):8d}{diagram.index_sums[i]:11d}{len(fresh):11d}"
            f"{lost.sum():15d}{(lost & (fresh.n_unstable == 0)).sum():10d}"
            f"{unfound.sum():26d}{(unfound & (known.n_unstable == 0)).sum():10d}"
        )
    scale = n / len(rows)
    seconds, processor = (scale * sum(getattr(row, key) for _, row in rows) for key in ("seconds", "processor"))
    print(
        f"verify={verify}; {n} snapshots of {family.n_state} units" + (f", {len(rows)} searched" if every > 1 else "")
    )
    print(f"followed   {followed.seconds:8.1f} s  {followed.processor:8.1f} s of the processor")
    print(f"afresh     {seconds:8.1f} s  {processor:8.1f} s of the processor")
    print(f"ratio      {seconds / followed.seconds:8.1f}    {processor / followed.processor:8.1f}")
    print("events: " + ", ".join(f"{k} {kind}" for kind, k in Counter(str(e.kind) for e in diagram.events).items()))
    for note in diagram.notes:
        print(f"note: {note}")


if __name__ == "__main__":
    main()

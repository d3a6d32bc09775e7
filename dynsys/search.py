"""Find the fixed and slow points of a system.

starts -> waves (descent by any solver, Newton to the end) -> catalogue: each zero once, by its error bound
                                                           -> slow states, followed to their minimum of q
then new starts from the points found, until two rounds bring nothing new; then eigenvalues and words.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsys.catalogue import Catalogue
from dynsys.description import describe
from dynsys.points import FixedPoints, SearchReport
from dynsys.slow import Minima
from dynsys.solvers import DENSE_LIMIT, Newton, Solver, solver_named
from dynsys.starts import Closure, first_starts
from dynsys.system import System
from dynsys.wave import Descender, Rejection

Progress = Callable[[str, int, int], None]

CLOSURE_ROUND = 128  # starts made from the points found, per round
QUIET_ROUNDS = 2
STUBBORN_ROUNDS = 6


class SearchInterrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a search; ``points`` holds what had been found by then."""

    def __init__(self, points: FixedPoints) -> None:
        self.points = points
        super().__init__(f"interrupted with {len(points)} points found")


def find_fixed_points(
    system: System,
    starts: Any = None,
    input: Any = None,
    *,
    n_starts: int = 512,
    solver: str | Solver = "auto",
    slow_q: float = 1e-4,
    closure: bool = True,
    full_spectrum: bool = False,
    seed: int = 0,
    device: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> FixedPoints:
    """Find, merge and classify the fixed and slow points of ``system`` under a held input.

    ``starts`` is (B, n_state), or None for ``n_starts`` states from the system's own trajectories, else from its box.
    ``input`` is (n_input,), or (B, n_input) with one row per start; None means zeros. ``solver`` is a name in
    ``dynsys.solvers.SOLVERS``, or "auto". ``slow_q`` is the largest q of a slow point. ``closure=False`` leaves out
    the starts made from the points found. ``progress(stage, done, total)`` is called as it goes.

    The same seed gives the same points on any number of ``workers`` (threads). Raises ValueError for arrays of the
    wrong size or with NaN, and SearchInterrupted, which holds the points found so far, on Ctrl-C.

    >>> from dynsys import Flow, find_fixed_points
    >>> points = find_fixed_points(Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2)), n_starts=16)
    >>> points.states.round(6).ravel().tolist(), points.stability.tolist()
    ([-1.0, 1.0, 0.0], ['stable node', 'stable node', 'unstable node'])
    """
    began = time.perf_counter()
    method = solver_named(solver, system.n_state)
    where = checked_device(device)
    system = system.to(device=where)
    u = checked_input(system, input).to(where)
    x = (first_starts(system, u, n_starts, seed) if starts is None else checked_starts(system, starts)).to(where)
    if len(u) not in (1, len(x)):
        raise ValueError(f"input has {len(u)} rows and starts {len(x)}; give one input, or one for every start")
    _check_velocity(system, x, u)
    workers = workers or (len(os.sched_getaffinity(0)) if where.type == "cpu" else 1)
    with one_thread_each():
        search = _Search(system, method, u, x, slow_q, seed, workers, progress or _silent)
        interrupted = False
        try:
            search.from_starts(x)
            if closure:
                search.from_points()
            search.follow_slow()
        except KeyboardInterrupt:
            interrupted = True
        report = search.report(method.name, time.perf_counter() - began, interrupted)
        points = describe(
            system, search.catalogue, search.minima, report, full_spectrum, workers, search.progress, began
        )
    if interrupted:
        raise SearchInterrupted(points)
    return points


class _Search:
    """The state of one search: the points known, the slow states, and the counts for the report."""

    def __init__(
        self,
        system: System,
        solver: Solver,
        u: Tensor,
        x: Tensor,
        slow_q: float,
        seed: int,
        workers: int,
        progress: Progress,
    ) -> None:
        inputs, self.groups = _distinct(u, len(x))
        self.system, self.seed, self.workers, self.progress = system, seed, workers, progress
        unit = float(x.norm(dim=1).median()) or 1.0
        self.catalogue = Catalogue(system, inputs, unit)
        self.minima = Minima(system, inputs, unit, slow_q)
        self.descend = Descender(system, solver, inputs, unit, slow_q)
        self.rejected: Counter[Rejection] = Counter()
        self.discovery: list[tuple[int, int]] = []
        self.starts = self.closure_starts = 0

    def from_starts(self, x: Tensor) -> None:
        self.starts = self._run("search", x, self.groups, count_hits=True)

    def from_points(self) -> None:
        """Rounds of midpoints and reflections, until two in a row bring nothing new.

        While the indices prove that points are missing, more rounds may be quiet before it gives up.
        """
        closure, quiet, known = Closure(self.seed, self.catalogue.unit), 0, self.catalogue
        size = CLOSURE_ROUND if self.system.n_state > DENSE_LIMIT else 4 * CLOSURE_ROUND
        while len(known) and quiet < (QUIET_ROUNDS if known.index_sum() in (1, None) else STUBBORN_ROUNDS):
            x, groups = closure.starts(self.system, known.states(), known.inputs, known.groups, size)
            if len(x) == 0:
                break
            before = len(known)
            self.closure_starts += self._run("search from points found", x, groups, count_hits=False)
            quiet = 0 if len(known) > before else quiet + 1

    def follow_slow(self) -> None:
        self.rejected += self.minima.follow(lambda done, total: self.progress("slow points", done, total))

    def _run(self, stage: str, x: Tensor, groups: Tensor, count_hits: bool) -> int:
        """All starts in waves, several at a time; waves are independent, so the number of threads changes nothing."""

        def work(rows: Tensor) -> tuple[int, Any]:
            torch.set_num_threads(1)  # the setting belongs to each thread
            return len(rows), self.descend(x[rows], groups[rows])

        done = 0
        with ThreadPoolExecutor(self.workers) as pool:
            jobs = [
                pool.submit(work, rows)
                for rows in torch.split(torch.arange(len(x), device=x.device), self._wave_size())
            ]
            try:
                for job in jobs:
                    size, wave = job.result()
                    self.catalogue.add(wave.x, wave.F, wave.groups, count_hits)
                    self.minima.add(wave.slow, wave.slow_groups)
                    self.rejected += wave.rejected
                    done += size
                    self.discovery.append((self.starts + self.closure_starts + done, len(self.catalogue)))
                    self.progress(stage, done, len(x))
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return done

    def _wave_size(self) -> int:
        """As many starts as keep a wave's Jacobians (or its Krylov vectors, 64 per start) near 50 MB."""
        n = self.system.n_state
        vectors = min(n, 64) if isinstance(self.descend.solver, Newton) else n
        return int(np.clip(50e6 / (8 * n * vectors), 8, 256))

    def report(self, solver: str, seconds: float, interrupted: bool) -> SearchReport:
        return SearchReport(
            starts=self.starts,
            closure_starts=self.closure_starts,
            solver=solver,
            seconds=seconds,
            found=len(self.catalogue),
            slow=len(self.minima.points),
            rejected={str(reason): count for reason, count in sorted(self.rejected.items())},
            index_sum=self.catalogue.index_sum(),
            estimated_missed=estimated_missed(self.catalogue.hits),
            discovery=self.discovery,
            seed=self.seed,
            interrupted=interrupted,
        )


def _distinct(u: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The distinct inputs (G, n_input), and for each of n starts which of them it is held at."""
    if len(u) == 1 or u.shape[1] == 0:
        return u[:1], torch.zeros(n, dtype=torch.long, device=u.device)
    inputs, groups = torch.unique(u, dim=0, return_inverse=True)
    return inputs, groups


def estimated_missed(hits: list[int]) -> float | None:
    """Chao's (1984) lower bound on the points that no start has hit, from those hit once and twice."""
    once, twice = hits.count(1), hits.count(2)
    return once * (once - 1) / (2 * (twice + 1)) if any(hits) else None


def _check_velocity(system: System, x: Tensor, u: Tensor) -> None:
    """Raise ValueError where the system's velocity is not of the shape of its states, before anything relies on it."""
    F = system.velocity(x[:2], u[:1].expand(len(x[:2]), -1))
    if F.shape != x[:2].shape:
        given, legal = tuple(F.shape), tuple(x[:2].shape)
        raise ValueError(
            f"the velocity of {system.name} has shape {given} for states of shape {legal}; it needs the same"
        )


def checked_device(device: str | None) -> torch.device:
    """The torch device of that name; raises ValueError where this machine has none."""
    try:
        where = torch.device(device or "cpu")
        torch.zeros(1, device=where)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device is {device!r}, which torch cannot use here; use cpu, or cuda on a GPU") from error
    return where


def checked_input(system: System, input: Any) -> Tensor:
    """The held input as (1, n_input) or (B, n_input) float64; zeros for None."""
    if input is None:
        return torch.zeros(1, system.n_input, dtype=torch.float64)
    u = torch.as_tensor(np.atleast_2d(np.asarray(input, dtype=np.float64)))
    if u.ndim != 2 or u.shape[1] != system.n_input:
        raise ValueError(f"input has shape {tuple(np.shape(input))}; {system.name} takes {system.n_input} input values")
    return _finite(u, "input")


def checked_starts(system: System, starts: Any) -> Tensor:
    """The starts as (B, n_state) float64, copied, so that the caller's array is never written to."""
    x = torch.tensor(np.asarray(starts.detach().cpu() if isinstance(starts, Tensor) else starts, dtype=np.float64))
    if x.ndim != 2 or x.shape[1] != system.n_state or len(x) == 0:
        n = system.n_state
        raise ValueError(f"starts has shape {tuple(x.shape)}; a system of {n} state variables needs (n, {n}), n >= 1")
    return _finite(x, "starts")


def _finite(values: Tensor, name: str) -> Tensor:
    bad = ~torch.isfinite(values).all(dim=1)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise ValueError(
            f"{name} holds NaN or infinite values in {int(bad.sum())} of {len(bad)} rows, first in {first}"
        )
    return values


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Each thread of ours computes alone: the sum of a product then has one order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _silent(stage: str, done: int, total: int) -> None:
    """No progress wanted."""

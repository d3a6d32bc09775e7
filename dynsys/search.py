"""Find the fixed and slow points of a system.

starts -> waves (descent by any solver, Newton to the end) -> catalogue: each zero once, by its error bound
                                                           -> slow states, followed to their minimum of q
then new starts from the points found, until two rounds bring nothing new; then eigenvalues and words.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Callable
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
from dynsys.threads import alone, in_order
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
    for name, value in {"n_starts": n_starts, "workers": workers}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; a search needs at least 1")
    if not slow_q >= 0:
        raise ValueError(f"slow_q is {slow_q}; the largest q of a slow point is 0 or more")
    system = system.to(device=where)
    u = checked_input(system, input).to(where)
    x = (first_starts(system, u, n_starts, seed) if starts is None else checked_starts(system, starts)).to(where)
    if len(u) not in (1, len(x)):
        raise ValueError(f"input has {len(u)} rows and starts {len(x)}; give one input, or one for every start")
    _check_velocity(system, x, u)
    workers = workers or (len(os.sched_getaffinity(0)) if where.type == "cpu" else 1)
    with alone():
        search = _Search(system, method, u, x, slow_q, seed, workers, progress or _silent)
        try:
            search.run(x, closure)
            return search.result(full_spectrum, began)
        except KeyboardInterrupt:
            search.interrupt()
            raise SearchInterrupted(search.result(full_spectrum, began)) from None


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
        unit = usual_size(system, u, x)
        self.catalogue = Catalogue(system, inputs, unit)
        self.minima = Minima(system, inputs, unit, slow_q)
        self.descend = Descender(system, solver, inputs, unit, slow_q)
        self.rejected: Counter[Rejection] = Counter()
        self.discovery: list[tuple[int, int]] = []
        self.starts = self.closure_starts = 0
        self.interrupted = False

    def run(self, x: Tensor, closure: bool) -> None:
        """Every start, then the starts made from what they found, then the slow states on the way."""
        self._work(x, self.groups, made=False)
        if closure:
            self.from_points()
        self.follow_slow()

    def interrupt(self) -> None:
        """Say no more, and leave off what has not been done."""
        self.interrupted, self.progress = True, _silent

    def from_points(self) -> None:
        """Rounds of midpoints and reflections, until two in a row bring nothing new.

        While the indices prove that points are missing, more rounds may be quiet before it gives up. Points without an
        error bound count as nothing new: of those on a line or a ring there is no end.
        """
        closure, quiet, known = Closure(self.seed), 0, self.catalogue
        size = CLOSURE_ROUND if self.system.n_state > DENSE_LIMIT else 4 * CLOSURE_ROUND
        while quiet < (QUIET_ROUNDS if known.index_sum() in (1, None) else STUBBORN_ROUNDS):
            isolated = known.isolated()
            groups = [known.groups[i] for i in isolated]
            x, held = closure.starts(self.system, known.states()[isolated], known.inputs, groups, size)
            if len(x) == 0:
                break
            self._work(x, held, made=True)
            quiet = 0 if len(known.isolated()) > len(isolated) else quiet + 1

    def follow_slow(self) -> None:
        self.rejected += self.minima.follow(lambda done, total: self.progress("slow points", done, total))
        for x, group in self.minima.zeros:
            groups = torch.tensor([group], device=x.device)
            F = self.system.velocity(x, self.catalogue.inputs[groups])
            self.catalogue.add(x, F, groups, count_hits=False)

    def _work(self, x: Tensor, groups: Tensor, made: bool) -> None:
        """All starts in waves; ``made`` out of points found, their hits tell nothing of what is missing."""
        stage, done = ("search from points found" if made else "search"), 0
        waves = torch.split(torch.arange(len(x), device=x.device), self._wave_size())
        results = in_order(lambda rows: self.descend(x[rows], groups[rows]), waves, self.workers)
        for rows, wave in zip(waves, results, strict=True):
            self.catalogue.unit = min(self.catalogue.unit, wave.unit)
            self.catalogue.add(wave.x, wave.F, wave.groups, count_hits=not made)
            self.minima.add(wave.slow, wave.slow_groups)
            self.rejected += wave.rejected
            done += len(rows)
            if made:
                self.closure_starts += len(rows)
            else:
                self.starts += len(rows)
            self.discovery.append((self.starts + self.closure_starts, len(self.catalogue)))
            self.progress(stage, done, len(x))

    def _wave_size(self) -> int:
        """As many starts as keep a wave's Jacobians (or its Krylov vectors, 64 per start) near 50 MB."""
        n = self.system.n_state
        vectors = min(n, 64) if isinstance(self.descend.solver, Newton) else n
        return int(np.clip(50e6 / (8 * n * vectors), 8, 256))

    def result(self, full_spectrum: bool, began: float) -> FixedPoints:
        """Everything found so far, classified."""
        known, alone = self.catalogue, self.catalogue.isolated()  # of points on a line there is no number
        report = SearchReport(
            starts=self.starts,
            closure_starts=self.closure_starts,
            solver=self.descend.solver.name,
            seconds=time.perf_counter() - began,
            found=len(self.catalogue),
            slow=len(self.minima.points),
            rejected={str(reason): count for reason, count in sorted(self.rejected.items())},
            estimated_missed=estimated_missed([known.hits[i] for i in alone], [known.groups[i] for i in alone]),
            inputs=self.catalogue.inputs.tolist(),
            index_sum=self.catalogue.index_sum(),
            discovery=self.discovery,
            seed=self.seed,
            interrupted=self.interrupted,
        )
        points = describe(self.system, self.catalogue, self.minima, report, full_spectrum, self.workers, self.progress)
        return dataclasses.replace(points, search=dataclasses.replace(report, seconds=time.perf_counter() - began))


def _distinct(u: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The distinct inputs (G, n_input), and for each of n starts which of them it is held at."""
    if len(u) == 1 or u.shape[1] == 0:
        return u[:1], torch.zeros(n, dtype=torch.long, device=u.device)
    inputs, groups = torch.unique(u, dim=0, return_inverse=True)
    return inputs, groups


def usual_size(system: System, u: Tensor, x: Tensor) -> float:
    """The norm of a usual state: of the starts, but not beyond what the reachable box allows."""
    size, box = float(x.norm(dim=1).median()), system.box(u[:1])
    if box is not None:
        size = min(size, float(torch.maximum(box[0].abs(), box[1].abs()).norm()))
    return size or 1.0


def estimated_missed(hits: list[int], groups: list[int] | None = None) -> float | None:
    """Chao's (1984) lower bound on the points that no start has hit, from those hit once and twice, for each input."""
    if not any(hits):
        return None
    missed, groups = 0.0, groups or [0] * len(hits)
    for group in set(groups):
        own = [hit for hit, of in zip(hits, groups, strict=True) if of == group]
        once, twice = own.count(1), own.count(2)
        missed += once * (once - 1) / (2 * (twice + 1))
    return missed


def _check_velocity(system: System, x: Tensor, u: Tensor) -> None:
    """Raise ValueError where the velocity is not float64 of the shape of its states, before anything relies on it."""
    try:
        F = system.velocity(x[:2], u[:1].expand(len(x[:2]), -1))
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        F = x.float()[:2]
    if F.dtype != torch.float64:
        raise ValueError(f"{system.name} computes in single precision; the search needs double: call .double() on it")
    if F.shape != x[:2].shape:
        given, legal = tuple(F.shape), tuple(x[:2].shape)
        raise ValueError(
            f"the velocity of {system.name} has shape {given} for states of shape {legal}; it needs the same"
        )


def checked_device(device: str | None) -> torch.device:
    """The torch device of that name; raises ValueError where this machine has none."""
    try:
        where = torch.device(device or "cpu")
        if where.type not in ("cpu", "cuda"):
            raise RuntimeError(f"{where.type} is not a device for double precision")
        torch.zeros(1, device=where)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device is {device!r}, which torch cannot use here; use cpu, or cuda on a GPU") from error
    return where


def checked_input(system: System, input: Any) -> Tensor:
    """The held input as (1, n_input) or (B, n_input) float64; zeros for None."""
    if input is None:
        return torch.zeros(1, system.n_input, dtype=torch.float64)
    given = _numbers(input)
    u = torch.as_tensor(np.atleast_2d(given).copy())
    if u.ndim != 2 or u.shape[1] != system.n_input:
        raise ValueError(f"input has shape {given.shape}; {system.name} takes {system.n_input} input values")
    return _finite(u, "input")


def checked_starts(system: System, starts: Any) -> Tensor:
    """The starts as (B, n_state) float64, copied, so that the caller's array is never written to."""
    x = torch.as_tensor(_numbers(starts).copy())
    if x.ndim != 2 or x.shape[1] != system.n_state or len(x) == 0:
        n = system.n_state
        raise ValueError(f"starts has shape {tuple(x.shape)}; a system of {n} state variables needs (n, {n}), n >= 1")
    return _finite(x, "starts")


def _numbers(values: Any) -> Any:
    """A list, an array or a tensor on any device as a float64 array."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)


def _finite(values: Tensor, name: str) -> Tensor:
    bad = ~torch.isfinite(values).all(dim=1)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise ValueError(
            f"{name} holds NaN or infinite values in {int(bad.sum())} of {len(bad)} rows, first in {first}"
        )
    return values


def _silent(stage: str, done: int, total: int) -> None:
    """No progress wanted."""

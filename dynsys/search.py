"""Find the fixed and slow points of a system.

starts -> rounds of waves (down to near a zero) -> known point? -> Newton to the end -> catalogue: each zero once
                                                             -> slow states, followed to their minimum of q
and new starts from the points found, until the rule of ``discovery`` says stop; then eigenvalues and words.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsys.budget import Budget, bytes_of
from dynsys.catalogue import NOBODY, Catalogue
from dynsys.closure import Closure
from dynsys.description import describe
from dynsys.discovery import QUIET_CLOSURE, Discovery, Source, Stop, estimated_missed
from dynsys.fiber import Fibers
from dynsys.points import FixedPoints, SearchReport
from dynsys.slow import Minima
from dynsys.solvers import DENSE_LIMIT, LU_LIMIT, GaussNewton, Newton, Solver, solver_named
from dynsys.stability import index
from dynsys.starts import first_starts, states_in_box
from dynsys.system import System
from dynsys.threads import alone, in_order
from dynsys.wave import HANDOVER, Descender, Landed, Rejection

Progress = Callable[[str, int, int], None]

ENGINES = ("auto", "fiber")
PATIENCE = 6  # steps that may bring little, of damped Gauss-Newton in search of zeros
FIBERS, FIBER_STEPS = 16, 200  # followed at once, and steps to either side
FIBER_LIMIT = 256  # units, above which the factorisations of a fiber cost more than it finds
LEAST_ROUND, SPARE = 16, 1.25  # starts of a last round, and as many per hit that the rule of discovery still lacks
TOGETHER = 1e-2  # in units of the state: starts this close to another one near a zero wait for what becomes of it


@dataclass(frozen=True)
class _Settings:
    adaptive: bool  # whether the solver may be changed
    slow_q: float
    closure: bool
    engine: str
    seed: int
    workers: int
    budget: Budget
    progress: Progress


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
    engine: str = "auto",
    slow_q: float = 1e-4,
    closure: bool = True,
    full_spectrum: bool = False,
    memory: int | str | None = None,
    seed: int = 0,
    device: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> FixedPoints:
    """Find, merge and classify the fixed and slow points of ``system`` under a held input.

    ``starts`` is (B, n_state), or None for ``n_starts`` states from the system's own trajectories, else from its box.
    They are taken in random order, and no more of them than discovery needs to flatten (``dynsys.discovery``).
    ``input`` is (n_input,), or (B, n_input) with one row per start; None means zeros. ``solver`` is a name in
    ``dynsys.solvers.SOLVERS``, or "auto". ``engine`` is "auto", or "fiber" to follow directional fibers whatever the
    first engine found. ``slow_q`` is the largest q of a slow point. ``closure=False`` leaves out every start that was
    not given. ``memory`` is what the working arrays may take, like "4GiB"; 2 GiB unless given.
    ``progress(stage, done, total)`` is called as it goes.

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
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}; the engines are {', '.join(ENGINES)}")
    system = system.to(device=where)
    u = checked_input(system, input).to(where)
    workers = workers or (len(os.sched_getaffinity(0)) if where.type == "cpu" else 1)
    budget = Budget(bytes_of(memory), workers)
    settings = _Settings(solver == "auto", slow_q, closure, engine, seed, workers, budget, progress or _silent)
    with alone():
        x = (first_starts(system, u, n_starts, seed) if starts is None else checked_starts(system, starts)).to(where)
        if len(u) not in (1, len(x)):
            raise ValueError(f"input has {len(u)} rows and starts {len(x)}; give one input, or one for every start")
        _check_velocity(system, x, u)
        search = _Search(system, method, u, x, settings)
        try:
            search.run()
            return search.result(full_spectrum, began)
        except KeyboardInterrupt:
            search.interrupt()
            raise SearchInterrupted(search.result(full_spectrum, began)) from None


class _Search:
    """The state of one search: the points known, the slow states, and the history that decides when to stop."""

    def __init__(self, system: System, solver: Solver, u: Tensor, x: Tensor, settings: _Settings) -> None:
        inputs, groups = _distinct(u, len(x))
        self.system, self.settings, self.seed = system, settings, settings.seed
        unit = usual_size(system, u, x)
        self.solver, self.solvers = solver, [solver.name]
        self.plan = settings.budget.plan(system.n_state, isinstance(solver, Newton))
        self.catalogue = Catalogue(system, inputs, unit, self.plan.jacobians)
        self.minima = Minima(system, inputs, unit, settings.slow_q)
        self.descender = Descender(system, inputs, unit, settings.slow_q)
        self.rejected: Counter[Rejection] = Counter()
        self.discovery = Discovery()
        self.stopped = Stop.USED_UP
        self.rng = np.random.default_rng(settings.seed)
        order = torch.as_tensor(self.rng.permutation(len(x)), device=x.device)  # trajectories come sorted in time
        self.own, self.own_groups, self.given = x[order], groups[order], len(x)
        self.fibers_through: Counter[int] = Counter()  # of each point
        self.closures = [Closure(system, inputs[g : g + 1], self.rng, self.descender.fast) for g in range(len(inputs))]

    def run(self) -> None:
        """The starts given, and those made from what they found, until the rule of ``discovery`` says stop."""
        self._drop_infinite()
        while (stop := self._verdict()) is None:
            if len(self.own):
                self._own_round()
            else:
                self._scattered_round()
            if not self.settings.closure:
                continue
            while len(self.catalogue) and not self._closure_is_quiet() and not self._is_spent():
                self._closure_round()
            while self._second_engine_is_wanted() and not self._is_spent():
                self._fiber_round()
        self.stopped = stop
        used = self.discovery.tried[Source.OWN]
        self.settings.progress(str(Source.OWN), used, used)
        self.follow_slow()

    def _verdict(self) -> Stop | None:
        """Whether to stop, and why."""
        discovery, closure = self.discovery, self.settings.closure
        if discovery.lacking(self.catalogue.index_sum()) <= 0 and (not closure or self._closure_is_quiet()):
            return Stop.FLAT
        if len(self.own) == 0 and not closure:
            return Stop.USED_UP
        return Stop.SPENT if self._is_spent() else None

    def _closure_is_quiet(self) -> bool:
        return self.discovery.closure_is_quiet(self.catalogue.index_sum())

    def _second_engine_is_wanted(self) -> bool:
        wanted = self.settings.engine == "fiber" or self.discovery.is_doubtful(self.catalogue.index_sum())
        quiet = self.discovery.quiet_rounds[Source.FIBER] >= QUIET_CLOSURE
        return wanted and not quiet and self._can_follow_fibers()

    def _is_spent(self) -> bool:
        """Whether more starts have been made, or have brought nothing new, than is reasonable."""
        return len(self.own) == 0 and self.discovery.is_spent(self.given, self.catalogue.index_sum())

    def interrupt(self) -> None:
        """Say no more, and leave off what has not been done."""
        self.stopped = Stop.INTERRUPTED
        self.settings = dataclasses.replace(self.settings, progress=_silent)

    def _drop_infinite(self) -> None:
        finite = torch.isfinite(self.own).all(dim=1)
        if not bool(finite.all()):
            self.rejected[Rejection.NOT_FINITE] += int((~finite).sum())
            self.own, self.own_groups = self.own[finite], self.own_groups[finite]

    def _own_round(self) -> None:
        """A whole round, or no more than the rule still lacks."""
        lacking = self.discovery.lacking(self.catalogue.index_sum())
        n = min(self.plan.round, max(LEAST_ROUND, int(SPARE * lacking)))
        x, groups = self.own[:n], self.own_groups[:n]
        self.own, self.own_groups = self.own[n:], self.own_groups[n:]
        self._work(Source.OWN, x, groups, self.given - len(self.own), self.given)

    def _scattered_round(self) -> None:
        self._made_round(Source.SCATTERED, lambda g, n: states_in_box(self.system, self.catalogue.inputs[g:], n, self.rng))

    def _closure_round(self) -> None:
        known = self.catalogue

        def made(g: int, n: int) -> Tensor:
            mine = [i for i in known.isolated() if known.groups[i] == g]
            return self.closures[g].starts(known.states()[mine], [known.hits[i] for i in mine], n)

        self._made_round(Source.MADE, made)

    def _can_follow_fibers(self) -> bool:
        return self.system.n_state <= FIBER_LIMIT and len(self.catalogue.isolated()) > 0

    def _fiber_round(self) -> None:
        """Follow fibers of random directions through the points that have had fewest, the newest of them first."""
        known = self.catalogue
        isolated = known.isolated()
        chosen = sorted(isolated, key=lambda k: (self.fibers_through[k], -k))[:FIBERS]
        self.fibers_through.update(chosen)
        x = known.states()[torch.tensor(chosen, device=known.inputs.device)]
        c = torch.as_tensor(self.rng.standard_normal(x.shape), device=x.device)
        groups = torch.tensor([known.groups[k] for k in chosen], device=x.device)
        found = Fibers(max_steps=FIBER_STEPS).follow(self.system, x, c, known.inputs[groups])
        tried = self.discovery.tried[Source.FIBER] + len(found.x)
        self._work(Source.FIBER, found.x, groups[found.fiber], tried, tried)

    def _made_round(self, source: Source, make: Callable[[int, int], Tensor]) -> None:
        """A round shared evenly by the inputs of the search."""
        G = len(self.catalogue.inputs)
        parts = [make(g, -(-self.plan.round // G)) for g in range(G)]
        x = torch.cat(parts)
        groups = torch.cat([torch.full((len(part),), g, device=x.device) for g, part in enumerate(parts)])
        tried = self.discovery.tried[source]
        self._work(source, x, groups, tried + len(x), tried + len(x))

    def _work(self, source: Source, x: Tensor, groups: Tensor, done: int, total: int) -> None:
        """One round: all starts come down to near a zero; those near no known point are finished and entered."""
        if len(x) == 0:
            self.discovery.record(source, 0, 0, 0, self.discovery.points, self.discovery.seen_once, len(self.catalogue))
            return
        known = self.catalogue
        waves = torch.split(torch.arange(len(x), device=x.device), self.plan.wave)
        landed = Landed.joined(
            list(in_order(lambda rows: self.descender.land(self.solver, x[rows], groups[rows]), waves, self.settings.workers))
        )
        known.unit = min(known.unit, landed.unit)
        owner = torch.full((len(x),), NOBODY, device=x.device)
        near = landed.near.nonzero().squeeze(1)
        near = self._left(landed, near, owner)
        if self.system.n_state > LU_LIMIT and len(near):
            landed = self.descender.nearer(landed, near)
            near = self._left(landed, near, owner)
        leading = torch.zeros(len(near), dtype=torch.bool, device=x.device)
        leading[_leaders(landed.x[near], landed.F[near], landed.groups[near], TOGETHER * known.unit)] = True
        self._finish(landed, torch.cat([near[leading], (~landed.near).nonzero().squeeze(1)]), owner)
        self._finish(landed, self._left(landed, near[~leading], owner), owner)
        self._count(source, owner, done, total)
        if self.settings.adaptive and self.solver.name == Newton.name and self.discovery.fails_often():
            self._change_solver()

    def _change_solver(self) -> None:
        """Where Newton mostly fails, damped Gauss-Newton mostly does not; its failures are counted afresh."""
        if self.system.n_state <= DENSE_LIMIT:
            self.solver = GaussNewton(tolerance=HANDOVER, patience=PATIENCE)
            self.plan = dataclasses.replace(self.plan, round=4 * self.plan.round, wave=4 * self.plan.wave)
            self.solvers.append(self.solver.name)
            self.discovery.failed, self.discovery.independent = 0, 0

    def _left(self, landed: Landed, rows: Tensor, owner: Tensor) -> Tensor:
        """Those of the rows that lie in the basin of no known point; the others get their owner."""
        owner[rows] = self.catalogue.owners(landed.x[rows], landed.F[rows], landed.groups[rows])
        return rows[owner[rows] == NOBODY]

    def _finish(self, landed: Landed, rows: Tensor, owner: Tensor) -> None:
        """Bring states to their last digit and enter them; what is no zero is judged as it is."""
        if self.plan.jacobians:
            rows = self._settled(landed, rows, owner)
        if len(rows) == 0:
            return
        end = self.descender.finish(landed[rows])
        owner[rows[end.zero]] = self.catalogue.add(end.x[end.zero], end.F[end.zero], landed.groups[rows[end.zero]])
        self.minima.add(end.slow, end.slow_groups)
        self.rejected += end.rejected

    def _settled(self, landed: Landed, rows: Tensor, owner: Tensor) -> Tensor:
        """Finish by chord steps with the one factorisation that a new point needs anyway; returns the rows left over.

        Where those lead far for one factorisation, a second one is made from there.
        """
        near = rows[self.descender.may_be_zeros(landed[rows])]
        x = landed.x[near]
        for _ in range(2):
            if len(near) == 0:
                break
            groups = landed.groups[near]
            found = self.catalogue.assessed(x, groups)
            zero = found.converged & self.descender.inside(found.x, groups)
            if bool(zero.any()):
                good = found[zero]
                owner[near[zero]] = self.catalogue.enter(good, good.x, good.F, groups[zero])
            near, x, F = near[~zero], found.x[~zero], found.F[~zero]
            owner[near] = self.catalogue.owners(x, F, landed.groups[near])
            lost = owner[near] == NOBODY
            near, x = near[lost], x[lost]
        return rows[owner[rows] == NOBODY]

    def _count(self, source: Source, owner: Tensor, done: int, total: int) -> None:
        known = self.catalogue
        visits = known.visit(owner, source.is_independent)
        isolated = len(known.isolated())
        telling = int(visits.sum() - visits.max()) if isolated > 1 else int(visits.sum())
        failed = int((owner == NOBODY).sum())
        self.discovery.record(source, len(owner), failed, telling, isolated, known.seen_once(), len(known))
        self.settings.progress(str(source), done, total)

    def follow_slow(self) -> None:
        self.rejected += self.minima.follow(lambda done, total: self.settings.progress("slow points", done, total))
        for x, group in self.minima.zeros:
            groups = torch.tensor([group], device=x.device)
            self.catalogue.add(x, self.system.velocity(x, self.catalogue.inputs[groups]), groups)

    def result(self, full_spectrum: bool, began: float) -> FixedPoints:
        """Everything found so far, classified."""
        known, alone, tried = self.catalogue, self.catalogue.isolated(), self.discovery.tried
        report = SearchReport(
            starts=tried[Source.OWN],
            given=self.given,
            scattered_starts=tried[Source.SCATTERED],
            closure_starts=tried[Source.MADE],
            fiber_starts=tried[Source.FIBER],
            solver=" then ".join(self.solvers),
            stopped=str(self.stopped),
            seconds=time.perf_counter() - began,
            found=len(known),
            slow=len(self.minima.points),
            rejected={str(reason): count for reason, count in sorted(self.rejected.items())},
            estimated_missed=estimated_missed([known.hits[i] for i in alone], [known.groups[i] for i in alone]),
            inputs=known.inputs.tolist(),
            index_sum=known.index_sum(),
            discovery=self.discovery.curve,
            seed=self.seed,
            interrupted=self.stopped is Stop.INTERRUPTED,
        )
        settings = self.settings
        points = describe(
            self.system, known, self.minima, report, full_spectrum, settings.workers, settings.progress
        )
        if not self.plan.jacobians:  # no determinants were computed on the way
            report = dataclasses.replace(report, index_sum=self._index_sum_of(points))
        return dataclasses.replace(points, search=dataclasses.replace(report, seconds=time.perf_counter() - began))

    def _index_sum_of(self, points: FixedPoints) -> int | None:
        """The index sum of points whose eigenvalues are known; None where it tells nothing."""
        fixed = points[points.verdict == "fixed"]
        sure = np.isfinite(fixed.error_bound).all() and not (fixed.stability == "marginal").any()
        if not self.system.box_is_trapping or len(self.catalogue.inputs) > 1 or not len(fixed) or not sure:
            return None
        return sum(index(values, self.system.kind) for values in fixed.eigenvalues)


def _leaders(x: Tensor, F: Tensor, groups: Tensor, radius: float) -> Tensor:
    """One state of each cluster of states (B, n) that lie within ``radius`` of it, those of least |F| first."""
    if not len(x):
        return torch.zeros(0, dtype=torch.long, device=x.device)
    order = torch.argsort(F.norm(dim=1), stable=True)
    x, groups = x[order], groups[order]
    close = ((torch.cdist(x, x) <= radius) & (groups.unsqueeze(1) == groups)).tolist()
    leaders: list[int] = []
    for i, row in enumerate(close):
        if not any(row[j] for j in leaders):
            leaders.append(i)
    return order[torch.tensor(leaders, device=x.device)]


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

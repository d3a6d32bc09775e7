"""The course of a search: which starts come next, which solver takes them down, and when it is over.

rounds of the starts given -> rounds of starts made from the points found, until they bring nothing new -> the second
engine where there is doubt -> and again, until the rule of ``discovery`` says stop. Slow states are followed last.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynsys.io.progress import Progress, silent
from dynsys.numerics.deadline import ENDLESS, Deadline
from dynsys.piecewise_linear.latent.search import search_latent_regions
from dynsys.piecewise_linear.regions import TREE_LIMIT, RegionSearch, search_regions
from dynsys.proof.latent_boxes import BoxSearch, search_boxes
from dynsys.search.budget import Budget
from dynsys.search.fibers.directional_fibers import ARCLENGTH, Fibers
from dynsys.search.guesses import Closure
from dynsys.search.known.distinct import NOBODY, Catalogue
from dynsys.search.known.missing import Missing, estimated
from dynsys.search.known.stopping import QUIET_CLOSURE, Discovery, Source, Stop
from dynsys.search.known.twins import prove
from dynsys.search.landing import HANDOVER, Descender, Rejection
from dynsys.search.rounds import Harvest
from dynsys.search.slow_points.slow import Minima
from dynsys.search.solvers import DENSE_LIMIT, GaussNewton, Newton, Solver
from dynsys.search.starts import first_starts, states_in_box, visited
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.systems.latent import HIGHEST_RANK
from dynsys.systems.pieces import Pieces
from dynsys.systems.system import System

PATIENCE = 6  # steps that may bring little, of damped Gauss-Newton in search of zeros
FIBERS = 16  # followed at once
SHORT = Fibers(dataclasses.replace(ARCLENGTH, max_steps=200))  # their steps to either side
FIBER_LIMIT = 256  # units, above which the factorisations of a fiber cost more than it finds
LEAST_OF_INPUT = 8  # starts made for each input that the search is held at
REGIONS, REGION_STARTS = 5_000, 64  # nodes of the tree over linear regions, and starts whose regions are looked at
TESTS, TEST_ROUNDS = 32, 8  # hits that a search given up still asks for, to tell what it missed, and rounds at most
PROVED = 8  # times that a search goes on for what was proved
RANK_TOO_HIGH = (
    "a proof that these are all: the weights have rank {}, and boxes in the latent variables are for ranks up to {}, "
    "so that what is said of missing points is the estimate of a plain search"
)
LEAST_ROUND, SPARE = 16, 1.25  # starts of a last round, and as many per hit that the rule of discovery still lacks


@dataclass(frozen=True)
class Settings:
    """What the user asked for."""

    adaptive: bool  # whether the solver may be changed
    slow_q: float
    closure: bool
    engine: str
    verify: bool  # whether points are proved, and trajectories followed to where they settle
    seed: int
    workers: int
    budget: Budget
    progress: Progress
    deadline: Deadline = ENDLESS  # after which it ends with what it has
    long: bool = False  # whether it may go on finding points until then


class Exploration:
    """The state of one search of ``system`` from the starts x (B, n), each held at its input ``inputs[groups]``."""

    def __init__(
        self, system: System, solver: Solver, inputs: Tensor, groups: Tensor, x: Tensor, settings: Settings
    ) -> None:
        self.system, self.settings = system, settings
        finite = torch.isfinite(x).all(dim=1)
        given, x, groups = len(x), x[finite], groups[finite]
        unit = Held(system, inputs).measured(x).unit
        self.solver, self.solvers = solver, [solver.name]
        self.plan = settings.budget.plan(system.n_state, isinstance(solver, Newton), system.factorised_up_to)
        self.catalogue = Catalogue(system, inputs, unit, self.plan.jacobians, settings.workers)
        descender = Descender(system, inputs, unit, settings.slow_q)
        self.minima = Minima(system, inputs, unit, settings.slow_q, descender.within_reach, settings.workers)
        self.harvest = Harvest(descender, self.catalogue, self.minima, self.plan.workers)
        self.discovery = Discovery()
        self.stopped = Stop.USED_UP
        self.rng = np.random.default_rng(settings.seed)
        order = torch.as_tensor(self.rng.permutation(len(x)), device=x.device)  # trajectories come sorted in time
        self.own, self.own_groups, self.given = x[order], groups[order], given
        self.sample = self.own, self.own_groups  # all of them, while the search uses them up
        if given > len(x):
            self.harvest.rejected[Rejection.NOT_FINITE] += given - len(x)
        self.regions: dict[int, RegionSearch] = {}  # by input
        self.boxes: dict[int, BoxSearch] = {}  # the same, for a network of low rank
        self.unproved = ""  # why there was no such proof, where one might be looked for
        self.by_eigenvalues: dict[int, int] = {}  # index sums of so many points, where no determinant gave them
        self.joined: list[int] = []  # points that no start had led to, but a trajectory or a search before this one
        self.before = 0  # points that it began with
        self.fibers_through: Counter[int] = Counter()  # of each point
        self.farthest = 0.0  # the norm of the largest start that knew nothing of the points
        self.closures = [Closure(system, inputs[g : g + 1], self.rng, descender.fast) for g in range(len(inputs))]

    def run(self) -> None:
        """The starts given, and those made from what they found, until the rule of ``discovery`` says stop.

        A network of ReLUs is searched region by region first, one of low rank box by box; where that proves that there
        is no more, one round of starts is all that slow points still ask for.
        """
        self._search_regions()
        self._search_boxes()
        self._go_on()
        self.follow_slow()

    def begin_with(self, x: Tensor) -> None:
        """Enter zeros (k, n) that an earlier search came to: no start of this one has led to them yet."""
        self._enter(x, 0)
        self.before = len(self.catalogue)
        self.joined += range(self.before)

    def _go_on(self) -> None:
        """Rounds until the rule says stop, and again for what proofs add that are tried before points are counted."""
        self._rounds()
        for _ in range(PROVED if self.settings.verify and not self.is_proved else 0):
            if not prove(self.catalogue) or not self.settings.closure or self.stopped.is_early:
                return
            self.discovery.reopen(len(self.catalogue.isolated()))
            self._rounds()

    def _rounds(self) -> None:
        """Rounds until the rule says stop."""
        while (stop := self._verdict()) is None:
            if len(self.own):
                self._own_round()
            else:
                self._mixed_rounds()
            if not self.settings.closure:
                continue
            if self.is_proved:
                continue
            self._close()
        self.stopped = stop
        if stop is Stop.SPENT and self.settings.closure:
            self._test()
        used = self.discovery.tried[Source.OWN]
        self.settings.progress(str(Source.OWN), used, used)

    def _close(self) -> None:
        """Starts made from the points found, and fibers through them, until they bring nothing new."""
        while len(self.catalogue) and not self._closure_is_quiet() and not self._must_end():
            self._closure_round()
        while self._second_engine_is_wanted() and not self._must_end():
            self._fiber_round()

    def join(self, x: Tensor, groups: Tensor) -> int:
        """Enter states (k, n) within reach at which trajectories rest, and search on from them; how many were new."""
        before = len(self.catalogue)
        inside = self.harvest.descender.inside(x, groups)
        x, groups = x[inside], groups[inside]
        self.catalogue.add(x, self.system.velocity(x, self.catalogue.inputs[groups]), groups)
        new = range(before, len(self.catalogue))
        self.joined += new
        if new and self.settings.closure and not self.is_proved and not self.stopped.is_early:
            self.discovery.reopen(len(self.catalogue.isolated()))
            self._go_on()
        return len(new)

    def _search_regions(self) -> None:
        """The linear regions of a piecewise-linear system that is small enough, or of low rank, under each input."""
        base, period = (self.system.system, self.system.k) if isinstance(self.system, Iterated) else (self.system, 1)
        for g in range(len(self.catalogue.inputs)):
            u = self.catalogue.inputs[g : g + 1]
            pieces = base.pieces(u)
            if pieces is None:
                return
            found = self._latent_regions(base, u, pieces) if period == 1 and self.settings.verify else None
            if (found is None or not found.complete) and pieces.n_units * period <= TREE_LIMIT:
                found = search_regions(
                    base,
                    u,
                    period=period,
                    seed=self.settings.seed,
                    budget=REGIONS,
                    starts=self.own[self.own_groups == g][:REGION_STARTS],
                    progress=self.settings.progress,
                )
            if found is None:
                return
            self.regions[g] = found
            self._enter(torch.cat([found.states, *(flat.x[None, : self.system.n_state] for flat in found.flats)]), g)

    def _latent_regions(self, base: System, u: Tensor, pieces: Pieces) -> RegionSearch | None:
        """Those of the latent variables, which are few however many units there are."""
        latent = base.to(device="cpu").latent(u.cpu())
        if latent is None or latent.rank > HIGHEST_RANK or not latent.is_rectified:
            return None
        return search_latent_regions(latent, pieces.to("cpu"))

    def _search_boxes(self) -> None:
        """The boxes of the latent variables of a network of low rank, under each input."""
        for g in range(len(self.catalogue.inputs) if self.settings.verify else 0):
            latent = self.system.to(device="cpu").latent(self.catalogue.inputs[g : g + 1].cpu())
            if latent is not None and latent.rank > HIGHEST_RANK:
                self.unproved = RANK_TOO_HIGH.format(latent.rank, HIGHEST_RANK)
            if latent is None or latent.rank > HIGHEST_RANK or latent.is_rectified:
                return
            self.boxes[g] = search_boxes(latent, seed=self.settings.seed)
            self._enter(self.boxes[g].states, g)

    def _enter(self, states: Tensor, group: int) -> None:
        """States (k, n) that were found at the input of that number."""
        if len(states):
            u, x = self.catalogue.inputs[group : group + 1], states.to(self.catalogue.inputs)
            F = self.system.velocity(x, u.expand(len(x), -1))
            self.catalogue.add(x, F, torch.full((len(x),), group, device=x.device))

    @property
    def is_proved(self) -> bool:
        """Whether it is proved that no zero is missing."""
        proofs: dict[int, RegionSearch | BoxSearch] = {**self.regions, **self.boxes}
        return len(proofs) == len(self.catalogue.inputs) and all(proof.complete for proof in proofs.values())

    def _test(self) -> None:
        """Scattered starts after a search that was given up: how many of the points they meet were known?"""
        for _ in range(TEST_ROUNDS):
            if self.is_late:
                return
            if len(self.catalogue) and sum(self.catalogue.tests) - max(self.catalogue.tests) < TESTS:
                self._scattered_round()

    def _mixed_rounds(self) -> None:
        """A round of each kind, when the starts given are used up: no kind alone reaches everything."""
        self._scattered_round()
        if len(self.catalogue):
            self._closure_round()
        if self._can_follow_fibers() and self.discovery.is_doubtful(self._index_sum()):
            self._fiber_round()

    def _verdict(self) -> Stop | None:
        """Whether to stop, and why."""
        discovery, closure = self.discovery, self.settings.closure
        if self.is_proved and (discovery.rounds[Source.OWN] or not len(self.own)):
            return Stop.PROVED
        index_sum = self._index_sum()
        if discovery.lacking(index_sum) <= 0 and (not closure or self._closure_is_quiet()):
            if index_sum in (1, None):
                return Stop.FLAT
            return Stop.DOUBTED if self.catalogue.index_sum() is None else Stop.INCOMPLETE
        if len(self.own) == 0 and not closure:
            return Stop.USED_UP
        return Stop.SPENT if self._is_spent() else self._early()

    def _early(self) -> Stop | None:
        """Whether its time is over, be it by the clock or by the starts made, while it may still find points."""
        if self.is_late:
            return Stop.TIME
        return Stop.LONG if not self.settings.long and self.discovery.is_long(self.system.n_state) else None

    @property
    def is_late(self) -> bool:
        """Whether the seconds given are over."""
        return self.settings.deadline.is_over

    def _must_end(self) -> bool:
        return self._is_spent() or self._early() is not None

    def _index_sum(self) -> int | None:
        """The index sum where it proves something; else, where trajectories all come back, one that raises doubt.

        That they do is seen of a few: it is a reason to go on searching, and none to stop or to call points missing.
        """
        proved = self.catalogue.index_sum()
        if proved is not None or self.system.box_is_trapping or len(self.catalogue.inputs) > 1:
            return proved
        if self.system.periods is not None:  # of a cylinder or a torus they would sum to 0
            return None
        index = self.catalogue.points.index
        total = int(index.sum()) if len(index) and bool((index != 0).all()) else self.by_eigenvalues.get(len(index))
        if total in (1, None):
            return None
        return total if visited(self.system, self.catalogue.inputs[:1]).come_back else None

    def doubt(self, index_sum: int) -> bool:
        """Go on where the eigenvalues of the points give an index sum that raises doubt; whether that brings points."""
        before = len(self.catalogue)
        self.by_eigenvalues[before] = index_sum
        if self._index_sum() is None or self.stopped.is_early or not self.settings.closure or self.is_proved:
            return False
        self.discovery.reopen(len(self.catalogue.isolated()))
        self._go_on()
        return len(self.catalogue) > before

    def _closure_is_quiet(self) -> bool:
        return self.discovery.closure_is_quiet(self._index_sum())

    def _second_engine_is_wanted(self) -> bool:
        wanted = self.settings.engine == "fiber" or self.discovery.is_doubtful(self._index_sum())
        quiet = self.discovery.quiet_rounds[Source.FIBER] >= QUIET_CLOSURE
        return wanted and not quiet and self._can_follow_fibers()

    def _is_spent(self) -> bool:
        """Whether more starts have been made, or have brought nothing new, than is reasonable."""
        return len(self.own) == 0 and self.discovery.is_spent(self.given, self._index_sum())

    def interrupt(self) -> None:
        """Say no more, and leave off what has not been done."""
        self.stopped = Stop.INTERRUPTED
        self.settings = dataclasses.replace(self.settings, progress=silent)

    def _own_round(self) -> None:
        """A whole round, or no more than the rule still lacks."""
        lacking = self.discovery.lacking(self._index_sum())
        n = min(self.plan.round, max(LEAST_ROUND, int(SPARE * lacking)))
        x, groups = self.own[:n], self.own_groups[:n]
        self.own, self.own_groups = self.own[n:], self.own_groups[n:]
        self._work(Source.OWN, x, groups, self.given - len(self.own), self.given)

    def _scattered_round(self) -> None:
        """Half in the box, half where the network itself goes: far from its trajectories most starts may fail."""
        seed = self.settings.seed + self.discovery.rounds[Source.SCATTERED] + 1

        def made(g: int, n: int) -> Tensor:
            u = self.catalogue.inputs[g : g + 1]
            in_box = states_in_box(self.system, u, n - n // 2, self.rng)
            return torch.cat([in_box, first_starts(self.system, u, n // 2, seed).to(u.device)]) if n > 1 else in_box

        self._made_round(Source.SCATTERED, made)

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
        found = SHORT.follow(self.system, x, c, known.inputs[groups])
        tried = self.discovery.tried[Source.FIBER] + len(found.x)
        self._work(Source.FIBER, found.x, groups[found.fiber], tried, tried)

    def _made_round(self, source: Source, make: Callable[[int, int], Tensor]) -> None:
        """A round shared evenly by the inputs of the search."""
        G = len(self.catalogue.inputs)
        parts = [make(g, max(LEAST_OF_INPUT, -(-self.plan.round // G))) for g in range(G)]
        x = torch.cat(parts)
        groups = torch.cat([torch.full((len(part),), g, device=x.device) for g, part in enumerate(parts)])
        tried = self.discovery.tried[source] + len(x)
        left = self.discovery.patience(self.given, self._index_sum()) - self.discovery.since_new
        self._work(source, x, groups, tried, tried + max(int(left), 0))  # at most, if nothing new comes

    def _work(self, source: Source, x: Tensor, groups: Tensor, done: int, total: int) -> None:
        """One round, and what it tells about discovery."""
        known = self.catalogue
        owner = self.harvest(self.solver, self.plan, x, groups) if len(x) else groups
        if source.is_independent and len(x):
            self.farthest = max(self.farthest, float(x.norm(dim=1).max()))
        if source.is_independent and self.settings.closure:
            self.minima.consider(x, groups, owner == NOBODY)
        visits = known.visit(owner, source)
        isolated = len(known.isolated())
        telling = int(visits.sum() - visits.max()) if isolated > 1 else int(visits.sum())
        failed = int((owner == NOBODY).sum())
        self.discovery.record(source, len(x), failed, telling, isolated, known.seen_once(), len(known))
        self.settings.progress(str(source), done, total)
        if self.settings.adaptive and self.solver.name == Newton.name and self.discovery.fails_often():
            self._change_solver()

    def _change_solver(self) -> None:
        """Where Newton mostly fails, damped Gauss-Newton mostly does not; its failures are counted afresh."""
        if self.system.n_state <= DENSE_LIMIT:
            self.solver = GaussNewton(tolerance=HANDOVER, patience=PATIENCE)
            self.plan = dataclasses.replace(self.plan, round=2 * self.plan.round, wave=2 * self.plan.wave)
            self.solvers.append(self.solver.name)
            self.discovery.forget_failures()

    def follow_slow(self) -> None:
        if self.is_late:
            return
        self.harvest.rejected += self.minima.follow(
            lambda done, total: self.settings.progress("slow points", done, total),
            self.catalogue.states(),
            self.catalogue.groups,
        )
        for x, group in self.minima.zeros:
            groups = torch.tensor([group], device=x.device)
            if bool(self.harvest.descender.shut(x, groups, torch.ones_like(groups, dtype=torch.bool))):
                self.harvest.rejected[Rejection.HELD] += 1
                continue
            self.catalogue.add(x, self.system.velocity(x, self.catalogue.inputs[groups]), groups)

    def missing(self, index_sum: int | None) -> Missing:
        """What the search has missed, by the starts that knew nothing of the points found."""
        found = estimated(self.catalogue.tallies(), index_sum, complete=self.is_proved)
        found = dataclasses.replace(found, boxes=sum(proof.boxes for proof in self.boxes.values()))
        unmet = sum(self.catalogue.visits[k] == 0 for k in self.joined)
        if found.complete:
            return found
        doubted = index_sum is None and self._index_sum() is not None
        reach = [self.farthest, *self.catalogue.states().norm(dim=1).tolist()]
        within = max(reach) if self.system.box(self.catalogue.inputs) is None else None
        return dataclasses.replace(found, early=self.stopped.is_early, unmet=unmet, doubted=doubted, within=within)

"""Where trajectories settle under a held input: at a point, in a cycle, in an oscillation, or not in the time given.

All are followed together, and looked at after 16 steps (4 time constants of a flow) and at growing intervals; those
that have arrived are followed no further. An attractor that was not known is looked for where the states recur: by
Newton's method on G^k, for the k after which they come back nearest, from a state that comes back ever nearer.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.attractors.attractor import Attractor
from dynsys.attractors.known import Known
from dynsys.io.shown import Shown
from dynsys.numerics.rounding import is_zero
from dynsys.numerics.threads import alone
from dynsys.search.solvers import DENSE_LIMIT
from dynsys.systems.angles import nearest, rough_distances
from dynsys.systems.held import Held
from dynsys.systems.system import Kind, System
from dynsys.trajectories.approach import hovers
from dynsys.trajectories.motion import Followed, Motion
from dynsys.trajectories.neighbours import draws_in
from dynsys.trajectories.simulate import as_rows

MAX_STEPS = {Kind.MAP: 5000, Kind.FLOW: 1000}  # steps of a map, time constants of a flow
MAX_PERIOD = 16
COARSE = 0.4  # of a state's usual size: recurrences farther apart than this are none
PATIENCE = 1  # looks, at which the points handed in have the field to themselves
TRIES = 3  # of Newton's method at one look, that may bring nothing in a row
LEADERS = 16  # states that Newton's method is tried from at once, while systems are small
TOGETHER = 1e-2  # of a state's usual size: where Newton's method failed for one state it is not tried for the other
BEYOND = 1e16  # times a state's size, and more than the slowest integrator told from a perfect one makes of an input
SMALLER = 1e-2  # of their size at first: states that have come so far nearer are of another
SAME_PERIOD, SAME_SPAN = 1e-2, 2e-2  # relative differences of two records of one oscillation


class Ending(enum.StrEnum):
    """What has become of a trajectory."""

    POINT = "settles at a point"
    CYCLE = "settles in a cycle"
    OSCILLATION = "settles in an oscillation"
    RESTING = "rests where nothing draws it in"  # at a saddle, or on a line or ring of fixed points
    CIRCLING = "goes round a closed orbit that draws nothing in"
    ESCAPED = "runs off to infinity or becomes NaN"
    STUCK = "needs steps too short for the integrator"  # too stiff, or at a jump or pole
    GIVEN_UP = "has not settled in the steps of the integrator"
    UNSETTLED = "has not settled"


@dataclass(frozen=True, eq=False, repr=False)
class Settled(Shown):
    """Where each of B trajectories ended: ``kind`` (B,) of ``Ending``, ``end`` (B, n) the last state followed, ``time``
    (B,) the steps (time constants of a flow) after which that was seen, ``attractor`` (B,) an index into
    ``attractors``, -1 where there is none. The points handed in come first, as they came, whether any trajectory
    reached them or not; the others are sorted by period and state.
    """

    end: NDArray[np.float64]
    kind: NDArray[np.str_]
    attractor: NDArray[np.int64]
    time: NDArray[np.float64]
    attractors: tuple[Attractor, ...]
    system_kind: Kind
    max_steps: int

    def __len__(self) -> int:
        return len(self.end)

    def headline(self) -> str:
        counts = ", ".join(f"{kind}: {n}" for kind, n in Counter(self.kind.tolist()).most_common())
        return f"of {len(self)} trajectories; {counts or 'none'}"


def settle(
    system: System,
    x: Tensor | NDArray[np.float64],
    u: Tensor | NDArray[np.float64] | None = None,
    *,
    points: Tensor | NDArray[np.float64] | None = None,
    point_inputs: Tensor | NDArray[np.float64] | None = None,
    leading: NDArray[np.complex128] | None = None,
    max_steps: int | None = None,
    max_period: int = MAX_PERIOD,
    workers: int = 1,
) -> Settled:
    """Follow the states x (B, n) under the held input u, (1, m) or (B, m), zeros if not given, to where they settle.

    ``points`` (k, n) are stable points known already, ``point_inputs`` (k, m) the inputs they belong to (the only one
    unless given), ``leading`` (k,) their leading eigenvalues (computed unless given). ``max_steps`` are steps of a map,
    time constants of a flow, 5000 and 1000 unless given; ``max_period`` is the longest cycle looked for. Many
    trajectories of a large flow are shared by the ``workers`` (threads), with the same numbers on any number of them.

    >>> from dynsys import Map
    >>> flip = Map(lambda x, u: -torch.tanh(2 * x), n_state=1, bounds=(-1, 1))
    >>> ends = settle(flip, torch.tensor([[0.3], [0.9]], dtype=torch.float64), torch.zeros(1, 0, dtype=torch.float64))
    >>> [str(kind) for kind in ends.kind], ends.attractors[0].states.round(3).tolist()
    (['settles in a cycle', 'settles in a cycle'], [[-0.958], [0.958]])
    """
    steps = MAX_STEPS[system.kind] if max_steps is None else max_steps
    if steps < 1 or max_period < 1:
        raise ValueError(f"max_steps is {steps} and max_period {max_period}; both have to be 1 or more")
    x = as_rows(x)
    u = x.new_zeros(1, system.n_input) if u is None else as_rows(u)
    points, point_inputs = (None if values is None else as_rows(values) for values in (points, point_inputs))
    held = Held(system, u.expand(len(x), -1)).measured(x)
    with alone():
        course = _Course(held, x, steps, max_period, workers)
        if points is not None and len(points):
            inputs = u[:1] if point_inputs is None else point_inputs
            course.known.hand_in(points, inputs.expand(len(points), -1), leading)
        course.run()
        return course.result(0 if points is None else len(points))


@dataclass
class _Oscillation:
    """One that was seen: its period, the least and largest values on it (2, n), a state of it, its input."""

    period: float
    span: Tensor
    state: Tensor
    u: Tensor

    def is_like(self, other: _Oscillation, periods: Tensor | None) -> bool:
        size = float(vector_norm(self.span[1] - self.span[0]))
        return (
            torch.equal(self.u, other.u)
            and abs(self.period - other.period) <= SAME_PERIOD * self.period
            and float(nearest(self.span - other.span, periods).abs().max()) <= SAME_SPAN * size
        )


class _Course:
    """Everything that changes while trajectories are followed."""

    def __init__(self, held: Held, x: Tensor, max_steps: int, max_period: int, workers: int) -> None:
        self.held, self.system, self.max_steps, self.max_period = held, held.system, max_steps, max_period
        self.begun, self.known = x, Known(held.system, held.unit)
        self.looks = 0
        self.motion = Motion.of(held, x, max_steps, workers)
        self.oscillations: list[_Oscillation] = []  # those that draw their neighbours in
        self.neutral: list[_Oscillation] = []
        self.kind = [Ending.UNSETTLED] * len(x)
        self.owner = torch.full((len(x),), -1, dtype=torch.long, device=x.device)
        self.turning = torch.full_like(self.owner, -1)  # the oscillation of each trajectory
        self.end, self.time = x.clone(), torch.zeros(len(x), dtype=x.dtype, device=x.device)

    def run(self) -> None:
        while not self.motion.is_over:
            self._look(self.motion.follow())

    def _look(self, seen: Followed) -> None:
        """Tell the trajectories that have arrived, and drop them."""
        self.looks += 1
        rows = seen.rows
        self.end[rows], self.time[rows] = seen.history[-1], self.motion.time
        self._come_nearer(seen.history[-1])
        far = BEYOND * vector_norm(self.begun[rows], dim=1).clamp_min(max(self.held.unit, 1.0))
        gone = seen.escaped | ~(vector_norm(seen.history[-1] - self.begun[rows], dim=1) <= far)
        self._set(rows[gone], Ending.ESCAPED)
        seen = seen[~gone]
        owner = self._owners(seen)
        self.owner[seen.rows] = owner
        self._set(seen.rows[owner >= 0], Ending.POINT)  # a cycle's are told apart at the end
        seen = seen[owner < 0]
        rest = self._at_rest(seen)
        if not self.known.attractors or self.looks > PATIENCE:
            rest = rest | hovers(self.held[seen.rows], seen.history[-1])
        owner = self._owners_at_rest(seen[rest])
        self.owner[seen.rows[rest]] = owner
        self._set(seen.rows[rest][owner >= 0], Ending.POINT)
        self._set(seen.rows[rest][owner < 0], Ending.RESTING)
        seen = seen[~rest]
        turning = torch.isfinite(seen.period)
        turning[turning.clone()] = self._oscillate(seen[turning])
        seen = seen[~turning]
        self._set(seen.rows[seen.given_up], Ending.GIVEN_UP)
        self._set(seen.rows[seen.stuck], Ending.STUCK)
        self.motion.drop(torch.isin(rows, seen.rows[~(seen.given_up | seen.stuck)], invert=True))

    def _come_nearer(self, x: Tensor) -> None:
        """Where starts far out have led to states (B, n) far smaller, errors are relative to theirs."""
        size = max(self.held.measured(x).unit, 1.0)
        if size < SMALLER * self.held.unit:
            self.held, self.motion.held = (replace(held, unit=size) for held in (self.held, self.motion.held))
            self.known.unit = size

    def _set(self, rows: Tensor, kind: Ending) -> None:
        for row in rows.tolist():
            self.kind[row] = kind

    def _at_rest(self, seen: Followed) -> Tensor:
        x, held = seen.history[-1], self.held[seen.rows]
        return is_zero(held, x, held.velocity(x))

    def _owners_at_rest(self, seen: Followed) -> Tensor:
        """The attractor of each trajectory at rest, every one of which is looked at; -1 where there is none."""
        u, known = self.held.u[seen.rows], len(self.known.phases)
        for some in torch.split(torch.arange(len(u), device=u.device), self._at_once()):
            self.known.discover(seen.history[-1, some], u[some], 1)
        return self.known.owners(seen.history, seen.duration, u, since=known)

    def _at_once(self) -> int:
        """States that Newton's method is tried from together: in large systems that saves nothing."""
        return LEADERS if self.system.n_state <= DENSE_LIMIT else 1

    def _owners(self, seen: Followed) -> Tensor:
        """The attractor of each trajectory followed; new ones are looked for while that brings any."""
        u = self.held.u[seen.rows]
        owner = self.known.owners(seen.history, seen.duration, u)
        if bool((owner >= 0).all()) or (self.known.attractors and self.looks <= PATIENCE):
            return owner
        k, apart = self._recurrence(seen, u)
        open_, left, x = (owner < 0) & torch.isfinite(apart), TRIES, seen.history[-1]
        while left and bool(open_.any()):
            some, known = self._leaders(x, u, k, torch.where(open_, apart, torch.inf)), len(self.known.phases)
            self.known.discover(x[some], u[some], int(k[some[0]]))
            rows = (owner < 0).nonzero().squeeze(1)
            owner[rows] = self.known.owners(seen.history[:, rows], seen.duration, u[rows], since=known)
            left = TRIES if len(self.known.phases) > known else left - 1
            done = (self._apart(x, x[some]) <= TOGETHER * self.held.unit) & (u.unsqueeze(1) == u[some]).all(dim=2)
            open_ &= (owner < 0) & ~(done & (k.unsqueeze(1) == k[some])).any(dim=1)
        return owner

    def _leaders(self, x: Tensor, u: Tensor, k: Tensor, apart: Tensor) -> Tensor:
        """The state that comes back nearest, and others of its period that lie apart from it and from each other."""
        order = torch.argsort(apart, stable=True)
        order = order[torch.isfinite(apart[order]) & (k[order] == k[order[0]])]
        leaders: list[int] = []
        for i in order.tolist():
            near = vector_norm(self._way(x[leaders], x[i]), dim=1) <= TOGETHER * self.held.unit
            near &= (u[leaders] == u[i]).all(dim=1)
            if not bool(near.any()):
                leaders.append(i)
            if len(leaders) == self._at_once():
                break
        return torch.tensor(leaders, device=x.device)

    def _way(self, x: Tensor, y: Tensor) -> Tensor:
        return nearest(x - y, self.system.periods)

    def _apart(self, x: Tensor, y: Tensor) -> Tensor:
        return rough_distances(x, y, self.system.periods)

    def _recurrence(self, seen: Followed, u: Tensor) -> tuple[Tensor, Tensor]:
        """The period k (B,) after which each trajectory comes back nearest, and how near it stays; inf where it does
        not come back ever nearer.
        """
        history, T = seen.history, len(seen.history) - 1
        if self.system.kind is Kind.FLOW:
            apart = vector_norm(self.system.velocity(history[-1], u), dim=1)
            before = vector_norm(self.system.velocity(history[T // 2], u), dim=1)
            return torch.ones_like(seen.rows), torch.where(apart <= before, apart, torch.inf)
        most = max(1, min(self.max_period, T // 2))
        gaps = torch.stack([vector_norm(self._way(history[-1], history[-1 - k]), dim=1) for k in range(1, most + 1)])
        enough = (
            gaps <= 4 * gaps.amin(dim=0) + 1e-9 * self.held.unit
        )  # a multiple of the period does as well, but no better
        period = enough.to(torch.uint8).argmax(dim=0) + 1
        apart = torch.full_like(gaps[0], torch.inf)
        for k in torch.unique(period).tolist():
            rows = (period == k).nonzero().squeeze(1)
            late = self._way(history[T // 2 :, rows], history[T // 2 - k : T + 1 - k, rows])
            earlier, later = (part.amax(dim=0) for part in vector_norm(late, dim=2).tensor_split(2))
            apart[rows] = torch.where((later <= earlier) & (later <= COARSE * self.held.unit), later, torch.inf)
        return period, apart

    def _oscillate(self, seen: Followed) -> Tensor:
        """Whether (B,) the trajectories that have come back are on a closed orbit; one that draws in others is told."""
        u = self.held.u[seen.rows]
        orbits = [
            _Oscillation(float(seen.period[i]), seen.span[i], seen.history[-1, i], u[i]) for i in range(len(seen.rows))
        ]
        new: list[int] = []
        for i, orbit in enumerate(orbits):
            known = self.oscillations + self.neutral + [orbits[j] for j in new]
            if not any(one.is_like(orbit, self.system.periods) for one in known):
                new.append(i)
        if new:
            size = vector_norm(seen.span[new, 1] - seen.span[new, 0], dim=1)
            state = seen.history[-1, new]
            closed, attract = draws_in(self.held[seen.rows[new]], state, seen.period[new], size)
            for i, closes, attracts in zip(new, closed.tolist(), attract.tolist(), strict=True):
                if closes:
                    (self.oscillations if attracts else self.neutral).append(orbits[i])
        for row, orbit in zip(seen.rows.tolist(), orbits, strict=True):
            like = next((j for j, one in enumerate(self.oscillations) if one.is_like(orbit, self.system.periods)), -1)
            self.turning[row] = like
            if like >= 0 or any(one.is_like(orbit, self.system.periods) for one in self.neutral):
                self.kind[row] = Ending.OSCILLATION if like >= 0 else Ending.CIRCLING
        told = (Ending.OSCILLATION, Ending.CIRCLING)
        return torch.tensor([self.kind[row] in told for row in seen.rows.tolist()], dtype=torch.bool, device=u.device)

    def result(self, handed_in: int) -> Settled:
        """The attractors in their order, and every trajectory with its own."""
        found = list(self.known.attractors)
        reached = set(self.owner.tolist())
        for o in self.oscillations:
            found.append(Attractor(o.period, np.asarray(o.state[None].cpu()), np.asarray(o.u.cpu())))
        new = [i for i in range(handed_in, len(found)) if i in reached or i >= len(self.known.attractors)]
        order = list(range(handed_in)) + sorted(new, key=lambda i: _sort_key(found[i]))
        place = {old: i for i, old in enumerate(order)} | {-1: -1}
        turning = self.turning.cpu().numpy()
        owner = np.where(turning >= 0, turning + len(self.known.attractors), self.owner.cpu().numpy())
        cyclic = (self.system.kind is Kind.MAP) & np.array([o >= 0 and found[o].period > 1 for o in owner], dtype=bool)
        return Settled(
            end=np.asarray(self.end.cpu()),
            kind=np.where(cyclic, str(Ending.CYCLE), np.array([str(kind) for kind in self.kind], dtype=np.str_)),
            attractor=np.array([place[int(o)] for o in owner], dtype=np.int64),
            time=np.asarray(self.time.cpu()),
            attractors=tuple(found[i] for i in order),
            system_kind=self.system.kind,
            max_steps=self.max_steps,
        )


def _sort_key(attractor: Attractor) -> tuple[float, ...]:
    return (round(float(attractor.period), 3), *attractor.states[0].round(6).tolist())

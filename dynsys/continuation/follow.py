"""Follow all fixed points of a family: search at a few snapshots, walk from what is found, name what happens.

search at the last, the first and some other snapshots -> a walk from each point that is on no curve yet
-> eigenvalues at every snapshot -> crossings, located -> at branch points: the other curve -> more walks
-> at every other snapshot: does the system come to rest where no point is known? -> more walks
-> sum of the indices at every snapshot -> another search where it proves points missing
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynsys.continuation.curve import BRANCH_POINT, LEFT, Curve
from dynsys.continuation.curves import SHORT, Curves
from dynsys.continuation.diagram import Array, Branch, Diagram, Event, Integers, marginal
from dynsys.continuation.events.assembly import Assembly
from dynsys.continuation.events.junctions import Followed, Junction, is_walked, junctions
from dynsys.continuation.family_curve import other_tangent
from dynsys.continuation.walk import ALONE, SAME, WALK, Walk
from dynsys.io.progress import Progress, silent
from dynsys.io.text import paragraphs
from dynsys.numerics.deadline import Cut, Deadline, Part
from dynsys.numerics.threads import alone, in_order
from dynsys.search.find import fixed_states
from dynsys.search.starts import GONE, first_starts, resting_states
from dynsys.systems.family import TRAINING, Family
from dynsys.systems.held import Held
from dynsys.systems.system import Kind

SEARCHES = 3  # snapshots searched unless told otherwise: the last, the first and the middle one
MORE_SEARCHES = 2  # where the indices prove points missing
STARTS = 64  # states of a search, by which the usual size of a state is told
RELEASED, LARGE_STEP = 32, 0.5  # states let go at a snapshot that is not searched, and the step, in time constants
ELSEWHERE = 0.02  # usual sizes of a state, beyond which one that has come to rest is at none of the points known
MOST_SWITCHES = 500  # from one curve to another at a branch point
AT_ONCE = 1e-4  # of the way between two snapshots, and of the usual size of a state: events nearer are at one place
BESIDE_ORIGIN = 1e-3  # usual sizes of a state, within which a curve that ends at a branch point does so at the origin
SEARCHED, WALKS, RELEASES = "searches", "walks from the points found", "releases at snapshots not searched"
SWITCHES, FURTHER = "switches at branch points", "further searches, which the indices ask for"
AT_SNAPSHOT = 1e-6  # of the way to the next snapshot, within which a curve that ends does so at a snapshot
BESIDES = 2.5  # times what walking, reading and releases take: events and branch points


@dataclass(frozen=True)
class Outlook:
    """What following will take, once its searches are made: the number of ``snapshots``, and of ``points`` that each of
    the searches found, and how many ``seconds`` are about to go by still."""

    snapshots: int
    points: tuple[int, ...]
    seconds: float


def follow(
    family: Family,
    *,
    searches: int | Sequence[int] = SEARCHES,
    verify: bool = False,
    workers: int | None = None,
    seed: int = 0,
    seconds: float | Deadline | None = None,
    progress: Progress | None = None,
    on_outlook: Callable[[Outlook], None] | None = None,
) -> Diagram:
    """The bifurcation diagram of ``family`` over its snapshots.

    ``searches`` is how many snapshots are searched with ``find_fixed_points`` (the last, the first and others evenly
    between, at least 2), or which ones, counted from 0; ``verify`` has these searches prove what they find. Where the
    system has a trapping box and the indices do not add up to 1, up to ``MORE_SEARCHES`` more are made. The same seed
    gives the same diagram on any number of ``workers`` (threads). ``progress(stage, done, total)`` is called as it
    goes, ``on_outlook`` once, after the first searches, with what is ahead, unless ``seconds`` say it. After so
    many ``seconds`` nothing more is begun: the diagram is of what was followed by then, and ``about`` and the first
    of the notes say that it was "cut", and what is left out.

    Nothing proves that all points have been found: ``notes`` says what was checked and what was lost. Raises
    ValueError for snapshots that there are not.
    """
    began = time.perf_counter()
    chosen = _chosen(searches, len(family.steps))
    workers = workers or len(os.sched_getaffinity(0))
    with alone():
        told = progress or silent
        study = _Study(family, workers, seed, verify, told, Deadline.of(seconds))
        diagram = study.run(chosen, on_outlook)
    return _timed(diagram, time.perf_counter() - began)


def _chosen(searches: int | Sequence[int], n: int) -> list[int]:
    """The snapshots to search, the last first: later in training there are more points, and better kept apart."""
    if isinstance(searches, int):
        if searches < 2:
            raise ValueError(f"searches is {searches}; at least 2 snapshots are searched, the last and the first")
        numbers = sorted({round(float(p)) for p in np.linspace(0, n - 1, min(searches, n))})
    else:
        numbers = sorted(set(searches))
        if not numbers or not all(0 <= i < n for i in numbers):
            raise ValueError(f"searches names the snapshots {numbers}; there are 0 to {n - 1}")
    return [numbers[-1], *numbers[:-1]]


def _timed(diagram: Diagram, seconds: float) -> Diagram:
    return dataclasses.replace(diagram, seconds=seconds)


def _points(n: int) -> str:
    return "1 point that was" if n == 1 else f"{n} points that were"


class _Study:
    """One run of ``follow``."""

    def __init__(
        self, family: Family, workers: int, seed: int, verify: bool, progress: Progress, deadline: Deadline
    ) -> None:
        self.family, self.workers, self.seed, self.verify, self.progress = family, workers, seed, verify, progress
        self.deadline = deadline
        last = family.system(float(len(family.steps) - 1))
        unit = Held(last, family.u).measured(first_starts(last, family.u, STARTS, seed)).unit
        self.curves = Curves(family, unit, workers, progress, deadline)
        self.index_known = all(family.system(float(i)).box_is_trapping for i in range(len(family.steps)))
        self.searched: set[int] = set()
        self.stages: dict[str, Part] = {}  # those that were begun

    def run(self, chosen: list[int], on_outlook: Callable[[Outlook], None] | None = None) -> Diagram:
        found: list[tuple[int, Tensor]] = []
        at_once = on_outlook is None or self.deadline.seconds is not None  # what was found may be all there is time for
        for k, i in enumerate(chosen):
            self.progress("searching", k, len(chosen))
            x = self._searched(i)
            if x is not None:
                found.append((i, x))
                if at_once:
                    self._enter(x, i)
            self._came_to(SEARCHED, len(found), len(chosen))
        self.progress("searching", len(chosen), len(chosen))
        if on_outlook is not None and not at_once:
            on_outlook(self._outlook(found))
            for i, x in found:
                self._enter(x, i)
        self._go_on_at_branch_points()
        self._look_where_it_rests()
        self._go_on_at_branch_points()
        for _ in range(MORE_SEARCHES):
            wrong = self._worst()
            if wrong is None:
                break
            x = self._searched(wrong)
            self._came_to(FURTHER, int(x is not None), 1)
            if x is not None:
                self._enter(x, wrong)
            self._go_on_at_branch_points()
        return self._diagram()

    def _came_to(self, what: str, done: int, of: int) -> None:
        self.stages[what] = Part(done, of, what)

    def _outlook(self, found: list[tuple[int, Tensor]]) -> Outlook:
        """By the clock: what one point and one release take at each snapshot searched, and how many points it has."""
        paces = []
        for i, x in found:
            rest = self._took(lambda: self._resting(i))  # noqa: B023 - called at once
            paces.append(rest + len(x) * (self._took(lambda: self.curves.pace(x[:1], i)) if len(x) else 0.0))  # noqa: B023
        n = len(self.family.steps)
        apart = self.workers if self.family.n_state >= ALONE else 1
        seconds = BESIDES * n * float(np.mean(paces)) / min(apart, os.cpu_count() or 1)
        return Outlook(n, tuple(len(x) for _, x in found), seconds)

    @staticmethod
    def _took(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def _searched(self, i: int) -> Tensor | None:
        """The fixed points (k, n) that a search of one snapshot finds; None where time was over before its end."""
        if self.deadline.is_over:
            return None
        x = fixed_states(
            self.family.system(float(i)),
            None,
            self.family.u,
            verify=self.verify,
            deadline=self.deadline,
            seed=self.seed,
            workers=self.workers,
        )
        return None if self.deadline.is_over else x

    def _enter(self, x: Tensor, i: int) -> None:
        """Walk from every point of a search that is on no curve."""
        if self.curves.odd:  # the origin is a zero, whether it was found or not, and found to the last digit
            x = torch.cat([x[x.norm(dim=1) > SAME * self.curves.unit], x.new_zeros(1, self.family.n_state)])
        before = bool(self.searched)
        self.searched.add(i)
        n = self._walk_from_new(x, i)
        if before and n:
            self.curves.notes.append(
                f"the search at {self.curves.place(i)} found {_points(n)} on no branch followed from the searches "
                "before it"
            )

    def _walk_from_new(self, x: Tensor, i: int) -> int:
        """Walk from those of the points x (k, n) of a snapshot that are on no curve yet; how many there were."""
        starts: list[Tensor] = []
        for row in x:
            if self.curves.passing(row, i) is None and not any(self.curves.is_same(row, other) for other in starts):
                starts.append(row)
        before = self.stages.get(WALKS, Part(0, 0, WALKS))
        self._came_to(WALKS, before.done + self.curves.walk_from(starts, i), before.of + len(starts))
        return len(starts)

    def _look_where_it_rests(self) -> None:
        """Stable points that no search has met: where the system comes to rest at the snapshots not searched."""
        left = [i for i in range(len(self.family.steps) - 1, -1, -1) if i not in self.searched]
        going = left if not self.deadline.is_over else []
        self._came_to(RELEASES, 0, len(left))
        for k, (i, ends) in enumerate(zip(going, in_order(self._resting, going, self.workers), strict=True)):
            if self.deadline.is_over:
                return
            self._came_to(RELEASES, k + 1, len(left))
            self.progress("coming to rest", k, len(left))
            ends = self.curves.far_from_all(ends, i, ELSEWHERE * self.curves.unit)
            if len(ends) == 0:
                continue
            system = self.family.system(float(i))
            x = fixed_states(system, ends, self.family.u, closure=False, seed=self.seed, workers=self.workers)
            n = self._walk_from_new(x, i)
            if n:
                self.curves.notes.append(
                    f"trajectories at {self.curves.place(i)} led to {_points(n)} on no branch of the searches"
                )
        self.progress("coming to rest", len(left), len(left))

    def _resting(self, i: int) -> Tensor:
        ends = resting_states(self.family.at(self.family.time(i)), self.family.u, RELEASED, self.seed, LARGE_STEP)
        return ends[ends.norm(dim=1) <= GONE * max(self.curves.unit, 1.0)]  # NaN is not

    def _go_on_at_branch_points(self) -> None:
        """Walk along the other curve of every branch point of which only one is known."""
        tried: list[Tensor] = []
        while len(tried) < MOST_SWITCHES:
            joints, loose = self._junctions(self.curves.followed)
            ends_at_origin = [float(z[-1]) for z in loose if float(z[:-1].norm()) <= BESIDE_ORIGIN * self.curves.unit]
            if self.curves.odd and self.curves.look_closer_at_the_origin(ends_at_origin):
                joints, _ = self._junctions(self.curves.followed)
            new = [j for j in joints if self._is_open(j) and not any(torch.equal(j.z, z) for z in tried)]
            self.progress("branch points", len(tried), len(tried) + len(new))
            self._came_to(SWITCHES, len(tried), len(tried) + len(new))
            if not new or self.deadline.is_over:
                return
            tried.append(new[0].z)  # one at a time: the other curve may end at another branch point of these
            self._switch(new[0])

    def _junctions(self, followed: list[Followed]) -> tuple[list[Junction], list[Tensor]]:
        return junctions(followed, self.curves.newton, self.family.kind is Kind.MAP)

    def _is_open(self, joint: Junction) -> bool:
        enough = 1 if self.curves.odd and self.curves.is_origin(joint.z[:-1]) else 2
        return len(joint.passing) == 1 and len(joint.arms) < enough

    def _switch(self, joint: Junction) -> None:
        crossing = joint.passing[0][1]
        cell = min(int(float(joint.z[-1])), len(self.family.steps) - 2)
        other = other_tangent(self.curves.newton, joint.z, crossing.t, cell)
        arms = self._arms(joint.z, self._not_walked(joint.z, other), cell)
        if len(arms) == 2 and arms[0].nodes[0].way != arms[1].nodes[0].way:
            back = arms[1].changed(1, reverse=True)
            arms = [Curve(back.nodes + arms[0].nodes, back.head, arms[0].tail, max(arms[0].gap, arms[1].gap))]
            self.curves.read([self.curves.enter(arms[0])])
            return
        for arm in arms:
            arm.head, arm.origin = BRANCH_POINT, joint.z
            arm.gap = max(arm.gap, self.curves.newton.length(arm.nodes[0].z - joint.z))
        self.curves.read([self.curves.enter(arm) for arm in arms])

    def _arms(self, z: Tensor, tangents: list[Tensor], cell: int) -> list[Curve]:
        """The curves that leave the branch point z; one that lands on another is walked again in short steps."""
        unit, workers = self.curves.unit, self.workers
        arms: list[Curve] = []
        for t, arm in zip(
            tangents, Walk(self.family, unit, WALK, workers).from_tangents(z, tangents, cell), strict=True
        ):
            if arm.nodes and self.curves.landing_on_another(arm) is not None:
                (arm,) = Walk(self.family, unit, SHORT, workers).from_tangents(z, [t], cell)
            if arm.nodes and self.curves.landing_on_another(arm) is None:
                arms.append(arm)
            elif arm.nodes:
                at = self.curves.place(float(z[-1]))
                self.curves.notes.append(f"a curve that leaves the branch point at {at} came to another")
        return arms

    def _not_walked(self, z: Tensor, other: Tensor | None) -> list[Tensor]:
        """The directions in which the other curve is yet to be walked; at the origin one is the image of the other."""
        if other is None:
            return []
        odd = self.curves.odd
        both = [other] if odd and self.curves.is_origin(z[:-1]) else [other, -other]
        return [t for t in both if not is_walked(self.curves.followed, self.curves.newton, odd, z, t)]

    def _worst(self) -> int | None:
        """The middle of the longest run of snapshots not yet searched whose indices prove points missing."""
        if not self.index_known:
            return None
        sums = self.curves.index_sums(self.curves.everything())
        wrong = [i for i in range(len(sums)) if sums[i] != 1 and i not in self.searched]
        runs: list[list[int]] = []
        for i in wrong:
            if runs and runs[-1][-1] == i - 1:
                runs[-1].append(i)
            else:
                runs.append([i])
        longest = max(runs, key=len, default=None)
        return None if longest is None else longest[len(longest) // 2]

    def _diagram(self) -> Diagram:
        whole = self.curves.everything()
        joints, _ = self._junctions(whole)
        assembly = Assembly(self.family, self.curves.unit, self.curves.reader.readings, joints)
        for one in whole:
            assembly.cut(one)
        branches, events = assembly.result()
        sums = self.curves.index_sums(whole)
        steps: Array = self.family.steps
        told = self.family.told
        searched = np.array([i in self.searched for i in range(len(steps))])
        ends = [(b, told(b.s[0]), told(b.s[-1])) for b in branches if b.lost]
        lost = [f"branch {b.id} was lost between {first} and {last}: {b.lost}" for b, first, last in ends]
        system = self.family.system(float(len(steps) - 1))
        about = {"name": system.name, "kind": str(system.kind), "n_state": system.n_state, "odd": self.curves.odd}
        about["parameter"] = self.family.parameter
        cut = self._cut()
        about |= {} if cut is None else {"cut": cut.to_json()}
        notes = (
            *([] if cut is None else [cut.sentence]),
            *self.curves.notes,
            *lost,
            *self._notes(branches, events, sums),
        )
        return Diagram(steps, branches, events, sums, searched, 0.0, notes, self.index_known, about)

    def _cut(self) -> Cut | None:
        """What was not begun for want of time: what is done besides the searches is not told."""
        left = [part for part in self.stages.values() if part.done < part.of or part.what == SEARCHED]
        return self.deadline.cut(*left, goes_on=False)

    def _notes(self, branches: Sequence[Branch], events: Sequence[Event], sums: Integers) -> list[str]:
        """What is not simple, not resolved or not complete."""
        wrong = int((sums != 1).sum()) if self.index_known else 0
        at = [[self.family.told(s) for s in found] for found in (self._at_once(events), self._unresolved(branches))]
        word = "snapshot" if self.family.parameter == TRAINING else "place"
        return paragraphs("dynsys.continuation", "notes", *at, len(self.searched), len(sums), wrong, word)

    def _at_once(self, events: Sequence[Event]) -> list[float]:
        """Where several eigenvalues cross at once, as in families with symmetries: no event there is simple."""
        steps = self.family.steps
        found: list[float] = []
        for k, event in enumerate(events):
            near = AT_ONCE * float(np.diff(steps)[np.searchsorted(steps, event.between[0])])
            others = [
                other
                for other in events[:k]
                if abs(other.time - event.time) <= near
                and float(np.linalg.norm(other.state - event.state)) <= AT_ONCE * self.curves.unit
            ]
            found += [event.time] * (len(others) == 1)
        return found

    def _unresolved(self, branches: Sequence[Branch]) -> list[float]:
        """Snapshots at whose very value curves end: an event is there, which a corner of the family hides. At the first
        and the last, where all curves end, it is told by an eigenvalue on the boundary."""
        steps = self.family.steps
        ends = [end for b in branches if b.lost and LEFT not in b.lost for end in (b.s[0], b.s[-1])]
        near = AT_SNAPSHOT * np.gradient(steps)
        return [
            float(step)
            for i, (step, reach) in enumerate(zip(steps, near, strict=True))
            if np.any(np.abs(ends - step) <= reach) and (0 < i < len(steps) - 1 or self._is_marginal(branches, i))
        ]

    def _is_marginal(self, branches: Sequence[Branch], snapshot: int) -> bool:
        """Whether a point at a snapshot has an eigenvalue on the boundary, beside those elsewhere, or goes nowhere."""
        if any(len(b) == 1 and b.lost and b.snapshot[0] == snapshot for b in branches):
            return True
        rows = [(b, row) for b in branches if (row := b.at(snapshot)) is not None]
        return any(bool(marginal(branches, b, self.family.kind)[row]) for b, row in rows)

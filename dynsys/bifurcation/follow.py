"""Follow all fixed points of a family: search at a few snapshots, walk from what is found, name what happens.

search at the last, the first and some other snapshots -> a walk from each point that is on no curve yet
-> eigenvalues at every snapshot -> crossings, located -> at branch points: the other curve -> more walks
-> sum of the indices at every snapshot -> another search where it proves points missing
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dynsys.bifurcation.assembly import Assembly
from dynsys.bifurcation.crossings import Leap, Reader
from dynsys.bifurcation.curve import BRANCH_POINT, CLOSED, LONGEST_STEP, SAME, Bordered, Curve, Node, Walk
from dynsys.bifurcation.diagram import Array, Diagram, Integers
from dynsys.bifurcation.family import Family
from dynsys.bifurcation.junctions import Followed, Junction, junctions
from dynsys.bifurcation.switching import other_tangent
from dynsys.exploration import usual_size
from dynsys.search import find_fixed_points
from dynsys.starts import first_starts
from dynsys.system import Kind
from dynsys.threads import alone, in_order

Progress = Callable[[str, int, int], None]

SEARCHES = 5  # snapshots searched unless told otherwise: the last, the first and three between
MORE_SEARCHES = 2  # where the indices prove points missing
STARTS = 64  # states of a search, by which the usual size of a state is told
TOGETHER = 4  # walks that are under way at once, whatever the number of threads, so that the result is the same
FINER = 1 / 16  # of the longest step, for a curve that landed on another
ROUNDS = 4  # of going on at branch points


def follow(
    family: Family,
    *,
    searches: int | Sequence[int] = SEARCHES,
    verify: bool = False,
    workers: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Diagram:
    """The bifurcation diagram of ``family`` over its snapshots.

    ``searches`` is how many snapshots are searched with ``find_fixed_points`` (the last, the first and others evenly
    between, at least 2), or which ones, counted from 0; ``verify`` has these searches prove what they find. Where the
    system has a trapping box and the indices do not add up to 1, up to ``MORE_SEARCHES`` more are made. The same seed
    gives the same diagram on any number of ``workers`` (threads). ``progress(stage, done, total)`` is called as it
    goes.

    Nothing proves that all points have been found: ``notes`` says what was checked and what was lost. Raises
    ValueError for snapshots that there are not.
    """
    began = time.perf_counter()
    chosen = _chosen(searches, len(family.steps))
    workers = workers or len(os.sched_getaffinity(0))
    with alone():
        study = _Study(family, workers, seed, verify, progress or (lambda stage, done, total: None))
        diagram = study.run(chosen)
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


@dataclass
class _Study:
    """One run of ``follow``: the curves known so far."""

    family: Family
    workers: int
    seed: int
    verify: bool
    progress: Progress
    unit: float = 1.0
    followed: list[Followed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    searched: set[int] = field(default_factory=set)

    def run(self, chosen: list[int]) -> Diagram:
        self.odd = self.family.is_odd()
        self.index_known = all(self.family.system(float(i)).box_is_trapping for i in range(len(self.family.steps)))
        system = self.family.system(float(chosen[0]))
        self.unit = usual_size(system, self.family.u, first_starts(system, self.family.u, STARTS, self.seed))
        self.newton = Bordered(self.family, self.unit)
        self.reader = Reader(self.newton, self.workers)
        for k, i in enumerate(chosen):
            self.progress("searching", k, len(chosen))
            self._search(i)
        self.progress("searching", len(chosen), len(chosen))
        self._go_on_at_branch_points()
        for _ in range(MORE_SEARCHES):
            wrong = self._worst()
            if wrong is None:
                break
            self._search(wrong)
            self._go_on_at_branch_points()
        return self._diagram()

    def _search(self, i: int) -> None:
        """Search one snapshot, and walk from every point that is on no curve."""
        system = self.family.system(float(i))
        found = find_fixed_points(system, input=self.family.u, verify=self.verify, seed=self.seed, workers=self.workers)
        x = torch.as_tensor(found.states[found.verdict == "fixed"])
        if self.odd:  # the origin is a zero, whether it was found or not, and found to the last digit
            x = torch.cat([x[x.norm(dim=1) > SAME * self.unit], x.new_zeros(1, self.family.n_state)])
        starts: list[Tensor] = []
        for row in x:
            if self._known(row, i) is None and not any(self._is_same(row, other) for other in starts):
                starts.append(row)
        before = bool(self.searched)
        self.searched.add(i)
        if before and starts:
            n, step = len(starts), self.family.steps[i]
            self.notes.append(
                f"the search at {step:g} found {n} point{'s' * (n > 1)} that {'were' if n > 1 else 'was'} on no branch "
                "followed from the searches before it"
            )
        self._walk(starts, i)

    def _known(self, x: Tensor, i: int) -> Followed | None:
        """The curve that passes x, or -x in an odd family, at the snapshot i."""
        for one in self.followed:
            for node in one.curve.nodes:
                if node.snapshot == i and self._is_same(node.x, x):
                    return one
        return None

    def _is_same(self, a: Tensor, b: Tensor) -> bool:
        apart = float((a - b).norm())
        return min(apart, float((a + b).norm()) if self.odd else apart) <= SAME * self.unit

    def _walk(self, starts: list[Tensor], i: int) -> None:
        new: list[Followed] = []
        for first in range(0, len(starts), TOGETHER):
            some = [x for x in starts[first : first + TOGETHER] if self._known(x, i) is None]
            for x, curve in zip(some, in_order(lambda x: self._curve(x, i), some, self.workers), strict=True):
                if self._known(x, i) is None:
                    new.append(self._enter(self._unmixed(curve, x, i)))
            self.progress(f"following from {self.family.steps[i]:g}", min(first + TOGETHER, len(starts)), len(starts))
        self._read(new)

    def _curve(self, x: Tensor, i: int, longest: float = LONGEST_STEP) -> Curve:
        """The curve through x, followed both ways."""
        walk = Walk(self.family, self.unit, longest)
        ahead = walk.from_snapshot(x, i, 1)
        if ahead.tail == CLOSED:
            return ahead
        back = walk.from_snapshot(x, i, -1).changed(1, reverse=True)
        if not ahead.nodes and not back.nodes:
            alone = Node(x, float(i), torch.zeros_like(x), 1.0, 0, max(i - 1, 0), i)
            return Curve([alone], head=back.head or ahead.tail)
        gap = max(ahead.gap, back.gap)
        if not ahead.nodes:
            return Curve(back.nodes, back.head, ahead.tail, gap)
        return Curve(back.nodes[:-1] + ahead.nodes, back.head, ahead.tail, gap)

    def _unmixed(self, curve: Curve, x: Tensor, i: int) -> Curve:
        """The curve, walked again in short steps where it lands on a point of another: then one of them has leapt."""
        if self._landing_on_another(curve) is None:
            return curve
        curve = self._curve(x, i, LONGEST_STEP * FINER)
        other = self._landing_on_another(curve)
        if other is None:
            return curve
        again = self._again(other[1].curve)
        if again is not None:
            self.followed.remove(other[1])
            self._read([self._enter(again)])
            if self._landing_on_another(curve) is None:
                return curve
        return self._cut_off(curve, x, i)

    def _landing_on_another(self, curve: Curve) -> tuple[int, Followed] | None:
        for k, node in enumerate(curve.nodes):
            if node.snapshot >= 0 and (other := self._known(node.x, node.snapshot)) is not None:
                return k, other
        return None

    def _again(self, curve: Curve) -> Curve | None:
        """A curve walked again in short steps from a snapshot of it; None where it is at none."""
        at = [node for node in curve.nodes if node.snapshot >= 0]
        return self._curve(at[-1].x, at[-1].snapshot, LONGEST_STEP * FINER) if at else None

    def _cut_off(self, curve: Curve, x: Tensor, i: int) -> Curve:
        """The part of a curve around its start, up to where it lands on another."""
        why = "it lands on a point of another branch, even in short steps"
        nodes = curve.nodes
        start = next(k for k, node in enumerate(nodes) if node.snapshot == i and self._is_same(node.x, x))
        bad = [k for k, n in enumerate(nodes) if n.snapshot >= 0 and self._known(n.x, n.snapshot) is not None]
        first = max((k for k in bad if k < start), default=-1) + 1
        last = min((k for k in bad if k > start), default=len(nodes))
        head = why if first > 0 else curve.head
        return Curve(nodes[first:last], head, why if last < len(nodes) else curve.tail, curve.gap)

    def _enter(self, curve: Curve) -> Followed:
        self.followed.append(Followed(curve, []))
        return self.followed[-1]

    def _read(self, new: list[Followed]) -> None:
        """Find the crossings of curves; one that leapt to another is walked again in short steps."""
        new = [one for one in new if one in self.followed]
        self.reader.read_curves([one.curve for one in new])
        for one in new:
            try:
                one.crossings = self.reader.crossings(one.curve)
            except Leap:
                self._mend(one)

    def _mend(self, one: Followed) -> None:
        again = self._again(one.curve)
        try:
            if again is None:
                raise Leap
            self.reader.read_curves([again])
            one.crossings = self.reader.crossings(again)
            one.curve = again
        except Leap:
            self.followed.remove(one)
            s = [self.family.time(node.p) for node in one.curve.nodes]
            self.notes.append(f"a curve between {min(s):g} and {max(s):g} was dropped: it leaps to another")

    def _go_on_at_branch_points(self) -> None:
        """Walk along the other curve of every branch point of which only one is known."""
        tried: list[Tensor] = []
        for _ in range(ROUNDS):
            joints, _ = junctions(self.followed, self.newton, self.family.kind is Kind.MAP)
            new = [j for j in joints if self._is_open(j) and not any(torch.equal(j.z, z) for z in tried)]
            if not new:
                return
            for k, joint in enumerate(new):
                self.progress("branch points", k, len(new))
                tried.append(joint.z)
                self._switch(joint)
            self.progress("branch points", len(new), len(new))

    def _is_open(self, joint: Junction) -> bool:
        enough = 1 if self.odd and self._is_same(joint.z[:-1], -joint.z[:-1]) else 2
        return len(joint.passing) == 1 and len(joint.arms) < enough

    def _switch(self, joint: Junction) -> None:
        crossing = joint.passing[0][1]
        cell = min(int(float(joint.z[-1])), len(self.family.steps) - 2)
        other = other_tangent(self.newton, joint.z, crossing.t, cell)
        if other is None:
            return
        walk = Walk(self.family, self.unit)
        arms = [walk.from_tangent(joint.z, sign * other, cell) for sign in (1, -1)]
        arms = [arm for arm in arms if arm.nodes and self._is_new_arm(arm)]
        if self.odd and len(arms) == 2 and self._is_same(joint.z[:-1], -joint.z[:-1]):
            arms = arms[:1]
        if len(arms) == 2 and arms[0].nodes[0].way != arms[1].nodes[0].way:
            back = arms[1].changed(1, reverse=True)
            arms = [Curve(back.nodes + arms[0].nodes, back.head, arms[0].tail, max(arms[0].gap, arms[1].gap))]
            self._read([self._enter(arms[0])])
            return
        for arm in arms:
            arm.head, arm.origin = BRANCH_POINT, joint.z
            arm.gap = max(arm.gap, self.newton.length(arm.nodes[0].z - joint.z))
        self._read([self._enter(arm) for arm in arms])

    def _is_new_arm(self, arm: Curve) -> bool:
        return self._landing_on_another(arm) is None

    def _everything(self) -> list[Followed]:
        """All curves, in an odd family each with its mirror image, but for those that are their own."""
        whole = list(self.followed)
        for one in self.followed if self.odd else []:
            if all(self._is_same(node.x, torch.zeros_like(node.x)) for node in one.curve.nodes):
                continue
            mirrored = one.changed(-1)
            for node, image in zip(one.curve.nodes, mirrored.curve.nodes, strict=True):
                if node in self.reader.readings:
                    self.reader.readings[image] = self.reader.readings[node]
            whole.append(mirrored)
        return whole

    def _index_sums(self, whole: list[Followed]) -> Integers:
        """The sum of sign det(-J) over the points known at each snapshot."""
        sums = np.zeros(len(self.family.steps), dtype=np.int64)
        sign = (-1) ** self.family.n_state
        for one in whole:
            nodes = one.curve.nodes[:-1] if one.curve.tail == CLOSED else one.curve.nodes
            for node in nodes:
                if node.snapshot >= 0:
                    sums[node.snapshot] += sign * node.det
        return sums

    def _worst(self) -> int | None:
        """The middle of the longest run of snapshots not yet searched whose indices prove points missing."""
        if not self.index_known:
            return None
        sums = self._index_sums(self._everything())
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
        whole = self._everything()
        joints, _ = junctions(whole, self.newton, self.family.kind is Kind.MAP)
        assembly = Assembly(self.family, self.reader.readings, joints)
        for one in whole:
            assembly.cut(one)
        branches, events = assembly.result()
        sums = self._index_sums(whole)
        steps: Array = self.family.steps
        searched = np.array([i in self.searched for i in range(len(steps))])
        lost = [f"branch {b.id} was lost between {b.s[0]:g} and {b.s[-1]:g}: {b.lost}" for b in branches if b.lost]
        system = self.family.system(float(len(steps) - 1))
        about = {"name": system.name, "kind": str(system.kind), "n_state": system.n_state, "odd": self.odd}
        notes = (*self.notes, *lost, *self._completeness(sums))
        return Diagram(steps, branches, events, sums, searched, 0.0, notes, self.index_known, about)

    def _completeness(self, sums: Integers) -> list[str]:
        n = len(self.searched)
        said = [
            f"{n} of {len(sums)} snapshots were searched; pairs that are born and lost again between two of these, "
            "and curves that no search met, are not seen"
        ]
        wrong = int((sums != 1).sum())
        if self.index_known and wrong:
            said.append(f"at {wrong} of {len(sums)} snapshots the indices prove that points are missing")
        return said

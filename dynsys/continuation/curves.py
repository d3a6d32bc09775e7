"""The curves of a family that are known so far, each once, and those that walks from further points add to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import torch
from torch import Tensor

from dynsys.continuation.arclength import ArclengthSettings
from dynsys.continuation.curve import CLOSED, Curve, Node
from dynsys.continuation.diagram import Integers
from dynsys.continuation.events.crossings import Leap
from dynsys.continuation.events.junctions import Followed
from dynsys.continuation.events.reader import Reader
from dynsys.continuation.events.readings import read
from dynsys.continuation.family_curve import FamilyCurve
from dynsys.continuation.walk import SAME, WALK, Walk
from dynsys.io.progress import Progress
from dynsys.numerics.deadline import ENDLESS, Deadline
from dynsys.systems.family import Family
from dynsys.systems.held import Held

CLOSER = 4e-5  # snapshots: nodes on both sides of a branch point on the origin, less than a step may be across one
SHORT = dataclasses.replace(WALK, longest_step=WALK.longest_step / 16)  # of a curve that landed on another


class Curves:
    """``followed`` are the curves, of an ``odd`` family one of each pair of mirror images; ``notes`` what went wrong.

    ``unit`` is the usual size of a state.
    """

    def __init__(
        self, family: Family, unit: float, workers: int, progress: Progress, deadline: Deadline = ENDLESS
    ) -> None:
        self.deadline = deadline
        self.family, self.unit, self.workers, self.progress = family, unit, workers, progress
        self.odd = family.is_odd()
        self.newton = FamilyCurve(family, unit)
        self.reader = Reader(self.newton, workers)
        self.followed: list[Followed] = []
        self.notes: list[str] = []

    def passing(self, x: Tensor, i: int) -> Followed | None:
        """The curve that passes x, or -x in an odd family, at the snapshot i."""
        for one in self.followed:
            for node in one.curve.nodes:
                if node.snapshot == i and self.is_same(node.x, x):
                    return one
        return None

    def far_from_all(self, x: Tensor, i: int, distance: float) -> Tensor:
        """Those of the states x (k, n) that are so far from every point known at the snapshot i."""
        found = [node.x for one in self.followed for node in one.curve.nodes if node.snapshot == i]
        known = torch.stack(found + [-point for point in found] if self.odd else found) if found else x[:0]
        return x[(torch.cdist(x, known) > distance).all(dim=1)]

    def is_same(self, a: Tensor, b: Tensor) -> bool:
        apart = float((a - b).norm())
        return min(apart, float((a + b).norm()) if self.odd else apart) <= SAME * self.unit

    def pace(self, x: Tensor, i: int) -> None:
        """About the work that a point x (1, n) takes from one snapshot to the next, done once at the snapshot i."""
        along = torch.cat([torch.zeros_like(x[0]), x.new_ones(1)])
        self.newton.factors(torch.cat([x[0], x.new_tensor([float(i)])]), along)
        read(Held(self.family.system(float(i)), self.family.u), x)

    def place(self, p: float) -> str:
        """In words; p counts snapshots."""
        return self.family.told(self.family.time(p))

    def is_origin(self, x: Tensor) -> bool:
        return float(x.norm()) <= SAME * self.unit

    def walk_from(self, starts: list[Tensor], i: int) -> int:
        """Walk from states (n,) at the snapshot i, while there is time; from how many of them."""

        def goes_on(k: int) -> bool:
            self.progress(f"following from {self.place(i)}", k, len(starts))
            return not self.deadline.is_over

        new: list[Followed] = []
        walked = self._through(starts, i, WALK, goes_on)
        for k, x in enumerate(starts):
            if self.passing(x, i) is None and (k in walked or not self.deadline.is_over):
                curve = walked[k] if k in walked else self._curve(x, i, SHORT)
                if (unmixed := self._unmixed(curve, x, i)) is not None:
                    new.append(self.enter(unmixed))
        self.progress(f"following from {self.place(i)}", len(starts), len(starts))
        self.read(new)
        return sum(self.passing(x, i) is not None for x in starts)

    def _through(
        self, starts: list[Tensor], i: int, settings: ArclengthSettings, goes_on: Callable[[int], bool]
    ) -> dict[int, Curve]:
        curves = Walk(self.family, self.unit, settings, self.workers, self.odd).through(starts, i, goes_on)
        for k, curve in curves.items():
            if not curve.nodes:
                curve.nodes = [Node(starts[k], float(i), torch.zeros_like(starts[k]), 1.0, 0, max(i - 1, 0), i)]
        return curves

    def _curve(self, x: Tensor, i: int, settings: ArclengthSettings) -> Curve:
        """The curve through x, followed both ways."""
        return self._through([x], i, settings, lambda k: True)[0]

    def _unmixed(self, curve: Curve, x: Tensor, i: int) -> Curve | None:
        """The curve, walked again in short steps where it lands on a point of another: then one of them has leapt. None
        where it was the other one, which passes x once it is walked again."""
        if self.landing_on_another(curve) is None:
            return curve
        curve = self._curve(x, i, SHORT)
        other = self.landing_on_another(curve)
        if other is None:
            return curve
        again = self._again(other[1].curve)
        if again is not None:
            self.followed.remove(other[1])
            self.read([self.enter(again)])
            if self.passing(x, i) is not None:
                return None
            if self.landing_on_another(curve) is None:
                return curve
        return self._cut_off(curve, x, i)

    def landing_on_another(self, curve: Curve) -> tuple[int, Followed] | None:
        for k, node in enumerate(curve.nodes):
            if node.snapshot >= 0 and (other := self.passing(node.x, node.snapshot)) is not None:
                return k, other
        return None

    def _again(self, curve: Curve) -> Curve | None:
        """A curve walked again in short steps from a snapshot of it; None where it is at none."""
        at = [node for node in curve.nodes if node.snapshot >= 0]
        return self._curve(at[-1].x, at[-1].snapshot, SHORT) if at else None

    def _cut_off(self, curve: Curve, x: Tensor, i: int) -> Curve:
        """The part of a curve around its start, up to where it lands on another."""
        why = "it lands on a point of another branch, even in short steps"
        nodes = curve.nodes
        start = next(k for k, node in enumerate(nodes) if node.snapshot == i and self.is_same(node.x, x))
        bad = [k for k, n in enumerate(nodes) if n.snapshot >= 0 and self.passing(n.x, n.snapshot) is not None]
        first = max((k for k in bad if k < start), default=-1) + 1
        last = min((k for k in bad if k > start), default=len(nodes))
        head = why if first > 0 else curve.head
        return Curve(nodes[first:last], head, why if last < len(nodes) else curve.tail, curve.gap)

    def enter(self, curve: Curve) -> Followed:
        self.followed.append(Followed(curve, []))
        return self.followed[-1]

    def read(self, new: list[Followed]) -> None:
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
            first, last = self.family.told(min(s)), self.family.told(max(s))
            self.notes.append(f"a curve between {first} and {last} was dropped: it leaps to another")

    def look_closer_at_the_origin(self, places: list[float]) -> bool:
        """Put nodes beside these places on the curve of the origin, where two changes of det J between the nodes that
        it had have hidden each other; whether that could be done."""
        changed = False
        for one in self.followed:
            if all(self.is_origin(node.x) for node in one.curve.nodes):
                nodes = self._with_more_of_the_origin(one.curve.nodes, places)
                if len(nodes) > len(one.curve.nodes):
                    one.curve, changed = dataclasses.replace(one.curve, nodes=nodes), True
                    self.read([one])
        return changed

    def _with_more_of_the_origin(self, nodes: list[Node], places: list[float]) -> list[Node]:
        """With nodes on both sides of each place, and as near to each other wherever det J changes its sign."""
        walk, zero = Walk(self.family, self.unit), torch.zeros(self.family.n_state, dtype=torch.float64)
        nodes, wanted = list(nodes), [p + side for p in places for side in (-CLOSER, CLOSER)]
        tried: set[float] = set()
        while wanted:
            p = wanted.pop()
            tried.add(p)
            i = next((i for i, (a, b) in enumerate(pairwise(nodes)) if min(a.p, b.p) < p < max(a.p, b.p)), None)
            node = None if i is None else walk.node_at(zero, p, nodes[i])
            if i is not None and node is not None:
                nodes.insert(i + 1, node)
            if not wanted:
                far = [(a.p, b.p) for a, b in pairwise(nodes) if a.det != b.det and abs(a.p - b.p) > 2.5 * CLOSER]
                wanted = [middle for a, b in far if (middle := 0.5 * (a + b)) not in tried]
        return nodes

    def everything(self) -> list[Followed]:
        """All curves, in an odd family each with its mirror image, but for those that are their own."""
        whole = list(self.followed)
        for one in self.followed if self.odd else []:
            if self._is_its_own_image(one.curve):
                continue
            mirrored = one.changed(-1)
            for node, image in zip(one.curve.nodes, mirrored.curve.nodes, strict=True):
                if node in self.reader.readings:
                    self.reader.readings[image] = self.reader.readings[node]
            whole.append(mirrored)
        return whole

    def _is_its_own_image(self, curve: Curve) -> bool:
        """Whether it is the origin's, or goes through the origin from x to -x."""
        if all(self.is_origin(node.x) for node in curve.nodes):
            return True
        at: dict[int, list[Tensor]] = {}
        for node in curve.nodes:
            if node.snapshot >= 0 and not self.is_origin(node.x):
                at.setdefault(node.snapshot, []).append(node.x)
        return any(
            float((a + b).norm()) <= SAME * self.unit for found in at.values() for a, b in combinations(found, 2)
        )

    def index_sums(self, whole: list[Followed]) -> Integers:
        """The sum of sign det(-J) over the points known at each snapshot."""
        sums = np.zeros(len(self.family.steps), dtype=np.int64)
        sign = (-1) ** self.family.n_state
        for one in whole:
            nodes = one.curve.nodes[:-1] if one.curve.tail == CLOSED else one.curve.nodes
            for node in nodes:
                if node.snapshot >= 0:
                    sums[node.snapshot] += sign * node.det
        return sums

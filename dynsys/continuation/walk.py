"""Walks along curves of fixed points of a family, many at once, from snapshot to snapshot, to where they end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.continuation.arclength import GOES_ON, ArclengthSettings, Ending, Front, Step, follow
from dynsys.continuation.curve import Curve, Node
from dynsys.continuation.family_curve import FLOOR, NEWTON, FamilyCurve, Place
from dynsys.continuation.ways import Meetings, Way, whole
from dynsys.numerics.bordered import Factored
from dynsys.numerics.threads import in_order
from dynsys.systems.family import Family

WALK = ArclengthSettings(  # lengths are in snapshots, and in usual sizes of a state
    first_step=0.1,
    shortest_step=1e-7,
    longest_step=1.5,
    max_steps=20000,
    turn=0.3,
    branch_step=1e-4,  # two curves that only come near each other are told apart
    branch_turn=0.1,
    straight=0.03,
    newton=NEWTON,
    floor=FLOOR,
    aimed=(0.2, 0.2, 0.2),
    curved=False,  # at a fold that is at a snapshot a straight step does not land, and may not
)
NARROW, WIDE, ROOM = 4, 32, 4096  # ways at once: of large systems, of small ones, and in between all their variables
ALONE = 128  # state variables, from which on each factorisation may have a thread of its own
FAR = 100.0  # usual sizes of a state from where it began, beyond which a curve is given up
OUTSIDE = 1e-6  # of the width of a box, that rounding and corrections may put a point outside
SAME = 1e-6  # usual sizes of a state: two points of one snapshot nearer than this are one
BESIDE = (1e-2, 3e-3, 1e-3, 1e-4)  # of a branch point, where the first node of a curve from there is tried
SINGULAR = "its Jacobian is singular at a snapshot"
SINGULAR_START = "its Jacobian is singular at the snapshot where it was found"


class Walk(FamilyCurve):
    """Walks along curves of a family, until they leave the range of snapshots or can go no further, or meet.

    M of the last point serves the corrections of the next, and that of the next its tangent and orientation, which
    tell exactly between which two points a branch point lies.
    """

    is_fresh = False

    def __init__(
        self, family: Family, unit: float, settings: ArclengthSettings = WALK, workers: int = 1, odd: bool = False
    ) -> None:
        super().__init__(family, unit)
        width = min(WIDE, max(NARROW, ROOM // family.n_state))
        self.settings = dataclasses.replace(settings, width=width - 2)
        self.last, self.workers = len(family.steps) - 1, workers
        self.ways: list[Way] = []
        self.meetings = Meetings(SAME * unit, odd)

    def from_snapshot(self, x: Tensor, snapshot: int, direction: int) -> Curve:
        """The curve through the fixed point x at a snapshot; ``direction`` is 1 to later ones, -1 to earlier."""
        way, front = self._way(x, snapshot, direction, 0)
        self._follow(iter([front] if front else []), 1)
        return way.curve

    def from_tangents(self, z: Tensor, tangents: list[Tensor], cell: int) -> list[Curve]:
        """The curves that begin at the branch point z along some t (both (n + 1,)); their first nodes lie beside z."""
        ways = [self._way_beside(z, t, cell) for t in tangents]
        self._follow((front for _, front in ways if front), len(ways))
        return [way.curve for way, _ in ways]

    def through(self, starts: list[Tensor], snapshot: int, goes_on: Callable[[int], bool]) -> dict[int, Curve]:
        """The whole curves through fixed points (n,) at a snapshot, each by the number of the first of its points.

        No way is begun from the k-th point, nor from those after it, where ``goes_on(k)`` says no.
        """
        both: dict[int, tuple[Way, Way]] = {}

        def fronts() -> Iterator[Front]:
            for k, x in enumerate(starts):
                if not goes_on(k):
                    return
                if not self.meetings.like(x, snapshot):
                    (ahead, first), (back, second) = (self._way(x, snapshot, way, k) for way in (1, -1))
                    both[k] = ahead, back
                    found = [front for front in (first, second) if front]
                    if found:
                        yield Front(*map(torch.cat, zip(*found, strict=True)))

        self._follow(fronts(), 2 * len(starts))
        passed: set[int] = set()
        return {k: whole(both, k, passed) for k in both if k not in passed}

    def node_at(self, x: Tensor, p: float, like: Node) -> Node | None:
        """The node at a state x (n,) of the curve that ``like`` is on; None where its Jacobian is singular."""
        z = torch.cat([x, x.new_tensor([p])])
        place = FamilyCurve(self.family, self.unit, int(p)).place(z, like.t)
        return None if place is None else _node(z, place.t, place.det, int(p), -1)

    def _way(self, x: Tensor, snapshot: int, direction: int, start: int) -> tuple[Way, Front | None]:
        """One way from a fixed point x at a snapshot, and where it begins; None where it can not."""
        way = Way(Curve(), snapshot if direction > 0 else snapshot - 1, start)
        if not 0 <= way.cell < self.last:
            return way, None
        z = torch.cat([x, x.new_tensor([float(snapshot)])])
        along = torch.zeros_like(z)
        along[-1] = direction
        place = FamilyCurve(self.family, self.unit, way.cell).place(z, along)
        if place is None:
            way.curve.tail = SINGULAR_START
            return way, None
        return way, self._front(way, z, place, self.settings.first_step, snapshot)

    def _way_beside(self, z: Tensor, t: Tensor, cell: int) -> tuple[Way, Front | None]:
        """One way from the branch point z along t."""
        way, newton = Way(Curve(), cell), FamilyCurve(self.family, self.unit, cell)
        for h in BESIDE:
            predicted = z + h * t
            M = newton.factors(predicted, t) if cell <= float(predicted[-1]) <= cell + 1 else None
            found = None if M is None else newton.corrected(predicted, M, 0.5 * h)
            if found is None or not cell <= float(found[-1]) <= cell + 1:
                continue
            place = newton.place(found, t)
            if place is not None and float(self.row(t) @ place.t) > 0.8:
                return way, self._front(way, found, place, h, -1)
        way.curve.tail = "no zero was found beside the branch point"
        return way, None

    def _front(self, way: Way, z: Tensor, place: Place, h: float, snapshot: int) -> Front:
        node = _node(z, place.t, place.det, way.cell, snapshot)
        way.curve.nodes.append(node)
        if snapshot >= 0:
            self.meetings.add(way)
        number, side = torch.tensor([len(self.ways)]), z.new_tensor([float(node.side)])
        self.ways.append(way)
        way.M = place.M
        return Front.at(number, (z / self.scale)[None], (place.t / self.scale)[None], side, h)

    def _follow(self, fronts: Iterator[Front], most: int) -> None:
        ending = follow(self, fronts, len(self.ways) + most, self.settings).ending
        for way, why in zip(self.ways, ending.tolist(), strict=False):
            if not (way.curve.tail or way.joined or why in (Ending.RANGE, GOES_ON)):
                way.curve.tail = Ending(why).message

    def cells(self, curve: Tensor) -> list[int]:
        return [self.ways[number].cell for number in curve.tolist()]

    def bordered(self, z: Tensor, curve: Tensor, border: Tensor) -> Factored:
        """Those of the last points."""
        return _Each([self.ways[number].M for number in curve.tolist()])

    def tangent(self, z: Tensor, curve: Tensor, guess: Tensor, M: Factored, ok: Tensor) -> tuple[Tensor, Tensor]:
        """By M at z itself."""
        numbers, rows = curve.tolist(), ok.nonzero().squeeze(1).tolist()

        def factored(row: int) -> Factored:
            return self._factored(self.ways[numbers[row]], *(part[row : row + 1] for part in (z, curve, guess)))

        apart = self.workers > 1 and self.family.n_state >= ALONE
        found = list(in_order(factored, rows, self.workers) if apart else map(factored, rows))
        t, side = torch.full_like(z, torch.nan), torch.zeros_like(z[:, 0])
        for row, M in zip(rows, found, strict=True):
            t[row : row + 1], side[row : row + 1] = M.tangent(z[:1]), M.side
        return t / vector_norm(t, dim=1, keepdim=True), side

    def _factored(self, way: Way, z: Tensor, curve: Tensor, border: Tensor) -> Factored:
        memory = way.memory[0]
        M = memory.matrices(z)
        self.derivative(z, curve, M[:, :-1])
        M[:, -1] = border
        way.newest = memory.factorised(M)
        return way.newest

    def goal(self, front: Front) -> Tensor:
        return front.h.new_tensor(self.cells(front.curve)) + (front.t[:, -1] > 0)

    def allows(self, step: Step) -> Tensor:
        """In the cell, without a turn where it lands, and the way after it told by the tangent and the chord alike.

        An arm of a pitchfork turns at the branch point, and rounding may turn the tangent of a place beside it, which
        would be read as a fold there.
        """
        p, before, after = step.after.z[:, -1], step.before.t[:, -1], step.after.t[:, -1]
        cell, turns = p.new_tensor(self.cells(step.after.curve)), before * after <= 0
        parabola = 2 * (p - step.before.z[:, -1]) / step.length - before  # the tangent at its end
        unsure = (turns | (step.before.side != step.after.side)) & (parabola * after <= 0)
        return (cell <= p) & (p <= cell + 1) & ~(step.lands & turns) & ~unsure

    def after(self, step: Step) -> tuple[Front, Tensor]:
        front = step.after._replace(t=step.after.t.clone())
        z, t = front.z * self.scale, front.t * self.scale
        ended = torch.full_like(front.curve, GOES_ON)
        taken, lands, side = step.taken.tolist(), step.lands.tolist(), front.side.tolist()
        ways = [self.ways[number] for number in front.curve.tolist()]
        for row, way in enumerate(ways):
            if taken[row] and way.goes_on:
                way.M, way.memory = way.newest, way.memory[::-1]
                det = int(side[row]) if float(t[row, -1]) > 0 else -int(side[row])
                node = _node(z[row], t[row], det, way.cell, round(float(z[row, -1])) if lands[row] else -1)
                ended[row] = self._goes_to(node, way, front.t[row : row + 1], float(step.length[row]))
        ended[torch.tensor([way.joined is not None for way in ways])] = Ending.OTHER
        for way, end in zip(ways, (ended != GOES_ON).tolist(), strict=True):
            if end:
                way.end()
        return front, ended

    def _goes_to(self, node: Node, way: Way, t: Tensor, length: float) -> int:
        """How the way ends at its next node; at a snapshot t (1, n + 1) is written anew, for the cell beyond."""
        curve, nodes = way.curve, way.curve.nodes
        if node.way != nodes[-1].way and node.side != nodes[-1].side:
            curve.gap = length
            return Ending.BRANCH_POINT
        nodes.append(node)
        ending = GOES_ON
        if node.snapshot >= 0:
            if node.snapshot == nodes[0].snapshot and float((node.x - nodes[0].x).norm()) <= SAME * self.unit:
                return Ending.CLOSED
            if self.meetings.joins(way):
                return Ending.OTHER
            ending = self._across(way, node, t)
        if ending == GOES_ON and not self._is_inside(node, way):
            nodes.pop()
            return Ending.LEFT
        if node.snapshot >= 0:
            self.meetings.add(way)
        return ending

    def _is_inside(self, node: Node, way: Way) -> bool:
        if float((node.x - way.curve.nodes[0].x).norm()) > FAR * self.unit:
            return False
        box = self.family.box(node.p) if node.snapshot >= 0 else None
        if box is None:
            return True
        slack = OUTSIDE * (box[1] - box[0])
        return bool(((node.x >= box[0] - slack) & (node.x <= box[1] + slack)).all())

    def _across(self, way: Way, node: Node, t: Tensor) -> int:
        """Into the cell beyond the snapshot that the way has come to, where J is the same and F_p is another."""
        if not 0 <= way.cell + node.way < self.last:
            return Ending.RANGE
        way.cell += node.way
        way.M = _Beyond(way.M, t.clone())
        rate = self.family.rate(node.x, node.p, way.cell) / self.unit
        new = way.M.solve(torch.cat([-rate, rate.new_zeros(1)])[None])  # J t_x = -F_p, for t_p = 1
        new[:, -1] = 1.0
        t[:] = new * (node.way / new.norm())
        if not bool(torch.isfinite(t).all()):
            way.curve.tail = SINGULAR
            return Ending.OTHER
        plain = t[0] * self.scale
        way.curve.nodes[-1] = dataclasses.replace(node, t_x=plain[:-1], t_p=float(plain[-1]), cell=way.cell)
        return GOES_ON


def _node(z: Tensor, t: Tensor, det: int, cell: int, snapshot: int) -> Node:
    return Node(z[:-1], float(z[-1]), t[:-1], float(t[-1]), det, cell, snapshot)


class _Each(Factored):
    """M of several ways, each by itself."""

    def __init__(self, parts: list[Factored]) -> None:
        self.parts = parts

    def solve(self, right: Tensor, rows: Tensor | None = None) -> Tensor:
        parts = self.parts if rows is None else [self.parts[row] for row in rows.tolist()]
        return torch.cat([M.solve(one) for M, one in zip(parts, right[:, None], strict=True)])


class _Beyond(Factored):
    """M of the cell before a snapshot, of which only steps without a change of p serve the cell beyond."""

    def __init__(self, M: Factored, t: Tensor) -> None:
        super().__init__(M.LU, M.pivots)
        self.t = t  # (1, n + 1) the tangent before the snapshot

    def solve(self, right: Tensor, rows: Tensor | None = None) -> Tensor:
        d = super().solve(right, rows)
        return d - self.t * (d[:, -1:] / self.t[:, -1:])

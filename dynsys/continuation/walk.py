"""A walk along a curve of fixed points of a family, from snapshot to snapshot, to where it ends."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from dynsys.continuation.arclength import GOES_ON, ArclengthSettings, Ending, Front, Step, follow
from dynsys.continuation.curve import Curve, Node
from dynsys.continuation.family_curve import FLOOR, NEWTON, ONE, FamilyCurve, Place
from dynsys.numerics.bordered import Factored
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
    aimed=(0.2, 0.3, 0.3),
    curved=False,  # at a fold that is at a snapshot a straight step does not land, and may not
)
FAR = 100.0  # usual sizes of a state from where it began, beyond which a curve is given up
OUTSIDE = 1e-6  # of the width of a box, that rounding and corrections may put a point outside
SAME = 1e-6  # usual sizes of a state: two points of one snapshot nearer than this are one
BESIDE = (1e-2, 3e-3, 1e-3, 1e-4)  # of a branch point, where the first node of a curve from there is tried
SINGULAR = "its Jacobian is singular at a snapshot"


class Walk(FamilyCurve):
    """One walk from a fixed point along its curve, until it leaves the range of snapshots or can go no further.

    M of the last point serves the corrections of the next, and that of the next its tangent and orientation, which
    tell exactly between which two points a branch point lies.
    """

    is_fresh = False

    def __init__(self, family: Family, unit: float, settings: ArclengthSettings = WALK) -> None:
        super().__init__(family, unit)
        self.settings = settings
        self.last = len(family.steps) - 1
        self.curve = Curve()
        self.held: Factored | None = None  # of the last point
        self.newest: Factored | None = None  # of the point that is tried

    def from_snapshot(self, x: Tensor, snapshot: int, direction: int) -> Curve:
        """The curve through the fixed point x at a snapshot; ``direction`` is 1 to later ones, -1 to earlier."""
        self.cell = snapshot if direction > 0 else snapshot - 1
        along = torch.zeros(len(x) + 1, dtype=x.dtype)
        along[-1] = direction
        if not 0 <= self.cell < self.last:
            return Curve()
        z = torch.cat([x, x.new_tensor([float(snapshot)])])
        place = self.place(z, along)
        if place is None:
            return Curve(tail="its Jacobian is singular at the snapshot where it was found")
        return self._from(z, place, self.settings.first_step, snapshot)

    def from_tangent(self, z: Tensor, t: Tensor, cell: int) -> Curve:
        """The curve that begins at z, a branch point, along t (both (n + 1,)); its first node lies beside z."""
        self.cell = cell
        for h in BESIDE:
            predicted = z + h * t
            M = self.factors(predicted, t) if cell <= float(predicted[-1]) <= cell + 1 else None
            found = None if M is None else self.corrected(predicted, M, 0.5 * h)
            if found is None or not cell <= float(found[-1]) <= cell + 1:
                continue
            place = self.place(found, t)
            if place is not None and float(self.row(t) @ place.t) > 0.8:
                return self._from(found, place, h, -1)
        return Curve(tail="no zero was found beside the branch point")

    def node_at(self, x: Tensor, p: float, like: Node) -> Node | None:
        """The node at a state x (n,) of the curve that ``like`` is on; None where its Jacobian is singular."""
        self.cell = int(p)
        z = torch.cat([x, x.new_tensor([p])])
        place = self.place(z, like.t)
        return None if place is None else self._node(z, place, -1)

    def _node(self, z: Tensor, place: Place, snapshot: int) -> Node:
        return Node(z[:-1], float(z[-1]), place.t[:-1], float(place.t[-1]), place.det, self.cell, snapshot)

    def _from(self, z: Tensor, place: Place, h: float, snapshot: int) -> Curve:
        node = self._node(z, place, snapshot)
        self.curve, self.held = Curve([node]), place.M
        side = z.new_tensor([float(node.side)])
        front = Front.at(ONE, (z / self.scale)[None], (place.t / self.scale)[None], side, h)
        ending = follow(self, iter([front]), 1, self.settings).ending
        if not self.curve.tail and ending != Ending.RANGE:
            self.curve.tail = Ending(int(ending)).message
        return self.curve

    def bordered(self, z: Tensor, curve: Tensor, border: Tensor) -> Factored:
        return super().bordered(z, curve, border) if self.held is None else self.held

    def tangent(self, z: Tensor, curve: Tensor, guess: Tensor, M: Factored) -> tuple[Tensor, Tensor]:
        self.newest = super().bordered(z, curve, guess)
        t = self.newest.tangent(z)
        return t / t.norm(dim=1, keepdim=True), self.newest.side

    def goal(self, front: Front) -> Tensor:
        return front.h.new_tensor([float(self.cell + (self.curve.nodes[-1].way > 0))])

    def allows(self, step: Step) -> Tensor:
        p, turns = step.after.z[:, -1], step.before.t[:, -1] * step.after.t[:, -1] <= 0
        return (self.cell <= p) & (p <= self.cell + 1) & ~(step.lands & turns)

    def after(self, step: Step) -> tuple[Front, Tensor]:
        if not bool(step.taken):
            self.held = None
            return step.after, torch.full_like(ONE, GOES_ON)
        assert self.newest is not None
        self.held = self.newest
        front, nodes = step.after, self.curve.nodes
        z, t, side = front.z[0] * self.scale, front.t[0] * self.scale, int(front.side)
        place = Place(t, side if float(t[-1]) > 0 else -side, self.held)
        node = self._node(z, place, round(float(z[-1])) if bool(step.lands) else -1)
        if node.way != nodes[-1].way and node.side != nodes[-1].side:
            self.curve.gap = float(step.length)
            return front, torch.full_like(ONE, Ending.BRANCH_POINT)
        nodes.append(node)
        ending = GOES_ON
        if node.snapshot >= 0:
            if node.snapshot == nodes[0].snapshot and float((node.x - nodes[0].x).norm()) <= SAME * self.unit:
                return front, torch.full_like(ONE, Ending.CLOSED)
            front, ending = self._across(front, node, place.M)
        if ending == GOES_ON and not self._is_inside(node):
            self.curve.nodes = nodes[:-1]
            ending = Ending.LEFT
        return front, torch.full_like(ONE, int(ending))

    def _is_inside(self, node: Node) -> bool:
        if float((node.x - self.curve.nodes[0].x).norm()) > FAR * self.unit:
            return False
        box = self.family.box(node.p) if node.snapshot >= 0 else None
        if box is None:
            return True
        slack = OUTSIDE * (box[1] - box[0])
        return bool(((node.x >= box[0] - slack) & (node.x <= box[1] + slack)).all())

    def _across(self, front: Front, node: Node, M: Factored) -> tuple[Front, int]:
        """The front in the cell beyond the snapshot it stands at, where J is the same and F_p is another."""
        if not 0 <= self.cell + node.way < self.last:
            return front, Ending.RANGE
        self.cell += node.way
        self.held = beyond = _Beyond(M, front.t)
        rate = self.family.rate(node.x, node.p, self.cell) / self.unit
        t = beyond.solve(torch.cat([-rate, rate.new_zeros(1)])[None])  # J t_x = -F_p, for t_p = 1
        t[:, -1] = 1.0
        t = t * (node.way / t.norm())
        if not bool(torch.isfinite(t).all()):
            self.curve.tail = SINGULAR
            return front, Ending.OTHER
        plain = t[0] * self.scale
        self.curve.nodes[-1] = dataclasses.replace(node, t_x=plain[:-1], t_p=float(plain[-1]), cell=self.cell)
        return front._replace(t=t, bend=torch.zeros_like(t)), GOES_ON


class _Beyond(Factored):
    """M of the cell before a snapshot, of which only steps without a change of p serve the cell beyond."""

    def __init__(self, M: Factored, t: Tensor) -> None:
        super().__init__(M.LU, M.pivots)
        self.t = t  # (1, n + 1) the tangent before the snapshot

    def solve(self, right: Tensor, rows: Tensor | None = None) -> Tensor:
        d = super().solve(right, rows)
        return d - self.t * (d[:, -1:] / self.t[:, -1:])

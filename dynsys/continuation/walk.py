"""Walking along a curve of fixed points in (x, p): predict along the tangent, correct by Newton, halve where in doubt.

This is pseudo-arclength continuation (Keller 1977): a fold is passed like any other place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dynsys.continuation.curve import BRANCH_POINT, CLOSED, LEFT, STUCK, Curve, Node
from dynsys.numerics.bordered import Bordered, Factors
from dynsys.systems.family import Family

FIRST_STEP, SHORTEST_STEP, LONGEST_STEP = 0.1, 1e-7, 1.5  # in snapshots, and in usual sizes of a state
STRAY = 0.3  # of a step, that the first correction may be
TURN, TURN_AT_BRANCH = 0.3, 0.1  # radians between two tangents at most: everywhere, and where det M changes its sign
LONGEST_AT_BRANCH = 1e-4  # of a step over which det M changes its sign: two curves that only come near are told apart
STRAIGHT, UNEVEN = 0.03, 0.8  # radians between chord and tangent that are always allowed, and else the part of the turn
AIMED = 0.2  # of a step, that the first correction is to be: what the length of the next step is chosen by
HARD = 9  # corrections, from which the next step is shorter
FAR = 100.0  # usual sizes of a state, beyond which a curve is given up where a system has no box
OUTSIDE = 1e-6  # of the width of a box, that rounding and corrections may put a point outside
MOST_STEPS = 20000
SAME = 1e-6  # usual sizes of a state: two points of one snapshot nearer than this are one


@dataclass(frozen=True, eq=False)
class _Front:
    """Where a walk stands: the last node as one vector, its tangent and the factors that gave it."""

    z: Tensor
    t: Tensor
    factors: Factors
    node: Node


class Walk:
    """One walk from a fixed point along its curve, until it leaves the range of snapshots or can go no further."""

    def __init__(self, family: Family, unit: float, longest: float = LONGEST_STEP) -> None:
        self.family, self.longest = family, longest
        self.newton = Bordered(family, unit)
        self.last = len(family.steps) - 1

    def from_snapshot(self, x: Tensor, snapshot: int, direction: int) -> Curve:
        """The curve through the fixed point x at a snapshot; ``direction`` is 1 to later ones, -1 to earlier."""
        cell = snapshot if direction > 0 else snapshot - 1
        along = torch.zeros(len(x) + 1, dtype=x.dtype)
        along[-1] = direction
        curve = Curve()
        if not 0 <= cell < self.last:
            return curve
        front = self._front(torch.cat([x, x.new_tensor([float(snapshot)])]), along, cell, snapshot)
        if front is None:
            curve.tail = "its Jacobian is singular at the snapshot where it was found"
            return curve
        return self._on(curve, front, FIRST_STEP)

    def from_tangent(self, z: Tensor, t: Tensor, cell: int) -> Curve:
        """The curve that begins at z, a branch point, along t (both (n + 1,)); its first node lies beside z."""
        for h in (1e-2, 3e-3, 1e-3, 1e-4):
            predicted = z + h * t
            if not cell <= float(predicted[-1]) <= cell + 1:
                continue
            factors = self.newton.factors(predicted, cell, t)
            if factors is None:
                continue
            own = self.newton.tangent(factors, t)
            found = self.newton.correct(predicted, self.newton.row(t), cell, factors, own, 0.5 * h)
            if found is None or not cell <= float(found.z[-1]) <= cell + 1:
                continue
            front = self._front(found.z, t, cell, -1)
            if front is not None and float(self.newton.row(t) @ front.t) > 0.8:
                return self._on(Curve(), front, h)
        return Curve(tail="no zero was found beside the branch point")

    def node_at(self, x: Tensor, p: float, like: Node) -> Node | None:
        """The node at a state x (n,) of the curve that ``like`` is on; None where its Jacobian is singular."""
        along = torch.cat([like.t_x, x.new_tensor([like.t_p])])
        front = self._front(torch.cat([x, x.new_tensor([p])]), along, int(p), -1)
        return None if front is None else front.node

    def _front(self, z: Tensor, along: Tensor, cell: int, snapshot: int) -> _Front | None:
        factors = self.newton.factors(z, cell, along)
        if factors is None:
            return None
        t = self.newton.tangent(factors, along)
        det = factors.sign * (1 if float(t[-1]) > 0 else -1)
        return _Front(z, t, factors, Node(z[:-1], float(z[-1]), t[:-1], float(t[-1]), det, cell, snapshot))

    def _on(self, curve: Curve, front: _Front, h: float) -> Curve:
        curve.nodes.append(front.node)
        for _ in range(MOST_STEPS):
            after, grown = self._step(front, h)
            if after is None:
                h *= 0.5
                if h < SHORTEST_STEP:
                    curve.tail = STUCK
                    return curve
                continue
            if after.node.way != front.node.way and after.node.side != front.node.side:
                curve.tail, curve.gap = BRANCH_POINT, self.newton.length(after.z - front.z)
                return curve
            curve.nodes.append(after.node)
            h, front = min(self.longest, grown), after
            if front.node.snapshot >= 0:
                if self._is_at(curve.nodes[0], front.node):
                    curve.tail = CLOSED
                    return curve
                beyond = self._across(front)
                if not isinstance(beyond, _Front):
                    curve.tail = beyond
                    return curve
                front = beyond
                curve.nodes[-1] = front.node
            if not self._is_inside(front.node):
                curve.tail = LEFT
                curve.nodes = curve.nodes[:-1] or curve.nodes
                return curve
        curve.tail = f"it took more than {MOST_STEPS} steps"
        return curve

    def _is_at(self, start: Node, node: Node) -> bool:
        return node.snapshot == start.snapshot and float((node.x - start.x).norm()) <= SAME * self.newton.unit

    def _is_inside(self, node: Node) -> bool:
        if float(node.x.norm()) > FAR * self.newton.unit:
            return False
        box = self.family.box(node.p) if node.snapshot >= 0 else None
        if box is None:
            return True
        slack = OUTSIDE * (box[1] - box[0])
        return bool(((node.x >= box[0] - slack) & (node.x <= box[1] + slack)).all())

    def _step(self, front: _Front, h: float) -> tuple[_Front | None, float]:
        """One step of at most the length h, which ends at a snapshot where it would cross one, and the next length."""
        cell, t, z = front.node.cell, front.t, front.z
        goal = cell + 1 if front.node.way > 0 else cell
        left = abs(goal - float(z[-1])) / abs(front.node.t_p)
        lands = left <= h
        taken = min(left, h)
        predicted = z + taken * t
        constraint = self.newton.row(t)
        if lands:
            predicted[-1] = float(goal)
            constraint = torch.zeros_like(z)
            constraint[-1] = 1.0
        found = self.newton.correct(predicted, constraint, cell, front.factors, t, STRAY * taken)
        if found is None or not cell <= float(found.z[-1]) <= cell + 1:
            return None, 0.0
        new = self._front(found.z, t, cell, goal if lands else -1)
        if new is None:
            return None, 0.0
        if not self._is_smooth(front, new) or (lands and new.node.way != front.node.way):
            return None, 0.0
        growth = min(2.0, max(0.5, (AIMED * taken / max(found.first, 1e-300)) ** 0.5))
        if found.corrections >= HARD:
            growth = min(growth, 0.7)
        return new, max(h, taken) * growth if growth >= 1 else taken * growth

    def _is_smooth(self, front: _Front, new: _Front) -> bool:
        """Whether the tangents before and after differ little, and the chord lies between them as on one smooth curve.

        From one of two curves that cross onto the other, the chord has the direction of one of the tangents.
        """
        row = self.newton.row
        passes = new.node.side != front.node.side
        if passes and self.newton.length(new.z - front.z) > LONGEST_AT_BRANCH:
            return False
        chord = (new.z - front.z) / self.newton.length(new.z - front.z)
        whole, first, second = (angle(row(a) @ b) for a, b in ((front.t, new.t), (front.t, chord), (chord, new.t)))
        turn = TURN_AT_BRANCH if passes else TURN
        return whole <= turn and max(first, second) <= max(UNEVEN * whole, STRAIGHT)

    def _across(self, front: _Front) -> _Front | str:
        """The front in the cell beyond the snapshot it stands at; "" at the end of the range, else what is wrong."""
        cell = front.node.cell + front.node.way
        if not 0 <= cell < self.last:
            return ""
        node, factors = front.node, Factors(front.factors.LU, front.factors.pivots, front.factors.sign, front.t)
        t = factors.step(-self.family.rate(node.x, node.p, cell))  # J t_x = -F_p of the cell beyond, for t_p = 1
        t[-1] = 1.0
        t = t * (node.way / self.newton.length(t))
        if not bool(torch.isfinite(t).all()):
            return "its Jacobian is singular at a snapshot"
        return _Front(front.z, t, factors, replace(node, t_x=t[:-1], t_p=float(t[-1]), cell=cell))


def angle(cosine: Tensor) -> float:
    """The angle between two unit vectors of this product."""
    return float(cosine.clamp(-1.0, 1.0).arccos())

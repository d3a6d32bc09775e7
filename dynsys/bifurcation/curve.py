"""Walking along a curve of fixed points in (x, p): predict along the tangent, correct by Newton, halve where in doubt.

This is pseudo-arclength continuation (Keller 1977; Govaerts 2000, chapter 2): the curve of F(x, p) = 0 is regular where
p turns back, so that a fold is passed like any other place. With b the tangent before, the bordered matrix

    M = [ J  F_p ]
        [   b    ]

gives by one factorisation the tangent (M t = e), the corrections of the steps after it, and the signs of two
determinants: that of M, which only a branch point changes, and that of J, which folds change as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dynsys.bifurcation.family import Family

FIRST_STEP, SHORTEST_STEP, LONGEST_STEP = 0.1, 1e-7, 1.5  # in snapshots, and in usual sizes of a state
STRAY = 0.3  # of a step, that the first correction may be
CONTRACTION = 0.3  # of a correction, that the next one may be
TURN, TURN_AT_BRANCH = 0.3, 0.1  # radians between two tangents at most: everywhere, and where det M changes its sign
STRAIGHT, UNEVEN = 0.03, 0.8  # radians between chord and tangent that are always allowed, and else the part of the turn
CORRECTIONS = 12
SETTLED = 1e-10  # a correction after which a point counts as reached
AT_ROUNDING = 1e-7  # a correction that may be the work of rounding where the next is no smaller
AIMED = 0.2  # of a step, that the first correction is to be: what the length of the next step is chosen by
HARD = 9  # corrections, from which the next step is shorter
FAR = 100.0  # usual sizes of a state, beyond which a curve is given up where a system has no box
OUTSIDE = 1e-6  # of the width of a box, that rounding and corrections may put a point outside
MOST_STEPS = 20000


BRANCH_POINT = "branch point"
CLOSED = "it came back to where it began"
SAME = 1e-6  # usual sizes of a state: two points of one snapshot nearer than this are one


@dataclass(frozen=True, eq=False)
class Node:
    """A point of a curve: x (n,), the place p, the unit tangent (t_x, t_p) in the direction of travel.

    ``det`` is the sign of det J. ``snapshot`` is -1 between two snapshots; ``cell`` is where the tangent holds.
    """

    x: Tensor
    p: float
    t_x: Tensor
    t_p: float
    det: int
    cell: int
    snapshot: int = -1

    @property
    def way(self) -> int:
        """1 where the curve goes to later snapshots, -1 to earlier ones."""
        return 1 if self.t_p > 0 else -1

    @property
    def side(self) -> int:
        """The sign of det M, by Cramer's rule."""
        return self.det * self.way

    @property
    def z(self) -> Tensor:
        return torch.cat([self.x, self.x.new_tensor([self.p])])

    def changed(self, sign: int, reverse: bool) -> Node:
        """The same place of the mirrored curve (``sign`` -1), or of the curve travelled the other way."""
        turn = -1 if reverse else 1
        return Node(sign * self.x, self.p, sign * turn * self.t_x, turn * self.t_p, self.det, self.cell, self.snapshot)


@dataclass
class Curve:
    """Nodes in the order of travel, and why it ended at its first and at its last: "" at the first or last snapshot.

    ``BRANCH_POINT`` says that it turns there by passing through a branch point: there it meets another curve.
    """

    nodes: list[Node] = field(default_factory=list)
    head: str = ""
    tail: str = ""
    gap: float = 0.0  # the length of the step at the end that passed through a branch point
    origin: Tensor | None = None  # (n + 1,) the branch point that its head was started from

    def changed(self, sign: int, reverse: bool) -> Curve:
        """Mirrored (``sign`` -1), or travelled the other way, which only a curve without ``origin`` is."""
        nodes = [node.changed(sign, reverse) for node in self.nodes]
        head, tail = (self.tail, self.head) if reverse else (self.head, self.tail)
        origin = None if self.origin is None else torch.cat([sign * self.origin[:-1], self.origin[-1:]])
        return Curve(nodes[::-1] if reverse else nodes, head, tail, self.gap, origin)


@dataclass(frozen=True, eq=False)
class Factors:
    """M at one point, factorised: gives tangents and corrections.

    ``beyond`` is the tangent of M itself, where the factors serve the cell on the other side of a snapshot: J is the
    same there, F_p is not, so that only steps without a change of p are taken from them.
    """

    LU: Tensor
    pivots: Tensor
    sign: int
    beyond: Tensor | None = None

    def solve(self, F: Tensor, last: float) -> Tensor:
        """The d (n + 1,) with M d = (F, last)."""
        right = torch.cat([F, F.new_tensor([last])]).unsqueeze(1)
        return torch.linalg.lu_solve(self.LU, self.pivots, right).squeeze(1)

    def step(self, F: Tensor) -> Tensor:
        """A step d with [J F_p] d = F."""
        d = self.solve(F, 0.0)
        return d if self.beyond is None else d - self.beyond * (d[-1] / self.beyond[-1])


@dataclass(frozen=True, eq=False)
class Corrected:
    """A point (n + 1,) of a curve, the corrections it took, and the length of the first."""

    z: Tensor
    corrections: int
    first: float


class Bordered:
    """Newton's method in (x, p) for one family; lengths in x are measured in ``unit``, those in p in snapshots."""

    def __init__(self, family: Family, unit: float) -> None:
        self.family, self.unit = family, unit

    def length(self, d: Tensor) -> float:
        return float((d[:-1].square().sum() / self.unit**2 + d[-1].square()).sqrt())

    def row(self, t: Tensor) -> Tensor:
        """The row whose product with a step is its part along t."""
        return torch.cat([t[:-1] / self.unit**2, t[-1:]])

    def factors(self, z: Tensor, cell: int, border: Tensor) -> Factors | None:
        """M at z (n + 1,); None where it is singular or not finite."""
        x, p = z[:-1], float(z[-1])
        n = len(x)
        M = z.new_empty(n + 1, n + 1)
        M[:n, :n] = self.family.jacobian(x, p)
        M[:n, n] = self.family.rate(x, p, cell)
        M[n] = self.row(border) * self.unit  # of the size of the other rows; it changes neither tangent nor sign
        LU, pivots, info = torch.linalg.lu_factor_ex(M)
        diagonal = LU.diagonal()
        if int(info) or not bool(torch.isfinite(diagonal).all()):
            return None
        swaps = int((pivots != torch.arange(1, n + 2, dtype=pivots.dtype)).sum())
        return Factors(LU, pivots, -1 if (int((diagonal < 0).sum()) + swaps) % 2 else 1)

    def tangent(self, factors: Factors, like: Tensor) -> Tensor:
        """The unit tangent whose product with ``like`` is positive."""
        t = factors.solve(like.new_zeros(len(like) - 1), 1.0)
        t = t / self.length(t)
        return t if float(self.row(like) @ t) > 0 else -t

    def correct(
        self, z: Tensor, constraint: Tensor, cell: int, factors: Factors, t: Tensor, allowed: float
    ) -> Corrected | None:
        """The zero of F near z with constraint . z as it is; None where that is unsure.

        ``factors`` may be those of a point nearby, t the tangent there; where they do not do, M is factorised once
        more. No correction may be longer than ``allowed``.
        """
        first, before, fresh = 0.0, float("inf"), False
        for k in range(1, CORRECTIONS + 1):
            F = self.family.velocity(z[:-1], float(z[-1]))
            d = self._step(F, constraint, factors, t)
            size = self.length(d)
            if size > CONTRACTION * before and size > SETTLED:
                if before <= AT_ROUNDING:
                    return Corrected(z, k, first)
                renewed = None if fresh else self.factors(z, cell, t)
                if renewed is None:
                    return None
                factors, t, fresh = renewed, self.tangent(renewed, t), True
                d = self._step(F, constraint, factors, t)
                size = self.length(d)
            if not size <= allowed:
                return None
            z, before, first = z + d, size, first or size
            if size <= SETTLED:
                return Corrected(z, k, first)
        return None

    def _step(self, F: Tensor, constraint: Tensor, factors: Factors, t: Tensor) -> Tensor:
        d = factors.step(-F)
        return d - t * ((constraint @ d) / (constraint @ t))


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
                    curve.tail = "no step was short enough to be sure of the curve"
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
                curve.tail = "it left the states that can be reached"
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
        chord = (new.z - front.z) / self.newton.length(new.z - front.z)
        whole, first, second = (angle(row(a) @ b) for a, b in ((front.t, new.t), (front.t, chord), (chord, new.t)))
        turn = TURN if new.node.side == front.node.side else TURN_AT_BRANCH
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

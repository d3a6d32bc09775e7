"""Ways along curves of fixed points from where they were found: where two of them meet, they are one curve.

They meet at a snapshot, where each has a node, and go against each other there. So a curve through many points of a
search is walked once, from all of them at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.continuation.curve import CLOSED, Curve, Node
from dynsys.numerics.bordered import Factored, Workspace

NOTHING = Factored(torch.empty(0), torch.empty(0))


@dataclass(eq=False)
class Way:
    """One way along a curve, in the cell where it is; ``start`` is the number of the point that it began at.

    ``joined`` is the way that it has met, and the sign of its states there: -1 if it is the mirror image that it met.
    """

    curve: Curve
    cell: int
    start: int = 0
    goes_on: bool = True
    joined: tuple[Way, int] | None = None
    M: Factored = NOTHING  # of its last point
    newest: Factored = NOTHING  # of the point that is tried
    memory: tuple[Workspace, ...] = field(default_factory=lambda: (Workspace(), Workspace()))

    def end(self) -> None:
        self.goes_on, self.M, self.newest, self.memory = False, NOTHING, NOTHING, ()


class Meetings:
    """Which ways have come to which points of the snapshots; of an ``odd`` family x and -x are on images of one curve.

    Points nearer than ``near`` are one.
    """

    def __init__(self, near: float, odd: bool) -> None:
        self.near, self.signs = near, (1, -1) if odd else (1,)
        self._at: dict[int, list[tuple[Tensor, Way, int]]] = {}

    def add(self, way: Way) -> None:
        """The last node of the way."""
        node = way.curve.nodes[-1]
        self._at.setdefault(node.snapshot, []).append((node.x, way, len(way.curve.nodes)))

    def like(self, x: Tensor, snapshot: int) -> list[tuple[Way, int, int]]:
        """Ways with a node at x (n,), or at -x, the number of their nodes up to it, and the sign."""
        there = self._at.get(snapshot, [])
        known = torch.stack([x, *(point for point, _, _ in there)])[1:]
        return [
            (*there[i][1:], sign)
            for sign in self.signs
            for i in (vector_norm(known - sign * x, dim=1) <= self.near).nonzero().squeeze(1).tolist()
        ]

    def joins(self, way: Way) -> bool:
        """Whether the last node of the way is one of another that comes along its curve: then both end there."""
        node = way.curve.nodes[-1]
        for other, k, sign in self.like(node.x, node.snapshot):
            against = other.goes_on and other.curve.nodes[k - 1].way == -node.way
            if other is not way and against and (sign > 0 or other.start != way.start):
                del other.curve.nodes[k:]
                way.joined, other.joined = (other, sign), (way, sign)
                way.goes_on = other.goes_on = False
                return True
        return False


def whole(both: dict[int, tuple[Way, Way]], start: int, passed: set[int]) -> Curve:
    """The curve through the point ``start``, of the ways (ahead, back) from each; adds the points ``passed``."""
    passed.add(start)
    ahead = _onwards(both, start, 0, passed)
    if ahead.tail == CLOSED:
        return ahead
    back = _onwards(both, start, 1, passed).changed(1, reverse=True)
    nodes = back.nodes[:-1] + ahead.nodes if ahead.nodes else back.nodes
    return Curve(nodes, back.head, ahead.tail, max(ahead.gap, back.gap))


def _onwards(both: dict[int, tuple[Way, Way]], start: int, side: int, passed: set[int]) -> Curve:
    """From a point along its way, back along the one that this has met, and on along the other one from there."""
    way, sign = both[start][side], 1
    nodes: list[Node] = list(way.curve.nodes)
    while way.joined is not None:
        met, mirrored = way.joined
        sign *= mirrored
        nodes += [node.changed(sign, reverse=True) for node in met.curve.nodes[-2::-1]]
        if met.start == start and sign > 0:
            return Curve(nodes, "", CLOSED)
        passed.add(met.start)
        ahead, back = both[met.start]
        way = back if met is ahead else ahead
        nodes += [node.changed(sign, reverse=False) for node in way.curve.nodes[1:]]
    return Curve(nodes, "", way.curve.tail, way.curve.gap)

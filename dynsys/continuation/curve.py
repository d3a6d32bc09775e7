"""A curve of fixed points in (x, p) as the nodes that a walk left on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dynsys.continuation.arclength import Ending

BRANCH_POINT, CLOSED, LEFT, STUCK = (
    ending.message for ending in (Ending.BRANCH_POINT, Ending.CLOSED, Ending.LEFT, Ending.STUCK)
)


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

    @property
    def t(self) -> Tensor:
        return torch.cat([self.t_x, self.x.new_tensor([self.t_p])])

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

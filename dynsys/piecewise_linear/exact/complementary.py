"""Which regions of a piecewise-linear system may hold a zero: all the others are excluded by a proof.

The zeros of F are the solutions z, w >= 0 of linear equations with z_i w_i = 0 for every unit (``equations``), a linear
complementarity problem (Cottle, Pang & Stone 1992). A tree decides one unit after the other, z_i = 0 or w_i = 0. Each
node keeps a feasible dictionary of the simplex method for what is linear in it; a child asks for one more variable to
be zero, and usually takes a few pivots from its parent's. Where that variable cannot become zero the child and all
regions below it are excluded. Pivots only find the reason, the multipliers of a contradiction (Farkas 1902): it counts
after it was checked on the system's own numbers, with all rounding (``contradictions``), or in whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynsys.piecewise_linear.exact.contradictions import Problem
from dynsys.piecewise_linear.exact.dictionaries import POSSIBLE, TOLERANCE, Dictionaries, drive
from dynsys.piecewise_linear.exact.equations import Equations
from dynsys.systems.pieces import Pieces

REACH = 1e4  # in units of the drive: a contradiction that holds only for smaller states excludes nothing
NODES = 512  # worked on at once
SPELT_OUT = 10  # undecided units up to which a node without an answer is given out region by region


@dataclass(frozen=True)
class Candidates:
    """``patterns`` (k, m) of the regions that may hold a zero; ``left`` regions were not looked at, for the budget.

    Every other region holds no zero with |y| below ``reach``, which is inf where it holds none at all. ``nodes`` were
    worked on.
    """

    patterns: Tensor
    left: int
    nodes: int
    reach: float


class _Tree:
    """What is known after some nodes: open ones, patterns found, regions left, how far contradictions hold."""

    def __init__(self, pieces: Pieces, equations: Equations) -> None:
        self.problem = Problem(equations)
        self.m, self.constant = pieces.n_units, pieces.constant.cpu()
        self.found = [torch.zeros(int(self.problem.homogeneous), self.m, dtype=torch.bool)]  # the region of 0
        self.left, self.worked, self.reach = 0, 0, float("inf")
        z = torch.arange(self.m)
        never = torch.where(pieces.e.cpu() > 0, z + self.m, z)[self.constant]  # zero in every state
        nodes = self.problem.root()
        for target in torch.cat([torch.tensor([2 * self.m]), never]):  # the spare first
            nodes = self._asked(nodes, target.expand(len(nodes)))
        nodes.decided[:, self.constant] = True
        self.open = [nodes]

    def grow(self) -> None:
        """Decide one more unit in the last ``NODES`` open nodes."""
        nodes = self.open.pop()
        while self.open and len(nodes) + len(self.open[-1]) <= NODES:
            nodes = Dictionaries.joined(self.open.pop(), nodes)
        if len(nodes) > NODES:
            self.open.append(nodes[:-NODES])
            nodes = nodes[-NODES:]
        self._decide_what_follows(nodes)
        whole = nodes.decided.all(1)
        self.found.append(nodes.zero[whole, self.m : 2 * self.m])
        nodes = nodes[~whole]
        if not len(nodes):
            return
        unit = self._branching(nodes)
        children = Dictionaries.joined(nodes, nodes)
        children.decided[torch.arange(len(children)), unit.repeat(2)] = True
        children = self._asked(children, torch.cat([unit, unit + self.m]))
        if len(children):
            self.open.append(children)

    def unknown(self) -> int:
        """The number of regions of which nothing is known."""
        return self.left + sum(_regions(nodes) for nodes in self.open)

    def _asked(self, nodes: Dictionaries, target: Tensor) -> Dictionaries:
        """The nodes that can have one more variable zero, ``target`` (B,).

        The others are excluded if the contradiction holds far enough, else given out region by region or left.
        """
        self.worked += len(nodes)
        against = drive(nodes, target)
        nodes.zero[torch.arange(len(nodes)), target] = True
        reach = torch.zeros(len(nodes), dtype=torch.float64)
        known, few = against >= 0, (~nodes.decided).sum(1) <= SPELT_OUT
        if bool(known.any()):
            reach[known], refuted = self.problem.reach(nodes[known], against[known])
            for i in known.nonzero().squeeze(1)[refuted].tolist():
                against[i], reach[i] = self._anew(nodes, i, 0.0 if few[i] else float(reach[i]))
            self.reach = min([self.reach, *reach[reach >= REACH].tolist()])
        unclear = (against != POSSIBLE) & (reach < REACH)
        self.found.append(_spelt_out(nodes[unclear & few], self.m))
        self.left += _regions(nodes[unclear & ~few])
        return nodes[against == POSSIBLE]

    def _anew(self, nodes: Dictionaries, i: int, reach: float) -> tuple[int, float]:
        """Node i once more from the first dictionary on, as the rounding of many steps may have spoilt its own.

        Returns what ``drive`` says, and how far a contradiction holds, ``reach`` if nothing better comes out.
        """
        one = self.problem.root()
        for name in [2 * self.m, *nodes.zero[i, :-1].nonzero().squeeze(1).tolist()]:
            against = drive(one, torch.tensor([name]))
            one.zero[0, name] = True
            if int(against) != POSSIBLE:
                anew, _ = self.problem.reach(one, against) if int(against) >= 0 else (torch.zeros(1), None)
                return int(against), max(float(anew), reach)
        for old, new in ((nodes.T, one.T), (nodes.basic, one.basic), (nodes.nonbasic, one.nonbasic)):
            old[i] = new[0]
        return POSSIBLE, 0.0

    def _decide_what_follows(self, nodes: Dictionaries) -> None:
        """Units of which z or w is zero in all of a node: its other side is a face of this one, and no region more."""
        flat = (nodes.T[:, :, -1] <= TOLERANCE) & ~nodes.zero.gather(1, nodes.basic)
        for i, row in flat.nonzero().tolist():
            name = int(nodes.basic[i, row])
            unit = name % self.m
            if not bool(nodes.decided[i, unit]) and self.problem.is_never_positive(nodes, i, row):
                nodes.zero[i, name] = nodes.decided[i, unit] = True

    def _branching(self, nodes: Dictionaries) -> Tensor:
        """The undecided unit (B,) whose z and w are both farthest from zero, so that no child comes for nothing."""
        value = nodes.T.new_zeros(nodes.zero.shape).scatter_(1, nodes.basic, nodes.T[:, :, -1])
        z, w = value[:, : self.m], value[:, self.m : 2 * self.m]
        score = torch.minimum(z, w) + 1e-6 * torch.maximum(z, w)
        return torch.where(nodes.decided, -torch.inf, score).argmax(1)


def candidate_regions(
    pieces: Pieces, equations: Equations, budget: int, progress: Callable[[float], None] = lambda share: None
) -> Candidates:
    """All regions that may hold a zero, after at most ``budget`` nodes or one batch more."""
    if equations.contradictory:
        return Candidates(torch.zeros(0, pieces.n_units, dtype=torch.bool), 0, 1, np.inf)
    tree = _Tree(pieces, equations)
    total = 2.0 ** int((~tree.constant).sum())
    while tree.open and tree.worked < budget:
        tree.grow()
        progress(1 - tree.unknown() / total)
    return Candidates(torch.cat(tree.found), tree.unknown(), tree.worked, tree.reach * float(tree.problem.units.min()))


def _regions(nodes: Dictionaries) -> int:
    """The number of regions below the nodes."""
    return sum(2**undecided for undecided in (~nodes.decided).sum(1).tolist())


def _spelt_out(nodes: Dictionaries, m: int) -> Tensor:
    """Every pattern (k, m) below the nodes."""
    patterns = [nodes.decided[:0]]
    for active, decided in zip(nodes.zero[:, m : 2 * m], nodes.decided, strict=True):
        free = (~decided).nonzero().squeeze(1)
        bits = (torch.arange(2 ** len(free)).unsqueeze(1) >> torch.arange(len(free))) & 1
        each = active.repeat(len(bits), 1)
        each[:, free] = bits.bool()
        patterns.append(each)
    return torch.cat(patterns)

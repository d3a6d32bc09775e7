"""Which regions of a piecewise-linear system may hold a zero: all the others are excluded by a proof.

With z = max(y, 0) and w = max(-y, 0) the zeros of F are the solutions of

    A x + B z + c = 0,     C x + D z + e = z - w,     z, w >= 0,     z_i w_i = 0 for every unit,

a linear complementarity problem (Cottle, Pang & Stone 1992). A tree decides one unit after the other, z_i = 0 or
w_i = 0. Each node keeps a feasible dictionary of the simplex method for what is linear in it; a child asks for one more
variable to be zero, and usually takes a few pivots from its parent's. Where that variable cannot become zero the child
and all regions below it are excluded. Pivots only find the reason, the multipliers of a contradiction (Farkas 1902):
it counts after it was checked on the system's own numbers, rounding included, for all |x|, z, w below ``reach``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from dynsys.proof.exact_product import gamma
from dynsys.relu.dictionaries import POSSIBLE, Dictionaries, drive
from dynsys.relu.pieces import Pieces

REACH = 1e4  # in units of the drive: a contradiction that holds only for smaller states excludes nothing
NODES = 512  # worked on at once
SPELT_OUT = 10  # undecided units up to which a node without an answer is given out region by region


class Unfit(Exception):
    """The linear part of the system leaves some direction of the state undetermined in every region."""


@dataclass(frozen=True)
class Candidates:
    """``patterns`` (k, m) of the regions that may hold a zero; ``left`` regions were not looked at, for the budget.

    Every other region holds no zero with |x| and |y| below ``reach``. ``nodes`` were worked on.
    """

    patterns: Tensor
    left: int
    nodes: int
    reach: float


class _Problem:
    """The equations H (x, z, w) + g = 0, scaled so that max |g| = 1, and what checks a contradiction in them.

    Where c = e = 0 the zeros are 0 and whole rays; then sum(z + w) = 1 is a further equation, and only rays are found.
    """

    def __init__(self, pieces: Pieces) -> None:
        A, B, c, C, D, e = (part.cpu() for part in (pieces.A, pieces.B, pieces.c, pieces.C, pieces.D, pieces.e))
        n, m = pieces.n_state, pieces.n_units
        self.n, self.m = n, m
        one = torch.eye(m, dtype=A.dtype)
        H = torch.cat([torch.cat([A, B, A.new_zeros(n, m)], 1), torch.cat([C, D - one, one], 1)])
        g = torch.cat([c, e])
        self.homogeneous = not bool(g.any())
        if self.homogeneous:
            H = torch.cat([H, torch.cat([A.new_zeros(n), A.new_ones(2 * m)]).unsqueeze(0)])
            g = torch.cat([g, -A.new_ones(1)])
        self.scale = float(g.abs().max())
        self.H, self.g, self.inverse = H, g / self.scale, torch.linalg.pinv(H)

    def root(self) -> Dictionaries:
        """The dictionary without any unit decided, with a spare variable that makes it feasible."""
        H, g, n, m = self.H.numpy(), self.g.numpy(), self.n, self.m
        Q, R, _ = scipy.linalg.qr(H[:, :n], pivoting=True)
        if n > len(H) or np.abs(np.diag(R)).min(initial=np.inf) <= 1e-12 * np.abs(R).max(initial=1.0):
            raise Unfit
        E = Q[:, n:].T
        G, shift = E @ H[:, n:], E @ g
        _, R, order = scipy.linalg.qr(G, pivoting=True)
        rows = len(G)
        if rows > 2 * m or np.abs(np.diag(R)[:rows]).min(initial=np.inf) <= 1e-12 * np.abs(R).max(initial=1.0):
            raise Unfit
        basic, rest = np.split(order.astype(np.int64), [rows])
        table = -np.linalg.solve(G[:, basic], np.column_stack([G[:, rest], shift]))
        T = torch.as_tensor(np.column_stack([table[:, :-1], np.ones(rows), table[:, -1]])).unsqueeze(0)
        zero = torch.zeros(1, 2 * m + 1, dtype=torch.bool)
        nodes = Dictionaries(
            T,
            torch.as_tensor(basic).unsqueeze(0),
            torch.as_tensor(np.append(rest, 2 * m)).unsqueeze(0),
            zero,
            zero[:, :m].clone(),
        )
        least = T[0, :, -1].argmin().reshape(1)
        if float(T[0, least, -1]) < 0:
            nodes.pivot(torch.zeros(1, dtype=torch.long), least, torch.tensor([len(rest)]))
        return nodes

    def reach(self, nodes: Dictionaries, row: Tensor) -> Tensor:
        """How large (B,) all variables may be while ``row`` contradicts its own basic variable's being zero."""
        k = torch.arange(len(nodes))
        wanted = self.H.new_zeros(len(nodes), self.n + 2 * self.m + 1)
        wanted.scatter_(1, self.n + nodes.nonbasic, -nodes.T[k, row, :-1])
        wanted[k, self.n + nodes.basic[k, row]] = 1.0
        multipliers = wanted[:, :-1] @ self.inverse
        terms = self.n + 2 * self.m + 2
        error = gamma(terms) * (multipliers.abs() @ self.H.abs())
        slope = multipliers @ self.H
        slope[:, self.n :] = torch.where(nodes.zero[:, :-1], -torch.inf, slope[:, self.n :])
        slope[:, : self.n] = slope[:, : self.n].abs()
        gain = (1 + gamma(2 * terms)) * (slope + error).clamp(min=0).sum(1)
        left = -(multipliers @ self.g) - gamma(terms) * (multipliers.abs() @ self.g.abs())
        return torch.where(left > 0, (1 - gamma(terms)) * left / gain, 0.0)


class _Tree:
    """What is known after some nodes: open ones, patterns found, regions left, how far contradictions hold."""

    def __init__(self, pieces: Pieces) -> None:
        self.problem = _Problem(pieces)
        self.m, self.constant = pieces.n_units, pieces.constant.cpu()
        self.found = [torch.zeros(0, self.m, dtype=torch.bool)]
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
        known = against >= 0
        if bool(known.any()):
            reach[known] = self.problem.reach(nodes[known], against[known])
            self.reach = min([self.reach, *reach[reach >= REACH].tolist()])
        unclear = nodes[(against != POSSIBLE) & (reach < REACH)]
        few = (~unclear.decided).sum(1) <= SPELT_OUT
        self.found.append(_spelt_out(unclear[few], self.m))
        self.left += _regions(unclear[~few])
        return nodes[against == POSSIBLE]

    def _branching(self, nodes: Dictionaries) -> Tensor:
        """The undecided unit (B,) whose z and w are both farthest from zero, so that no child comes for nothing."""
        value = nodes.T.new_zeros(nodes.zero.shape).scatter_(1, nodes.basic, nodes.T[:, :, -1])
        z, w = value[:, : self.m], value[:, self.m : 2 * self.m]
        score = torch.minimum(z, w) + 1e-6 * torch.maximum(z, w)
        return torch.where(nodes.decided, -torch.inf, score).argmax(1)


def candidate_regions(
    pieces: Pieces, budget: int, progress: Callable[[float], None] = lambda share: None
) -> Candidates:
    """All regions that may hold a zero, after at most ``budget`` nodes or one batch more. Raises ``Unfit``."""
    tree = _Tree(pieces)
    total = 2.0 ** int((~tree.constant).sum())
    while tree.open and tree.worked < budget:
        tree.grow()
        progress(1 - tree.unknown() / total)
    return Candidates(torch.cat(tree.found), tree.unknown(), tree.worked, tree.reach * tree.problem.scale)


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

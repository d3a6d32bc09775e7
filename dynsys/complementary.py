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

from dynsys.exact_product import gamma
from dynsys.pieces import Pieces

TOLERANCE = 1e-9  # of the pivots, in units of the scaled system; no proof rests on it
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


@dataclass
class _Nodes:
    """B dictionaries: basic variables = T (nonbasic ones, 1), T (B, M, Q + 1). Variables are z, then w, then a spare.

    ``zero`` (B, 2 m + 1) marks those that have to be zero, ``decided`` (B, m) the units of which one of the two is.
    """

    T: Tensor
    basic: Tensor
    nonbasic: Tensor
    zero: Tensor
    decided: Tensor

    def __len__(self) -> int:
        return len(self.T)

    def __getitem__(self, rows: Tensor | slice) -> _Nodes:
        return _Nodes(self.T[rows], self.basic[rows], self.nonbasic[rows], self.zero[rows], self.decided[rows])

    @staticmethod
    def joined(a: _Nodes, b: _Nodes) -> _Nodes:
        return _Nodes(*(torch.cat([getattr(a, k), getattr(b, k)]) for k in _Nodes.__dataclass_fields__))

    def pivot(self, which: Tensor, row: Tensor, column: Tensor) -> None:
        """In the nodes ``which``: the basic variable of ``row`` and the nonbasic one of ``column`` change places."""
        T, k = self.T[which], torch.arange(len(which))
        p = T[k, row, column]
        new = -T[k, row] / p.unsqueeze(1)
        new[k, column] = 1 / p
        moved = T[k, :, column]
        T[k, :, column] = 0.0
        T += moved.unsqueeze(2) * new.unsqueeze(1)
        T[k, row] = new
        self.T[which] = T
        leaves, enters = self.basic[which, row], self.nonbasic[which, column]
        self.basic[which, row], self.nonbasic[which, column] = enters, leaves


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

    def root(self) -> _Nodes:
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
        nodes = _Nodes(
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

    def reach(self, nodes: _Nodes, row: Tensor) -> Tensor:
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


def candidate_regions(
    pieces: Pieces, budget: int, progress: Callable[[float], None] = lambda share: None
) -> Candidates:
    """All regions that may hold a zero, after at most ``budget`` nodes. Raises ``Unfit``."""
    problem = _Problem(pieces)
    m, reach = problem.m, float("inf")
    nodes = problem.root()
    constant = pieces.constant.cpu()
    never = torch.where(pieces.e.cpu() > 0, torch.arange(m) + m, torch.arange(m))  # z or w, zero everywhere
    found: list[Tensor] = []
    left, worked = 0, 0
    for target in torch.cat([torch.tensor([2 * m]), never[constant]]):  # the spare first
        nodes, unclear, excluded = _asked(problem, nodes, target.expand(len(nodes)))
        reach = min(reach, excluded)
        worked += 1
        if len(unclear):
            return Candidates(torch.zeros(0, m, dtype=torch.bool), 2**m, worked, reach * problem.scale)
    nodes.decided[:, constant] = True
    stack = [nodes]
    total = float(2 ** int((~constant).sum()))
    while stack and worked < budget:
        nodes = stack.pop()
        while stack and len(nodes) + len(stack[-1]) <= NODES:
            nodes = _Nodes.joined(stack.pop(), nodes)
        if len(nodes) > NODES:
            stack.append(nodes[: len(nodes) - NODES])
            nodes = nodes[len(nodes) - NODES :]
        whole = nodes.decided.all(1)
        found.append(nodes.zero[whole, m : 2 * m])
        nodes = nodes[~whole]
        if not len(nodes):
            continue
        unit = _branching(nodes, m)
        children = _Nodes.joined(nodes, nodes)
        children.decided[torch.arange(len(children)), unit.repeat(2)] = True
        worked += len(children)
        children, unclear, excluded = _asked(problem, children, torch.cat([unit, unit + m]))
        reach = min(reach, excluded)
        spelt = (~unclear.decided).sum(1) <= SPELT_OUT
        found.append(_spelt_out(unclear[spelt], m))
        left += _regions(unclear[~spelt])
        stack.append(children)
        progress(1 - (sum(_regions(rest) for rest in stack) + left) / total)
    progress(1.0)
    left += sum(_regions(rest) for rest in stack)
    patterns = torch.cat(found) if found else torch.zeros(0, m, dtype=torch.bool)
    return Candidates(patterns, left, worked, reach * problem.scale)


def _regions(nodes: _Nodes) -> int:
    """The number of regions below the nodes."""
    return sum(2**undecided for undecided in (~nodes.decided).sum(1).tolist())


def _branching(nodes: _Nodes, m: int) -> Tensor:
    """The undecided unit (B,) whose z and w are both farthest from zero, so that neither child comes for nothing."""
    value = nodes.T.new_zeros(len(nodes), 2 * m + 1).scatter_(1, nodes.basic, nodes.T[:, :, -1])
    z, w = value[:, :m], value[:, m : 2 * m]
    score = torch.minimum(z, w) + 1e-6 * torch.maximum(z, w)
    return torch.where(nodes.decided, -torch.inf, score).argmax(1)


def _spelt_out(nodes: _Nodes, m: int) -> Tensor:
    """Every pattern (k, m) below the nodes."""
    patterns = [nodes.decided[:0]]
    for active, decided in zip(nodes.zero[:, m : 2 * m], nodes.decided, strict=True):
        free = (~decided).nonzero().squeeze(1)
        bits = (torch.arange(2 ** len(free)).unsqueeze(1) >> torch.arange(len(free))) & 1
        each = active.repeat(len(bits), 1)
        each[:, free] = bits.bool()
        patterns.append(each)
    return torch.cat(patterns)


def _asked(problem: _Problem, nodes: _Nodes, target: Tensor) -> tuple[_Nodes, _Nodes, float]:
    """The nodes with one more variable zero, ``target`` (B,): those where it can be, and those where nothing is known.

    The others are excluded, for all states below the third.
    """
    against = _drive(nodes, target)
    nodes.zero[torch.arange(len(nodes)), target] = True
    known = against >= 0
    reach = torch.full((len(nodes),), torch.inf, dtype=torch.float64)
    if bool(known.any()):
        reach[known] = problem.reach(nodes[known], against[known])
    excluded = known & (reach >= REACH)
    unclear = (known & ~excluded) | (against == UNKNOWN)
    return nodes[against == POSSIBLE], nodes[unclear], float(reach[excluded].min()) if bool(excluded.any()) else np.inf


POSSIBLE, UNKNOWN = -1, -2


def _drive(nodes: _Nodes, target: Tensor) -> Tensor:
    """Lower the variable ``target`` (B,) to zero by primal simplex steps, in place.

    Returns for each node the row that says that it stays positive, or ``POSSIBLE``, or ``UNKNOWN`` after many steps.
    """
    T, columns = nodes.T, nodes.nonbasic.shape[1]
    against = torch.full((len(nodes),), POSSIBLE)
    busy = torch.arange(len(nodes))
    patience = 4 * T.shape[1] + 20
    for step in range(2 * patience):
        at = nodes.basic[busy] == target[busy].unsqueeze(1)
        busy, row = busy[at.any(1)], at[at.any(1)].to(torch.uint8).argmax(1)
        if not len(busy):
            return against
        names = nodes.nonbasic[busy]
        slope, value = T[busy, row, :columns], T[busy, row, columns]
        barred = nodes.zero[busy].gather(1, names)
        falling = torch.where(barred, torch.inf, slope)
        if step < patience:
            column = falling.argmin(1)
        else:  # Bland's rule, which cannot go round in circles
            column = torch.where(falling < -TOLERANCE, names, 2 * T.shape[1] + columns).argmin(1)
        least = falling.gather(1, column.unsqueeze(1)).squeeze(1)
        lowest = least >= -TOLERANCE
        against[busy[lowest & (value > TOLERANCE)]] = row[lowest & (value > TOLERANCE)]
        rising = torch.where(barred, -torch.inf, slope)
        most, other = rising.max(1)
        out = lowest & (value <= TOLERANCE) & (most > TOLERANCE)  # already zero: it leaves for any other
        nodes.pivot(busy[out], row[out], other[out])
        busy, row, column = busy[~lowest], row[~lowest], column[~lowest]
        if len(busy):
            nodes.pivot(busy, _leaving(nodes, busy, row, column, step >= patience), column)
    against[busy] = UNKNOWN
    return against


def _leaving(nodes: _Nodes, busy: Tensor, row: Tensor, column: Tensor, by_name: bool) -> Tensor:
    """The row whose variable is the first to reach zero; of several the target's own, then the steepest.

    A basic variable that has to be zero is zero whatever happens: its row is zero to rounding and never leaves.
    """
    T, k = nodes.T, torch.arange(len(busy))
    fall = -T[busy, :, column]
    ratio = torch.where(fall > TOLERANCE, T[busy, :, -1].clamp(min=0) / fall, torch.inf)
    tied = ratio <= ratio.amin(1, keepdim=True) * (1 + TOLERANCE) + 1e-15
    if by_name:
        named = torch.where(tied, nodes.basic[busy], torch.iinfo(torch.long).max)
        return torch.where(tied[k, row], row, named.argmin(1))
    return torch.where(tied[k, row], row, torch.where(tied, fall, -torch.inf).argmax(1))

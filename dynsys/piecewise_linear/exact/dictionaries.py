"""Feasible dictionaries of the simplex method, many at once, and the steps that lower one variable to zero in each.

A dictionary (Chvatal 1983) writes M basic variables, all >= 0, by the nonbasic ones, which are zero in its solution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-9  # of the pivots, in units of the scaled system; no proof rests on it
NOISE = 1e-11  # of the largest number in a row or column, beneath which one is rounding of many steps
POSSIBLE, UNKNOWN = -1, -2  # in the place of a row that says no


@dataclass
class Dictionaries:
    """B of them: basic variables = T (nonbasic ones, 1), T (B, M, Q + 1). Variables are z, then w, then a spare.

    ``zero`` (B, 2 m + 1) marks those that have to be zero, ``decided`` (B, m) the units of which one of the two is.
    """

    T: Tensor
    basic: Tensor
    nonbasic: Tensor
    zero: Tensor
    decided: Tensor

    def __len__(self) -> int:
        return len(self.T)

    def __getitem__(self, rows: Tensor | slice) -> Dictionaries:
        return Dictionaries(self.T[rows], self.basic[rows], self.nonbasic[rows], self.zero[rows], self.decided[rows])

    @staticmethod
    def joined(a: Dictionaries, b: Dictionaries) -> Dictionaries:
        return Dictionaries(*(torch.cat([getattr(a, k), getattr(b, k)]) for k in Dictionaries.__dataclass_fields__))

    def pivot(self, which: Tensor, row: Tensor, column: Tensor) -> None:
        """In the nodes ``which``: the basic variable of ``row`` and the nonbasic one of ``column`` change places."""
        T, k = self.T.index_select(0, which), torch.arange(len(which))
        p = T[k, row, column]
        new = -T[k, row] / p.unsqueeze(1)
        new[k, column] = 1 / p
        moved = T[k, :, column]
        T[k, :, column] = 0.0
        T.addcmul_(moved.unsqueeze(2), new.unsqueeze(1))
        T[k, row] = new
        self.T.index_copy_(0, which, T)
        leaves, enters = self.basic[which, row], self.nonbasic[which, column]
        self.basic[which, row], self.nonbasic[which, column] = enters, leaves


def drive(nodes: Dictionaries, target: Tensor) -> Tensor:
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
        lowest = least >= -(NOISE * slope.abs().amax(1)).clamp(min=TOLERANCE)
        if bool(lowest.any()):
            against[busy[lowest & (value > TOLERANCE)]] = row[lowest & (value > TOLERANCE)]
            most, other = torch.where(barred, -torch.inf, slope).max(1)
            out = lowest & (value <= TOLERANCE) & (most > TOLERANCE)  # already zero: it leaves for any other
            if bool(out.any()):
                nodes.pivot(busy[out], row[out], other[out])
            busy, row, column = busy[~lowest], row[~lowest], column[~lowest]
        if len(busy):
            nodes.pivot(busy, _leaving(nodes, busy, row, column, step >= patience), column)
    against[busy] = UNKNOWN
    return against


def _leaving(nodes: Dictionaries, busy: Tensor, row: Tensor, column: Tensor, by_name: bool) -> Tensor:
    """The row whose variable is the first to reach zero; of several the target's own, then the steepest.

    A basic variable that has to be zero is zero whatever happens: its row is zero to rounding and never leaves.
    """
    T, k = nodes.T, torch.arange(len(busy))
    fall = -T[busy, :, column]
    falls = fall > (NOISE * fall.abs().amax(1, keepdim=True)).clamp(min=TOLERANCE)
    ratio = torch.where(falls, T[busy, :, -1].clamp(min=0) / fall, torch.inf)
    tied = ratio <= ratio.amin(1, keepdim=True) * (1 + TOLERANCE) + 1e-15
    if by_name:
        named = torch.where(tied, nodes.basic[busy], torch.iinfo(torch.long).max)
        return torch.where(tied[k, row], row, named.argmin(1))
    return torch.where(tied[k, row], row, torch.where(tied, fall, -torch.inf).argmax(1))

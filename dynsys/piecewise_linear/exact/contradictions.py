"""What a dictionary of the simplex method proves of the equations it came from, when rounding is counted.

A row says that its basic variable stays positive: multipliers of the equations whose sum has no positive coefficient on
any variable that may be positive, and a positive constant. Multipliers in floating point leave coefficients of 1e-16
where there should be none. They are moved a little towards the other rows of the dictionary, so that all of them become
negative beyond doubt: then the contradiction holds for states of any size. Where that cannot be, as coefficients are
exactly zero, the row is formed again in whole numbers.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.piecewise_linear.exact.dictionaries import Dictionaries
from dynsys.piecewise_linear.exact.equations import Equations
from dynsys.piecewise_linear.exact.rationals import Row, combined, solved
from dynsys.proof.exact import TINY, UNIT, gamma

WORK = 1e7  # numbers in the whole rows that one search may form: some seconds
NOISE = 1e-11  # of the largest multiplier, beneath which one is rounding
DEPENDENT = 1e-12  # of the largest pivot of the equations, beneath which one may follow from the others
SCALINGS, WIDELY = 3, 2.0**10


class Problem:
    """The equations H (z, w) + g = 0 of a system, in units in which their numbers are near 1.

    Where g = 0 the zeros are 0 and whole rays; then sum(z + w) = 1 is a further equation, and only rays are found.
    """

    def __init__(self, equations: Equations) -> None:
        self.m, self.left = equations.m, WORK
        self.rows = equations.rows
        self.homogeneous = not any(0 in row for row in self.rows)
        if self.homogeneous:
            self.rows = [*self.rows, {0: -1, **dict.fromkeys(range(1, 1 + 2 * self.m), 1)}]
        H, g = equations.table(self.rows)
        _, R, order = scipy.linalg.qr(H, pivoting=True)
        if len(H) > 2 * self.m or np.abs(np.diag(R)).min() <= DEPENDENT * np.abs(R).max():
            independent = solved(self.rows, range(1, 1 + 2 * self.m))[0]
            self.rows, order = list(independent.values()), np.array([column - 1 for column in independent])
            order = np.concatenate([order, np.setdiff1d(np.arange(2 * self.m), order)])
            H, g = equations.table(self.rows)
        self.basic = order[: len(H)].astype(np.int64)
        H, g, self.units = _scaled(H, g)
        self.H, self.g = torch.as_tensor(H), torch.as_tensor(g)
        self.inverse = torch.linalg.pinv(self.H)
        self.entries = (self.H != 0).double()
        self.dense = bool((self.entries[:, : self.m] != 0).all())

    def root(self) -> Dictionaries:
        """The dictionary without any unit decided, with a spare variable that makes it feasible."""
        H, g, m, rows = self.H.numpy(), self.g.numpy(), self.m, len(self.H)
        rest = np.setdiff1d(np.arange(2 * m), self.basic)
        table = -np.linalg.solve(H[:, self.basic], np.column_stack([H[:, rest], g]))
        T = torch.as_tensor(np.column_stack([table[:, :-1], np.ones(rows), table[:, -1]])).unsqueeze(0)
        zero = torch.zeros(1, 2 * m + 1, dtype=torch.bool)
        nodes = Dictionaries(
            T,
            torch.tensor(self.basic).unsqueeze(0),
            torch.as_tensor(np.append(rest, 2 * m)).unsqueeze(0),
            zero,
            zero[:, :m].clone(),
        )
        least = T[0, :, -1].argmin().reshape(1)
        if float(T[0, least, -1]) < 0:
            nodes.pivot(torch.zeros(1, dtype=torch.long), least, torch.tensor([len(rest)]))
        return nodes

    def reach(self, nodes: Dictionaries, row: Tensor) -> tuple[Tensor, Tensor]:
        """How large (B,) all z and w may be, in their units, while ``row`` contradicts its own variable's being zero.

        It is inf where they may be as large as they like, and 0 where there is no contradiction. The second (B,) says
        where it is not inf in whole numbers either.
        """
        wanted = self._wanted(nodes, row)
        if self.dense:  # each of the equations has all of z
            moved, rounded = (wanted + self._shift(nodes, row))[:, :-1] @ self.inverse, self.entries.sum(0) > 1
        else:
            used = self._multipliers(wanted) != 0
            terms = used.to(wanted.dtype) @ self.entries
            moved = (wanted + self._shift(nodes, row, terms > 0))[:, :-1] @ self.inverse
            moved, rounded = torch.where(used, moved, 0.0), terms > 1
        reach = self._checked(nodes, moved, rounded)
        refuted = torch.zeros_like(nodes.zero[:, 0])
        for i in torch.isfinite(reach).nonzero().squeeze(1).tolist():
            summed = self._summed(nodes, i, int(row[i]), self._multipliers(wanted[i : i + 1])[0])
            if summed and summed[0] < 0 and max(summed.values()) <= 0:
                reach[i] = torch.inf
            else:
                refuted[i] = summed is not None
        return reach, refuted

    def _checked(self, nodes: Dictionaries, multipliers: Tensor, rounded: Tensor) -> Tensor:
        """How far (B,) the contradiction by multipliers (B, M) holds; ``rounded`` are the sums of several products."""
        size, terms = multipliers.abs(), gamma(len(self.H)) + 4 * UNIT
        error = torch.where(rounded, terms * (size @ self.H.abs()) + TINY * size.sum(1, keepdim=True), 0.0)
        slope = torch.where(nodes.zero[:, :-1], -torch.inf, multipliers @ self.H)
        gain = (1 + gamma(2 * self.m)) * (slope + error).clamp(min=0).sum(1)
        left = -(multipliers @ self.g) - terms * (size @ self.g.abs()) - TINY * size.sum(1)
        return torch.where(left > 0, (1 - 4 * UNIT) * left / gain, 0.0)

    def _wanted(self, nodes: Dictionaries, row: Tensor) -> Tensor:
        """The coefficients (B, 2 m + 1) in ``row`` of each node, all variables on the side of its own."""
        k = torch.arange(len(nodes))
        wanted = nodes.T.new_zeros(nodes.zero.shape)
        wanted.scatter_(1, nodes.nonbasic, -nodes.T[k, row, :-1])
        wanted[k, nodes.basic[k, row]] = 1.0
        return wanted

    def _multipliers(self, wanted: Tensor) -> Tensor:
        """Of the equations, (B, M), whose sum has these coefficients; 0 where they are but rounding."""
        multipliers = wanted[:, :-1] @ self.inverse
        return torch.where(
            multipliers.abs() <= NOISE * multipliers.abs().amax(1, keepdim=True), torch.zeros(()), multipliers
        )

    def _shift(self, nodes: Dictionaries, row: Tensor, touched: Tensor | None = None) -> Tensor:
        """What to add (B, 2 m + 1) to a row: of the rows of all other variables, or of those it touches, as much as its
        own signs allow."""
        k = torch.arange(len(nodes))
        other = ~nodes.zero.gather(1, nodes.basic) & (nodes.basic < 2 * self.m)
        other[k, row] = False
        if touched is not None:
            other &= touched.gather(1, nodes.basic.clamp(max=2 * self.m - 1))
        summed = (other.to(nodes.T.dtype).unsqueeze(1) @ nodes.T).squeeze(1)
        room = torch.where(summed > 0, nodes.T[k, row] / summed, torch.inf)
        room[:, :-1].masked_fill_(nodes.zero.gather(1, nodes.nonbasic), torch.inf)
        share = (room.amin(1, keepdim=True) / 2).clamp(0.0, 1.0)
        shift = nodes.T.new_zeros(nodes.zero.shape)
        shift.scatter_(1, nodes.nonbasic, share * summed[:, :-1])
        return shift.scatter_(1, nodes.basic, -share * other.to(shift.dtype))

    def is_never_positive(self, nodes: Dictionaries, i: int, row: int) -> bool:
        """Whether ``row`` of node i says in whole numbers that its variable is nowhere positive."""
        free = ~nodes.zero[i, nodes.nonbasic[i]]
        if bool((nodes.T[i, row, :-1][free] > NOISE).any()):
            return False
        multipliers = self._multipliers(self._wanted(nodes[i : i + 1], torch.tensor([row])))[0]
        summed = self._summed(nodes, i, row, multipliers)
        return summed is not None and bool(summed) and min(summed.values()) >= 0

    def _summed(self, nodes: Dictionaries, i: int, row: int, multipliers: Tensor) -> Row | None:
        """The coefficients in a row of node i, of the constant at 0 and of other variables not asked to be zero, formed
        in whole numbers. None beyond ``WORK``; nothing if the node's variables are no basis."""
        basic = [1 + name for name in nodes.basic[i].tolist()]
        zero = [False, *nodes.zero[i].tolist()]
        some = [self.with_spare[k] for k in multipliers.nonzero().squeeze(1).tolist()]
        for used in (some, self.with_spare):  # the few that seem to be needed, else all
            self.left -= len(used) ** 3 + 2 * self.m * len(used)
            if self.left < 0:
                return None
            summed = combined(used, basic, basic[row])
            if summed is not None:
                return {c: value for c, value in summed.items() if c != basic[row] and not zero[c]}
        return {}

    @cached_property
    def with_spare(self) -> list[Row]:
        """The equations with the spare variable, which the first dictionary adds to each of its variables."""
        spare = 1 + 2 * self.m
        basic = [(1 + name, self._shift_of(name)) for name in self.basic.tolist()]
        return [{**row, spare: -sum(row.get(column, 0) << by for column, by in basic)} for row in self.rows]

    def _shift_of(self, name: int) -> int:
        """The power of two in the unit of a variable, counted from the least."""
        return round(float(np.log2(self.units[name] / self.units.min())))


def _scaled(H: NDArray[np.float64], g: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """H, g and the units (2 m,) of z and w, all moved by powers of two, which is exact.

    The unit is that of the largest drive, and of each variable by itself only where the equations differ widely.
    """
    m = H.shape[1] // 2
    units = np.full(2 * m, _power(np.abs(g).max()))
    g = g / units[0]
    for _ in range(SCALINGS):
        rows, columns = np.maximum(np.abs(H).max(1), np.abs(g)), np.abs(H).max(0).reshape(2, m).max(0)
        if max(_spread(rows), _spread(columns)) <= WIDELY:
            break
        rows = _power(rows)
        columns = np.tile(_power((np.abs(H) / rows[:, None]).max(0).reshape(2, m).max(0)), 2)
        H, g, units = H / rows[:, None] / columns, g / rows, units / columns
    return H, g, units


def _spread(size: NDArray[np.float64]) -> float:
    """The largest over the least that is not 0."""
    return float(size.max() / size[size > 0].min()) if size.any() else 1.0


def _power(size: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(size > 0, 2.0 ** np.round(np.log2(np.where(size > 0, size, 1.0))), 1.0)

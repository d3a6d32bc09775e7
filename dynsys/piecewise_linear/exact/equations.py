"""The zeros of a piecewise-linear system as solutions z, w >= 0 of linear equations over whole numbers.

With z = max(y, 0) and w = max(-y, 0) the zeros of F are the solutions of

    A x + B z + c = 0,     C x + D z + e = z - w,     z, w >= 0,     z_i w_i = 0 for every unit.

Elimination takes x out of all but as many equations as give x by z and w. It is exact, so that what is found of the
equations that are left is found of the system's own numbers.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dynsys.piecewise_linear.exact.rationals import Row, Vector, null_space, solved, whole
from dynsys.systems.pieces import Pieces

Array = NDArray[np.float64]


class OfRegions(abc.ABC):
    """The equations of a system with n states and m units, in each of its regions."""

    n: int
    m: int
    free: Sequence[int]  # of the states, those that no equation determines

    @property
    @abc.abstractmethod
    def cost(self) -> float:
        """The numbers in the whole rows of one region, about."""

    @abc.abstractmethod
    def span(self, pattern: Sequence[bool]) -> list[Vector]:
        """Whole vectors (1 + m) that span what solves them in the region ``pattern``, whatever its signs.

        First comes how often the constant is taken, then z of active units and w of the others.
        """

    @abc.abstractmethod
    def state(self, pattern: Sequence[bool], ray: Vector, one: int) -> list[Fraction]:
        """The state where such a vector is divided by ``one``; what nothing determines is 0."""

    @abc.abstractmethod
    def along(self, free: int) -> list[Fraction]:
        """How the state changes along one of the ``free``."""


class Equations(OfRegions):
    """Of ``pieces`` with n states and m units: columns are the constant 0, z_j at ``z(j)``, w_j at ``w(j)``, then x.

    ``rows`` have no x; ``states`` gives for a column of x the row in which it stands with no other that it determines.
    ``free`` are the columns of x that no equation determines.
    """

    def __init__(self, pieces: Pieces) -> None:
        self.n, self.m = n, m = pieces.n_state, pieces.n_units
        F: list[dict[int, list[float]]] = [{} for _ in range(n)]
        y = [{self.z(j): [-1.0], self.w(j): [1.0]} for j in range(m)]
        for rows, constant, of_x, of_z in ((F, "c", "A", "B"), (y, "e", "C", "D")):
            for name, first in ((constant, 0), (of_x, self.x(0)), (of_z, self.z(0))):
                for part in pieces.exactly(name):
                    _add(rows, first, part.reshape(len(rows), -1))
        columns = range(self.x(0), self.x(0) + n)
        self.states, self.rows = solved(map(whole, [*F, *y]), columns)
        self.free = [column for column in columns if column not in self.states]

    def z(self, j: int) -> int:
        """The column of z_j."""
        return 1 + j

    def w(self, j: int) -> int:
        """The column of w_j."""
        return 1 + self.m + j

    def x(self, i: int) -> int:
        """The column of x_i."""
        return 1 + 2 * self.m + i

    @property
    def cost(self) -> float:
        return self.m**3

    def span(self, pattern: Sequence[bool]) -> list[Vector]:
        place = {0: 0} | {self.column(active, j): 1 + j for j, active in enumerate(pattern)}
        rows = [{place[c]: value for c, value in row.items() if c in place} for row in self.rows]
        return null_space(rows, 1 + self.m)

    def column(self, active: bool, j: int) -> int:
        """The column of what unit j may have above zero in a region: z where it is active, else w."""
        return self.z(j) if active else self.w(j)

    def state(self, pattern: Sequence[bool], ray: Vector, one: int) -> list[Fraction]:
        value = {0: ray[0]} | {self.column(active, j): ray[1 + j] for j, active in enumerate(pattern)}
        x = []
        for i in range(self.n):
            row = self.states.get(self.x(i), {self.x(i): 1})
            x.append(-Fraction(sum(k * value.get(c, 0) for c, k in row.items()), row[self.x(i)] * one))
        return x

    def along(self, free: int) -> list[Fraction]:
        rows = [self.states.get(self.x(i)) for i in range(self.n)]
        return [
            Fraction(int(self.x(i) == free)) if row is None else -Fraction(row.get(free, 0), row[self.x(i)])
            for i, row in enumerate(rows)
        ]

    @property
    def contradictory(self) -> bool:
        """Whether one of them says that a number other than 0 is 0."""
        return any(set(row) == {0} for row in self.rows)

    def table(self, rows: list[Row]) -> tuple[Array, Array]:
        """H (M, 2 m) and g (M,) with H (z, w) + g = 0, each row scaled; every number is the float64 next to it."""
        H = np.zeros((len(rows), 1 + 2 * self.m))
        for dense, row in zip(H, rows, strict=True):
            size = 1 << max(abs(value) for value in row.values()).bit_length()
            for column, value in row.items():
                dense[column] = value / size
        return H[:, 1:], H[:, 0]


def _add(rows: list[dict[int, list[float]]], first: int, values: Tensor) -> None:
    """Enter the numbers other than 0 of a matrix into its rows, from the column ``first`` on."""
    places = values.nonzero().tolist()
    for (i, j), value in zip(places, values[values != 0].tolist(), strict=True):
        rows[i].setdefault(first + j, []).append(value)

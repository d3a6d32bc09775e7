"""Linear equations and inequalities over the rational numbers, for what rounding leaves open.

Every float64 is a whole number times a power of two. So equations between them are rows of whole numbers, and
elimination on these (with the common factors of each row taken out) tells exactly what is singular, what has a solution
and what sign it has. The solutions v >= 0 of such equations form a cone, given by its extreme rays (the double
description of Motzkin, Raiffa, Thompson & Thrall 1953).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm

Row = dict[int, int]  # the coefficients that are not zero, by column
Vector = tuple[int, ...]

MOST_RAYS = 4096  # of a cone, above which it is given up


class TooManyRays(Exception):
    """A cone has more extreme rays than it is reasonable to list."""


def whole(row: Mapping[int, list[float]]) -> Row:
    """A row whose numbers are sums of float64, times the power of two that makes them whole."""
    ratios = {column: [value.as_integer_ratio() for value in parts] for column, parts in row.items()}
    scale = max((denominator for parts in ratios.values() for _, denominator in parts), default=1)
    sums = {column: sum(a * (scale // b) for a, b in parts) for column, parts in ratios.items()}
    return {column: value for column, value in sums.items() if value}


def eliminated(row: Row, pivot: Row, column: int) -> Row:
    """A positive multiple of ``row`` plus one of ``pivot`` that has no ``column``."""
    p, q = pivot[column], row[column]
    if p < 0:
        p, q = -p, -q
    common = gcd(p, q)
    p, q = p // common, q // common
    new = {c: p * value for c, value in row.items()} if p != 1 else dict(row)
    for c, value in pivot.items():
        left = new.get(c, 0) - q * value
        if left:
            new[c] = left
        else:
            del new[c]
    return _primitive(new) if p != 1 else new


def _primitive(row: Row) -> Row:
    common = gcd(*row.values())
    return {c: value // common for c, value in row.items()} if common > 1 else row


def solved(rows: Iterable[Row], columns: Iterable[int]) -> tuple[dict[int, Row], list[Row]]:
    """Gauss and Jordan: for as many of the ``columns`` as can be the row that alone has it, and the rows without any.

    Rows with few of the columns come first, which keeps sparse ones sparse.
    """
    wanted = frozenset(columns)
    pivots: dict[int, Row] = {}
    left = [row for row in rows if row]
    while True:
        counts = [len(wanted.intersection(row)) for row in left]
        possible = [(count, i) for i, count in enumerate(counts) if count]
        if not possible:
            return pivots, left
        pivot = left.pop(min(possible)[1])
        column = min(wanted.intersection(pivot), key=lambda c: (abs(pivot[c]).bit_length(), c))
        left = [row for row in (_without(row, pivot, column) for row in left) if row]
        pivots = {c: _without(row, pivot, column) for c, row in pivots.items()}
        pivots[column] = pivot


def _without(row: Row, pivot: Row, column: int) -> Row:
    return eliminated(row, pivot, column) if column in row else row


def combined(rows: Sequence[Row], without: Sequence[int], own: int) -> Row | None:
    """The sum of multiples of all ``rows`` that has a positive number in the column ``own`` and 0 in the others of
    ``without``, the constant's column 0 always among its columns; None where there is no such sum, or more than one."""
    unknowns = range(1, 1 + len(rows))
    equal = [{k: row[c] for k, row in zip(unknowns, rows, strict=True) if c in row} for c in without]
    equal[without.index(own)][0] = -1
    pivots, rest = solved(equal, unknowns)
    if len(pivots) < len(rows) or rest:
        return None
    scale = lcm(*(pivots[k][k] for k in unknowns))
    summed = {0: 0}
    for k, row in zip(unknowns, rows, strict=True):
        multiplier = -pivots[k].get(0, 0) * scale // pivots[k][k]
        for column, value in row.items():
            summed[column] = summed.get(column, 0) + multiplier * value
    return summed


def null_space(rows: Iterable[Row], width: int) -> list[Vector]:
    """Whole vectors (width,) that span the solutions v of row . v = 0 for every row of columns below ``width``."""
    pivots, _ = solved(rows, range(width))
    basis = []
    for free in range(width):
        if free not in pivots:
            scale = lcm(*(row[c] for c, row in pivots.items() if free in row))
            v = {c: -row[free] * scale // row[c] for c, row in pivots.items() if free in row} | {free: scale}
            basis.append(tuple(v.get(c, 0) for c in range(width)))
    return basis


def rank(vectors: Iterable[Vector]) -> int:
    """The dimension of what they span."""
    rows = [{i: value for i, value in enumerate(v) if value} for v in vectors]
    return len(solved(rows, {i for row in rows for i in row})[0])


def extreme_rays(span: list[Vector]) -> list[Vector]:
    """The extreme rays of {v in the space spanned by these independent vectors: v >= 0}, up to a factor each.

    One coordinate after the other is asked to be at least 0. Raises ``TooManyRays``.
    """
    lines, rays = span, list[Vector]()
    for j in range(len(span[0]) if span else 0):
        turned = next((line for line in lines if line[j]), None)
        if turned is not None:
            pivot = turned if turned[j] > 0 else tuple(-value for value in turned)
            rays = [*(_meeting(ray, pivot, j) for ray in rays), pivot]
            lines = [_meeting(line, pivot, j) for line in lines if line is not turned]
        else:
            rays = _cut(rays, j)
        if len(rays) > MOST_RAYS:
            raise TooManyRays
    return rays


def _cut(rays: list[Vector], j: int) -> list[Vector]:
    """The extreme rays of a cone where its coordinate j is at least 0 as well, as those before it are."""
    above, below = ([ray for ray in rays if sign * ray[j] > 0] for sign in (1, -1))
    if not below:
        return rays
    zeros = {ray: sum(1 << i for i in range(j) if not ray[i]) for ray in rays}
    between = []
    for a in above:
        for b in below:
            shared = zeros[a] & zeros[b]
            if not any(shared & ~zeros[ray] == 0 for ray in rays if ray is not a and ray is not b):
                between.append(_meeting(b, a, j))
    return [ray for ray in rays if ray[j] >= 0] + between


def _meeting(ray: Vector, pivot: Vector, j: int) -> Vector:
    """Where the way from ``ray`` along ``pivot``, whose coordinate j is positive, comes to 0 in that coordinate."""
    if not ray[j]:
        return ray
    v = [pivot[j] * a - ray[j] * b for a, b in zip(ray, pivot, strict=True)]
    common = gcd(*v)
    return tuple(value // common for value in v)


def nearest(values: Iterable[Fraction]) -> tuple[list[float], Fraction]:
    """The float64 next to each, and the sum of the squares of what they are off. Raises OverflowError beyond it."""
    floats, off = [], Fraction(0)
    for value in values:
        floats.append(float(value))
        off += (value - Fraction(floats[-1])) ** 2
    return floats, off

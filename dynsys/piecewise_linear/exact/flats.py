"""The zeros of a piecewise-linear system in one closed region, exactly: none, a point, or a piece of a line, plane, ...

They are a polyhedron: z and w solve linear equations, and those that the region allows are 0 or more. Its corners, and
the directions in which it goes on for ever, are the extreme rays of a cone of whole numbers, so that neither what is
singular nor what touches the region is a matter of rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from dynsys.piecewise_linear.exact.equations import OfRegions
from dynsys.piecewise_linear.exact.rationals import Vector, extreme_rays, nearest, rank
from dynsys.systems.pieces import Pieces

ZERO = 1e-9  # of the state, within which one in floating point counts as lying in a flat


@dataclass(frozen=True)
class Flat:
    """A piece of a line, plane, ... of zeros, all those in the region of ``pattern`` (m,).

    It is made of its ``corners`` (k, n) and of what goes on from them along ``rays`` (r, n), to one side, and ``lines``
    (l, n), to both; ``directions`` (dimension, n) are orthonormal. ``x`` (n,) lies inside, and ``kinks`` (m,) marks
    units on their kink all over it.
    """

    pattern: Tensor
    x: Tensor
    directions: Tensor
    kinks: Tensor
    corners: Tensor
    rays: Tensor
    lines: Tensor

    @property
    def dimension(self) -> int:
        return len(self.directions)

    def first(self, n: int) -> Flat:
        """Its first n numbers, of those of a whole cycle, which give all the others."""
        directions = torch.linalg.svd(self.directions[:, :n], full_matrices=False)[2]
        rays, lines = (part[:, :n] / part[:, :n].norm(dim=1, keepdim=True) for part in (self.rays, self.lines))
        return Flat(self.pattern, self.x[:n], directions, self.kinks, self.corners[:, :n], rays, lines)

    def holds(self, pieces: Pieces, x: Tensor) -> Tensor:
        """Which of the states x (B, n) lie in it, to within rounding."""
        away = x - self.x
        away = away - away @ self.directions.T @ self.directions
        size = x.abs().amax(1, keepdim=True) + self.corners.abs().amax()
        y = pieces.margins(x)
        right = torch.where(self.pattern, y, -y) >= -ZERO * (pieces.e.abs() + size * pieces.steepness)
        return (away.abs() <= ZERO * size).all(1) & (right | pieces.constant).all(1)


@dataclass(frozen=True)
class Region:
    """What solves the equations in the region ``pattern``, a bit for each unit, whatever its signs: the ``span`` of
    whole vectors (1 + m), first how often the constant is taken, then z of active units and w of the others."""

    equations: OfRegions
    pattern: int
    span: list[Vector]

    @classmethod
    def of(cls, equations: OfRegions, pattern: Sequence[bool]) -> Region:
        number = sum(1 << j for j, active in enumerate(pattern) if active)
        return cls(equations, number, equations.span(pattern))

    @property
    def is_flat(self) -> bool:
        """Whether there are solutions, and more than one."""
        return any(v[0] for v in self.span) and len(self.span) + len(self.equations.free) > 1

    def cell(self) -> Cell | None:
        """The zeros in it, closed; None where there are none. Raises ``TooManyRays``."""
        rays = tuple(extreme_rays(self.span))
        if not any(ray[0] for ray in rays):
            return None
        somewhere = sum(1 << j for j in range(self.equations.m) if any(ray[1 + j] for ray in rays))
        return Cell(self.equations, self.pattern, rays, somewhere & self.pattern, somewhere & ~self.pattern)


@dataclass(frozen=True)
class Cell:
    """The zeros in the closed region ``pattern``, by the ``rays`` of the cone over them.

    The first number of a ray is not 0 at a corner, and 0 along a direction in which the cell goes on. ``positive`` and
    ``negative`` are the units whose preactivation has that sign somewhere in it.
    """

    equations: OfRegions
    pattern: int
    rays: tuple[Vector, ...]
    positive: int
    negative: int

    @cached_property
    def dimension(self) -> int:
        return rank(self.rays) - 1 + len(self.equations.free)

    def is_in(self, pattern: int) -> bool:
        """Whether the closed region of that pattern holds all of it: then so does the cell of that region."""
        return not self.positive & ~pattern and not self.negative & pattern

    @property
    def kinks(self) -> int:
        """The units whose preactivation is zero all over it."""
        return ~(self.positive | self.negative) & ((1 << self.equations.m) - 1)

    def corners(self) -> list[tuple[list[Fraction], list[Fraction]]]:
        """x and y at every corner."""
        return [self._at(ray, ray[0]) for ray in self.rays if ray[0]]

    def flat(self, pieces: Pieces) -> Flat:
        """In float64. Raises OverflowError where it lies beyond."""
        like = pieces.c.to("cpu")
        corners = _floats([nearest(x)[0] for x, _ in self.corners()], like)
        ends = [self._at(ray, max(ray))[0] for ray in self.rays if not ray[0]]
        rays = _floats([nearest(_shortened(end))[0] for end in ends], like)
        lines = _floats([nearest(_shortened(self.equations.along(column)))[0] for column in self.equations.free], like)
        rays, lines = (part / part.norm(dim=1, keepdim=True) for part in (rays, lines))
        size = float(corners.abs().max()) or drive_of(pieces)
        spread = torch.cat([corners[1:] - corners[0], rays * size, lines * size])
        directions = torch.linalg.svd(spread, full_matrices=False)[2][: self.dimension]
        on = torch.tensor(bits(self.kinks, pieces.n_units), dtype=torch.bool) & ~pieces.constant.cpu()
        x = corners.mean(0) + size * rays.sum(0) / max(1, len(rays))
        pattern = torch.tensor(bits(self.pattern, pieces.n_units), dtype=torch.bool)
        return Flat(pattern, x, directions, on, corners, rays, lines)

    def _at(self, ray: Vector, one: int) -> tuple[list[Fraction], list[Fraction]]:
        """x and y where a ray of the cone is divided by ``one``; x that nothing determines is 0."""
        active = bits(self.pattern, self.equations.m)
        y = [Fraction(v if on else -v, one) for on, v in zip(active, ray[1:], strict=True)]
        return self.equations.state(active, ray, one), y


def maximal(cells: Sequence[Cell]) -> list[Cell]:
    """Those that are no part of another, and one of each that several regions share."""
    kept: list[Cell] = []
    for cell in sorted(cells, key=lambda cell: -cell.dimension):
        if not any(cell.is_in(other.pattern) for other in kept):
            kept.append(cell)
    return kept


def bits(number: int, m: int) -> list[bool]:
    """Its m lowest bits, the least first."""
    return [bool(number >> j & 1) for j in range(m)]


def drive_of(pieces: Pieces) -> float:
    """The size of what drives the system; 1 where nothing does."""
    return float(torch.cat([pieces.c, pieces.e]).abs().max()) or 1.0


def _floats(rows: list[list[float]], like: Tensor) -> Tensor:
    return torch.tensor(rows, dtype=like.dtype).reshape(-1, len(like))


def _shortened(direction: list[Fraction]) -> list[Fraction]:
    """The same direction with 1 as its largest component."""
    largest = max(abs(part) for part in direction)
    return [part / largest for part in direction] if largest else direction

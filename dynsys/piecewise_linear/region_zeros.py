"""The distinct zeros of a piecewise-linear system in given regions: points, and pieces of lines, planes, ...

Most regions are decided in floating point: the zero of their affine part, with its error, is inside or outside beyond
doubt. What is singular, near a kink or on one is formed again in whole numbers (``flats``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.numerics.eigenvalues import eigvals
from dynsys.piecewise_linear.exact.equations import Equations, OfRegions
from dynsys.piecewise_linear.exact.flats import Cell, Flat, Region, bits, maximal
from dynsys.piecewise_linear.exact.rationals import TooManyRays, nearest
from dynsys.piecewise_linear.kinks import MOST, sides_of
from dynsys.piecewise_linear.region_solve import Solved, decided, solve_regions
from dynsys.proof.exact import UP, up
from dynsys.systems.pieces import Pieces

WORK = 1e7  # numbers in the whole rows that one search may form: up to a minute
SCALINGS = 3
NEARLY = 2.0**-48  # times the size of a matrix and its largest singular value, beneath which one may be rounding
NEAR_A_KINK = "within rounding of a kink, where another point may be"
MANY_KINKS = "on the kinks of {} units, too many to look at every side"
NEARLY_SINGULAR = "the system is singular in its region to within rounding"


@dataclass(frozen=True)
class Zeros:
    """k isolated zeros: patterns (k, m), states x (k, n), what these may be off (k, n), and units on a kink (k, m).

    ``bound`` (k,) on the distance from the true zero; whether it is ``certified`` to be the only one in it, or why not.
    """

    pattern: Tensor
    x: Tensor
    x_error: Tensor
    kinks: Tensor
    bound: Tensor
    certified: Tensor
    reasons: list[str]

    def __len__(self) -> int:
        return len(self.x)

    @staticmethod
    def joined(parts: Sequence[Zeros]) -> Zeros:
        tensors = [field.name for field in fields(Zeros) if field.name != "reasons"]
        together = {name: torch.cat([getattr(part, name) for part in parts]) for name in tensors}
        return Zeros(**together, reasons=[reason for part in parts for reason in part.reasons])


@dataclass(frozen=True)
class Found:
    """The points and the flats in some regions, and the number of those in which the equations are singular.

    ``unknown`` of them were not looked into, or hold zeros beyond float64. In ``nearly`` of them the equations are not
    singular, but cannot be told from such to within rounding.
    """

    zeros: Zeros
    flats: list[Flat]
    singular: int
    unknown: int
    nearly: int


def zeros_in(pieces: Pieces, patterns: Tensor, complete: bool) -> Found:
    """What is in the regions of ``patterns`` (k, m), outside of which there is nothing if these are ``complete``."""
    solved = solve_regions(pieces, patterns)
    inside, outside, bound = decided(pieces, solved)
    unclear = ~inside & ~outside
    exactly = Exactly(pieces)
    for pattern, regular in zip(solved.pattern[unclear], solved.regular[unclear], strict=True):
        exactly.look(pattern, bool(regular))
    if not complete:
        exactly.look_around()
    points, flats = exactly.distinct(complete)
    zeros = Zeros.joined([decided_zeros(solved[inside.nonzero().squeeze(1)], bound[inside]), *points])
    return Found(zeros, flats, int((unclear & ~solved.regular).sum()), exactly.unknown, len(exactly.nearly))


def decided_zeros(solved: Solved, bound: Tensor) -> Zeros:
    """Points whose ball lies within their region, in which the equations have one solution."""
    no = torch.zeros_like(solved.pattern)
    return Zeros(solved.pattern, solved.x, solved.x_error, no, bound, bound >= 0, [""] * len(solved))


class Exactly:
    """Regions looked into in whole numbers, by pattern; None where there is no zero."""

    def __init__(self, pieces: Pieces, equations: OfRegions | None = None) -> None:
        self.pieces = pieces
        self.equations = equations
        self.cells: dict[bytes, Cell | None] = {}
        self.nearly: set[int] = set()
        self.unknown, self.left = 0, WORK

    def look(self, pattern: Tensor, regular: bool) -> None:
        """Into the region of ``pattern`` (m,), where the equations are known to be ``regular``, or not."""
        key = pattern.numpy().tobytes()
        if key in self.cells:
            return
        self.cells[key] = None
        self.left -= self.pieces.n_units**3 if self.equations is None else self.equations.cost
        if self.left < 0:
            self.unknown += 1
            return
        self.equations = self.equations or Equations(self.pieces)
        region = Region.of(self.equations, pattern.tolist())
        if not regular and not region.is_flat and self.is_nearly_flat(pattern):
            self.nearly.add(region.pattern)
        try:
            self.cells[key] = region.cell()
        except TooManyRays:
            self.unknown += 1

    def is_nearly_flat(self, pattern: Tensor) -> bool:
        """Whether rounding of the weights may give the region of ``pattern`` (m,) more than one zero."""
        return _is_nearly_flat(self.pieces, pattern)

    def look_around(self) -> None:
        """Into the regions on the other sides of the kinks on which something was found."""
        for cell in self.found():
            pattern, kinks = (self._mask(number) for number in (cell.pattern, cell.kinks))
            for side in sides_of(pattern, kinks)[0] if kinks.any() else ():
                self.look(side, regular=True)

    def found(self) -> list[Cell]:
        return [cell for cell in self.cells.values() if cell is not None]

    def distinct(self, complete: bool) -> tuple[list[Zeros], list[Flat]]:
        """The isolated zeros and the flats among them, each once; no other region holds any if it is ``complete``."""
        points, flats = list[Zeros](), list[Flat]()
        for cell in maximal(self.found()):
            try:
                if cell.dimension:
                    flats.append(cell.flat(self.pieces))
                else:
                    points.append(self._point(cell, complete and not self.unknown))
            except OverflowError:
                self.unknown += 1
        return points, flats

    def _point(self, cell: Cell, complete: bool) -> Zeros:
        """One point on a kink, or so near to one that it is judged on all sides. Raises OverflowError.

        It exists, and is the only one in each of its regions. So it is alone in a ball that reaches no other kink.
        """
        ((x, y),) = cell.corners()
        states, off = nearest(x)
        bound = float(off) ** 0.5 * UP + 1e-145 if off else 0.0
        on, bends = self._mask(cell.kinks), ~self.pieces.constant
        near = torch.tensor([abs(float(value)) for value in y]) <= up(2 * bound * self.pieces.steepness)
        reason = ""
        if any(cell.is_in(pattern) for pattern in self.nearly):
            bound, reason = np.inf, NEARLY_SINGULAR
        elif bool((near & ~on & bends).any()):
            reason = NEAR_A_KINK
        elif not complete and int((on & bends).sum()) > MOST:
            reason = MANY_KINKS.format(int((on & bends).sum()))
        like = self.pieces.c
        at = torch.tensor([states], dtype=like.dtype)
        return Zeros(
            self._mask(cell.pattern).unsqueeze(0),
            at,
            torch.full_like(at, bound),
            ((near | on) & bends).unsqueeze(0),
            like.new_tensor([bound]),
            torch.tensor([not reason]),
            [reason],
        )

    def _mask(self, number: int) -> Tensor:
        return torch.tensor(bits(number, self.pieces.n_units), dtype=torch.bool)


def _is_nearly_flat(pieces: Pieces, pattern: Tensor) -> bool:
    """Whether some change of the numbers by their rounding may give the region of ``pattern`` (m,) more than one zero.

    A relative change eps of single numbers cannot make K singular if eps times the spectral radius of |K^-1| |K| is
    below 1 (Bauer 1966), which does not depend on the units of the variables.
    """
    K, h = (part.numpy() for part in pieces.unfolded(pattern.unsqueeze(0)))
    M = _scaled(np.column_stack([K[0], h]))
    K, h = M[:, :-1], M[:, -1]
    U, S, _ = np.linalg.svd(K)
    R = torch.linalg.inv_ex(torch.as_tensor(K))[0].abs() @ torch.as_tensor(np.abs(K))
    if bool(torch.isfinite(R).all()) and float(eigvals(R).abs().max()) * NEARLY * len(K) <= 1:
        return False
    null = NEARLY * len(K) * S[0] >= S
    return bool((np.abs(U[:, null].T @ h) <= NEARLY * len(K)).all())


def _scaled(M: NDArray[np.float64]) -> NDArray[np.float64]:
    """With rows and columns of one size."""
    for _ in range(SCALINGS):
        for axis in (1, 0):
            size = np.abs(M).max(axis, keepdims=True)
            M = M / np.where(size > 0, size, 1.0)
    return M

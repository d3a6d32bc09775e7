"""The distinct zeros of a piecewise-linear system in given regions: inside them, on kinks, and in singular ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.proof.exact_product import length, up
from dynsys.relu.flats import Flat, flat_in
from dynsys.relu.kinks import sides_of
from dynsys.relu.pieces import Pieces
from dynsys.relu.region_solve import Solved, lies_within, residual, solve_regions

SINGULAR_LIMIT = 1024  # singular regions that are looked into
SAME = 10.0  # times the error bounds, within which the solutions of two sides of a kink are one point


@dataclass(frozen=True)
class Zeros:
    """Distinct zeros of pieces: what they are, with their certificates."""

    at: Solved
    kinks: Tensor
    bound: Tensor
    certified: Tensor
    reasons: list[str]


def zeros_in(pieces: Pieces, patterns: Tensor, complete: bool) -> tuple[Zeros, list[Flat], int]:
    """The distinct zeros in the regions of ``patterns``, the flats, and the number of singular regions."""
    solved = solve_regions(pieces, patterns)
    inside, kinks = lies_within(pieces, solved)
    singular = patterns[~solved.regular]
    found = [flat_in(pieces, pattern) for pattern in singular[:SINGULAR_LIMIT]]
    flats = _distinct_flats(pieces, [flat for flat in found if flat is not None])
    homogeneous = not bool(torch.cat([pieces.c, pieces.e]).any())
    if homogeneous:
        zeros = _origin(pieces, complete and not flats and len(singular) <= SINGULAR_LIMIT)
    else:
        first, kinks = _merged(solved[inside], kinks[inside])
        zeros = _certified(pieces, solved[inside][first], kinks)
    apart = torch.ones(len(zeros.at), dtype=torch.bool)
    for flat in flats:
        apart &= ~flat.holds(pieces, zeros.at.x) | (flat.dimension == 0)
    zeros = _those(zeros, apart)
    if not homogeneous:
        zeros = _with_touched(pieces, zeros, [flat for flat in flats if flat.dimension == 0])
    return zeros, [flat for flat in flats if flat.dimension], len(singular)


def _with_touched(pieces: Pieces, zeros: Zeros, flats: list[Flat]) -> Zeros:
    """The zeros, and those at which a flat of solutions only touches its region, where they are not known yet."""
    for flat in flats:
        x, y = flat.x.unsqueeze(0), pieces.margins(flat.x.unsqueeze(0))
        if bool(flat.holds(pieces, zeros.at.x).any()):
            continue
        unknown, no = torch.full_like(x[:, 0], torch.inf), torch.zeros(1, dtype=torch.bool)
        error = torch.full_like(x, torch.inf), torch.full_like(y, torch.inf)
        at = Solved(flat.pattern.unsqueeze(0), x, y, *error, unknown, no, torch.zeros_like(unknown))
        zeros = Zeros(
            Solved.joined([zeros.at, at]),
            torch.cat([zeros.kinks, flat.kinks.unsqueeze(0)]),
            torch.cat([zeros.bound, unknown]),
            torch.cat([zeros.certified, no]),
            [*zeros.reasons, "the system is singular in its region"],
        )
    return zeros


def _origin(pieces: Pieces, only: bool) -> Zeros:
    """x = 0 of a system without drive, where every kink passes through it and F is exactly zero."""
    x, y = pieces.c.new_zeros(1, pieces.n_state), pieces.c.new_zeros(1, pieces.n_units)
    none, yes = torch.zeros(1, dtype=x.dtype), torch.ones(1, dtype=torch.bool)
    at = Solved(y > 0, x, y, x, y, none, yes, none)
    reason = "" if only else "on the kinks of all units"
    return Zeros(at, ~pieces.constant.unsqueeze(0), none if only else none + torch.inf, yes & only, [reason])


def _merged(solved: Solved, kinks: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of distinct zeros, each one on a kink once and not once for each side, and the kinks of each."""
    kept, kinks = torch.ones(len(solved), dtype=torch.bool), kinks.clone()
    for i in kinks.any(1).nonzero().squeeze(1).tolist():
        apart = (solved.x - solved.x[i]).abs()
        same = (apart <= SAME * (solved.x_error + solved.x_error[i])).all(1) & kept
        same[i] = False
        if bool(same.any()):
            kept[i] = False
            kinks[int(same.nonzero()[0])] |= kinks[i]
    return kept.nonzero().squeeze(1), kinks[kept]


def _certified(pieces: Pieces, at: Solved, kinks: Tensor) -> Zeros:
    """Bounds and certificates: inside a region from its own inverse, on kinks from those of all sides.

    A point whose ball reaches a kink counts as on it: what is unique in its region need not be in the ball.
    """
    bound = length(at.x_error)
    reached = at.y.abs() <= up(at.y_error + 2 * bound.unsqueeze(1) * pieces.steepness)
    kinks = kinks | (reached & ~pieces.constant)
    certified, reasons = torch.ones(len(at), dtype=torch.bool), [""] * len(at)
    for i in kinks.any(1).nonzero().squeeze(1).tolist():
        reasons[i], distance = _around(pieces, at, i, kinks[i])
        certified[i], bound[i] = reasons[i] == "", distance
    return Zeros(at, kinks, bound, certified, reasons)


def _around(pieces: Pieces, at: Solved, i: int, kinks: Tensor) -> tuple[str, float]:
    """Why the zero i on ``kinks`` (m,) has no certificate, or "" and its bound.

    Where all 2^k sides have determinants of one sign, they are those of a P-matrix, so that the function made of these
    pieces has exactly one zero (Samelson, Thrall & Wesler 1958), and its inverse is no steeper than that of some side.
    """
    count = int(kinks.sum())
    patterns, complete = sides_of(at.pattern[i], kinks)
    if not complete:
        return f"on the kinks of {count} units, too many to look at every side", float("inf")
    sides = solve_regions(pieces, patterns)
    if not bool(sides.regular.all()):
        return "on a kink with a singular side", float("inf")
    if len(set(sides.orientation.tolist())) > 1:
        return "on a kink where two points meet, or none is", float("inf")
    y = at.y[i : i + 1]
    missing, unsure = residual(pieces, at.x[i : i + 1], y, y > 0)
    distance = float(up(sides.inverse_norm.max() * (missing.abs() + unsure).max()))
    bound = distance * (pieces.n_state**0.5 + 1e-6)
    if bool((at.y[i].abs() <= distance + 3 * bound * pieces.steepness)[~kinks & ~pieces.constant].any()):
        return "on a kink, and another one is within its bound", float("inf")
    return "", bound


def _distinct_flats(pieces: Pieces, flats: list[Flat]) -> list[Flat]:
    """Without those that are part of another, such as the faces of a cell, seen from the regions beside it."""
    kept: list[Flat] = []
    for flat in sorted(flats, key=lambda flat: -flat.dimension):
        ends = torch.cat([flat.x.unsqueeze(0), flat.x + flat.directions])
        if not any(bool(other.holds(pieces, ends[:1])) and _within(ends[1:] - flat.x, other) for other in kept):
            kept.append(flat)
    return kept


def _within(directions: Tensor, flat: Flat) -> bool:
    return bool(((directions - directions @ flat.directions.T @ flat.directions).abs() < 1e-8).all())


def _those(zeros: Zeros, which: Tensor) -> Zeros:
    reasons = [reason for reason, kept in zip(zeros.reasons, which.tolist(), strict=True) if kept]
    return Zeros(zeros.at[which], zeros.kinks[which], zeros.bound[which], zeros.certified[which], reasons)

"""The zero of a piecewise-linear system within given regions, with proved bounds on its error.

In the region of a pattern the unfolded system K (x, y) = h is solved through an approximate inverse R. If the rows of
|I - R K|, rounding included, sum to less than theta < 1, then K is regular, and for the true solution v*

    |v* - v| <= d + theta / (1 - theta) max d,      d = |R (h - K v)|       (Rump 1983),

and with that for the right-hand side once more |v* - v| <= d + |I - R K| |v* - v|, row by row. So the sign of each
preactivation is known, or is known to be within rounding of its kink. Residuals are taken from exact products, so that
the bound is some units in the last place of v unless K is nearly singular.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dynsys.proof.exact import exact_product, gamma, length, up
from dynsys.systems.pieces import Pieces

REFINEMENTS = 2
CHUNK = 2**22  # numbers in the matrices of one batch


@dataclass(frozen=True)
class Solved:
    """In B regions: x (B, n), y (B, m), bounds on their errors, and whether (B,) K is proved to be ``regular``."""

    pattern: Tensor
    x: Tensor
    y: Tensor
    x_error: Tensor
    y_error: Tensor
    regular: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor) -> Solved:
        return Solved(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def joined(parts: Sequence[Solved]) -> Solved:
        return Solved(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Solved)))


def solve_regions(pieces: Pieces, pattern: Tensor) -> Solved:
    """The zero of F's affine part in each region of ``pattern`` (B, m), whether or not it lies in the region."""
    size = pieces.n_state + pieces.n_units
    return Solved.joined([_solved(pieces, some) for some in torch.split(pattern, max(1, CHUNK // size**2))])


def _solved(pieces: Pieces, pattern: Tensor) -> Solved:
    K, h = pieces.unfolded(pattern)
    R, failed = torch.linalg.inv_ex(K)
    R = R.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    size, n = len(h), pieces.n_state
    g, aR, left_out = gamma(2 * size + 4), R.abs(), _left_out(pieces).unsqueeze(1)
    off = (R @ K - torch.eye(size, dtype=K.dtype, device=K.device)).abs()
    theta = up(off.sum(2) + (aR @ (g * K.abs().sum(2, keepdim=True) + left_out)).squeeze(2) + g).amax(1)
    v = R @ h
    regular = (failed == 0) & (theta < 1) & torch.isfinite(v).all(1)
    v = torch.where(regular.unsqueeze(1), v, 0.0)
    for _ in range(REFINEMENTS):
        v = v - (R @ residual(pieces, v[:, :n], v[:, n:], pattern)[0].unsqueeze(2)).squeeze(2)
    missing, unsure = residual(pieces, v[:, :n], v[:, n:], pattern)
    step = (R @ missing.unsqueeze(2)).abs()
    d = up(step + aR @ (g * missing.abs() + unsure).unsqueeze(2))
    share = torch.where(regular, theta / (1 - theta), torch.inf)[:, None, None]
    error = torch.where(regular[:, None, None], up(d + share * d.amax(1, keepdim=True)), torch.inf)
    unknown = g * (K.abs() @ error) + left_out * error.amax(1, keepdim=True)
    error = torch.minimum(error, up(d + off @ error + aR @ unknown + g * error)).nan_to_num(nan=torch.inf).squeeze(2)
    none = v.abs() <= error
    v, error = torch.where(none, 0.0, v), torch.where(none, up(error + v.abs()), error)
    return Solved(pattern, v[:, :n], v[:, n:], error[:, :n], error[:, n:], regular)


def _left_out(pieces: Pieces) -> Tensor:
    """What is missing in the rows of K, of any pattern, as it is unfolded from rounded numbers, (n + m,)."""
    left = torch.zeros_like(torch.cat([pieces.c, pieces.e]))
    places = {"A": slice(pieces.n_state), "B": slice(pieces.n_state)}
    for name in ("A", "B", "C", "D"):
        for part in pieces.more.get(name, ()):
            left[places.get(name, slice(pieces.n_state, None))] += part.abs().sum(1)
    return left


def residual(pieces: Pieces, x: Tensor, y: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """K (x, y) - h, (B, n + m), nearly exactly, and a bound on its error; ``active`` (B, m) are the units that pass."""
    n, r = pieces.n_state, torch.where(active, y, torch.zeros_like(y))
    one = torch.ones_like(x[:, :1])
    H = torch.cat([torch.cat([pieces.A, pieces.B], 1), torch.cat([pieces.C, pieces.D], 1)])
    minus = torch.zeros_like(H[:, : pieces.n_units])
    minus[n:].fill_diagonal_(-1.0)
    columns, seen = [H, minus], [x, r, y]
    of = {"A": (x, slice(n)), "B": (r, slice(n)), "C": (x, slice(n, None)), "D": (r, slice(n, None))}
    for name, (v, rows) in (of | {"c": (one, slice(n)), "e": (one, slice(n, None))}).items():
        for part in pieces.more.get(name, ()):
            columns.append(H.new_zeros(len(H), v.shape[1]))
            columns[-1][rows] = part if part.ndim == 2 else part.unsqueeze(1)
            seen.append(v)
    return exact_product(torch.cat(columns, 1), torch.cat(seen, 1), torch.cat([pieces.c, pieces.e]))


def decided(pieces: Pieces, solved: Solved) -> tuple[Tensor, Tensor, Tensor]:
    """Whether (B,) it is beyond doubt that the zero is inside its region, that it is outside, and its bound.

    Inside it is where no unit with a kink can have another sign in the whole ball of that bound.
    """
    bound, bends = length(solved.x_error), ~pieces.constant
    right = torch.where(solved.pattern, solved.y, -solved.y)
    room = up(solved.y_error + 2 * bound.unsqueeze(1) * pieces.steepness)
    possible = (solved.pattern == (pieces.e > 0))[:, pieces.constant].all(1)
    inside = solved.regular & possible & ((right > room) | ~bends).all(1)
    outside = ~possible | solved.regular & ((right < -solved.y_error) & bends).any(1)
    return inside, outside, bound

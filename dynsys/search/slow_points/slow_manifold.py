"""Along a slow manifold to the points on it: where a continuous attractor is broken, few of its states stay fixed.

There J has a few singular values far beneath the others. Newton's step is right about the direction in which a point
lies, and far too long for the straight line it is: beside a curved manifold F is fast. So its part along the slow
directions is cut to a length that is adapted, and what the curve adds is taken back along the fast ones by chord steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.systems.held import Held

SLOW = 0.02  # of the largest singular value of J, beneath which a direction is slow
FIRST, LONGEST, SHORTEST = 0.1, 0.5, 1e-5  # steps along the manifold, in units of the state
BACK = 6  # chord steps back to the manifold
GAIN = 1 - 1e-4  # of |F|, above which a step has brought nothing


@dataclass(frozen=True)
class _Place:
    """States x (B, n), their velocities, and the singular vectors and values of their Jacobians."""

    x: Tensor
    F: Tensor
    U: Tensor
    S: Tensor
    V: Tensor

    @staticmethod
    def at(held: Held, x: Tensor) -> _Place:
        U, S, V = _directions(held, x)
        return _Place(x, held.velocity(x), U, S, V)

    def __getitem__(self, rows: Tensor) -> _Place:
        return _Place(self.x[rows], self.F[rows], self.U[rows], self.S[rows], self.V[rows])

    def put(self, rows: Tensor, other: _Place) -> None:
        for mine, new in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[rows] = new


def along_slow_manifold(held: Held, x: Tensor, max_steps: int = 60) -> Tensor:
    """Where the states x (B, n) come to along the slow manifold that they are on.

    |F| falls at every step; it is for the caller to tell whether it became zero.
    """
    place, unit = _Place.at(held, _taken_back(held, x)), held.unit
    longest = x.new_full((len(x),), FIRST * unit)
    rows = torch.arange(len(x), device=x.device)
    for _ in range(max_steps):
        if len(rows) == 0:
            break
        here = place[rows]
        d = _newton(here.F, here.U, here.S, here.V, slow=True)
        length = vector_norm(d, dim=1)
        cut = length > longest[rows]
        d = torch.where(cut.unsqueeze(1), d * (longest[rows] / length).unsqueeze(1), d)
        there = _Place.at(held[rows], _taken_back(held[rows], here.x + d))
        before, after = vector_norm(here.F, dim=1), vector_norm(there.F, dim=1)
        better = (after < GAIN * before) & torch.isfinite(there.x).all(dim=1)
        place.put(rows[better], there[better])
        longest[rows] = torch.where(better, 2 * longest[rows], torch.minimum(length, longest[rows]) / 4)
        longest.clamp_(max=LONGEST * unit)
        rows = rows[(longest[rows] >= SHORTEST * unit) & (better | cut | (before > 0)) & ~(better & (after == 0))]
    return place.x


def _taken_back(held: Held, x: Tensor) -> Tensor:
    """The states of the manifold near x (B, n), along the directions that are fast there."""
    U, S, V = _directions(held, x)
    for _ in range(BACK):
        x = x + _newton(held.velocity(x), U, S, V, slow=False)
    return x


def _directions(held: Held, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular vectors and values of the Jacobians."""
    U, S, Vh = torch.linalg.svd(held.jacobian(x).nan_to_num(0.0, 0.0, 0.0))
    return U, S, Vh.mT


def _newton(F: Tensor, U: Tensor, S: Tensor, V: Tensor, slow: bool) -> Tensor:
    """Newton's step (B, n) in the slow directions, or in the others."""
    wanted = (SLOW * S[:, :1] > S) == slow
    parts = torch.where(wanted, torch.einsum("bij,bi->bj", U, F) / S.clamp_min(1e-300), 0.0)
    return -torch.einsum("bij,bj->bi", V, parts)

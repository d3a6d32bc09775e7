"""Cycles of a map: the fixed points of G^k without those of smaller period, put together to whole orbits.

Every point of an orbit is G of the one before it, so one point found gives the others, and what the search has missed
of an orbit is no loss. A point has the smaller period d where Newton's method on G^d - 1 ends at it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import ZERO
from dynsys.proof.kantorovich import Assessed, assess, belongs, joined, overlap
from dynsys.systems.angles import nearest
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated, divisors

NEAR = 1e-3  # of a state's usual size: farther apart a point without a bound and another are not one


@dataclass(frozen=True)
class Orbits:
    """Whole orbits of period k: ``points`` (p * k rows), orbit after orbit, each in the order in which G visits it.

    ``orbit`` and ``phase`` (p * k,) number them; ``source`` (p * k,) is the row of the state that was given there, or
    -1 where the orbit had to be completed, and ``of`` (p * k,) is a given row of the same orbit. ``least_period`` (B,)
    is that of each given state, k for those kept.
    """

    points: Assessed
    orbit: NDArray[np.int64]
    phase: NDArray[np.int64]
    source: NDArray[np.int64]
    of: NDArray[np.int64]
    least_period: NDArray[np.int64]

    @property
    def dropped(self) -> dict[int, int]:
        """How many of the given states have each smaller period."""
        k = int(self.phase.max(initial=-1)) + 1
        periods, counts = np.unique(self.least_period, return_counts=True)
        return {int(p): int(c) for p, c in zip(periods, counts, strict=True) if k == 0 or p != k}


def orbits(held: Held, k: int, x: Tensor, together: int = 64, given: Assessed | None = None) -> Orbits:
    """The orbits of period k of the map that is held among the fixed points x (B, n) of G^k.

    ``together`` is the number of Jacobians held at once (0: none, Krylov solves), ``given`` what is known of the points
    of G^k; it is found out unless given. Raises ValueError for a flow and for k below 1.
    """
    iterated = Iterated(held.system, k)
    around = held.of(iterated)
    given = _assessed(around, x, together) if given is None else given
    least = least_periods(held, k, given, together)
    rows = (least == k).nonzero().squeeze(1)
    phases = iterated.phases(given.x[rows], held.u[rows])[:k]
    same = [_belongs(around[rows], y, given, held.u) & (least == k) for y in phases]
    kept: list[list[int]] = []  # for each orbit the given row at every phase, -1 where there is none
    starts: list[int] = []
    seen: set[int] = set()
    for i, row in enumerate(rows.tolist()):
        if row not in seen:
            visited = [row, *(_first(at[i]) for at in same[1:])]
            seen |= {row, *torch.stack([at[i] for at in same]).any(dim=0).nonzero().squeeze(1).tolist()}
            kept.append(visited)
            starts.append(i)
    missing = [(o, j) for o, visited in enumerate(kept) for j in range(k) if visited[j] < 0]
    lost = torch.stack([phases[j][starts[o]] for o, j in missing]) if missing else x[:0]
    of = torch.tensor([kept[o][0] for o, _ in missing], dtype=torch.long, device=x.device)
    parts = Assessed.joined([given, _assessed(around[of], lost, together)]) if missing else given
    for i, (o, j) in enumerate(missing):
        kept[o][j] = len(given) + i
    turned = [visited[first:] + visited[:first] for visited in kept for first in [first_phase(parts.x[visited])]]
    source = np.array([r for visited in turned for r in visited], dtype=np.int64)
    return Orbits(
        parts[torch.as_tensor(source, device=x.device)],
        np.repeat(np.arange(len(kept)), k),
        np.tile(np.arange(k), len(kept)),
        np.where(source < len(given), source, -1),
        np.repeat(rows.cpu().numpy()[starts], k),
        least.cpu().numpy(),
    )


def least_periods(held: Held, k: int, given: Assessed, together: int = 64) -> Tensor:
    """The least period (B,), a divisor of k, of the fixed points ``given`` of G^k."""
    least = torch.full((len(given),), k, dtype=torch.long, device=given.x.device)
    around = held.of(Iterated(held.system, k))
    for d in divisors(k):
        rows = (least == k).nonzero().squeeze(1)
        if not len(rows):
            break
        found = _assessed(held[rows].of(Iterated(held.system, d)), given.x[rows], together)
        same = _same(around[rows], found.x, found.error_bound, given[rows])
        at_rest = vector_norm(found.F, dim=1) <= ZERO * found.noise
        least[rows[same & at_rest]] = d
    return least


def first_phase(states: Tensor) -> int:
    """The phase with which an orbit (k, n) begins: the one of least first entry, and of equals the next."""
    rounded = states.cpu().numpy().round(9)
    return int(np.lexsort(rounded.T[::-1])[0])


def _assessed(held: Held, x: Tensor, together: int) -> Assessed:
    rows = torch.split(torch.arange(len(x), device=x.device), max(together, 1))
    return Assessed.joined([assess(held[some], x[some], together > 0) for some in rows])


def _same(held: Held, x: Tensor, bound: Tensor, points: Assessed) -> Tensor:
    """Whether (B,) the states x, with their error bounds, are the points beside them."""
    apart = vector_norm(nearest(x - points.x, held.system.periods), dim=1)
    same = overlap(apart, bound, points.error_bound)
    rows = (~torch.isfinite(points.error_bound) & ~same & (apart <= NEAR * held.unit)).nonzero().squeeze(1)
    same[rows] = joined(held[rows], points.x[rows], x[rows])
    return same


def _belongs(held: Held, y: Tensor, points: Assessed, u: Tensor) -> Tensor:
    """Whether (A, B) the states y (A, n) under their inputs are the points under u (B, m)."""
    same_input = (held.u.unsqueeze(1) == u).all(dim=2)
    return belongs(held, y, held.velocity(y), points, same_input, NEAR * held.unit)


def _first(same: Tensor) -> int:
    found = same.nonzero()
    return int(found[0]) if len(found) else -1

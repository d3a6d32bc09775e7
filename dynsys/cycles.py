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

from dynsys.certainty import Assessed, assess
from dynsys.iterated import Iterated, divisors
from dynsys.rounding import ZERO, rounding
from dynsys.system import System

JOINED = 4 * ZERO  # times the rounding error of F, within which it is zero on the way between two states
SHARES = (0.25, 0.5, 0.75)  # of the way between two states, where F is looked at


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


def orbits(system: System, k: int, x: Tensor, u: Tensor, unit: float, together: int = 64) -> Orbits:
    """The orbits of period k among the fixed points x (B, n) of G^k under inputs u (B, n_input).

    ``unit`` is the usual size of a state, ``together`` the number of Jacobians held at once (0: none, Krylov solves).
    Raises ValueError for a flow and for k below 1.
    """
    iterated = Iterated(system, k)
    given = _assessed(iterated, x, u, unit, together)
    least = least_periods(system, k, given, u, unit, together)
    rows = (least == k).nonzero().squeeze(1)
    phases, held = iterated.phases(given.x[rows], u[rows])[:k], u[rows]
    followed = [given[rows]] + [_assessed(iterated, y, held, unit, together) for y in phases[1:]]
    kept: list[tuple[list[int], list[Assessed]]] = []  # of each orbit: the given row at every phase, and the points
    seen: set[int] = set()
    for i, row in enumerate(rows.tolist()):
        if row in seen:
            continue
        orbit = [points[i : i + 1] for points in followed]
        at = [_first_same(iterated, point, given, u, row, unit, least == k) for point in orbit]
        at[0] = row
        seen |= _all_same(iterated, orbit, given, u, row, unit, least == k)
        orbit = [given[r : r + 1] if r >= 0 else point for r, point in zip(at, orbit, strict=True)]
        first = first_phase(torch.cat([point.x for point in orbit]))
        kept.append((at[first:] + at[:first], orbit[first:] + orbit[:first]))
    source = np.array([r for at, _ in kept for r in at], dtype=np.int64)
    return Orbits(
        Assessed.joined([point for _, orbit in kept for point in orbit]) if kept else given[:0],
        np.repeat(np.arange(len(kept)), k),
        np.tile(np.arange(k), len(kept)),
        source,
        np.repeat(np.array([max(at) for at, _ in kept], dtype=np.int64), k),
        least.cpu().numpy(),
    )


def least_periods(system: System, k: int, given: Assessed, u: Tensor, unit: float, together: int = 64) -> Tensor:
    """The least period (B,), a divisor of k, of the fixed points ``given`` of G^k."""
    least = torch.full((len(given),), k, dtype=torch.long, device=given.x.device)
    iterated = Iterated(system, k)
    for d in divisors(k):
        rows = (least == k).nonzero().squeeze(1)
        if not len(rows):
            break
        found = _assessed(Iterated(system, d), given.x[rows], u[rows], unit, together)
        same = _same(iterated, found.x, found.error_bound, given[rows], u[rows], unit)
        at_rest = vector_norm(found.F, dim=1) <= ZERO * found.noise
        least[rows[same & at_rest]] = d
    return least


def first_phase(states: Tensor) -> int:
    """The phase with which an orbit (k, n) begins: the one of least first entry, and of equals the next."""
    rounded = states.cpu().numpy().round(9)
    return int(np.lexsort(rounded.T[::-1])[0])


def _assessed(system: System, x: Tensor, u: Tensor, unit: float, together: int) -> Assessed:
    rows = torch.split(torch.arange(len(x), device=x.device), max(together, 1))
    return Assessed.joined([assess(system, x[some], u[some], unit, together > 0) for some in rows])


def _same(system: System, x: Tensor, bound: Tensor, points: Assessed, u: Tensor, unit: float) -> Tensor:
    """Whether (B,) the states x, with their error bounds, are the points: where these have none, whether F is zero to
    rounding all along the way between the two."""
    apart = vector_norm(x - points.x, dim=1)
    none = ~torch.isfinite(points.error_bound)
    same = apart <= points.error_bound.where(~none, 0.0) + bound.where(torch.isfinite(bound), 0.0)
    for i in (none & ~same).nonzero().squeeze(1).tolist():
        share = x.new_tensor(SHARES).unsqueeze(1)
        between = points.x[i] + share * (x[i] - points.x[i])
        held = u[i : i + 1].expand(len(SHARES), -1)
        F = system.velocity(between, held)
        same[i] = bool((vector_norm(F, dim=1) <= JOINED * rounding(system, between, held, F, unit)).all())
    return same


def _matches(system: System, point: Assessed, given: Assessed, u: Tensor, row: int, unit: float) -> Tensor:
    """Which of the given points (B,) under the input of ``row`` is this one."""
    x, bound = point.x.expand_as(given.x), point.error_bound.expand_as(given.error_bound)
    return _same(system, x, bound, given, u, unit) & (u == u[row]).all(dim=1)


def _first_same(
    system: System, point: Assessed, given: Assessed, u: Tensor, row: int, unit: float, usable: Tensor
) -> int:
    same = (_matches(system, point, given, u, row, unit) & usable).nonzero()
    return int(same[0]) if len(same) else -1


def _all_same(
    system: System, orbit: list[Assessed], given: Assessed, u: Tensor, row: int, unit: float, usable: Tensor
) -> set[int]:
    found = torch.zeros_like(usable)
    for point in orbit:
        found |= _matches(system, point, given, u, row, unit)
    return {row, *(found & usable).nonzero().squeeze(1).tolist()}

"""What a round of starts yields: each is brought near a zero, told from what is known, and entered if it is new."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.threads import in_order
from dynsys.search.budget import Plan
from dynsys.search.known.distinct import NOBODY, Catalogue
from dynsys.search.landing import Descender, Landed, Rejection
from dynsys.search.slow_points.slow import Minima
from dynsys.search.solvers import LU_LIMIT, Solver
from dynsys.systems.angles import rough_distances

TOGETHER = 1e-2  # in units of the state: starts this close to another one near a zero wait for what becomes of it


@dataclass
class Harvest:
    """Takes starts to the points of the ``catalogue``, to the slow states of ``minima``, or counts why not."""

    descender: Descender
    catalogue: Catalogue
    minima: Minima
    workers: int
    rejected: Counter[Rejection] = field(default_factory=Counter)
    told: float = float("inf")  # unit, beyond which states counted as zeros that were none

    def __call__(self, solver: Solver, plan: Plan, x: Tensor, groups: Tensor) -> Tensor:
        """The point (B,) to which each start x (B, n) has led, or ``NOBODY``."""
        landed = self._landed(solver, plan, x, groups)
        self.catalogue.unit = min(self.catalogue.unit, landed.unit)
        owner = torch.full((len(x),), NOBODY, device=x.device)
        near = self._left(landed, landed.near.nonzero().squeeze(1), owner)
        if x.shape[1] > LU_LIMIT and len(near):
            landed = self.descender.nearer(landed, near)
            near = self._left(landed, near, owner)
        leading = torch.zeros(len(near), dtype=torch.bool, device=x.device)
        periods = self.descender.system.periods
        leading[_leaders(landed[near], TOGETHER * self.catalogue.unit, periods)] = True
        lost = (~landed.near).nonzero().squeeze(1)
        self._finish(landed, plan, torch.cat([near[leading], lost]), owner)
        self._finish(landed, plan, self._left(landed, near[~leading], owner), owner)
        return owner

    def _landed(self, solver: Solver, plan: Plan, x: Tensor, groups: Tensor) -> Landed:
        waves = torch.split(torch.arange(len(x), device=x.device), plan.wave)
        return Landed.joined(
            list(in_order(lambda rows: self.descender.land(solver, x[rows], groups[rows]), waves, self.workers))
        )

    def _left(self, landed: Landed, rows: Tensor, owner: Tensor) -> Tensor:
        """Those of the rows that are on their way to no known point; the others get their owner."""
        owner[rows] = self.catalogue.owners(landed.x[rows], landed.F[rows], landed.groups[rows])
        return rows[owner[rows] == NOBODY]

    def _finish(self, landed: Landed, plan: Plan, rows: Tensor, owner: Tensor) -> None:
        """Bring states to their last digit and enter them; what is no zero is judged as it is."""
        if plan.jacobians:
            rows = self._settled(landed, rows, owner)
        if len(rows) == 0:
            return
        unit = min(landed.unit, self.told)
        end = self.descender.finish(dataclasses.replace(landed[rows], unit=unit))
        if end.unit < unit:
            self._measure_by(end.unit)
        owner[rows[end.zero]] = self.catalogue.add(end.x[end.zero], end.F[end.zero], landed.groups[rows[end.zero]])
        self.minima.add(end.slow, end.slow_groups)
        self.rejected += end.rejected

    def _measure_by(self, unit: float) -> None:
        """Go on with a smaller unit, as states that were none counted as zeros; points without a bound may have one."""
        self.told = unit
        self.catalogue.unit, self.minima.unit = min(self.catalogue.unit, unit), min(self.minima.unit, unit)
        self.catalogue.look_again()

    def _settled(self, landed: Landed, rows: Tensor, owner: Tensor) -> Tensor:
        """Finish by chord steps with the one factorisation that a new point needs anyway; returns the rows left over.

        Where those lead far for one factorisation, a second one is made from there.
        """
        near = rows[self.descender.may_be_zeros(landed[rows])]
        x = landed.x[near]
        for _ in range(2):
            if len(near) == 0:
                break
            groups = landed.groups[near]
            found = self.catalogue.assessed(x, groups)
            zero = found.converged & self.descender.inside(found.x, groups)
            if bool(zero.any()):
                good = found[zero]
                owner[near[zero]] = self.catalogue.enter(good, good.x, good.F, groups[zero])
            near, x, F = near[~zero], found.x[~zero], found.F[~zero]
            owner[near] = self.catalogue.owners(x, F, landed.groups[near])
            lost = owner[near] == NOBODY
            near, x = near[lost], x[lost]
        return rows[owner[rows] == NOBODY]


def _leaders(landed: Landed, radius: float, periods: Tensor | None) -> Tensor:
    """One state of each cluster of landed states that lie within ``radius`` of it, those of least |F| first."""
    order = torch.argsort(vector_norm(landed.F, dim=1), stable=True)
    x, groups = landed.x[order], landed.groups[order]
    apart = rough_distances(x, x, periods)
    close = ((apart <= radius) & (groups.unsqueeze(1) == groups)).tolist()
    leaders: list[int] = []
    for i, row in enumerate(close):
        if not any(row[j] for j in leaders):
            leaders.append(i)
    return order[torch.tensor(leaders, dtype=torch.long, device=x.device)]

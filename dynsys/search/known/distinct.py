"""The fixed points found so far, each once.

Two candidates are one point where their error bounds overlap. A state that is still on its way belongs to a known point
p as soon as F is linear between the two: b |F(x) - J (x - p)| <= |x - p| / 4, with b >= |J^-1| at p. Then |F(x)| alone
accounts for its distance from p, which it cannot do for a state near another zero, however close that lies. So the
dear end of a search is paid once per point.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.threads import in_order, pieces_of
from dynsys.proof.kantorovich import Assessed, assess, belongs, overlap
from dynsys.search.known.missing import Tally
from dynsys.search.known.stopping import Source
from dynsys.systems.angles import distances, nearest, rough_distances, wrapped
from dynsys.systems.held import Held
from dynsys.systems.system import System

LINEAR = 0.25  # b |F(x) - J (x - p)| / |x - p|, up to which a state x is on its way to p
NOBODY = -1  # the owner of a candidate that belongs to no known point


@dataclass
class Catalogue:
    """Known points of one search. ``unit`` is the usual size of a state, ``inputs`` (G, m) the inputs searched at.

    ``together`` is the number of points whose Jacobians may be held in memory at once; 0 means none, so that points
    are assessed by Krylov solves.
    """

    system: System
    inputs: Tensor
    unit: float
    together: int = 64
    workers: int = 1  # threads that assess points side by side
    groups: list[int] = field(default_factory=list)  # which input each point belongs to
    hits: list[int] = field(default_factory=list)  # by the starts that were not made from points found
    crossings: list[int] = field(default_factory=list)  # by directional fibers
    visits: list[int] = field(default_factory=list)  # by any start
    tests: list[int] = field(default_factory=list)  # hits after starts made from points found had their say
    fresh: list[bool] = field(default_factory=list)  # whether such a hit was the first visit
    under_test: bool = False
    _known: Assessed | None = None

    def __len__(self) -> int:
        return len(self.groups)

    def held(self, groups: Tensor | slice) -> Held:
        """The system at the inputs of these numbers."""
        return Held(self.system, self.inputs[groups], self.unit)

    @property
    def points(self) -> Assessed:
        """All known points, in the order of discovery."""
        if self._known is None:
            return _nothing(self.inputs.new_zeros(0, self.system.n_state))
        return self._known

    def states(self) -> Tensor:
        return self.points.x

    def isolated(self) -> list[int]:
        """The points that have an error bound, and so are known to have no other beside them."""
        return torch.isfinite(self.points.error_bound).nonzero().squeeze(1).tolist()

    def index_sum(self) -> int | None:
        """The sum of sign det(-J) over the points of a single input; None where it could not be told.

        In a trapping box it is 1 when every fixed point is known and none is degenerate (Poincare and Hopf): any other
        value proves that points are missing, and so does 0 where none is known (Brouwer).
        """
        known = self.points.index
        if not self.system.box_is_trapping or len(self.inputs) > 1 or bool((known == 0).any()):
            return None
        return int(known.sum())

    def owners(self, x: Tensor, F: Tensor, groups: Tensor) -> Tensor:
        """The known point to which each state x (B, n) with velocity F is on its way, (B,), or ``NOBODY``."""
        if not len(self) or not len(x):
            return torch.full((len(x),), NOBODY, device=x.device)
        known = self.points
        apart = rough_distances(x, known.x, self.system.periods)
        if len(self.inputs) > 1:
            apart = torch.where(groups.unsqueeze(1) == torch.tensor(self.groups, device=x.device), apart, torch.inf)
        distance, owner = apart.min(dim=1)
        p = known.x[owner]
        way = nearest(x - p, self.system.periods)
        distance = vector_norm(way, dim=1)
        bend = (F - self.system.jacobian_product(p, self.inputs[groups], way)).norm(dim=1)
        bound = known.error_bound[owner]
        linear = known.inverse_norm[owner] * bend <= LINEAR * distance + bound
        return torch.where(linear & torch.isfinite(bound) & torch.isfinite(apart.amin(dim=1)), owner, NOBODY)

    def visit(self, owners: Tensor, source: Source) -> Tensor:
        """Count a visit of each owner, a hit where the starts knew nothing of the points, and a crossing of a fiber.

        Once starts have been made from points, every hit tests whether these had found the point. Returns the visits.
        """
        visits = torch.bincount(owners[owners != NOBODY], minlength=len(self)).tolist()
        self.under_test |= not source.is_independent
        if source.is_independent and self.under_test:
            first = [new > 0 and not before for new, before in zip(visits, self.visits, strict=True)]
            self.fresh = [old or new for old, new in zip(self.fresh, first, strict=True)]
            self.tests = _sum(self.tests, visits)
        if source.is_independent:
            self.hits = _sum(self.hits, visits)
        if source is Source.FIBER:
            self.crossings = _sum(self.crossings, visits)
        self.visits = _sum(self.visits, visits)
        return torch.tensor(visits, dtype=torch.long)

    def tallies(self) -> list[Tally]:
        """The counts of the isolated points, for each input of the search."""
        isolated = self.isolated()
        hits, tests, crossings, fresh = (
            np.array(counts, dtype=np.int64)[isolated] for counts in (self.hits, self.tests, self.crossings, self.fresh)
        )
        of = np.array(self.groups, dtype=np.int64)[isolated]
        groups = range(len(self.inputs))
        return [Tally(hits[of == g], tests[of == g], crossings[of == g], fresh[of == g] > 0) for g in groups]

    def seen_once(self) -> int:
        """The number of isolated points that only one start of any kind has reached."""
        return sum(self.visits[k] == 1 for k in self.isolated())

    def add(self, x: Tensor, F: Tensor, groups: Tensor) -> Tensor:
        """Enter candidates x (B, n) that have converged to rounding; returns the index (B,) of each one's point."""
        owner = torch.full((len(x),), NOBODY, device=x.device)
        order = torch.argsort(vector_norm(F, dim=1), stable=True)
        for rows in torch.split(order, max(self.together, 1)):
            known = self._belonging(self.points, x[rows], F[rows], groups[rows], torch.tensor(self.groups).to(rows))
            owner[rows] = _first(known)
            new = rows[owner[rows] == NOBODY]
            if len(new):
                owner[new] = self.enter(self.assessed(x[new], groups[new]), x[new], F[new], groups[new])
        return owner

    def assessed(self, x: Tensor, groups: Tensor) -> Assessed:
        """States x (B, n) refined and bounded, as many at once as memory allows."""
        rows = pieces_of(x, self.together)
        dense, held = self.together > 0, self.held(groups)
        room = self.together // max(map(len, rows)) if dense else self.workers
        parts = in_order(lambda some: assess(held[some], x[some], dense), rows, max(1, min(self.workers, room)))
        found = Assessed.joined(list(parts))
        return dataclasses.replace(found, x=wrapped(found.x, self.system.periods))

    def enter(self, found: Assessed, x: Tensor, F: Tensor, groups: Tensor) -> Tensor:
        """Enter one of each distinct zero among assessed states that came from candidates x; returns all indices."""
        of_known = _first(self._overlap(found, groups, self.points, torch.tensor(self.groups).to(groups)))
        same = self._belonging(found, x, F, groups, groups) | self._overlap(found, groups, found, groups)
        entered: list[int] = []
        owner, matrix = of_known.tolist(), same.tolist()
        for i in range(len(x)):
            if owner[i] == NOBODY:
                owner[i] = next((owner[j] for j in entered if matrix[i][j]), NOBODY)
            if owner[i] == NOBODY:
                owner[i] = len(self) + len(entered)
                entered.append(i)
        kept = torch.tensor(entered, dtype=torch.long, device=x.device)
        self.append(found[kept], groups[kept])
        return torch.tensor(owner, dtype=torch.long, device=x.device)

    def append(self, found: Assessed, groups: Tensor) -> None:
        """Enter distinct points that are not known yet."""
        self._known = Assessed.joined([self.points, found])
        self.groups += groups.tolist()
        self.fresh += [False] * len(found)
        for counts in (self.hits, self.crossings, self.visits, self.tests):
            counts += [0] * len(found)

    def look_again(self) -> None:
        """Assess the points that have no bound by the present unit."""
        rows = torch.isinf(self.points.error_bound).nonzero().squeeze(1)
        if len(rows):
            groups = torch.tensor(self.groups, device=rows.device)[rows]
            self._known = self.points.replaced(rows, self.assessed(self.points.x[rows], groups))

    def prove(self, rows: Tensor, bound: Tensor, index: Tensor) -> None:
        """Take note of what was proved of some points, where only estimates were known."""
        bounds, indices = self.points.error_bound.clone(), self.points.index.clone()
        bounds[rows], indices[rows] = bound, index
        self._known = dataclasses.replace(self.points, error_bound=bounds, index=indices)

    def _apart(self, x: Tensor, y: Tensor) -> Tensor:
        return distances(x, y, self.system.periods)

    def _belonging(self, points: Assessed, x: Tensor, F: Tensor, groups: Tensor, of: Tensor) -> Tensor:
        """Whether (B, k) candidate i is point j, within the error that |J^-1| at j allows for both of them."""
        same_input = groups.unsqueeze(1) == of
        return belongs(self.held(groups), x, F, points, same_input, torch.inf)

    def _overlap(self, found: Assessed, groups: Tensor, points: Assessed, of: Tensor) -> Tensor:
        """Whether (B, k) the bounds of assessed candidate i and of point j meet."""
        apart = self._apart(found.x, points.x)
        return overlap(apart, found.error_bound.unsqueeze(1), points.error_bound) & (groups.unsqueeze(1) == of)


def _sum(known: list[int], new: list[int]) -> list[int]:
    return [a + b for a, b in zip(known, new, strict=True)]


def _first(belongs: Tensor) -> Tensor:
    """For each row the first column that is true, or ``NOBODY``."""
    if belongs.shape[1] == 0:
        return torch.full((len(belongs),), NOBODY, device=belongs.device)
    return torch.where(belongs.any(dim=1), belongs.to(torch.uint8).argmax(dim=1), NOBODY)


def _nothing(x: Tensor) -> Assessed:
    none = x[:, 0] if x.shape[1] else x.new_zeros(0)
    return Assessed(x, x, none, none, none, none, none, none, none > 0)

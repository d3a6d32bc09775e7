"""The fixed points found so far, each once: two candidates are one point where their error bounds overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dynsys.certainty import Assessed, assess
from dynsys.rounding import ZERO, rounding
from dynsys.system import System


@dataclass
class Catalogue:
    """Known points of one search. ``unit`` is the usual size of a state, ``inputs`` (G, m) the inputs searched at.

    A factorisation is paid once per point, not once per start: a candidate that lies within the error that a known
    point's |J^-1| allows for both of them is that point, and only counts as a hit.
    """

    system: System
    inputs: Tensor
    unit: float
    points: list[Assessed] = field(default_factory=list)  # of one row each
    groups: list[int] = field(default_factory=list)  # which input each point belongs to
    hits: list[int] = field(default_factory=list)  # by the starts that were not made from points found

    def __len__(self) -> int:
        return len(self.points)

    def states(self) -> Tensor:
        return torch.cat([p.x for p in self.points]) if self.points else self.inputs.new_zeros(0, self.system.n_state)

    def held(self) -> Tensor:
        """The input (k, m) at which each point was found."""
        return self.inputs[torch.tensor(self.groups, dtype=torch.long, device=self.inputs.device)]

    def isolated(self) -> list[int]:
        """The points that have an error bound, and so are known to have no other beside them."""
        return [k for k, p in enumerate(self.points) if bool(torch.isfinite(p.error_bound))]

    def index_sum(self) -> int | None:
        """The sum of sign det(-J) over the points of a single input; None where it could not be told.

        In a trapping box it is 1 when every fixed point is known and none is degenerate (Poincare and Hopf): any other
        value proves that points are missing.
        """
        degenerate = any(not bool(torch.isfinite(p.error_bound)) for p in self.points)
        if not self.system.box_is_trapping or len(self.inputs) > 1 or degenerate or not self.points:
            return None
        return int(sum(float(p.index) for p in self.points))

    def add(self, x: Tensor, F: Tensor, groups: Tensor, count_hits: bool) -> list[int]:
        """Enter candidates x (B, n) that have converged to rounding; returns the index of each one's point."""
        owner = [-1] * len(x)
        waiting = torch.argsort(F.norm(dim=1), stable=True).tolist()
        candidates = (x, F, groups)
        waiting = self._claim(waiting, candidates, owner, range(len(self)))
        while waiting:
            first, *waiting = waiting
            owner[first] = self._enter(x[first : first + 1], int(groups[first]))
            waiting = self._claim(waiting, candidates, owner, [owner[first]])
        if count_hits:
            for k in owner:
                self.hits[k] += 1
        return owner

    def _claim(
        self, waiting: list[int], candidates: tuple[Tensor, Tensor, Tensor], owner: list[int], by: Sequence[int]
    ) -> list[int]:
        """Give the candidates that the known points ``by`` account for to those points; returns the rest."""
        if not waiting or not by:
            return waiting
        x, F, groups = (part[waiting] for part in candidates)
        known = [self.points[k] for k in by]
        error = F.norm(dim=1) + rounding(self.system, x, self.inputs[groups], F, self.unit)
        apart = torch.cdist(x, torch.cat([p.x for p in known]), compute_mode="donot_use_mm_for_euclid_dist")
        inverse, bound = torch.cat([p.inverse_norm for p in known]), torch.cat([p.error_bound for p in known])
        same_input = groups.unsqueeze(1) == torch.tensor([self.groups[k] for k in by], device=x.device)
        reach = torch.where(torch.isfinite(bound), bound + 2 * inverse * error.unsqueeze(1), 0.0)
        same = (apart <= reach) & same_input
        for j in torch.isinf(bound).nonzero().squeeze(1).tolist():
            same[:, j] |= same_input[:, j] & self._joined(known[j].x, x, groups)
        for i, row in zip(waiting, same, strict=True):
            if bool(row.any()):
                owner[i] = by[int(row.nonzero()[0])]
        return [i for i in waiting if owner[i] < 0]

    def _enter(self, x: Tensor, group: int) -> int:
        """A new point, unless the bound that it gets from its own factorisation meets a known one."""
        point = assess(self.system, x, self.inputs[group : group + 1], self.unit)
        for k, other in enumerate(self.points):
            apart = float((point.x - other.x).norm())
            if self.groups[k] == group and apart <= _finite(point.error_bound) + _finite(other.error_bound):
                return k
        self.points.append(point)
        self.groups.append(group)
        self.hits.append(0)
        return len(self) - 1

    def _joined(self, a: Tensor, x: Tensor, groups: Tensor) -> Tensor:
        """Where F stays zero to rounding all along the way from a to x: one degenerate point, or one line of them."""
        joined = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for share in (0.25, 0.5, 0.75):
            between = a + share * (x - a)
            F = self.system.velocity(between, self.inputs[groups])
            joined &= F.norm(dim=1) <= ZERO * rounding(self.system, between, self.inputs[groups], F, self.unit)
        return joined


def _finite(bound: Tensor) -> float:
    """An error bound, or 0 where there is none and so nothing that could overlap."""
    return float(bound) if bool(torch.isfinite(bound)) else 0.0

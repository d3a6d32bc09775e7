"""Lines, rings, planes and other surfaces of marginal fixed points, each one object with its dimension."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor

REPRESENTATIVES = 8


@dataclass(frozen=True, eq=False)
class Manifold:
    """A manifold of fixed points under one input of the search, number ``group``.

    ``kind`` is "ring", "line" (without an end, or with none among the reachable states), "half-line" (with one end),
    "segment" (with an end otherwise), "plane" (flat, as far as it was followed), "polygon", "sector", "open polygon",
    "strip" or "half-plane" (the part of a plane in a region), "closed surface" (all walks come back), "surface" or
    "d-dimensional".
    ``representatives`` (m, n) are spread over it; ``extent`` is its length, or of a surface the largest distance
    between two points, inf where it is known to go on for ever. ``n_unstable`` and ``leading_eigenvalue`` are of the
    modes across it, where they are least stable: at one representative, or on one side of kinks on which it lies.
    ``fewest`` are unstable on each of these sides. Where ``period`` is above 1 it is made of the points of such cycles.
    ``is_whole`` tells whether the steps sufficed that it was followed
    with, ``goes_on`` whether it was left where it had been followed far enough, or has no end.
    """

    dimension: int
    kind: str
    representatives: Tensor
    extent: float
    n_unstable: int
    leading_eigenvalue: complex
    is_whole: bool
    goes_on: bool
    group: int
    fewest: int
    period: int

    def to_dict(self) -> dict[str, Any]:
        """What a result file and ``--json`` say of it."""
        leading = self.leading_eigenvalue
        return {
            "kind": self.kind,
            "dimension": self.dimension,
            "extent": self.extent if isfinite(self.extent) else None,
            "n_unstable": self.n_unstable,
            "leading_eigenvalue": None if leading != leading else [leading.real, leading.imag],
            "is_whole": self.is_whole,
            "goes_on": self.goes_on,
            "input": self.group,
            "representatives": self.representatives.tolist(),
        }

    def __str__(self) -> str:
        name = f"{self.kind} manifold" if self.dimension > 2 else self.kind
        part = "" if self.is_whole else ", followed in part"
        points = "fixed points" if self.period == 1 else f"points of cycles of period {self.period}"
        return f"a {name} of marginal {points}, {self._size()}, {self._across()}{part}"

    def _size(self) -> str:
        if not isfinite(self.extent):
            return "which goes on for ever"
        return f"followed over {self.extent:.4g}" if self.goes_on else f"extent {self.extent:.4g}"

    def _across(self) -> str:
        plural = "s" * (self.n_unstable != 1)
        if self.fewest < self.n_unstable:
            return f"{self.fewest} to {self.n_unstable} unstable directions across it, by the side of its kinks"
        return f"{self.n_unstable or 'no'} unstable direction{plural * bool(self.n_unstable)} across it"


def spread(x: Tensor, most: int = REPRESENTATIVES) -> tuple[Tensor, float]:
    """A few of the states x (m, n), each the farthest from those before it, and the largest distance among them."""
    chosen = [0]
    nearest = (x - x[0]).norm(dim=1)
    while len(chosen) < min(most, len(x)):
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (x - x[chosen[-1]]).norm(dim=1))
    return x[chosen], float(torch.cdist(x[chosen], x[chosen]).max())

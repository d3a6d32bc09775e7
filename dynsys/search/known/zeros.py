"""The zeros of a search, each once, and what is known of them so far."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.piecewise_linear.kinks import Sides
from dynsys.proof.kantorovich import Assessed


@dataclass(frozen=True)
class Zeros:
    """k distinct zeros: ``points`` (whose error bounds are proved where ``certified``), the input of each by number,
    and by row the reason for a missing certificate, the number of units on a kink, of the cycle and of the manifold.
    """

    points: Assessed
    groups: list[int]
    certified: NDArray[np.bool_]
    reasons: list[str]
    kinks: NDArray[np.int64]
    orbit: NDArray[np.int64]
    manifold: NDArray[np.int64]
    uncertainty: NDArray[np.float64]
    sides: tuple[Sides | None, ...] = ()  # the Jacobians around a point on a kink
    manifolds: tuple[dict[str, Any], ...] = ()
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, points: Assessed, groups: list[int], reason: str) -> Zeros:
        """Points of which no more is known yet than how far they may be off; ``reason`` says why nothing is proved."""
        none = np.zeros(len(points), dtype=np.int64)
        blank = np.full(len(points), np.nan)
        return cls(points, groups, none > 0, [reason] * len(points), none, none - 1, none - 1, blank)

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, rows: list[int]) -> Zeros:
        return dataclasses.replace(
            self,
            points=self.points[torch.tensor(rows, dtype=torch.long)],
            groups=[self.groups[i] for i in rows],
            reasons=[self.reasons[i] for i in rows],
            sides=tuple(self.sides[i] for i in rows) if self.sides else (),
            **{key: getattr(self, key)[rows] for key in ("certified", "kinks", "orbit", "manifold", "uncertainty")},
        )

    def joined(self, points: Assessed, groups: list[int], reasons: list[str]) -> Zeros:
        """And these points, of no cycle and no manifold, with no certificate yet."""
        more = Zeros.of(points, groups, "")
        return dataclasses.replace(
            self,
            points=Assessed.joined([self.points, points]),
            groups=[*self.groups, *groups],
            reasons=[*self.reasons, *reasons],
            sides=(*self.sides, *[None] * len(more)) if self.sides else (),
            certified=np.concatenate([self.certified, more.certified]),
            kinks=np.concatenate([self.kinks, more.kinks]),
            orbit=np.concatenate([self.orbit, more.orbit]),
            manifold=np.concatenate([self.manifold, more.manifold]),
            uncertainty=np.concatenate([self.uncertainty, more.uncertainty]),
        )

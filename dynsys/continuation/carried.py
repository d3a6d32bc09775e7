"""Points of a network at many inputs: a few are searched at, and to the rest points are carried from the nearest.

Where two inputs are near, most points of one are near points of the other: Newton's method comes to them in a few
steps, at a small part of the cost of a search. New stable points are seen by letting trajectories go; a pair of
unstable points that is born between two inputs is not.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.result.fixed_points import FixedPoints
from dynsys.search.find import checked_input, find_fixed_points
from dynsys.search.known.stopping import Stop
from dynsys.search.starts import come_to_rest, released
from dynsys.systems.held import Held
from dynsys.systems.system import System

NEAR = 1e-3  # of the norm of a state, within which two that are at rest are one
FOR_SEARCHES = ("starts", "n_starts")
RELEASED, LARGE_STEP = 32, 0.5  # states let go at an input, and the step, in time constants


def order_of(inputs: NDArray[np.float64], searches: int) -> list[tuple[int, int | None]]:
    """Which of the inputs (G, n_input) comes when, and from which its points are carried: None where it is searched at.

    >>> order_of(np.array([[0.0], [2.0], [1.0]]), 1)
    [(0, None), (2, 0), (1, 2)]
    """
    G = len(inputs)
    if not 1 <= searches <= G:
        raise ValueError(f"searches is {searches}; of {G} inputs 1 to {G} can be searched at")
    order: list[tuple[int, int | None]] = [(int(i), None) for i in np.linspace(0, G - 1, searches).round().astype(int)]
    nearest, distance = np.zeros(G, dtype=int), np.full(G, np.inf)
    for k in range(G):
        if k >= len(order):
            order.append((new := int(distance.argmin()), int(nearest[new])))
        done = order[k][0]
        apart = np.linalg.norm(inputs - inputs[done], axis=1)
        nearest, distance = np.where(apart < distance, done, nearest), np.minimum(apart, distance)
        distance[[i for i, _ in order]] = np.inf
    return order


@dataclass(frozen=True)
class Carrier:
    """Carries points of ``system`` from input to input; the same states are let go at each of them."""

    system: System
    seed: int = 0

    @cached_property
    def released(self) -> Tensor:
        u = torch.zeros(1, self.system.n_input, dtype=torch.float64)
        return released(self.system, u, RELEASED, self.seed)

    def carried(self, points: FixedPoints, input: Any, **settings: Any) -> FixedPoints:
        """The points at ``input`` (n_input,) that Newton's method comes to from ``points``, those at an input nearby,
        and from where trajectories come to rest. ``settings`` are those of ``find_fixed_points``, of which ``starts``
        and ``n_starts`` serve searches alone; what may be missing is not estimated, as nothing is sought at random."""
        u = checked_input(self.system, input)
        resting = _apart(come_to_rest(Held(self.system, u), self.released, LARGE_STEP))
        starts = torch.cat([torch.as_tensor(points.states), resting])
        settings = {name: value for name, value in settings.items() if name not in FOR_SEARCHES}
        found = find_fixed_points(self.system, starts, input, closure=False, seed=self.seed, **settings)
        report = dataclasses.replace(found.search, missing=None, estimated_missed=None)
        if report.stopped in (Stop.FLAT, Stop.USED_UP, Stop.SPENT):
            report = dataclasses.replace(report, stopped=str(Stop.CARRIED))
        return dataclasses.replace(found, search=report)


def _apart(x: Tensor) -> Tensor:
    """The states of which none before is ``NEAR``: trajectories come to rest at a few."""
    x = x[torch.isfinite(x).all(dim=1)]
    near = torch.cdist(x, x) <= NEAR * x.norm(dim=1, keepdim=True)
    return x[~near.tril(diagonal=-1).any(dim=1)]


def points_at_inputs(
    system: System, inputs: Any, *, searches: int = 1, seed: int = 0, **settings: Any
) -> list[FixedPoints]:
    """The points under each of the inputs (G, n_input), searched for at ``searches`` of them, the first, the last and
    others evenly between, and carried from the nearest to the rest.

    >>> from dynsys import Flow
    >>> fold = Flow(lambda x, u: u[:, :1] - x**2, n_state=1, n_input=1, bounds=(-3, 3))
    >>> [len(points) for points in points_at_inputs(fold, [[1.0], [0.5], [-1.0]])]
    [2, 2, 0]
    """
    held = np.asarray(checked_input(system, inputs))
    carrier = Carrier(system, seed)
    found: dict[int, FixedPoints] = {}
    for i, source in order_of(held, searches):
        if source is None:
            found[i] = find_fixed_points(system, input=held[i], seed=seed, **settings)
        else:
            found[i] = carrier.carried(found[source], held[i], **settings)
    return [found[i] for i in range(len(held))]

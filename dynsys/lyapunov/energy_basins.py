"""Balls around stable points that the energy of their network proves to be in their basins."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.lyapunov.energy import RateEnergy
from dynsys.numerics.deadline import Deadline
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import System

Array = NDArray[np.float64]


class Proof(enum.StrEnum):
    """How the ball of a point is proved."""

    NONE = ""
    ELLIPSOID = "a quadratic Lyapunov function falls in a proved ellipsoid"
    WALLS = "the energy falls, and between walls on which it is higher there is no other point of rest"
    EXITS = "the energy falls, and of the points of rest, all of which are known, only stable ones lie as low"


@dataclass(frozen=True)
class Ball:
    """The radius (0: none), the level of the energy above that of the point, and which proof it is."""

    radius: float = 0.0
    level: float = float("nan")
    proof: Proof = Proof.NONE


def is_whole(points: FixedPoints) -> bool:
    """Whether these are all points of rest there are, each proved to be alone within its error bound."""
    fixed = points.verdict == "fixed"
    return bool(
        points.search.complete
        and points.search.period == 1
        and fixed.sum() == points.search.found
        and points.certified[fixed].all()
        and (points.manifold < 0).all()
        and (points.inputs == points.inputs[:1]).all()
    )


def by_energy(
    system: System, points: FixedPoints, errors: Array, proved: NDArray[np.bool_], deadline: Deadline
) -> list[Ball]:
    """For each point whose error is known (finite); ``proved`` are those that are known to be stable by another proof.

    Nothing is found for networks without an energy, or when the time is over.
    """
    balls = [Ball() for _ in errors]
    for i in np.flatnonzero(np.isfinite(errors)):
        energy = system.energy_function(torch.as_tensor(points.inputs[i : i + 1]))
        if isinstance(energy, RateEnergy) and not deadline.is_over:
            balls[i] = _between_walls(energy, points.states[i], float(errors[i]))
    proved = proved | np.array([ball.radius > 0 for ball in balls], dtype=bool)
    if not proved.any() or not is_whole(points):
        return balls
    energy = system.energy_function(torch.as_tensor(points.inputs[:1]))
    exits = ~proved & (points.verdict == "fixed")
    for i in np.flatnonzero(proved & np.isfinite(errors)):
        if isinstance(energy, RateEnergy) and not deadline.is_over:
            other = _below_exits(energy, points, int(i), float(errors[i]), exits)
            balls[i] = max(balls[i], other, key=lambda ball: ball.radius)
    return balls


def _between_walls(energy: RateEnergy, x: Array, error: float) -> Ball:
    at = torch.as_tensor(x)
    walls = energy.walls(at, error)
    if walls is None:
        return Ball()
    radius = energy.ball(at, error, walls.level, float(walls.nearest.min()))
    return Ball(radius, walls.level, Proof.WALLS) if radius > 0 else Ball()


def _below_exits(energy: RateEnergy, points: FixedPoints, i: int, error: float, exits: NDArray[np.bool_]) -> Ball:
    x = torch.as_tensor(points.states[i])
    places = torch.as_tensor(points.states[exits]), torch.as_tensor(points.error_bound[exits])
    level = float(energy.above(x, error, *places).min()) if exits.any() else float("inf")
    radius = energy.ball(x, error, level) if level > 0 else 0.0
    return Ball(radius, level, Proof.EXITS) if radius > 0 else Ball()

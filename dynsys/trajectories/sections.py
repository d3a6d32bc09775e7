"""Oscillations of a flow, told from its returns to a section through one of its states.

A state x0 at time t0 sets the section F(x0) . (x - x0) = 0. A trajectory on its way to an oscillation crosses it again
and again nearer to one place, r1, r2, ...: with s = |r2 - r1| / |r1 - x0| the place lies about |r2 - r1| / (1 - s)
beyond. Where that is small beside the size of the turn there is an oscillation, whose period is the time between the
last two returns; a spiral that runs out at a point has its place a whole turn away.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.runge_kutta import Course
from dynsys.systems.angles import nearest, once_round

Values = NDArray[np.float64]

NEAR = 0.1  # of the size of a turn: a crossing this near the last one is a return
SETTLED = 1e-3  # of the size of a turn, from the last return to where the returns lead
SAME_TIME = 1e-3  # difference of two times of return, relative
LEAST = 1e-3  # of a state's usual size, that a turn has: a smaller one may be made by the integrator's errors
NEWTON_STEPS = 12
STILL = 1e-5  # of the size of a turn, below which the distance between two returns is the step's error


@dataclass
class Returns:
    """What is known of B trajectories since their sections were set: the last place and time of return, how far it was
    from the one before, the time between the two, the least and largest value of every variable since, ``period`` (B,),
    NaN until it is known, and then the ``span`` (B, 2, n) of the turn. Turns smaller than ``least`` are none.
    """

    least: float
    origin: Tensor
    normal: Tensor
    place: Tensor
    time: Tensor
    gap: Tensor
    turn: Tensor
    low: Tensor
    high: Tensor
    period: Tensor
    span: Tensor
    periods: Tensor | None = None  # of the variables that are angles

    @classmethod
    def starting(cls, now: Course, unit: float, periods: Tensor | None = None) -> Returns:
        x, t, unknown = now.x, now.t, torch.full_like(now.t, torch.nan)
        parts = (x, now.F, x, t, unknown, unknown, x, x, unknown, torch.stack([x, x], dim=1))
        returns = cls(LEAST * unit, *(part.clone() for part in parts))
        returns.periods = periods
        return returns

    def watch(self, rows: Tensor, before: Course, after: Course) -> None:
        """Take note of one step of each of the trajectories ``rows``."""
        self.low[rows] = torch.minimum(self.low[rows], after.x)
        self.high[rows] = torch.maximum(self.high[rows], after.x)
        origin, normal = self.origin[rows], self.normal[rows]
        before, after, back = beside(origin, before, after, self.periods)
        height = ((after.x - origin) * normal).sum(1)
        crossed = (((before.x - origin) * normal).sum(1) < 0) & (height >= 0)
        moved, size = vector_norm(after.x - before.x, dim=1), vector_norm(self.high[rows] - self.low[rows], dim=1)
        crossed &= vector_norm(after.x - self.place[rows], dim=1) - moved <= NEAR * size  # the others are no returns
        if bool(crossed.any()):
            self._cross(rows[crossed], before[crossed], after[crossed], back[crossed])

    def _cross(self, rows: Tensor, before: Course, after: Course, back: Tensor) -> None:
        place, time = crossing(before, after, self.origin[rows], self.normal[rows])
        size = vector_norm(self.high[rows] - self.low[rows], dim=1)
        gap, turn = vector_norm(place - self.place[rows], dim=1), time - self.time[rows]
        near = gap <= NEAR * size
        shrunk = gap / self.gap[rows]
        beyond = torch.where(shrunk < 1, gap / (1 - shrunk), torch.inf)
        settled = (beyond <= SETTLED * size) | ((gap <= STILL * size) & (self.gap[rows] <= STILL * size))
        settled &= size >= self.least
        settled &= ((turn - self.turn[rows]).abs() <= SAME_TIME * turn) & near
        done = rows[settled]
        self.period[done] = turn[settled]
        self.span[done] = torch.stack(once_round(self.low[done], self.high[done], self.periods), dim=1)
        rows, place, time, gap, turn, back = (part[near] for part in (rows, place, time, gap, turn, back))
        self.place[rows], self.time[rows], self.gap[rows], self.turn[rows] = place, time, gap, turn
        self.low[rows], self.high[rows] = place - back, place - back


def beside(origin: Tensor, before: Course, after: Course, periods: Tensor | None) -> tuple[Course, Course, Tensor]:
    """One step of each trajectory, with as many whole turns of its angles (B, n) added as bring it near ``origin``."""
    way = before.x - origin
    back = nearest(way, periods) - way
    if periods is None:
        return before, after, back
    return dataclasses.replace(before, x=before.x + back), dataclasses.replace(after, x=after.x + back), back


def crossing(before: Course, after: Course, origin: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Where and when the section is crossed, on the cubic through both ends and their slopes."""
    h = (after.t - before.t).unsqueeze(1)
    ends = (before.x - origin, after.x - origin, h * before.F, h * after.F)
    a, b, c, d = (np.asarray((part * normal).sum(1).cpu()) for part in ends)
    s = torch.as_tensor(_zero(a, c, 3 * (b - a) - 2 * c - d, 2 * (a - b) + c + d)).to(h).unsqueeze(1)
    there, way, slopes = s * s * (3 - 2 * s), s * (1 - s), (1 - s) * ends[2] - s * ends[3]
    return (1 - there) * before.x + there * after.x + way * slopes, before.t + (s * h).squeeze(1)


def _zero(a: Values, b: Values, c: Values, d: Values) -> Values:
    """Where a + b s + c s^2 + d s^3 becomes positive in (0, 1], by Newton's method, or halving where that leaves."""
    low, high = np.zeros_like(a), np.ones_like(a)
    s = high / 2
    for _ in range(NEWTON_STEPS):
        height, slope = a + s * (b + s * (c + s * d)), b + s * (2 * c + s * 3 * d)
        low, high = np.where(height < 0, s, low), np.where(height < 0, high, s)
        with np.errstate(divide="ignore", invalid="ignore"):
            further = s - height / slope
        s = np.where((further >= low) & (further <= high), further, (low + high) / 2)
    return s

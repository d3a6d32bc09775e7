"""Whether an oscillation draws its neighbours in: those of the harmonic oscillator, or of a pendulum, do not.

States displaced by a hundredth of the turn within a section through it are followed for ten turns beside the
undisturbed one. Where their distances at the returns to the section are not smaller by a tenth from the sixth turn on,
the orbit is one of a family, and no memory. So an orbit is taken to attract where its slowest multiplier is below
0.9^(1/6) = 0.983, about; a weaker one is too near to neutral for the integrator's errors. Where the undisturbed one
does not come back ten times it was no orbit: a chaotic trajectory comes near an old state now and then.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.runge_kutta import Course, advance
from dynsys.systems.held import Held
from dynsys.trajectories.sections import beside, crossing

TURNS = 10
DISPLACED = 1e-2  # of the size of a turn
SHRUNK = 0.9  # of the first distance, that is left at most
MOST = 8  # directions
STEPS = 2_000


def draws_in(held: Held, x: Tensor, period: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Whether (C,) the trajectories of a flow through x (C, n), of the given ``period`` and ``size`` (C,), come back
    again and again, and whether they attract their neighbours besides.
    """
    C, n = x.shape
    normal = held.velocity(x)
    normal = normal / vector_norm(normal, dim=1, keepdim=True).clamp_min(1e-300)
    ways = _directions(normal)
    K = ways.shape[1]
    start = torch.cat([x.unsqueeze(1), x.unsqueeze(1) + DISPLACED * size[:, None, None] * ways], dim=1).reshape(-1, n)
    each = torch.arange(C, device=x.device).repeat_interleave(K + 1)
    watch = _Section(x[each], normal[each], period[each], held.system.periods)
    course = Course.starting(held[each], start)
    until = (TURNS + 0.5) * period[each]
    advance(held[each], course, until, most_steps=STEPS, watch=watch.watch)
    places = watch.places.view(TURNS, C, K + 1, n)
    apart = vector_norm(places[:, :, 1:] - places[:, :, :1], dim=3)
    late = apart[TURNS // 2 :].amax(dim=0)
    closed = (vector_norm(places[:, :, 0] - x, dim=2) <= DISPLACED * size).all(dim=0)
    return closed, closed & (late <= SHRUNK * DISPLACED * size.unsqueeze(1)).all(dim=1)


class _Section:
    """Where (TURNS, B, n) trajectories return to their sections, NaN where they do not."""

    def __init__(self, origin: Tensor, normal: Tensor, period: Tensor, periods: Tensor | None) -> None:
        self.origin, self.normal, self.period, self.periods = origin, normal, period, periods
        self.places = origin.new_full((TURNS, *origin.shape), torch.nan)

    def watch(self, rows: Tensor, before: Course, after: Course) -> None:
        origin, normal = self.origin[rows], self.normal[rows]
        before, after, _ = beside(origin, before, after, self.periods)
        below = ((before.x - origin) * normal).sum(1) < 0
        crossed = below & (((after.x - origin) * normal).sum(1) >= 0)
        turn = torch.round(after.t / self.period[rows])
        phase = (after.t / self.period[rows] - turn).abs()
        crossed &= (phase <= 0.25) & (turn >= 1) & (turn <= TURNS)
        if bool(crossed.any()):
            place, _ = crossing(before[crossed], after[crossed], origin[crossed], normal[crossed])
            self.places[turn[crossed].long() - 1, rows[crossed]] = place


def _directions(normal: Tensor) -> Tensor:
    """Unit directions (C, K, n) orthogonal to the unit vectors ``normal`` (C, n), both ways of each."""
    C, n = normal.shape
    generator = torch.Generator().manual_seed(0)
    ways = torch.randn(C, min(n - 1, MOST // 2), n, generator=generator, dtype=torch.float64).to(normal)
    ways = ways - (ways @ normal.unsqueeze(2)) * normal.unsqueeze(1)
    ways = ways / vector_norm(ways, dim=2, keepdim=True).clamp_min(1e-300)
    return torch.cat([ways, -ways], dim=1)

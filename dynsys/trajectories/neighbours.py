"""Whether an oscillation draws its neighbours in: those of the harmonic oscillator, or of a pendulum, do not.

States displaced by a hundredth of the turn within a section through it are followed for ten turns beside the
undisturbed one. Where their distances at the returns to the section are smaller by a tenth from the sixth turn on, it
attracts: its slowest multiplier is below 0.9^(1/6) = 0.983, about; a weaker one is too near to neutral for the
integrator's errors. Where they are no smaller from the sixth turn on than up to the fifth, it is one of a family, and
no memory. What falls from a first turn that has made it large (far from normal, as after a spiral out and a fold back)
needs more turns, and where these do not tell, nothing is told. Where the undisturbed one does not come back ten times
it was no orbit: a chaotic trajectory comes near an old state now and then.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.runge_kutta import Course, advance
from dynsys.systems.held import Held
from dynsys.trajectories.sections import beside, crossing

TURNS, MORE = 10, 4  # and times as many, where those do not tell
DISPLACED = 1e-2  # of the size of a turn
SHRUNK = 0.9  # of the first distance, that is left at most
MOST = 8  # directions
STEPS = 200  # of the integrator for a turn


def draws_in(held: Held, x: Tensor, period: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Whether (C,) neighbours tell what the closed orbits of a flow through x (C, n) do, and whether they are drawn in.

    ``period`` and ``size`` (C,) are those of the orbits.
    """
    closed, falls, stays = _followed(held, x, period, size, TURNS)
    rows = (closed & ~falls & ~stays).nonzero().squeeze(1)
    if len(rows):
        _, falls[rows], stays[rows] = _followed(held[rows], x[rows], period[rows], size[rows], MORE * TURNS)
    return falls | stays, falls


def _followed(held: Held, x: Tensor, period: Tensor, size: Tensor, turns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Whether (C,) they come back that often; of those, whether all neighbours come nearer, and whether none has."""
    C, n = x.shape
    normal = held.velocity(x)
    normal = normal / vector_norm(normal, dim=1, keepdim=True).clamp_min(1e-300)
    ways = _directions(normal)
    K = ways.shape[1]
    start = torch.cat([x.unsqueeze(1), x.unsqueeze(1) + DISPLACED * size[:, None, None] * ways], dim=1).reshape(-1, n)
    each = torch.arange(C, device=x.device).repeat_interleave(K + 1)
    watch = _Section(x[each], normal[each], period[each], held.system.periods, turns)
    course = Course.starting(held[each], start)
    until = (turns + 0.5) * period[each]
    advance(held[each], course, until, most_steps=STEPS * turns, watch=watch.watch)
    places = watch.places.view(turns, C, K + 1, n)
    apart = vector_norm(places[:, :, 1:] - places[:, :, :1], dim=3)  # NaN where one is lost
    apart = apart.amax(dim=2) if K else places.new_zeros(turns, C)  # a circle has none beside itself
    early, late = apart[: turns // 2].amax(dim=0), apart[turns // 2 :].amax(dim=0)
    closed = (vector_norm(places[:, :, 0] - x, dim=2) <= DISPLACED * size).all(dim=0)
    falls = closed & (late <= SHRUNK * DISPLACED * size)
    return closed, falls, closed & ~falls & (late >= SHRUNK * early)


class _Section:
    """Where (turns, B, n) trajectories return to their sections, NaN where they do not."""

    def __init__(self, origin: Tensor, normal: Tensor, period: Tensor, periods: Tensor | None, turns: int) -> None:
        self.origin, self.normal, self.period, self.periods = origin, normal, period, periods
        self.places = origin.new_full((turns, *origin.shape), torch.nan)

    def watch(self, rows: Tensor, before: Course, after: Course) -> None:
        origin, normal = self.origin[rows], self.normal[rows]
        before, after, _ = beside(origin, before, after, self.periods)
        below = ((before.x - origin) * normal).sum(1) < 0
        crossed = below & (((after.x - origin) * normal).sum(1) >= 0)
        turn = torch.round(after.t / self.period[rows])
        phase = (after.t / self.period[rows] - turn).abs()
        crossed &= (phase <= 0.25) & (turn >= 1) & (turn <= len(self.places))
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

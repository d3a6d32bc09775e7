"""Fixed points carried from one system to a near one, along F_s = (1 - s) F_0 + s F_1 with s from 0 to 1.

First one jump to s = 1 is tried. Where that does not land at once on what was predicted, the curve (x, s) of zeros is
followed, which goes through a fold: there the curve turns back in s, the point and another have met and are gone
beyond. A zero found further away is not the point.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.continuation.arclength import (
    GOES_ON,
    ArclengthSettings,
    Ending,
    Front,
    Problem,
    Step,
    distance,
    follow,
)
from dynsys.numerics import hermite
from dynsys.numerics.bordered import Factored
from dynsys.numerics.newton import NewtonSettings, chord_newton
from dynsys.systems.homotopy import Blend

FORCING = 3e-4  # relative residual of a linear solve: an error along the slowest direction is many times larger


@dataclass(frozen=True)
class TrackSettings:
    """How points are carried. Lengths of curves are of (x / scale, s): 1.4 is the whole way at first speed."""

    jump: NewtonSettings = field(default_factory=lambda: NewtonSettings(0.1, 0.1, 1e-6))
    exact: float = 1e-4  # of a jump, that its correction may be without a look at the middle of the way
    careful: float = 0.25  # of a jump, that the correction may be in the middle, or at the end of a curve
    arclength: ArclengthSettings = field(
        default_factory=lambda: ArclengthSettings(
            first_step=0.5,
            shortest_step=1e-6,
            longest_step=1.0,
            max_steps=120,
            turn=0.45,
            newton=NewtonSettings(stray=0.25, contraction=0.25, converged=0.02, at_once=0.05),
            floor=1e-12,
            aimed=(0.05, 1.0, 3.0),
            growth=2.5,
        )
    )
    rough: float = 3e-3  # relative residual of a correction on the way, which is itself a twentieth of a step
    rounding: float = 1e-13  # of a state's size, below which no correction counts
    clear: float = 0.95  # s of a fold, up to which it is certainly before s = 1 whatever the length of the step
    near_fold: float = 0.02  # length of a step over which a fold is known well enough to say on which side of 1 it lies
    far: float = 100.0  # usual sizes of a state, from where on a point is leaving for infinity
    odd: float = 1e-12  # relative, within which F is odd
    same: float = 1e-8  # in units of a state, within which one point mirrors another


TRACK = TrackSettings()


class Fate(enum.StrEnum):
    """What became of a fixed point on the way."""

    SURVIVES = "survives"
    FOLD = "met another fixed point in a fold"
    FAR = "went off to infinity"
    UNKNOWN = "could not be followed"


FATES = tuple(Fate)
SURVIVES, FOLD, AWAY, UNKNOWN = range(len(FATES))


@dataclass(frozen=True)
class Arrival:
    """The points' x (B, n) at s = 1, their ``fate`` (B,) as numbers of ``FATES``, and the s (B,) that they came to."""

    x: Tensor
    fate: Tensor
    s: Tensor


def carry(blend: Blend, x: Tensor, guess: Tensor, unit: float, settings: TrackSettings = TRACK) -> Arrival:
    """The fixed points x (B, n) of ``blend.before`` carried to ``blend.after``, where they are expected at ``guess``.

    ``unit`` is the usual size of a state. Between odd systems, F(-x, -u) = -F(x, u), one of x and -x is carried.
    """
    rows = torch.arange(len(x))
    original = _mirrored(blend, x, guess, unit, settings)
    own = original == rows
    found = _carried(Blend(blend.before, blend.after, blend.u[own]), x[own], guess[own], unit, settings)
    place = (own.cumsum(0) - 1)[original]
    sign = torch.where(own, 1.0, -1.0).to(x).unsqueeze(1)
    return Arrival(sign * found.x[place], found.fate[place], found.s[place])


def _mirrored(blend: Blend, x: Tensor, guess: Tensor, unit: float, settings: TrackSettings) -> Tensor:
    """The row (B,) of -x where that comes earlier and the systems are odd, else a point's own."""
    rows, u = torch.arange(len(x)), blend.u
    y = (x + guess) / 3  # not a zero of either, where oddness would show nothing
    for system in (blend.before, blend.after):
        F = system.velocity(y, u)
        if not bool((vector_norm(F + system.velocity(-y, -u), dim=1) <= settings.odd * vector_norm(F, dim=1)).all()):
            return rows
    exactly = "donot_use_mm_for_euclid_dist"
    apart = torch.cdist(x, -x, compute_mode=exactly) + torch.cdist(u, -u, compute_mode=exactly)
    first = torch.minimum(rows, torch.where(apart <= settings.same * unit, rows, len(x)).amin(dim=1))
    return torch.where(first[first] == first, first, rows)


def _carried(blend: Blend, x: Tensor, guess: Tensor, unit: float, settings: TrackSettings) -> Arrival:
    rows, one = torch.arange(len(x)), torch.ones_like(x[:, 0])
    jump = _Jump(blend, unit, settings)
    there, ok, off = jump.to(rows, x, guess, settings.jump)
    doubtful = (ok & (off > settings.exact)).nonzero().squeeze(1)
    if len(doubtful):
        ok[doubtful] = jump.has_its_middle(doubtful, x[doubtful], there[doubtful])
    fate, s = torch.where(ok, SURVIVES, UNKNOWN), one
    rest = (~ok).nonzero().squeeze(1)
    if len(rest):
        followed = _Curves(blend, jump, rest, x[rest]).arrival()
        there[rest], fate[rest], s[rest] = followed.x, followed.fate, followed.s
    return Arrival(there, fate, s)


@dataclass(frozen=True)
class _Jump:
    """Newton's method at s = 1, which has to end where it was expected to."""

    blend: Blend
    unit: float
    settings: TrackSettings

    def to(self, rows: Tensor, x: Tensor, guess: Tensor, newton: NewtonSettings) -> tuple[Tensor, Tensor, Tensor]:
        """From x (b, n) to a zero of F_1 near ``guess``; whether (b,) it is to be trusted; how far off the guess was,
        of the way."""
        one, way = torch.ones_like(x[:, 0]), vector_norm(guess - x, dim=1)
        found = chord_newton(
            lambda y, some: self.blend.velocity(y, one[some], rows[some]),
            lambda right, y, some: self.blend.solve(y, one[some], rows[some], right, FORCING),
            guess,
            way,
            self.settings.rounding * (self.unit + vector_norm(guess, dim=1)),
            newton,
        )
        return found.x, found.ok, torch.where(found.first > 0, found.first / way, 0.0)

    def has_its_middle(self, rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Whether (b,) there is a zero at s = 1/2 beside the middle of the chord from x to y."""
        half = torch.full_like(x[:, 0], 0.5)
        middle = (x + y) / 2
        d = self.blend.solve(middle, half, rows, -self.blend.velocity(middle, half, rows), FORCING)
        return vector_norm(d, dim=1) <= self.settings.careful * vector_norm(y - x, dim=1)


class _Curves(Problem):
    """Curves of zeros z = (x / scale, s), each followed from s = 0 until it comes to s = 1 or turns.

    The scale of each curve is such that x and s count the same at first.
    """

    def __init__(self, blend: Blend, jump: _Jump, rows: Tensor, x: Tensor) -> None:
        self.blend, self.jump, self.rows, self.settings = blend, jump, rows, jump.settings
        self.x, self.s = x.clone(), torch.zeros_like(x[:, 0])
        self.fate = torch.full((len(x),), UNKNOWN)
        t = blend.solve(x, self.s, rows, -blend.slope(x, rows).to(x), FORCING)
        self.scale = vector_norm(t, dim=1, keepdim=True).clamp(1e-9 * jump.unit, jump.unit)
        self.first = torch.cat([t / self.scale, torch.ones_like(self.scale)], dim=1)

    def arrival(self) -> Arrival:
        z = torch.cat([self.x / self.scale, self.s.unsqueeze(1)], dim=1)
        t = self.first / vector_norm(self.first, dim=1, keepdim=True)
        settings = self.settings.arclength
        curve = torch.arange(len(z))
        front = Front.at(curve, z, t, self.bordered(z, curve, t).side, settings.first_step)
        follow(self, iter([front]), len(z), settings)
        return Arrival(self.x, self.fate, self.s)

    def residual(self, z: Tensor, curve: Tensor) -> Tensor:
        scale = self.scale[curve]
        return self.blend.velocity(z[:, :-1] * scale, z[:, -1], self.rows[curve]) / scale

    def derivative(self, z: Tensor, curve: Tensor, out: Tensor) -> None:
        x, rows = z[:, :-1] * self.scale[curve], self.rows[curve]
        out[:, :, :-1] = self.blend.jacobian(x, z[:, -1], rows)
        out[:, :, -1] = self.blend.slope(x, rows) / self.scale[curve]

    def product(self, z: Tensor, curve: Tensor, v: Tensor) -> Tensor:
        scale, rows = self.scale[curve], self.rows[curve]
        x = z[:, :-1] * scale
        return self.blend.product(x, z[:, -1], rows, v[:, :-1]) + self.blend.slope(x, rows) / scale * v[:, -1:]

    def bordered(self, z: Tensor, curve: Tensor, border: Tensor) -> Factored:
        if self.blend.is_small:
            return super().bordered(z, curve, border)
        scale = self.scale[curve]
        return _Rough(self.blend, z[:, :-1] * scale, z[:, -1], self.rows[curve], scale, border, self.settings.rough)

    def tangent(self, z: Tensor, curve: Tensor, guess: Tensor, M: Factored, ok: Tensor) -> tuple[Tensor, Tensor]:
        """What is missing from the tangents foreseen is solved for, at z, as roughly as it is small."""
        if isinstance(M, _Rough):
            right = torch.cat([-self.product(z, curve, guess), torch.zeros_like(z[:, :1])], dim=1)
            forcing = (FORCING / vector_norm(right, dim=1).clamp_min(FORCING)).clamp_min(FORCING)
            there = replace(M, x=z[:, :-1] * self.scale[curve], s=z[:, -1], forcing=forcing)
            t = guess + there.solve(right)
            return t / vector_norm(t, dim=1, keepdim=True), M.side
        return super().tangent(z, curve, guess, M, ok)

    def after(self, step: Step) -> tuple[Front, Tensor]:
        """Those that turn stay where they were, to look closer; those that would come to s = 1 are put there."""
        before, front, curve = step.before, step.after, step.after.curve
        turned = step.taken & (front.t[:, -1] <= 0)
        kept = ~turned.unsqueeze(1)
        z, t, bend = (torch.where(kept, *pair) for pair in zip(front[1:4], before[1:4], strict=True))
        h = torch.where(turned, front.h / 4, front.h)
        self.x[curve], self.s[curve] = z[:, :-1] * self.scale[curve], z[:, -1]
        if bool(turned.any()):
            self._turn(step, turned.nonzero().squeeze(1))
        far = step.taken & (vector_norm(self.x[curve], dim=1) > self.settings.far * self.jump.unit)
        self.fate[curve[far & (self.fate[curve] == UNKNOWN)]] = AWAY
        front = front._replace(z=z, t=t, bend=bend, h=h)
        left = distance(front, torch.ones_like(h))
        rows = ((self.fate[curve] == UNKNOWN) & (left <= h)).nonzero().squeeze(1)
        if len(rows):
            length = left[rows].unsqueeze(1)
            self._arrive(curve[rows], z[rows] + length * t[rows] + 0.5 * length**2 * bend[rows])
            h[rows] = left[rows] / 2
        return front, torch.where(self.fate[curve] == UNKNOWN, GOES_ON, int(Ending.OTHER))

    def _arrive(self, curve: Tensor, z: Tensor) -> None:
        """Put these at s = 1, where there is a zero near z (b, n + 1)."""
        careful = replace(self.settings.jump, stray=self.settings.careful, contraction=self.settings.careful)
        guess = z[:, :-1] * self.scale[curve]
        there, ok, _ = self.jump.to(self.rows[curve], self.x[curve], guess, careful)
        self.x[curve[ok]], self.s[curve[ok]], self.fate[curve[ok]] = there[ok], 1.0, SURVIVES

    def _turn(self, step: Step, rows: Tensor) -> None:
        """Between the two ends of these steps the curve turns: before s = 1, or after it."""
        a, b = step.before.rows(rows), step.after.rows(rows)
        cubic = hermite.parts(a.z, b.z, a.t, b.t, step.length[rows])
        top = hermite.top(cubic)
        s = hermite.at(top, cubic)[:, -1]
        beyond = ((s > 1) & (a.z[:, -1] < 1)).nonzero().squeeze(1)
        if len(beyond):
            some = cubic[beyond]
            self._arrive(a.curve[beyond], hermite.at(hermite.rises_to(1.0, some, top[beyond]), some))
        known = (s <= self.settings.clear) | (b.h <= self.settings.near_fold)
        folded = (self.fate[a.curve] == UNKNOWN) & known
        self.fate[a.curve[folded]], self.s[a.curve[folded]] = FOLD, s[folded].clamp(max=1.0)


@dataclass(frozen=True)
class _Rough(Factored):
    """M of a large system, solved with by GMRES."""

    blend: Blend
    x: Tensor
    s: Tensor
    rows: Tensor
    scale: Tensor
    border: Tensor
    forcing: float | Tensor

    @property
    def side(self) -> Tensor:
        return torch.zeros_like(self.s)

    def solve(self, right: Tensor, some: Tensor | None = None) -> Tensor:
        parts = (self.x, self.s, self.rows, self.scale, self.border)
        if some is not None:
            parts = (self.x[some], self.s[some], self.rows[some], self.scale[some], self.border[some])
        return self.blend.solve_bordered(*parts, right, self.forcing)

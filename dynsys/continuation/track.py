"""Fixed points carried from one system to a near one, along F_s = (1 - s) F_0 + s F_1 with s from 0 to 1.

First one jump to s = 1 is tried. Where that does not land at once on what was predicted, the curve (x, s) of zeros is
followed by pseudo-arclength (Allgower & Georg 1990, chapters 4 and 6), which goes through a fold: there the curve turns
back in s, the point and another have met and are gone beyond. A zero found further away is not the point.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.systems.homotopy import Blend

FORCING = 3e-4  # relative residual of a linear solve: an error along the slowest direction is many times larger
ROUGH = 3e-3  # the same for a correction on the way, which is itself a twentieth of a step
ON_CURVE = 0.02  # of a step along the curve, that its last correction may be
CONVERGED = 1e-6  # of the distance moved, that the last correction may be
ROUNDING = 1e-13  # of a state's size, below which no correction counts
CORRECTIONS = 8
SURE = 0.1  # of a jump, that its correction may be; and contraction from the first correction to the second
CAREFUL = 0.25  # the same for a step along the curve, and for the middle of a jump
EXACT = 1e-4  # the same, from where the middle need not be looked at
IDEAL = 0.05  # the same, for which the length of the next step is chosen; one correction is then enough
LEAST_COSINE = 0.9  # between the tangents at both ends of a step
FIRST, SHORTEST, LONGEST = 0.5, 1e-6, 1.0  # lengths of steps along the curve, 1.4 being the whole way at first speed
CLEAR = 0.95  # s of a fold, up to which it is certainly before s = 1 whatever the length of the step
NEAR_FOLD = 0.02  # length of a step over which a fold is known well enough to say on which side of s = 1 it lies
MOST_STEPS = 120
ODD, SAME = 1e-12, 1e-8  # relative, within which F is odd; in units of a state, within which one point mirrors another
FAR = 100.0  # usual sizes of a state, from where on a point is leaving for infinity


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


def carry(blend: Blend, x: Tensor, guess: Tensor, unit: float) -> Arrival:
    """The fixed points x (B, n) of ``blend.before`` carried to ``blend.after``, where they are expected at ``guess``.

    ``unit`` is the usual size of a state. Between odd systems, F(-x, -u) = -F(x, u), one of x and -x is carried.
    """
    rows = torch.arange(len(x))
    original = _mirrored(blend, x, guess, unit)
    own = original == rows
    found = _carried(Blend(blend.before, blend.after, blend.u[own]), x[own], guess[own], unit)
    place = (own.cumsum(0) - 1)[original]
    sign = torch.where(own, 1.0, -1.0).to(x).unsqueeze(1)
    return Arrival(sign * found.x[place], found.fate[place], found.s[place])


def _mirrored(blend: Blend, x: Tensor, guess: Tensor, unit: float) -> Tensor:
    """The row (B,) of -x where that comes earlier and the systems are odd, else a point's own."""
    rows, u = torch.arange(len(x)), blend.u
    y = (x + guess) / 3  # not a zero of either, where oddness would show nothing
    for system in (blend.before, blend.after):
        F = system.velocity(y, u)
        if not bool((vector_norm(F + system.velocity(-y, -u), dim=1) <= ODD * vector_norm(F, dim=1)).all()):
            return rows
    exactly = "donot_use_mm_for_euclid_dist"
    apart = torch.cdist(x, -x, compute_mode=exactly) + torch.cdist(u, -u, compute_mode=exactly)
    first = torch.minimum(rows, torch.where(apart <= SAME * unit, rows, len(x)).amin(dim=1))
    return torch.where(first[first] == first, first, rows)


def _carried(blend: Blend, x: Tensor, guess: Tensor, unit: float) -> Arrival:
    rows, one = torch.arange(len(x)), torch.ones_like(x[:, 0])
    jump = _Jump(blend, unit)
    there, ok, off = jump.to(one, rows, x, guess, SURE)
    doubtful = (ok & (off > EXACT)).nonzero().squeeze(1)
    if len(doubtful):
        ok[doubtful] = jump.has_its_middle(doubtful, x[doubtful], there[doubtful])
    fate, s = torch.where(ok, SURVIVES, UNKNOWN), one
    rest = (~ok).nonzero().squeeze(1)
    if len(rest):
        followed = _Curves(blend, jump, rest, x[rest]).follow()
        there[rest], fate[rest], s[rest] = followed.x, followed.fate, followed.s
    return Arrival(there, fate, s)


@dataclass(frozen=True)
class _Jump:
    """Newton's method at fixed s, which has to end where it was expected to."""

    blend: Blend
    unit: float

    def to(self, s: Tensor, rows: Tensor, x: Tensor, guess: Tensor, share: float) -> tuple[Tensor, Tensor, Tensor]:
        """From x (b, n) to a zero of F_s near ``guess``; whether (b,) it is to be trusted; how far off the guess was.

        Trusted: the first correction is at most ``share`` of the way from x, the second at most ``share`` of the first,
        and so on until they are negligible.
        """
        y, ok = guess.clone(), torch.isfinite(guess).all(dim=1)
        off, last = torch.zeros_like(s), torch.full_like(s, torch.inf)
        going = ok.nonzero().squeeze(1)
        for k in range(CORRECTIONS):
            F = self.blend.velocity(y[going], s[going], rows[going])
            d = self.blend.solve(y[going], s[going], rows[going], -F, FORCING)
            y[going] += d
            size, way = vector_norm(d, dim=1), vector_norm(y[going] - x[going], dim=1)
            floor = ROUNDING * (self.unit + vector_norm(y[going], dim=1))
            good = size <= share * (way if k == 0 else last[going]) + floor
            done = size <= floor if k == 0 else size <= CONVERGED * way + floor  # one correction shows no contraction
            if k == 0:
                off[going] = torch.where(size <= floor, 0.0, size / way)
            last[going], ok[going] = size, good
            going = going[good & ~done]
            if not len(going):
                break
        ok[going] = False
        return y, ok, off

    def has_its_middle(self, rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Whether (b,) there is a zero at s = 1/2 beside the middle of the chord from x to y."""
        half = torch.full_like(x[:, 0], 0.5)
        middle = (x + y) / 2
        d = self.blend.solve(middle, half, rows, -self.blend.velocity(middle, half, rows), FORCING)
        return vector_norm(d, dim=1) <= CAREFUL * vector_norm(y - x, dim=1)


class _Curves:
    """Curves of zeros z = (x / scale, s), each followed from s = 0 by its own steps until it comes to s = 1 or turns.

    The scale of each curve is such that x and s count the same at first.
    """

    def __init__(self, blend: Blend, jump: _Jump, rows: Tensor, x: Tensor) -> None:
        self.blend, self.jump, self.rows = blend, jump, rows
        self.x, self.s = x.clone(), torch.zeros_like(x[:, 0])
        t = blend.solve(x, self.s, rows, -blend.slope(x, rows).to(x), FORCING)
        self.scale = vector_norm(t, dim=1, keepdim=True).clamp(1e-9 * jump.unit, jump.unit)
        self.t = _normalised(torch.cat([t / self.scale, torch.ones_like(self.scale)], dim=1))  # tangents, onwards
        self.bend = torch.zeros_like(self.t)  # dt/dl over the last step
        self.length = torch.full_like(self.s, FIRST)
        self.fate = torch.full((len(x),), UNKNOWN)

    def follow(self) -> Arrival:
        for _ in range(MOST_STEPS):
            going = ((self.fate == UNKNOWN) & (self.length >= SHORTEST)).nonzero().squeeze(1)
            if not len(going):
                break
            left = self._left(going)
            lands = left <= self.length[going]
            self._land(going[lands], left[lands])
            self._advance(going[~lands])
        return Arrival(self.x, self.fate, self.s)

    def _left(self, rows: Tensor) -> Tensor:
        """The length (b,) at which s is 1, if the curve goes on bending as it does; infinite where s will not be."""
        a, b, c = 0.5 * self.bend[rows, -1], self.t[rows, -1], self.s[rows] - 1
        root = (b * b - 4 * a * c).clamp_min(0).sqrt()
        return torch.where(b * b >= 4 * a * c, -2 * c / (b + root), torch.inf)

    def _land(self, rows: Tensor, length: Tensor) -> None:
        """Tries to come to s = 1 at once."""
        if len(rows):
            step = length.unsqueeze(1) * self.t[rows] + 0.5 * length.unsqueeze(1) ** 2 * self.bend[rows]
            guess = self.x[rows] + self.scale[rows] * step[:, :-1]
            ok = self._arrived(rows, guess)
            self.length[rows[~ok]] = length[~ok] / 2

    def _arrived(self, rows: Tensor, guess: Tensor) -> Tensor:
        """Whether (b,) these are at s = 1 now."""
        one = torch.ones_like(guess[:, 0])
        there, ok, _ = self.jump.to(one, self.rows[rows], self.x[rows], guess, CAREFUL)
        done = rows[ok]
        self.x[done], self.s[done], self.fate[done] = there[ok], 1.0, SURVIVES
        return ok

    def _advance(self, rows: Tensor) -> None:
        """A step along the tangent and back to the curve, longer or shorter the next time."""
        if not len(rows):
            return
        z, ok, gain = self._corrected(rows)
        t = self._tangents(rows, z)
        ok &= (t * self.t[rows]).sum(1) >= LEAST_COSINE
        turned = ok & (t[:, -1] <= 0)
        length = self.length[rows]
        factor = (IDEAL / gain.clamp_min(1e-9)).sqrt()  # the correction grows with the square of the step, or faster
        factor = torch.where(ok, factor.clamp(0.5, 2.5), factor.nan_to_num(0.0).clamp(0.2, 0.5))
        self.length[rows] = (factor * length).clamp(max=LONGEST)
        if bool(turned.any()):
            self._turn(rows[turned], z[turned], t[turned])
        took = ok & ~turned
        here = rows[took]
        self.bend[here] = (t[took] - self.t[here]) / length[took].unsqueeze(1)
        self.x[here], self.s[here], self.t[here] = z[took, :-1] * self.scale[here], z[took, -1], t[took]
        self.fate[here[vector_norm(self.x[here], dim=1) > FAR * self.jump.unit]] = AWAY

    def _turn(self, rows: Tensor, z: Tensor, t: Tensor) -> None:
        """Between here and z (b, n + 1) with the tangents t the curve turns: before s = 1, or after it."""
        start = torch.cat([self.x[rows] / self.scale[rows], self.s[rows].unsqueeze(1)], dim=1)
        bend = _Cubic(start, z, self.t[rows], t)
        top = bend.top()
        s = bend.at(top)[:, -1]
        beyond = ((s > 1) & (self.s[rows] < 1)).nonzero().squeeze(1)
        if len(beyond):
            guess = bend.some(beyond).at(bend.some(beyond).rises_to_one(top[beyond]))
            self._arrived(rows[beyond], guess[:, :-1] * self.scale[rows[beyond]])
        folded = (self.fate[rows] == UNKNOWN) & ((s <= CLEAR) | (self.length[rows] <= NEAR_FOLD))
        self.fate[rows[folded]], self.s[rows[folded]] = FOLD, s[folded].clamp(max=1.0)
        self.length[rows] /= 4  # for those that have to look closer

    def _corrected(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Newton's method across the tangent: z (b, n + 1), whether to trust it, first correction over the step."""
        length = self.length[rows].unsqueeze(1)
        z = torch.cat([self.x[rows] / self.scale[rows], self.s[rows].unsqueeze(1)], dim=1)
        z = z + length * self.t[rows] + 0.5 * length**2 * self.bend[rows]
        first, last = torch.zeros_like(length[:, 0]), length[:, 0].clone()
        ok, going = torch.ones_like(rows, dtype=torch.bool), torch.arange(len(rows))
        for k in range(CORRECTIONS):
            scale, s = self.scale[rows[going]], z[going, -1]
            F = self.blend.velocity(z[going, :-1] * scale, s, self.rows[rows[going]]) / scale
            d = self._bordered(rows[going], z[going], torch.cat([-F, torch.zeros_like(scale)], dim=1), ROUGH)
            z[going] += d
            size = vector_norm(d, dim=1)
            if k == 0:
                first = size / length[:, 0]
            ok[going] = size <= CAREFUL * last[going]
            last[going] = size
            going = going[ok[going] & (size > (IDEAL if k == 0 else ON_CURVE) * length[going, 0])]
            if not len(going):
                break
        ok[going] = False
        return z, ok, first

    def _tangents(self, rows: Tensor, z: Tensor) -> Tensor:
        """Unit tangents at z (b, n + 1), solved for as what is missing from those foreseen."""
        guess = self.t[rows] + self.length[rows].unsqueeze(1) * self.bend[rows]
        guess = guess / (guess * self.t[rows]).sum(1, keepdim=True)
        scale = self.scale[rows]
        x, s = z[:, :-1] * scale, z[:, -1]
        change = self.blend.product(x, s, self.rows[rows], guess[:, :-1])
        change = change + self.blend.slope(x, self.rows[rows]) / scale * guess[:, -1:]
        right = torch.cat([-change, torch.zeros_like(scale)], dim=1)
        forcing = (FORCING / vector_norm(right, dim=1).clamp_min(FORCING)).clamp_min(FORCING)
        return _normalised(guess + self._bordered(rows, z, right, forcing))

    def _bordered(self, rows: Tensor, z: Tensor, right: Tensor, forcing: float | Tensor) -> Tensor:
        scale = self.scale[rows]
        return self.blend.solve_bordered(
            z[:, :-1] * scale, z[:, -1], self.rows[rows], scale, self.t[rows], right, forcing
        )


@dataclass(frozen=True)
class _Cubic:
    """The cubics between z0 and z1 (b, n + 1) with tangents t0 and t1, over tau from 0 to 1."""

    z0: Tensor
    z1: Tensor
    t0: Tensor
    t1: Tensor

    def some(self, rows: Tensor) -> _Cubic:
        return _Cubic(self.z0[rows], self.z1[rows], self.t0[rows], self.t1[rows])

    def at(self, tau: Tensor) -> Tensor:
        """(b, n + 1) at tau (b,)."""
        tau = tau.unsqueeze(1)
        chord = vector_norm(self.z1 - self.z0, dim=1, keepdim=True)
        z = (1 - tau) ** 2 * ((1 + 2 * tau) * self.z0 + tau * chord * self.t0)
        return z + tau**2 * ((3 - 2 * tau) * self.z1 - (1 - tau) * chord * self.t1)

    def top(self) -> Tensor:
        """tau (b,) where s, the last entry, is largest: it rises at 0 and falls at 1."""
        low, high = torch.zeros_like(self.z0[:, 0]), torch.ones_like(self.z0[:, 0])
        for _ in range(BISECTIONS):
            tau = (low + high) / 2
            rising = self.at(tau + STEP)[:, -1] > self.at(tau - STEP)[:, -1]
            low, high = torch.where(rising, tau, low), torch.where(rising, high, tau)
        return (low + high) / 2

    def rises_to_one(self, top: Tensor) -> Tensor:
        """tau (b,) at which s is 1, between 0 and the top that lies above."""
        low, high = torch.zeros_like(top), top
        for _ in range(BISECTIONS):
            tau = (low + high) / 2
            below = self.at(tau)[:, -1] < 1
            low, high = torch.where(below, tau, low), torch.where(below, high, tau)
        return (low + high) / 2


BISECTIONS, STEP = 24, 1e-5


def _normalised(t: Tensor) -> Tensor:
    return t / vector_norm(t, dim=1, keepdim=True)

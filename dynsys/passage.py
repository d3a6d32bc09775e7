"""Fixed points carried from one system to a near one, along F_s = (1 - s) F_0 + s F_1 with s from 0 to 1.

Of a network whose velocity is linear in its weights, as a rate network's is, F_s is the network with the weights in
between. First one jump to s = 1 is tried. Where that does not land at once on what was predicted, the curve (x, s) of
zeros is followed by pseudo-arclength (Allgower & Georg 1990, chapters 4 and 6), which goes through a fold: there the
curve turns back in s, the point and another have met and are gone beyond. A zero found further away is not the point.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.krylov import Operator, gmres
from dynsys.system import System

DENSE_LIMIT = 64  # units, up to which Jacobians are factorised
VECTORS = 120  # that GMRES may use for one solve
USELESS = 0.1  # relative residual of GMRES, above which a factorisation is worth its price
FORCING = 1e-3  # relative residual of a Newton step
CONVERGED = 1e-6  # of the distance moved, that the last correction may be
ROUNDING = 1e-13  # of a state's size, below which no correction counts
CORRECTIONS = 8
SURE = 0.1  # of a jump, that its correction may be; and contraction from the first correction to the second
CAREFUL = 0.25  # the same for a step along the curve
LEAST_COSINE = 0.9  # between the tangents at both ends of a step
FIRST, SHORTEST, LONGEST = 0.25, 1e-6, 1.0  # lengths of steps along the curve, the whole way at first speed being 1.4
NEAR_FOLD = 0.02  # length of a step over which the curve is so well known that its turn can be placed
MOST_STEPS = 120
FAR = 100.0  # usual sizes of a state, from where on a point is leaving for infinity


class Fate(enum.StrEnum):
    """What became of a fixed point on the way."""

    SURVIVES = "survives"
    FOLD = "met another fixed point in a fold"
    FAR = "went off to infinity"
    UNKNOWN = "could not be followed"


FATES = tuple(Fate)


@dataclass(frozen=True)
class Arrival:
    """The points' x (B, n) at s = 1, their ``fate`` (B,) as numbers of ``FATES``, and the s (B,) that they came to."""

    x: Tensor
    fate: Tensor
    s: Tensor


@dataclass(frozen=True)
class Passage:
    """The way from ``before`` to ``after`` with the inputs u (B, m) held; ``unit`` is the usual size of a state."""

    before: System
    after: System
    u: Tensor
    unit: float

    def carry(self, x: Tensor, guess: Tensor) -> Arrival:
        """The fixed points x (B, n) of ``before`` carried to ``after``, where they are expected at ``guess`` (B, n)."""
        moved, ok = self._jump(x, guess, torch.ones_like(x[:, 0]), torch.arange(len(x)), SURE)
        fate = torch.where(ok, FATES.index(Fate.SURVIVES), FATES.index(Fate.UNKNOWN))
        s = torch.ones_like(x[:, 0])
        rows = (~ok).nonzero().squeeze(1)
        if len(rows):
            followed = _Curve(self, rows, x[rows]).follow()
            moved[rows], fate[rows], s[rows] = followed.x, followed.fate, followed.s
        return Arrival(moved, fate, s)

    def velocity(self, x: Tensor, s: Tensor, rows: Tensor) -> Tensor:
        """F_s of the points ``rows`` at x, each with its own s (B,)."""
        end = self.after.velocity(x, self.u[rows])
        if bool((s == 1).all()):
            return end
        return torch.lerp(self.before.velocity(x, self.u[rows]), end, s.unsqueeze(1))

    def slope(self, x: Tensor, rows: Tensor) -> Tensor:
        """dF_s/ds, the same for all s."""
        return self.after.velocity(x, self.u[rows]) - self.before.velocity(x, self.u[rows])

    def jacobian(self, x: Tensor, s: Tensor, rows: Tensor) -> Tensor:
        end = self.after.jacobian(x, self.u[rows])
        if bool((s == 1).all()):
            return end
        return torch.lerp(self.before.jacobian(x, self.u[rows]), end, s[:, None, None])

    def linearised(self, x: Tensor, s: Tensor, rows: Tensor) -> Operator:
        """v -> dF_s/dx v, in single precision where the systems have one: solves are corrected in double."""
        before, after = self._rough
        x, u = x.to(self.dtype), self.u[rows].to(self.dtype)
        end = after.linearised(x, u)
        if bool((s == 1).all()):
            return end
        start, weight = before.linearised(x, u), s.to(self.dtype).unsqueeze(1)
        return lambda v: torch.lerp(start(v), end(v), weight)

    @property
    def dtype(self) -> torch.dtype:
        """In which linear equations are solved."""
        single = self.before.single_precision and self.after.single_precision
        return torch.float32 if single and self.after.n_state > DENSE_LIMIT else torch.float64

    @cached_property
    def _rough(self) -> tuple[System, System]:
        return self.before.to(dtype=self.dtype), self.after.to(dtype=self.dtype)

    def solve(self, x: Tensor, s: Tensor, rows: Tensor, right: Tensor) -> Tensor:
        """(dF_s/dx)^-1 right, to a relative residual of ``FORCING``."""

        def matrix(some: Tensor) -> Tensor:
            return self.jacobian(x[some], s[some], rows[some])

        return _solved(right, self.linearised(x, s, rows), matrix, self.dtype)

    def _jump(self, x: Tensor, guess: Tensor, s: Tensor, rows: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Newton's method at fixed s from ``guess``, and whether (B,) it ended where it was to be expected from x.

        That is: the first correction is at most ``share`` of the way from x, the second at most ``share`` of the first,
        and the last is negligible.
        """
        y, ok = guess.clone(), torch.isfinite(guess).all(dim=1)
        first = last = torch.zeros_like(s)
        going = ok.nonzero().squeeze(1)
        for k in range(CORRECTIONS):
            d = self.solve(y[going], s[going], rows[going], -self.velocity(y[going], s[going], rows[going]))
            y[going] += d
            size = vector_norm(d, dim=1)
            floor = ROUNDING * (self.unit + vector_norm(y[going], dim=1))
            way = vector_norm(y[going] - x[going], dim=1)
            if k == 0:
                first = torch.zeros_like(s).index_copy(0, going, size)
                good = size <= share * way + floor
            else:
                good = size <= share * last[going] + floor
            last = last.index_copy(0, going, size)
            ok[going] &= good
            done = size <= CONVERGED * way + floor
            if k == 0:  # the contraction is not known before there are two corrections
                done &= first[going] <= floor
            going = going[good & ~done]
            if not len(going):
                break
        ok[going] = False
        return y, ok


class _Curve:
    """Curves of zeros (x, s), each followed from s = 0 by its own steps until it comes to s = 1 or turns back.

    Lengths are those of (dx / scale, ds), with the scale of each curve such that both count the same at first.
    """

    def __init__(self, passage: Passage, rows: Tensor, x: Tensor) -> None:
        self.passage, self.rows = passage, rows
        self.x, self.s = x.clone(), torch.zeros_like(x[:, 0])
        t = passage.solve(x, self.s, rows, -passage.slope(x, rows))
        self.scale = vector_norm(t, dim=1).clamp(1e-9 * passage.unit, passage.unit)
        speed = (1 + (vector_norm(t, dim=1) / self.scale) ** 2).sqrt()
        self.t_x, self.t_s = t / (self.scale * speed).unsqueeze(1), 1 / speed  # in units of the scale
        self.length = torch.full_like(self.s, FIRST)
        self.fate = torch.full((len(x),), FATES.index(Fate.UNKNOWN))

    def follow(self) -> Arrival:
        going = torch.arange(len(self.x))
        for _ in range(MOST_STEPS):
            going = self._step(going)
            going = going[self.length[going] >= SHORTEST]
            if not len(going):
                break
        return Arrival(self.x, self.fate, self.s)

    def _step(self, going: Tensor) -> Tensor:
        """One step of the curves ``going``; those that are still under way."""
        left = (1 - self.s[going]) / self.t_s[going]
        landing = left <= self.length[going]
        ended = torch.zeros(len(self.x), dtype=torch.bool)
        if bool(landing.any()):
            ended[self._land(going[landing], left[landing])] = True
        rest = going[~landing]
        if len(rest):
            ended[self._advance(rest)] = True
        return going[~ended[going]]

    def _land(self, rows: Tensor, length: Tensor) -> Tensor:
        """Tries to come to s = 1 at once; those that did."""
        x, one = self.x[rows], torch.ones(len(rows), dtype=self.x.dtype)
        guess = x + (length * self.scale[rows]).unsqueeze(1) * self.t_x[rows]
        there, ok = self.passage._jump(x, guess, one, self.rows[rows], CAREFUL)
        done = rows[ok]
        self.x[done], self.s[done], self.fate[done] = there[ok], 1.0, FATES.index(Fate.SURVIVES)
        self.length[rows[~ok]] = length[~ok] / 2
        return done

    def _advance(self, rows: Tensor) -> Tensor:
        """A step along the tangent and back to the curve, lengthened or halved; those whose fate is known after it."""
        x, s, length, ok, gain = self._corrected(rows)
        t_x, t_s = self._tangent(rows, x, s)
        cosine = (t_x * self.t_x[rows]).sum(1) + t_s * self.t_s[rows]
        ok &= cosine >= LEAST_COSINE
        turned = ok & (t_s <= 0)
        placed = turned & (length <= NEAR_FOLD)
        self.length[rows] = torch.where(ok & ~turned, torch.where(gain < SURE, 2.0, 1.0), 0.5) * length
        self.length.clamp_(max=LONGEST)

        fold = self._fold(rows, s, t_s, length)
        ends = rows[placed]
        self.fate[ends], self.s[ends] = FATES.index(Fate.FOLD), fold[placed].clamp(max=1.0)
        took = ok & ~turned
        here = rows[took]
        self.x[here], self.s[here], self.t_x[here], self.t_s[here] = x[took], s[took], t_x[took], t_s[took]
        away = here[vector_norm(self.x[here], dim=1) > FAR * self.passage.unit]
        self.fate[away] = FATES.index(Fate.FAR)
        return torch.cat([ends, away])

    def _corrected(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Newton's method across the tangent: x, s, length of the step, whether to trust it, first correction."""
        length, scale = self.length[rows], self.scale[rows].unsqueeze(1)
        x = self.x[rows] + length.unsqueeze(1) * scale * self.t_x[rows]
        s = self.s[rows] + length * self.t_s[rows]
        ok = torch.ones_like(rows, dtype=torch.bool)
        first = last = torch.full_like(s, torch.inf)
        for k in range(CORRECTIONS):
            F = self.passage.velocity(x, s, self.rows[rows])
            d_x, d_s = self._bordered(rows, x, s, -F / scale, torch.zeros_like(s))
            x, s = x + scale * d_x, s + d_s
            size = (d_x.square().sum(1) + d_s.square()).sqrt()
            ok &= (size <= CAREFUL * torch.where(last.isinf(), length, last)) | (size <= CONVERGED * length)
            first, last = (size if k == 0 else first), size
            if not bool((ok & (size > CONVERGED * length)).any()):
                break
        ok &= last <= CONVERGED * length
        return x, s, length, ok, first / length

    def _tangent(self, rows: Tensor, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Of unit length and onwards."""
        t_x, t_s = self._bordered(rows, x, s, torch.zeros_like(x), torch.ones_like(s))
        size = (t_x.square().sum(1) + t_s.square()).sqrt()
        return t_x / size.unsqueeze(1), t_s / size

    def _bordered(self, rows: Tensor, x: Tensor, s: Tensor, top: Tensor, bottom: Tensor) -> tuple[Tensor, Tensor]:
        """The solution (d_x, d_s) of J d_x + F_s d_s = top and t . d = bottom, with x in units of the scale."""
        p, points, n = self.passage, self.rows[rows], x.shape[1]
        F_s = p.slope(x, points) / self.scale[rows].unsqueeze(1)
        border = torch.cat([self.t_x[rows], self.t_s[rows].unsqueeze(1)], dim=1)
        product = p.linearised(x, s, points)

        def operator(v: Tensor) -> Tensor:
            upper = product(v[:, :n].contiguous()) + F_s.to(v) * v[:, n:]
            return torch.cat([upper, (border.to(v) * v).sum(1, keepdim=True)], dim=1)

        def matrix(some: Tensor) -> Tensor:
            upper = torch.cat([p.jacobian(x[some], s[some], points[some]), F_s[some].unsqueeze(2)], dim=2)
            return torch.cat([upper, border[some].unsqueeze(1)], dim=1)

        d = _solved(torch.cat([top, bottom.unsqueeze(1)], dim=1), operator, matrix, p.dtype)
        return d[:, :n], d[:, n]

    def _fold(self, rows: Tensor, s: Tensor, t_s: Tensor, length: Tensor) -> Tensor:
        """The largest s on a step at whose ends its slope has different signs, the slope being linear in between."""
        before = self.t_s[rows]
        part = before / (before - t_s).clamp_min(1e-300)
        return self.s[rows] + 0.5 * part * before * length


def _solved(right: Tensor, operator: Operator, matrix: Callable[[Tensor], Tensor], dtype: torch.dtype) -> Tensor:
    """Solutions of one linear system per row: by LU where they are small, else GMRES and LU where that does not do.

    ``operator`` works in ``dtype``; ``matrix(rows)`` gives whole matrices.
    """
    if right.shape[1] <= DENSE_LIMIT + 1:
        return _by_lu(matrix(torch.arange(len(right))), right)
    size = vector_norm(right, dim=1, keepdim=True).clamp_min(1e-300)
    scaled = (right / size).to(dtype)
    found, residual = gmres(operator, scaled, torch.full_like(scaled[:, 0], FORCING), VECTORS)
    d = found.to(right.dtype) * size
    for i in (residual > USELESS).nonzero().squeeze(1).tolist():
        some = torch.tensor([i])
        d[some] = _by_lu(matrix(some), right[some])
    return d


def _by_lu(A: Tensor, right: Tensor) -> Tensor:
    d, info = torch.linalg.solve_ex(A, right.unsqueeze(2))
    return torch.where((info == 0).unsqueeze(1), d.squeeze(2), torch.nan)

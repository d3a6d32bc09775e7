"""Functions of the state as linear ones with uncertain gains: what they can do in an ellipsoid around a fixed point.

With x* the point, x* + X y the states of the ellipsoid |y| <= r, and f any function written down by the operations of
``Written``, f(x) - f(x*) = L (y, w) exactly: a bent function has a secant from f(x*), whose slope is between two
numbers for the whole ellipsoid, and is its middle plus a channel w_j = g_j (z_j of (y, w)) with an unknown |g_j| of at
most ``gain``. This is the linear fractional form of robust control, whose channels obey sectors (Boyd et al. 1994,
section 8.1). L is computed with a bound on its rounding, entry by entry, and values at x* with the distance to the true
point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from dynsys.proof.exact import UNIT, exact_product, gamma, length, up
from dynsys.proof.functions.elementary import Elementary, widened
from dynsys.proof.functions.secant import clipped_secants, secants
from dynsys.proof.functions.written import Written

VECTORS = ("value", "error", "low", "high")


@dataclass(frozen=True)
class Channels:
    """Those made so far: rows of z (k, p), what their entries may be wrong by, the gains (k,), and the largest |w|."""

    radius: float
    width: int  # of y
    rows: list[Tensor] = field(default_factory=list)
    off: list[Tensor] = field(default_factory=list)
    gain: list[Tensor] = field(default_factory=list)
    most: list[Tensor] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Of y and of the channels."""
        return self.width + sum(map(len, self.gain))

    def reach(self, rows: Tensor, off: Tensor) -> Tensor:
        """The largest |L (y, w)| in the ellipsoid, for rows (m, p) of L."""
        size, n = rows.abs() + off, self.width
        by_y = up(length(rows[:, :n]) + length(off[:, :n])) * self.radius
        if rows.shape[1] == n:
            return up(by_y)
        return up(by_y + size[:, n:] @ torch.cat(self.most)[: rows.shape[1] - n])

    def open(self, rows: Tensor, off: Tensor, gain: Tensor) -> Tensor:
        """Channels w = g z with these rows of z, and |g| <= gain (m,): the columns at which they begin."""
        rows, off = padded(rows, self.total), padded(off, self.total)
        first = self.total
        self.rows.append(rows)
        self.off.append(off)
        self.gain.append(gain)
        self.most.append(up(gain * self.reach(rows, off)))
        one = rows.new_zeros(len(rows), self.total)
        one[:, first:] = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
        return one

    def joined(self) -> tuple[Tensor, Tensor]:
        """gain z for all channels, (q, total), and what its entries may be wrong by."""
        if not self.gain:
            none = torch.zeros(0, self.width, dtype=torch.float64)
            return none, none
        gain = torch.cat(self.gain).unsqueeze(1)
        rows, off = (torch.cat([padded(part, self.total) for part in parts]) for parts in (self.rows, self.off))
        rows = gain * rows
        return rows, up(gain * off + UNIT * rows.abs())


def padded(rows: Tensor, width: int) -> Tensor:
    """Rows of L for more channels than there were when they were made."""
    return rows if rows.shape[1] == width else torch.nn.functional.pad(rows, (0, width - rows.shape[1]))


@dataclass(frozen=True)
class Sector(Written):
    """m functions: at the computed state ``value`` (1, m), at the true point within ``error`` of that, everywhere in
    the ellipsoid between ``low`` and ``high``; their change is ``rows`` (m, p) to within ``off``, entry by entry.
    """

    channels: Channels
    value: Tensor
    error: Tensor
    low: Tensor
    high: Tensor
    rows: Tensor
    off: Tensor

    @staticmethod
    def state(x: Tensor, error: Tensor, X: Tensor, radius: float) -> Sector:
        """The state x (n,), known to within ``error`` (n,), and x* + X y for |y| <= radius."""
        channels = Channels(radius, X.shape[1])
        return Sector._bounded(channels, x[None], error[None], X, torch.zeros_like(X))

    @staticmethod
    def _bounded(
        channels: Channels,
        value: Tensor,
        error: Tensor,
        rows: Tensor,
        off: Tensor,
        range_of: tuple[Tensor, Tensor] | None = None,
    ) -> Sector:
        """With the range that follows from the change, and from ``range_of`` where that is less."""
        low, high = widened(value, up(error + channels.reach(rows, off)[None]))
        if range_of is not None:
            low, high = torch.fmax(low, range_of[0]), torch.fmin(high, range_of[1])
        return Sector(channels, value, error, low, high, rows, off)

    def constant(self, value: Tensor, error: Tensor | None = None) -> Sector:
        held = torch.zeros_like(value) if error is None else error
        rows = value.new_zeros(value.shape[1], self.channels.width)
        return Sector(self.channels, value, held, *widened(value, held), rows, rows)

    @property
    def is_constant(self) -> bool:
        return not bool(self.rows.any()) and not bool(self.off.any())

    def _aligned(self, *others: Sector) -> list[tuple[Tensor, Tensor]]:
        """The rows of this and of others, of one width, and what they may be wrong by."""
        width = max(one.rows.shape[1] for one in (self, *others))
        return [(padded(one.rows, width), padded(one.off, width)) for one in (self, *others)]

    def __add__(self, other: Sector) -> Sector:
        (a, off_a), (b, off_b) = self._aligned(other)
        value, rows = self.value + other.value, a + b
        error = up(self.error + other.error + UNIT * value.abs())
        low, high = self.low + other.low, self.high + other.high
        range_of = low - 2 * UNIT * low.abs(), high + 2 * UNIT * high.abs()
        off = up(off_a + off_b + UNIT * rows.abs())
        return Sector._bounded(self.channels, value, error, rows, off, range_of)

    def __neg__(self) -> Sector:
        return replace(self, value=-self.value, low=-self.high, high=-self.low, rows=-self.rows)

    def __mul__(self, other: Sector | float) -> Sector:
        if not isinstance(other, Sector):
            other = self.constant(torch.full_like(self.value[:, :1], other).expand_as(self.value))
        m = max(self.value.shape[1], other.value.shape[1])
        a, b = self._repeated(m), other._repeated(m)
        value = a.value * b.value
        rounding = a.value.abs() * b.error + b.value.abs() * a.error + a.error * b.error
        error = up(rounding + UNIT * value.abs())
        corners = torch.stack([a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high])
        low, high = corners.amin(0), corners.amax(0)
        range_of = low - 2 * UNIT * low.abs(), high + 2 * UNIT * high.abs()
        rows, off = _product(a, b)
        return Sector._bounded(self.channels, value, error, rows, off, range_of)

    def _repeated(self, m: int) -> Sector:
        """One function as m of them."""
        if self.value.shape[1] == m:
            return self
        vectors: dict[str, Any] = {key: getattr(self, key).expand(1, m) for key in VECTORS}
        return replace(self, rows=self.rows.expand(m, -1), off=self.off.expand(m, -1), **vectors)

    def affine(self, W: Tensor, b: Tensor | None = None) -> Sector:
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        values, wrong = exact_product(W, torch.cat([self.value, middle]), b)
        value, centre, rounding, off_centre = values[:1], values[1:], wrong[:1], wrong[1:]
        size = W.abs()
        error = up(rounding + self.error @ size.T)
        rows = W @ self.rows
        off = up(size @ (self.off + gamma(W.shape[1] + 1) * self.rows.abs()))
        width = up(off_centre + up(half + 2 * UNIT * middle.abs()) @ size.T)
        return Sector._bounded(self.channels, value, error, rows, off, widened(centre, width))

    def through(self, phi: Elementary) -> Sector:
        value = phi.value(self.value)
        steepest = up(phi.steepest(*widened(self.value, self.error)))
        error = up(steepest * self.error + phi.rounding(value))
        range_of = tuple(phi.value(end) for end in (self.low, self.high))
        least, most = secants(phi, self.value, self.error, self.low, self.high)
        low, high = (range_of[0] - phi.rounding(range_of[0]), range_of[1] + phi.rounding(range_of[1]))
        return self._gained(value, error, least, most, (low, high))

    def clip(self, low: float, high: float) -> Sector:
        least, most = clipped_secants(self.value, self.error, self.low, self.high, (low, high))
        range_of = self.low.clamp(low, high), self.high.clamp(low, high)
        return self._gained(self.value.clamp(low, high), self.error, least, most, range_of)

    def _gained(
        self, value: Tensor, error: Tensor, least: Tensor, most: Tensor, range_of: tuple[Tensor, Tensor]
    ) -> Sector:
        """What changes ``least`` to ``most`` times as much as this."""
        if self.is_constant:
            rows = self.rows
            return Sector(self.channels, value, error, *range_of, rows, rows)
        rows, off = _scaled(self.channels, self.rows, self.off, least[0], most[0])
        return Sector._bounded(self.channels, value, error, rows, off, range_of)

    def part(self, rows: slice) -> Sector:
        vectors: dict[str, Any] = {key: getattr(self, key)[:, rows] for key in VECTORS}
        return replace(self, rows=self.rows[rows], off=self.off[rows], **vectors)

    def tightened(self) -> Sector:
        return self

    def with_others(self, others: Sequence[Sector]) -> Sector:
        parts = [self, *others]
        vectors: dict[str, Any] = {key: torch.cat([getattr(part, key) for part in parts], 1) for key in VECTORS}
        rows, off = (torch.cat(each) for each in zip(*self._aligned(*others), strict=True))
        return replace(self, rows=rows, off=off, **vectors)


def _scaled(channels: Channels, rows: Tensor, off: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of g f, g between ``low`` and ``high`` (m,): the middle times those of f, and a channel for the rest."""
    middle = (low + high) / 2
    half = up(torch.maximum(high - middle, middle - low) + 2 * UNIT * middle.abs())
    new = middle.unsqueeze(1) * rows
    off_new = middle.abs().unsqueeze(1) * off + UNIT * new.abs()
    one = channels.open(rows, off, half)
    return padded(new, one.shape[1]) + one, padded(up(off_new), one.shape[1])


def _product(a: Sector, b: Sector) -> tuple[Tensor, Tensor]:
    """Rows of a b - a* b* = a (b - b*) + b* (a - a*), or the other way round, whichever leaves less unknown."""
    if b.is_constant or a.is_constant:
        held, moving = (b, a) if b.is_constant else (a, b)
        return _times_value(held, moving.rows, moving.off)
    (rows_a, off_a), (rows_b, off_b) = a._aligned(b)
    of_a, of_b = (_reach(one) for one in (a, b))
    first = (a.high - a.low)[0] * of_b <= (b.high - b.low)[0] * of_a  # a is the gain
    column = first.unsqueeze(1)
    gained, gained_off = torch.where(column, rows_b, rows_a), torch.where(column, off_b, off_a)
    low, high = torch.where(first, a.low, b.low)[0], torch.where(first, a.high, b.high)[0]
    held_value, held_error = torch.where(first, b.value, a.value), torch.where(first, b.error, a.error)
    other, other_off = torch.where(column, rows_a, rows_b), torch.where(column, off_a, off_b)
    held = replace(a, value=held_value, error=held_error)
    kept, kept_off = _times_value(held, other, other_off)
    rows, off = _scaled(a.channels, gained, gained_off, low, high)
    kept, kept_off = padded(kept, rows.shape[1]), padded(kept_off, rows.shape[1])
    total = rows + kept
    return total, up(off + kept_off + UNIT * total.abs())


def _reach(f: Sector) -> Tensor:
    return f.channels.reach(f.rows, f.off)


def _times_value(held: Sector, rows: Tensor, off: Tensor) -> tuple[Tensor, Tensor]:
    """f* times rows, where f* is ``value`` to within ``error``."""
    value, error = held.value[0].unsqueeze(1), held.error[0].unsqueeze(1)
    new = value * rows
    return new, up((value.abs() + error) * off + error * rows.abs() + UNIT * new.abs())

"""Where on a curve an eigenvalue crosses the boundary of stability.

The eigenvalues sorted by their excess over the boundary are continuous functions of the place on the curve, each of
them. So where the number of unstable ones goes from a to b, the ranks from a + 1 to b each have a zero, found by
itself: crossings that lie close together stay apart. Of a large system, all of whose eigenvalues are dear, those that
are on different sides at both ends are followed one by one instead, as long as they come to the right number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.continuation.curve import Node
from dynsys.continuation.events.readings import Reading, all_of, nearest, precisely
from dynsys.continuation.family_curve import FamilyCurve
from dynsys.numerics import hermite
from dynsys.numerics.bordered import Factored
from dynsys.stability.spectrum import FULL_LIMIT, excess
from dynsys.systems.held import Held
from dynsys.systems.system import Kind

ComplexArray = NDArray[np.complex128]

KEPT = 8  # eigenvalues kept of a point
PRECISE = 1e-9  # of the way between two nodes, to which a crossing is located
MISSED = 1e-3  # of the excess at two nodes, up to which an eigenvalue that was tracked is the one looked for
PRECISE_LARGE = 1e-6  # the same of a large system, whose eigenvalues are dear
REAL = 1e-6  # |Im| of an eigenvalue per its size and that of the boundary, up to which it is real
LEAP = 0.01  # of the excess at two nodes, that an eigenvalue may keep where it should be zero
TOGETHER = 1e-3  # of the way, within which the two of a complex pair are found to cross
ALLOWED = 0.05  # of the way, that a correction may be: the other curve at a branch point is not far
BESIDE = 1e-3  # of the way between two nodes, at which it is looked on both sides of a crossing how the curve goes


@dataclass(frozen=True, eq=False)
class Crossing:
    """A place z (n + 1,) after the node ``after`` of a curve where an eigenvalue is on the boundary.

    ``eigenvalue`` is the one that crosses, and ``eigenvalues`` are the leading ones there.
    ``part`` is how much of the way to the next node lies before it, t (n + 1,) the tangent there. ``turns`` says
    whether the curve turns back in the parameter, ``pair`` whether a complex pair crosses; ``before`` and ``beyond``
    are the numbers of unstable directions along the curve. ``eigenvalues`` is empty where the curve does not turn.
    """

    after: int
    part: float
    z: Tensor
    t: Tensor
    eigenvalue: complex
    eigenvalues: ComplexArray
    pair: bool
    turns: bool
    before: int
    beyond: int

    @property
    def way(self) -> int:
        """1 where the curve goes to later snapshots, -1 to earlier ones."""
        return 1 if float(self.t[-1]) > 0 else -1


@dataclass(frozen=True)
class _Zero:
    """The part of a way at which an eigenvalue, or a complex pair, is on the boundary, its value there, and by how much
    it changes the number of unstable directions."""

    part: float
    value: complex
    pair: bool
    change: int


class Leap(ArithmeticError):
    """An eigenvalue changes its side without being on the boundary in between: two nodes are on different curves."""


class Stretch:
    """The curve between two nodes a and b that follow on each other, as a function of the part of the way from a."""

    def __init__(self, newton: FamilyCurve, a: Node, b: Node, index: int, read: tuple[Reading, Reading]) -> None:
        self.family = newton.family
        self.a, self.b, self.index = a, b, index
        self.newton = FamilyCurve(newton.family, newton.unit, int(np.floor(0.5 * (a.p + b.p))))
        self.chord = b.z - a.z
        self._ends = self._tangent_at(a), self._tangent_at(b)
        self._factors: Factored | None = None
        self._known: dict[float, tuple[Tensor, Reading]] = {
            0.0: (a.z, read[0]),
            1.0: (b.z, read[1]),
        }

    def at(self, part: float) -> tuple[Tensor, Reading]:
        """The point of the curve (n + 1,) and its eigenvalues; raises ArithmeticError where Newton does not find it."""
        if part not in self._known:
            z = self.point(part)
            self._known[part] = z, precisely(*self._where(z))
        return self._known[part]

    def _where(self, z: Tensor) -> tuple[Held, Tensor]:
        """The system at its input, and the state (1, n), of a place."""
        return Held(self.family.system(float(z[-1])), self.family.u), z[None, :-1]

    def point(self, part: float) -> Tensor:
        """The point of the curve: by Newton, but beside a branch point, where that may lead to the other curve."""
        newton, z = self.newton, self._guess(part)
        if self.a.side != self.b.side:  # then a and b are so near that the guess is right to the last digit
            return z
        t = self.chord / newton.length(self.chord)
        if self._factors is None:  # those of the middle do on all of the way, or else its own
            self._factors = FamilyCurve(self.family, newton.unit, newton.cell).factors(self._guess(0.5), t)
        allowed = newton.length(self.chord) * ALLOWED
        found = None if self._factors is None else newton.corrected(z, self._factors, allowed)
        if found is None:
            own = newton.factors(z, t)
            found = None if own is None else newton.corrected(z, own, allowed)
        return z if found is None else found

    def _guess(self, part: float) -> Tensor:
        """Hermite's cubic through both nodes with their tangents."""
        span = self.newton.length(self.chord)
        a, b, t, tangent = self.a.z[None], self.b.z[None], self._ends[0][None], self._ends[1][None]
        z: Tensor = hermite.at(a.new_tensor([part]), hermite.parts(a, b, t, tangent, a.new_tensor([span])))[0]
        return z

    def _tangent_at(self, node: Node) -> Tensor:
        """The tangent at one of the two nodes, on the side of this stretch: across a snapshot it is another."""
        place = None if node.cell == self.newton.cell else self.newton.place(node.z, node.t)
        return node.t if place is None else place.t

    def tangent(self, part: float) -> Tensor | None:
        newton, z = self.newton, self.point(part)
        t = self.chord / newton.length(self.chord)
        place = newton.place(z, t)
        return None if place is None else place.t

    def crossings(self) -> list[Crossing]:
        """Each eigenvalue that crosses, in the order in which they do; a complex pair once."""
        first, last = self._known[0.0][1].n_unstable, self._known[1.0][1].n_unstable
        ranks = range(min(first, last) + 1, max(first, last) + 1)
        large = self.family.n_state > FULL_LIMIT
        if self.a.way != self.b.way and len(ranks) == 1 and large:
            return [self._fold(ranks[0], first, last)]
        zeros = self._by_following(last - first) if large else None
        if zeros is None:
            zeros = self._by_rank(ranks, 1 if last > first else -1)
        parts = [zero.part for zero in zeros]
        found: list[Crossing] = []
        now = first
        for zero in zeros:
            before_t, after_t = self._beside(zero.part, parts)
            turns = not zero.pair and bool((before_t[-1] > 0) != (after_t[-1] > 0))
            found.append(self._crossing(zero, before_t + after_t, turns, now))
            now += zero.change
        if self.a.way != self.b.way and not any(crossing.turns for crossing in found):
            found.append(self._turning_point(last))
        return found

    def _by_rank(self, ranks: range, step: int) -> list[_Zero]:
        """The zero of each rank, a complex pair once."""
        at: dict[int, float] = {}
        for rank in ranks:
            at[rank] = at[rank - 1] if rank - 1 in at and self._is_conjugate(rank) else self._zero(rank)
        zeros = sorted((part, rank) for rank, part in at.items())
        found: list[_Zero] = []
        while zeros:
            part, rank = zeros.pop(0)
            value = self._eigenvalue(part, rank)
            is_pair = bool(zeros) and self._is_complex(value) and zeros[0][0] - part <= TOGETHER
            if is_pair:
                zeros.pop(0)
            found.append(_Zero(part, value, is_pair, step * (2 if is_pair else 1)))
        return found

    def _by_following(self, change: int) -> list[_Zero] | None:
        """The zeros of a large system, of which all eigenvalues are dear: those at one node that have their like at the
        other beyond the boundary, each followed by itself; None where they do not come to ``change`` unstable ones."""
        near, far = (self._upper_half(part) for part in (0.0, 1.0))
        found: list[_Zero] = []
        for i, j in zip(*scipy.optimize.linear_sum_assignment(np.abs(near[:, None] - far)), strict=True):
            a, b = complex(near[i]), complex(far[j])
            if (self._beyond(a) > 0) != (self._beyond(b) > 0):
                zero = self._followed(a, b)
                if zero is None:
                    return None
                found.append(zero)
        found.sort(key=lambda zero: zero.part)
        if sum(zero.change for zero in found) != change or any(map(self._is_one, found, found[1:])):
            return None
        return found

    def _is_one(self, zero: _Zero, other: _Zero) -> bool:
        """Whether two that were followed have come to the same eigenvalue: then another has been missed."""
        near = abs(zero.value - other.value) <= MISSED * max(abs(zero.value), abs(other.value))
        return near and other.part - zero.part <= TOGETHER

    def _upper_half(self, part: float) -> ComplexArray:
        """All eigenvalues at a node, of a complex pair the one of positive frequency."""
        z, reading = self._known[part]
        if not reading.whole:
            reading = all_of(*self._where(z))
            self._known[part] = z, reading
        return reading.eigenvalues[reading.eigenvalues.imag >= 0]

    def _followed(self, a: complex, b: complex) -> _Zero | None:
        """Where the eigenvalue that is a at one node and b at the other is on the boundary."""
        values = {0.0: a, 1.0: b}
        if self.a.side != self.b.side:  # so short a way that the eigenvalue is linear on it, once it is known well
            for end, rough in values.items():
                values[end] = nearest(*self._where(self._known[end][0]), rough) or rough
        ends = [self._beyond(value) for value in values.values()]
        if ends[0] * ends[1] >= 0:
            return None

        def beyond(part: float) -> float:
            if part not in values:
                parts = sorted(values)
                guess = complex(np.interp(part, parts, [values[other] for other in parts]))
                value = nearest(*self._where(self.point(part)), guess)
                if value is None:
                    raise Leap
                values[part] = value
            return self._beyond(values[part])

        try:
            if self.a.side != self.b.side:
                part = ends[0] / (ends[0] - ends[1])
            else:
                part = float(scipy.optimize.brentq(beyond, 0.0, 1.0, xtol=PRECISE_LARGE, rtol=1e-14))
            left = abs(beyond(part))
        except (Leap, RuntimeError):
            return None
        if left > MISSED * max(abs(end) for end in ends):
            return None
        is_pair = self._is_complex(values[part])
        return _Zero(part, values[part], is_pair, (1 if ends[1] > 0 else -1) * (2 if is_pair else 1))

    def _crossing(self, zero: _Zero, t: Tensor, turns: bool, before: int) -> Crossing:
        t = t / max(self.newton.length(t), 1e-300)
        value = complex(zero.value.real, abs(zero.value.imag)) if zero.pair else zero.value
        z, known = self.point(zero.part), np.empty(0, dtype=np.complex128)
        if turns:
            z, reading = self.at(zero.part)
            known = reading.eigenvalues
        return Crossing(self.index, zero.part, z, t, value, known, zero.pair, turns, before, before + zero.change)

    def _turning_point(self, n_unstable: int) -> Crossing:
        """Where the curve turns back although as many eigenvalues are unstable after as before: others crossed too."""

        part = self._turn()
        reading = self.at(part)[1]
        beyond = excess(torch.as_tensor(reading.eigenvalues), self.family.kind)
        value = complex(reading.eigenvalues[int(beyond.abs().argmin())])
        return self._crossing(_Zero(part, value, False, 0), self.chord, True, n_unstable)

    def _fold(self, rank: int, first: int, last: int) -> Crossing:
        """The one crossing of a large system where the curve turns, found by its tangent without eigenvalues."""
        part = self._turn()
        z = self.point(part)
        self._known[part] = z, all_of(*self._where(z), boundary=True)
        value = self._eigenvalue(part, rank)
        value = nearest(*self._where(z), value) or value
        return self._crossing(_Zero(part, value, False, last - first), self.chord, True, first)

    def _turn(self) -> float:
        """The part of the way at which the curve turns back; half of it where tangents do not tell."""

        def slope(part: float) -> float:
            if part in (0.0, 1.0):
                return float(self._ends[int(part)][-1])
            t = self.tangent(part)
            return 0.0 if t is None else float(t[-1])

        if slope(0.0) * slope(1.0) >= 0:
            return 0.5
        return float(scipy.optimize.brentq(slope, 0.0, 1.0, xtol=PRECISE))

    def _beside(self, part: float, parts: list[float]) -> tuple[Tensor, Tensor]:
        """Tangents shortly before and after a crossing, nearer to it than to any other; those of the nodes if alone."""
        a, b = self._ends
        if len(parts) == 1:
            return a, b
        gaps = [abs(other - part) for other in parts if abs(other - part) > PRECISE]
        off = min([BESIDE, *(0.5 * gap for gap in gaps)])
        before, after = (self.tangent(min(1.0, max(0.0, part + sign * off))) for sign in (-1, 1))
        return (a if before is None else before), (b if after is None else after)

    def _zero(self, rank: int) -> float:
        """The part of the way at which the excess of the eigenvalue of that rank is zero."""
        for end in (0.0, 1.0):
            z, reading = self._known[end]
            if reading.error > 0:
                self._known[end] = z, precisely(*self._where(z))
        ends = [self._excess(0.0, rank), self._excess(1.0, rank)]
        if ends[0] * ends[1] >= 0:
            return 0.0 if abs(ends[0]) <= abs(ends[1]) else 1.0
        if self.a.side != self.b.side:  # so short a way that the eigenvalue is linear on it
            return ends[0] / (ends[0] - ends[1])
        precise = PRECISE if self.family.n_state <= FULL_LIMIT else PRECISE_LARGE
        part = float(scipy.optimize.brentq(lambda part: self._excess(part, rank), 0.0, 1.0, xtol=precise, rtol=1e-14))
        if abs(self._excess(part, rank)) > LEAP * max(abs(end) for end in ends):
            raise Leap
        return part

    def _is_conjugate(self, rank: int) -> bool:
        """Whether at both nodes the eigenvalue is the second of a pair, whose first is the one of the rank before."""
        values = [(self._eigenvalue(part, rank - 1), self._eigenvalue(part, rank)) for part in (0.0, 1.0)]
        return all(a.imag > 0 and a == b.conjugate() for a, b in values)

    def _excess(self, part: float, rank: int) -> float:
        return self._beyond(self._eigenvalue(part, rank))

    def _beyond(self, value: complex) -> float:
        return float(excess(torch.tensor([value], dtype=torch.complex128), self.family.kind)[0])

    def _eigenvalue(self, part: float, rank: int) -> complex:
        z, reading = self.at(part)
        if not reading.whole and rank > len(reading.eigenvalues):
            reading = all_of(*self._where(z))
            self._known[part] = z, reading
        return complex(reading.eigenvalues[rank - 1])

    def _is_complex(self, value: complex) -> bool:
        size = max(abs(value), 1.0 if self.family.kind is Kind.MAP else 0.0)
        return abs(value.imag) > REAL * size

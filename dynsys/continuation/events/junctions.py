"""Branch points: which curves pass through each, and which begin or end there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dynsys.continuation.curve import BRANCH_POINT, STUCK, Curve
from dynsys.continuation.events.crossings import Crossing
from dynsys.continuation.family_curve import FamilyCurve

SAME = 1e-5  # in snapshots and usual sizes of a state: crossings of two curves nearer than this are one branch point
NEAR = 1.5  # times the step across a branch point, within which the end of a curve belongs to it
ALONG = 0.8  # of its distance from a branch point that the first node of a curve is along its tangent there
AT = 1e-4  # in snapshots and usual sizes of a state: a curve that got stuck so near to a branch point came to it


@dataclass(eq=False)
class Followed:
    """A curve with its crossings in order."""

    curve: Curve
    crossings: list[Crossing]

    def changed(self, sign: int) -> Followed:
        """Mirrored, where ``sign`` is -1."""
        n = len(self.curve.nodes[0].x)
        mirror = torch.tensor([float(sign)] * n + [1.0], dtype=torch.float64)
        crossings = [dataclasses.replace(c, z=mirror * c.z, t=mirror * c.t) for c in self.crossings]
        return Followed(self.curve.changed(sign, reverse=False), crossings)


@dataclass(eq=False)
class Junction:
    """A branch point z (n + 1,): the curves that pass, and the ends (curve, 0 for its head or -1) that meet there."""

    z: Tensor
    passing: list[tuple[Followed, Crossing]] = field(default_factory=list)
    arms: list[tuple[Followed, int]] = field(default_factory=list)

    def is_other(self, one: Followed) -> bool:
        """Whether the curve is none of those known to pass: two crossings of one curve are two events."""
        return all(passing is not one for passing, _ in self.passing)


def is_branch_point(crossing: Crossing, flips: bool) -> bool:
    """Whether a real eigenvalue crosses without a turn; ``flips``: a map's, which may cross at -1 instead."""
    return not (crossing.turns or crossing.pair or (flips and crossing.eigenvalue.real < 0))


def junctions(followed: list[Followed], newton: FamilyCurve, flips: bool) -> tuple[list[Junction], list[Tensor]]:
    """All branch points through which a curve is known to pass, and places z (n + 1,) where curves end at another."""
    found: list[Junction] = []
    for one in followed:
        for crossing in one.crossings:
            if is_branch_point(crossing, flips):
                same = [j for j in found if newton.length(j.z - crossing.z) <= SAME and j.is_other(one)]
                if not same:
                    found.append(Junction(crossing.z))
                (same or found[-1:])[0].passing.append((one, crossing))
    loose: list[Tensor] = []
    for one in followed:
        for end, z, reach in _ends(one):
            near = [j for j in found if newton.length(j.z - z) <= reach]
            if near:
                min(near, key=lambda j: newton.length(j.z - z)).arms.append((one, end))
            else:
                loose.append(z)
    return found, loose


def _ends(one: Followed) -> list[tuple[int, Tensor, float]]:
    """The ends of a curve that are at branch points: which, where, and within what distance its branch point is."""
    ends: list[tuple[int, Tensor, float]] = []
    for end, why in ((0, one.curve.head), (-1, one.curve.tail)):
        if why in (BRANCH_POINT, STUCK):
            started = one.curve.origin if end == 0 else None
            z = one.curve.nodes[end].z if started is None else started
            ends.append((end, z, NEAR * one.curve.gap if why == BRANCH_POINT else AT))
    return ends


def is_walked(followed: list[Followed], newton: FamilyCurve, odd: bool, z: Tensor, t: Tensor) -> bool:
    """Whether a known curve, or in an ``odd`` family the mirror image of one, leaves the branch point z along t."""
    for one in followed:
        for end, _, reach in _ends(one):
            there = one.curve.nodes[end].z
            for place in (there, torch.cat([-there[:-1], there[-1:]])) if odd else (there,):
                distance = newton.length(place - z)
                if 0 < distance <= reach and float(newton.row(t) @ (place - z)) > ALONG * distance:
                    return True
    return False

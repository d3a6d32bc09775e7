"""The slopes of all secants of phi from one point: (phi(b) - phi(a)) / (b - a), the mean of phi' between a and b.

Every phi here rises and its slope has one peak at the most, and falls on both sides of it. So has then the secant's
slope s(b): away from a it grows while phi'(b) > s(b) and falls from where the two meet, at a tangent from a. Over an
interval it is therefore least at an end, and largest at an end or where the tangent touches, which is bracketed.

>>> import torch
>>> from dynsys.proof.functions.elementary import TANH
>>> one = torch.ones(1, dtype=torch.float64)
>>> least, most = secants(TANH, one, 0 * one, -3 * one, 2 * one)
>>> bool(least <= 0.202434), bool(most >= 0.805935)  # (tanh 2 - tanh 1) / 1, and the tangent at -0.5698
(True, True)
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.proof.exact import UNIT, up
from dynsys.proof.functions.elementary import Elementary

HALVINGS = 14  # of the bracket of the tangent, which makes a bound 1e-4 too large at the most
LOOSE = 1e-9  # relative, by which slope and secant must differ for the tangent to lie on one side for certain
SAFE = 1e-10  # relative, far above the rounding of a slope's closed form


def secants(phi: Elementary, a: Tensor, error: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of s(b) for every b between low and high and every point within ``error`` of a, all (..., m)."""
    low, high = torch.minimum(low, a - error), torch.maximum(high, a + error)
    steepest = phi.steepest(low, high) * (1 + SAFE)
    flattest = torch.minimum(phi.slope(low), phi.slope(high)) * (1 - SAFE)
    moved = torch.where(error > 0, up(phi.bend(low, high) * error), 0.0)  # twice what another a can change
    ends = torch.stack([low, high])
    below, above = _secant(phi, a, ends)
    least = torch.maximum(below.amin(0) - moved, flattest)
    most = _largest(phi, a, ends, above).amax(0)
    defined = torch.isfinite(steepest)  # else phi may have a pole in between, and no secant a bound
    return torch.where(defined, least.clamp_min(0.0), 0.0), torch.where(
        defined, torch.minimum(up(most + moved), steepest), torch.inf
    )


def _secant(phi: Elementary, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of s(b): by the quotient with its rounding, and by the slopes on the way, which is better where b is a."""
    of_a, of_b = phi.value(a), phi.value(b)
    away = (b - a).abs()
    quotient = (of_b - of_a).abs() / away
    rounding = up(up(phi.rounding(of_a) + phi.rounding(of_b)) / away + 8 * UNIT * quotient)
    near, far = torch.minimum(a, b), torch.maximum(a, b)
    flattest = torch.minimum(phi.slope(near), phi.slope(far)) * (1 - SAFE)
    steepest = phi.steepest(near, far) * (1 + SAFE)
    return torch.fmax(quotient - rounding, flattest), torch.fmin(quotient + rounding, steepest)


def _largest(phi: Elementary, a: Tensor, end: Tensor, at_end: Tensor) -> Tensor:
    """Not below s(b) for any b between a and ``end``; ``at_end`` is not below s(end)."""
    still_grows = phi.slope(end) * (1 - SAFE) > at_end * (1 + LOOSE)
    near, far = a.expand_as(end), end
    for k in range(HALVINGS):
        between = near + (0.5 if k % 2 else 0.37) * (far - near)  # uneven: none hits the tangent again and again
        below, above = _secant(phi, a, between)
        slope = phi.slope(between)
        near = torch.where(slope > above * (1 + LOOSE), between, near)
        far = torch.where(slope < below * (1 - LOOSE), between, far)
    touching = phi.steepest(torch.minimum(near, far), torch.maximum(near, far)) * (1 + SAFE)
    return torch.where(still_grows, at_end, touching)


def clipped_secants(
    a: Tensor, error: Tensor, low: Tensor, high: Tensor, ends: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """The same of min(max(x, ends[0]), ends[1]), whose slope is 1 between the ends and 0 outside."""
    error = up(error + 4 * UNIT * a.abs())
    low, high = torch.minimum(low, a - error), torch.maximum(high, a + error)
    bends = (a - error > ends[0]) & (a + error < ends[1])
    least = torch.where(bends, 1.0, 0.0)
    most = torch.where((high <= ends[0]) | (low >= ends[1]), 0.0, 1.0)
    for start, furthest, first, second in ((a, high, *ends), (-a, -low, -ends[1], -ends[0])):
        # from the flat part before the first kink: largest from the nearest start, to the second kink or up to it
        nearest, reach = start + error, torch.minimum(furthest, torch.full_like(a, second))
        part = up((reach - first) / (reach - nearest) * (1 + 8 * UNIT))
        most = torch.where((nearest < first) & (reach > first), torch.minimum(most, part), most)
        # from between the kinks beyond the second one: least at the far end, from the start that is nearest to it
        part = (second - nearest) / (furthest - nearest) * (1 - 8 * UNIT)
        least = torch.where(bends & (furthest > second), torch.minimum(least, part), least)
    return least, most

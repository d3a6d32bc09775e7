"""How far from a marginal point F cannot be told from zero: the uncertainty of its place, which has no error bound.

At a fold F grows with the square of the distance along the null vector v of J, so a rounding error e hides the place to
within sqrt(2 e / curvature); at a cusp with the third root. So the distance is looked for and not computed from a
formula: the farthest at which the part of F along the left null vector w is within rounding. The other parts follow the
point's centre manifold, which bends away from v, and say nothing about the place along it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.continuous_attractors.continuation import ON_IT
from dynsys.numerics.rounding import EPS, rounding
from dynsys.systems.held import Held

PER_DECADE, DECADES = 8, 16  # distances looked at, down from the usual size of a state
OF_ENDS = 4.0  # times F at two states, that it may be between them if they are to be one
OF_TERMS = 1e4  # units in the last place of the terms that cancel in a component of F, beneath which it is zero


def blur(held: Held, x: Tensor) -> float:
    """The distance from the marginal fixed point x (1, n) along its null vector up to which F is zero to rounding.

    It is that to the far side, as x may be anywhere where F is hidden: the true place is within it. An eigenvalue of J
    there is uncertain by this times the change of J per distance. 0 where even the nearest look tells F from zero: then
    the point is not marginal at all.
    """
    U, _, Vh = torch.linalg.svd(held.jacobian(x)[0])
    w, v = U[:, -1], Vh[-1]
    lengths = held.unit * 10.0 ** (-torch.arange(PER_DECADE * DECADES + 1, dtype=x.dtype, device=x.device) / PER_DECADE)
    lengths = lengths.flip(0)
    F = held.velocity(x)
    noise = ON_IT * float(rounding(held, x, F))
    hides = max(noise, float((F[0] @ w).abs()))  # what is as small as F at x is as good a zero
    return max(_hidden(held, x, w, sign * v, lengths, hides) for sign in (1.0, -1.0))


def vanishes_between(held: Held, a: Tensor, b: Tensor) -> bool:
    """Whether every component of F is as small between the states a and b (1, n) as at them, or as its own rounding."""
    x = torch.cat([a + share * (b - a) for share in (0.0, 0.25, 0.5, 0.75, 1.0)])
    held = held.expand(len(x))
    F = held.velocity(x).abs()
    terms = (held.jacobian(x).abs() @ x.abs().unsqueeze(2)).squeeze(2)
    return bool((F[1:-1] <= OF_ENDS * torch.maximum(F[0], F[-1]) + OF_TERMS * EPS * terms[1:-1]).all())


def _hidden(held: Held, x: Tensor, w: Tensor, v: Tensor, lengths: Tensor, noise: float) -> float:
    """The first of the ``lengths`` (k,) along v at which w F is seen, or 0 where that is the very first."""
    there = x + lengths.unsqueeze(1) * v
    seen = ~((held.expand(len(there)).velocity(there) @ w).abs() <= noise)
    first = int(seen.to(torch.uint8).argmax()) if bool(seen.any()) else len(lengths) - 1
    return float(lengths[first]) if first else 0.0

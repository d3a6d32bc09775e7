"""From one curve to the other at a branch point, where two curves of fixed points pass through each other.

There [J F_p] has two null vectors: the tangent t of the known curve, and another, w. With psi the left null vector the
tangents a t + b w are the roots of the algebraic bifurcation equation (Keller 1977; Govaerts 2000, section 7.2)

    c11 a^2 + 2 c12 a b + c22 b^2 = 0,    c_ij = psi . D^2F[v_i, v_j],    c11 = 0 as t is one of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.continuation.family_curve import FamilyCurve

DIFFERENCE = 1e-3  # over which second derivatives are taken, in snapshots and usual sizes of a state
SHORTEST = 1e-5  # so near to a snapshot there is no room for them
DEGENERATE = 1e-6  # c12 relative to the usual size of the Jacobian: nothing smaller tells a second curve
BESIDE = 0.1  # usual sizes of a state, to where that is looked at
SINGULAR = 1e-4  # of that size, that the least is at a branch point


def other_tangent(newton: FamilyCurve, z: Tensor, t: Tensor, cell: int) -> Tensor | None:
    """The unit tangent (n + 1,) at the branch point z of the curve that is not known; None where there is none."""
    n = len(z) - 1
    scale = torch.cat([z.new_full((n,), newton.unit), z.new_ones(1)])
    x, p = z[:-1], float(z[-1])
    h = min(DIFFERENCE, 0.4 * (p - cell), 0.4 * (cell + 1 - p))
    if h < SHORTEST:
        return None

    def wide(x: Tensor) -> Tensor:
        return torch.cat([newton.family.jacobian(x, p), newton.family.rate(x, p, cell).unsqueeze(1)], dim=1) * scale

    U, S, Vh = torch.linalg.svd(wide(x))
    usual = max(float(S[0]), float(wide(x + BESIDE * newton.unit / n**0.5).norm()))  # in one dimension S[0] is zero
    if float(S[-1]) > SINGULAR * usual:
        return None
    psi = U[:, -1]
    first = t / scale
    first = first / first.norm()
    second = max(Vh[-2:], key=lambda v: float((v - first * (first @ v)).norm()))
    second = second - first * (first @ second)
    second = second / second.norm()

    def along(a: float, b: float) -> float:
        place = z + h * scale * (a * first + b * second)
        return float(psi @ newton.family.velocity(place[:-1], float(place[-1])))

    c12 = (along(1, 1) - along(1, -1) - along(-1, 1) + along(-1, -1)) / 4
    c22 = along(0, 1) - 2 * along(0, 0) + along(0, -1)
    if abs(c12) <= DEGENERATE * h**2 * usual:
        return None
    other = scale * (second - 0.5 * (c22 / c12) * first)
    return other / newton.length(other)

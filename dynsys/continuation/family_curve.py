"""Curves of fixed points of a family, F(x, p) = 0, as a problem of continuation, and the other curve at a branch point.

Inside, x is measured in ``unit``, the usual size of a state, and p in snapshots, so that z = (x / unit, p); outside
stand z = (x, p) (n + 1,) and tangents of length 1 in that measure.

At a branch point two curves pass through each other, and [J F_p] has two null vectors: the tangent t of the known
curve, and another, w. With psi the left null vector the tangents a t + b w are the roots of the algebraic bifurcation
equation (Keller 1977; Govaerts 2000, section 7.2)

    c11 a^2 + 2 c12 a b + c22 b^2 = 0,    c_ij = psi . D^2F[v_i, v_j],    c11 = 0 as t is one of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from dynsys.continuation.arclength import Problem
from dynsys.numerics.bordered import Factored
from dynsys.numerics.newton import NewtonSettings, chord_newton
from dynsys.systems.family import Family

ONE = torch.zeros(1, dtype=torch.long)  # the curve that is followed
NEWTON = NewtonSettings(corrections=12, rounding=1e-7, learns=True)
FLOOR = 1e-10  # a correction after which a point counts as reached


class Place(NamedTuple):
    """A tangent, the sign of det J, and the factors that told both."""

    t: Tensor  # (n + 1,)
    det: int
    M: Factored


class FamilyCurve(Problem):
    """Curves of ``family`` between the snapshots ``cell`` and ``cell + 1``."""

    def __init__(self, family: Family, unit: float, cell: int = 0) -> None:
        self.family, self.unit, self.cell = family, unit, cell
        self.scale = torch.cat([torch.full((family.n_state,), unit, dtype=torch.float64), torch.ones(1).double()])

    def cells(self, curve: Tensor) -> list[int]:
        """Where each of the curves (R,) is."""
        return [self.cell] * len(curve)

    def residual(self, z: Tensor, curve: Tensor) -> Tensor:
        return self.family.velocities(z[:, :-1] * self.unit, z[:, -1]) / self.unit

    def derivative(self, z: Tensor, curve: Tensor, out: Tensor) -> None:
        for row, x, p, cell in zip(out, z[:, :-1] * self.unit, z[:, -1].tolist(), self.cells(curve), strict=True):
            row[:, :-1] = self.family.jacobian(x, p)
            row[:, -1] = self.family.rate(x, p, cell) / self.unit

    def length(self, d: Tensor) -> float:
        return float((d / self.scale).norm())

    def row(self, t: Tensor) -> Tensor:
        """The row whose product with a step is its part along t."""
        return t / self.scale**2

    def factors(self, z: Tensor, border: Tensor) -> Factored | None:
        """M at z (n + 1,); None where it is singular or not finite."""
        M = self.bordered((z / self.scale)[None], ONE, (border / self.scale)[None])
        diagonal = M.LU.diagonal(dim1=1, dim2=2)
        return M if bool((torch.isfinite(diagonal) & (diagonal != 0)).all()) else None

    def place(self, z: Tensor, like: Tensor) -> Place | None:
        """What is known at a zero z, with the unit tangent whose product with ``like`` is positive."""
        M = self.factors(z, like)
        if M is None:
            return None
        t = M.tangent(z[None])[0]
        t = t * self.scale / t.norm()
        return Place(t, int(M.side) * (1 if float(t[-1]) > 0 else -1), M)

    def corrected(self, z: Tensor, M: Factored, allowed: float) -> Tensor | None:
        """The zero near z at right angles to the border of M, within ``allowed``; None where that is unsure."""
        found = chord_newton(
            lambda z, rows: self.residual(z, ONE),
            lambda right, z, rows: M.solve(pad(right, (0, 1))),
            (z / self.scale)[None],
            z.new_tensor([allowed / NEWTON.stray]),
            z.new_tensor([FLOOR]),
            NEWTON,
        )
        return found.x[0] * self.scale if bool(found.ok) else None


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

"""Networks with an energy: a function that falls along every path but at rest, and what it proves of basins.

Of a rate network whose W is symmetric to the last bit (Cohen & Grossberg 1983; Hopfield 1984), with r_i = f(g x_i),

    E = -1/2 r^T W r - d^T r + sum_i int r_i^-1,     E(x) - E(x*) = sum_i B_i(x_i) - 1/2 (r - r*)^T W (r - r*),
    B_i(x) = int from x*_i to x of (r_i(x) - r_i(s)) ds >= 0,

the second for a point of rest x*. With lambda >= 0 not below the eigenvalues of W every term of

    E - E* >= sum_i b_i,   b_i = B_i - lambda / 2 (r_i - r*_i)^2

grows away from x*_i while the secant of f from there is flatter than 1 / lambda. Two levels follow, below which every
state comes to x*. *Within its walls*: the box up to where the secants have that slope holds no other point of rest, and
on its walls E - E* is not below the least b_i there. *Below the exits*: a component of {E < c} is not left, its paths
all rest in it; if all points of rest below c are stable, it is split into their basins, which are open, and being
connected it has one. That takes a list of the points of rest that is proved to be complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.lyapunov.contraction import eigenvalues_below
from dynsys.proof.exact import UNIT, gamma, up
from dynsys.proof.functions.elementary import Elementary
from dynsys.proof.functions.secant import secants

Array = NDArray[np.float64]

NEAREST, RATIO = 1e-4, 1.02  # of the distances at which B_i is looked at: the least, and from one to the next
HALVINGS = 40  # of the logarithm of the distance of a wall
ROUNDING = 256 * UNIT  # of B_i, in units of the numbers it is made of: some functions of a few ulps, and a wide margin
SAFE = 1 - 1e-9


@dataclass(frozen=True)
class Energy:
    """``value`` of states (B, n) falls along every path of its system but where that rests."""

    value: Callable[[Array], Array]


@dataclass(frozen=True)
class Walls:
    """Below ``level`` above E* every state between ``low`` and ``high`` (n,) comes to the point; infinite: no wall."""

    level: float
    low: Tensor
    high: Tensor

    @property
    def nearest(self) -> Tensor:
        """(n,) the distance of the nearer wall of each unit."""
        return torch.minimum(-self.low, self.high)


@dataclass(frozen=True)
class RateEnergy(Energy):
    """That of a rate network with weights ``W`` (n, n) and r = phi(gain x), with the ``integral`` of phi and the width
    ``reach`` of its range. Everything in here is computed of z = gain x and of gain E.
    """

    W: Tensor
    gain: float
    phi: Elementary
    integral: Callable[[Tensor], Tensor]
    reach: float

    def walls(self, x: Tensor, error: float) -> Walls | None:
        """About the point of rest within ``error`` of x (n,); None where no such walls are proved to hold."""
        steepest = self._bound(1.0)
        a, off = self._scaled(x, error)
        if steepest == 0:
            return Walls(float("inf"), torch.full_like(a, -torch.inf), torch.full_like(a, torch.inf))
        sides = torch.tensor([[-1.0], [1.0]], dtype=x.dtype)
        far = 4 * steepest * self.reach + 64  # beyond, secants are flatter than 1 / (4 steepest)
        near = torch.full((2, len(a)), NEAREST, dtype=x.dtype)
        if not bool(self._is_flat(a, off, sides * near, steepest).all()):
            return None
        free = self._is_flat(a, off, sides * far, steepest)
        low, high = near, torch.full_like(near, far)
        for _ in range(HALVINGS):
            middle = (low * high).sqrt()
            fits = self._is_flat(a, off, sides * middle, steepest)
            low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
        ends = a + sides * low
        B, wrong = self._gap(a, off, ends)
        change = (self.phi.value(ends) - self.phi.value(a)).abs() + off + ROUNDING
        heights = torch.where(free, torch.inf, B - wrong - up(steepest / 2 * change**2))
        level = float(heights.min())
        if level <= 0:
            return None
        away = torch.where(free, torch.inf, (ends - a).abs() * SAFE)
        return Walls(level * SAFE / self.gain, -away[0] / self.gain, away[1] / self.gain)

    def above(self, x: Tensor, error: float, others: Tensor, errors: Tensor) -> Tensor:
        """Not above E of points of rest (k, n), within ``errors`` (k,) of the true ones, less E of that at x (n,)."""
        a, off = self._scaled(x, error)
        b = self.gain * others
        off_b = up(self.gain * errors + 2 * UNIT * b.norm(dim=1))
        B, wrong = self._gap(a, off, b)
        r = self.phi.value(b) - self.phi.value(a)
        loose = r.abs() + off + ROUNDING
        pull = self.gain * r @ self.W
        size = self.gain * loose @ self.W.abs()
        products = up((gamma(2 * len(a) + 8) * size + self.gain * (off + ROUNDING) * self.W.abs().sum(1)) * loose).sum(
            1
        )
        rest = (
            (b - a - pull).norm(dim=1) + off_b * (1 + self.gain * self.W.norm()) + gamma(len(a) + 4) * size.norm(dim=1)
        )
        lowest = (B - wrong).sum(1) - 0.5 * (pull * r).sum(1) - products - up(off_b * rest)
        return (lowest - 1e-12 * lowest.abs()) / self.gain

    def ball(self, x: Tensor, error: float, level: float, within: float = np.inf) -> float:
        """A radius about x (n,) in which E - E* is proved to be below ``level``, ``within`` at the most.

        E - E* <= sum_i psi_i, psi_i = B_i + mu / 2 (r_i - r*_i)^2 with -mu not above the eigenvalues of W. Each psi_i
        grows with the distance, so that between two of them psi_i / e^2 is at most its value at the further over the
        square of the nearer.
        """
        a, off = self._scaled(x, error)
        mu = self._bound(-1.0)
        most = min(self.gain * within * SAFE, 64.0 * (1 + float(a.norm())))
        if most <= 2 * NEAREST:
            return 0.0
        e = torch.as_tensor(np.geomspace(NEAREST, most, 2 + int(np.log(most / NEAREST) / np.log(RATIO))))
        worst = torch.zeros_like(e)
        for side in (-1.0, 1.0):
            ends = a + side * e.unsqueeze(1)
            B, wrong = self._gap(a, off, ends)
            change = (self.phi.value(ends) - self.phi.value(a)).abs() + off + ROUNDING
            psi = up(B + wrong + mu / 2 * change**2)
            worst[1:] = torch.maximum(worst[1:], (psi[1:].amax(1)) / e[:-1] ** 2)
        steep = up(self.phi.steepest(a - e[0] - off, a + e[0] + off)).max()
        worst[0] = float(steep / 2 + mu / 2 * steep**2)
        bound = torch.cummax(worst, 0).values * (1 + 1e-9)
        radii = torch.minimum(e, (torch.as_tensor(level * self.gain) / bound).sqrt())
        return max(float(radii.max()) * SAFE / self.gain - error * 2, 0.0)

    def _scaled(self, x: Tensor, error: float) -> tuple[Tensor, float]:
        """gain x, and what the true one may differ by, unit by unit."""
        z = self.gain * x
        return z, float(up(self.gain * torch.as_tensor(error) + 2 * UNIT * z.abs().max()))

    def _bound(self, sign: float) -> float:
        """Not below the eigenvalues of sign gain W, nor below 0."""
        return max(self.gain * eigenvalues_below(sign * self.W) * (1 + 4 * UNIT), 0.0)

    def _is_flat(self, a: Tensor, off: float, away: Tensor, steepest: float) -> Tensor:
        """Whether all secants of phi from a (n,) to a + away (2, n) are flatter than 1 / steepest."""
        ends = a + away
        error = torch.full_like(a, off)
        between = torch.minimum(a, ends), torch.maximum(a, ends)
        return secants(self.phi, a.expand_as(ends), error.expand_as(ends), *between)[1] * steepest < SAFE

    def _gap(self, a: Tensor, off: float, b: Tensor) -> tuple[Tensor, Tensor]:
        """B_i at b (..., n) of a point of rest a (n,), and a bound of what it may be wrong by."""
        B = (b - a) * self.phi.value(b) - (self.integral(b) - self.integral(a))
        return B.clamp_min(0.0), up(ROUNDING * (a.abs() + b.abs() + 1) + (self.reach + (b - a).abs()) * off)

"""In which linear regions of a cone's equation zeros may lie: branch and bound over the surface of a cube.

A box is dropped where h cannot be zero: units that keep their sign in it make h linear, and one that has a kink there
lies between its chord and itself, so that what is unknown falls with the square of the box. It is done where few kinks
are left in it: their sides give its regions. Where many kinks meet in one point for good, as all do without a drive, h
about that zero is a cone's again, of one unknown less: what it has zeros besides goes on to the surface of a smaller
cube.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from dynsys.numerics.adjugate import adjugate
from dynsys.piecewise_linear.exact.rationals import Vector, null_space
from dynsys.piecewise_linear.latent.cone import Cone
from dynsys.proof.exact import UNIT, up

FEW = 4  # kinks in a box, whose sides are all tried
SMALLEST = 2.0**-44  # half the width of a box that is given up
MEETING = 2.0**-6  # half the width of a box, below which kinks that meet in one point are looked for
MEETS = 1e-9  # of the kinks' size: how far they may be from meeting, which is made sure of in whole numbers
TRIED = 16  # boxes of one size, in which they are
TOGETHER = 1 << 19  # numbers of one batch


@dataclass
class Work:
    """What is left of the units times boxes that may be looked at."""

    left: int


@dataclass
class Cover:
    """``patterns``: the regions (n,) that may hold zeros other than 0, as bytes of bool; all if ``left`` is 0, which
    counts the boxes that were not decided, of all ``boxes``."""

    patterns: set[bytes] = field(default_factory=set)
    boxes: int = 0
    left: int = 0


def cover(cone: Cone, work: Work) -> Cover:
    """Of all of the cone but its tip."""
    found = Cover()
    d = cone.L.shape[1]
    for axis, sign in itertools.product(range(d), (1.0, -1.0)):
        if not (cone.half and axis == d - 1 and sign < 0):
            _Face(cone, axis, sign, work, found).run()
    return found


class _Face:
    """One face of the cube: boxes with centres p (B, d) and half widths rho (B, d), which are 0 along ``axis``."""

    def __init__(self, cone: Cone, axis: int, sign: float, work: Work, found: Cover) -> None:
        self.cone, self.axis, self.sign, self.work, self.found = cone, axis, sign, work, found
        d = cone.L.shape[1]
        self.free = [a for a in range(d) if a != axis]
        self.p, self.rho = torch.zeros(1, d, dtype=torch.float64), torch.ones(1, d, dtype=torch.float64)
        if cone.half:
            self.p[0, d - 1] = self.rho[0, d - 1] = 0.5
        self.p[0, axis], self.rho[0, axis] = sign, 0.0
        L, N, Q = cone.floats
        self.size = (N.abs().sum(1, keepdim=True) * Q.abs()).sum(0) + L.abs().sum(0)
        self.looked = MEETING

    def run(self) -> None:
        while len(self.p):
            if self.work.left <= 0:
                self.found.left += len(self.p)
                return
            parts = [
                self._decided(p, rho) for p, rho in zip(self._batches(self.p), self._batches(self.rho), strict=True)
            ]
            self.p, self.rho, sides = (torch.cat([part[k] for part in parts]) for k in range(3))
            if len(self.p) and float(self.rho.max()) <= self.looked:
                self.looked /= 8
                sides = self._meetings(sides)
            small = self.rho.amax(1) < SMALLEST
            self.found.left += int(small.sum())
            self._halve(~small)

    def _batches(self, x: Tensor) -> list[Tensor]:
        return list(torch.split(x, max(1, TOGETHER // max(1, len(self.cone)))))

    def _halve(self, rows: Tensor) -> None:
        """The boxes of these rows, each cut across the axis along which h changes most in it."""
        p, rho = self.p[rows], self.rho[rows].clone()
        axis = (rho * self.size).argmax(1, keepdim=True)
        step = torch.zeros_like(rho).scatter_(1, axis, rho.gather(1, axis) / 2)
        self.p, self.rho = torch.cat([p - step, p + step]), (rho - step).repeat(2, 1)

    def _decided(self, p: Tensor, rho: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The boxes that are left, and the units' sides (B, n) in them: +1, -1, or 0 where both are possible."""
        self.found.boxes += len(p)
        self.work.left -= len(p) * len(self.cone)
        sides, y, w = self._sides(p, rho)
        open_ = self._may_vanish(p, rho, sides, y, w)
        p, rho, sides = p[open_], rho[open_], sides[open_]
        crossed = self._crossed(sides)
        few = crossed.sum(1) <= FEW
        for row, kinks in zip(sides[few], crossed[few], strict=True):
            self._emit(row, kinks.nonzero().squeeze(1).tolist())
        return p[~few], rho[~few], sides[~few]

    def _sides(self, p: Tensor, rho: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """And Q p (B, n), and by how much it may be another in the box."""
        _, _, Q = self.cone.floats
        y = p @ Q.T
        w = up(rho @ Q.abs().T + self.cone.y_error)
        sides = (y >= w).to(y.dtype) - (y <= -w).to(y.dtype)
        steady = self.cone.steady
        return torch.where(steady == 0, sides, steady), y, w

    def _may_vanish(self, p: Tensor, rho: Tensor, sides: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """Whether (B,) h may be zero in a box: max(y, 0) is within theta / 2 of lambda y + theta / 2."""
        L, N, _ = self.cone.floats
        (r, d), kinked = L.shape, sides == 0
        high, low = (y + w).clamp_min(0), (w - y).clamp_min(0)
        share = torch.where(kinked, high / (high + low).clamp_min(1e-300), (sides > 0).to(y.dtype))
        theta = torch.where(kinked, up(torch.maximum((1 - share) * high, share * low)) / 2, 0.0)
        G = L - (share @ self.cone.products).view(-1, r, d)
        h = (G @ p.unsqueeze(2)).squeeze(2) - theta @ N
        rough = up(self.cone.G_error.sum(1) + self.cone.h_error + 16 * UNIT * (G.abs().sum(2) + theta @ N.abs()))
        rough = up(rough + len(N) * UNIT * (theta @ N.abs()))
        rad = theta @ N.abs() + rough
        linear = G * rho.unsqueeze(1)
        open_ = (h.abs() <= up(linear.abs().sum(2) + rad)).all(1)
        rows = open_.nonzero().squeeze(1)
        if len(rows):
            Y = _preconditioner(G[rows][:, :, self.free])
            spread = (torch.einsum("bac,nc->ban", Y, N).abs() @ theta[rows].unsqueeze(2)).squeeze(2)
            spread = up(spread + (Y.abs() @ (rough[rows] + 16 * UNIT * h[rows].abs()).unsqueeze(2)).squeeze(2))
            value, slope = (Y @ h[rows].unsqueeze(2)).squeeze(2), (Y @ linear[rows]).abs().sum(2)
            slack = up(16 * UNIT * (Y.abs() @ linear[rows].abs()).sum(2))
            open_[rows] = (value.abs() <= up(slope + spread + slack)).all(1)
        return open_

    def _crossed(self, sides: Tensor) -> Tensor:
        """Which kinks (B, k) are in the boxes."""
        number, _ = self.cone.kinks
        crossed = torch.zeros(len(sides), max(1, self.cone.n_kinks), dtype=torch.float64)
        units = (number >= 0).nonzero().squeeze(1)
        crossed.index_add_(1, number[units], (sides[:, units] == 0).to(crossed.dtype))
        return crossed > 0

    def _emit(self, sides: Tensor, kinks: list[int]) -> None:
        """The regions of a box (n,): all sides of the kinks that it has."""
        number, side = self.cone.kinks
        signs = torch.tensor(list(itertools.product((1.0, -1.0), repeat=len(kinks))), dtype=torch.float64)
        of_kink = torch.zeros(len(signs), max(1, self.cone.n_kinks), dtype=torch.float64)
        of_kink[:, kinks] = signs
        patterns = torch.where(sides == 0, side * of_kink[:, number.clamp_min(0)], sides) > 0
        self.found.patterns.update(pattern.tobytes() for pattern in patterns.numpy())

    def _meetings(self, sides: Tensor) -> Tensor:
        """Without the boxes near a zero in which all their kinks meet; the sides of the others."""
        _, _, Q = self.cone.floats
        rows = Q / torch.linalg.vector_norm(Q, dim=1, keepdim=True).clamp_min(1e-300)
        gram = torch.einsum("bn,nc,nd->bcd", (sides == 0).to(Q.dtype), rows, rows)
        spread = torch.linalg.eigvalsh(gram)
        wanted = (spread[:, 0] <= MEETS * spread[:, -1]).nonzero().squeeze(1)
        gone = torch.zeros(len(self.p), dtype=torch.bool)
        tried = 0
        for i in wanted.tolist():
            if gone[i] or tried == TRIED:
                continue
            tried += 1
            box = self._meeting(self.p[i], self.rho[i], sides[i])
            if box is not None:
                gone |= ((self.p - box[0]).abs() + self.rho <= box[1] * (1 + 4 * UNIT) + 8 * UNIT).all(1)
        self.p, self.rho = self.p[~gone], self.rho[~gone]
        return sides[~gone]

    def _meeting(self, p: Tensor, rho: Tensor, sides: Tensor) -> tuple[Tensor, Tensor] | None:
        """A box around a zero near p (d,) in which all kinks of the box there meet, once its regions are known."""
        meeting = ((sides == 0) & (self.cone.kinks[0] >= 0)).nonzero().squeeze(1).tolist()
        active = (sides > 0).tolist()
        if bool((self.cone.loose > 0).any()) and len(meeting) < int((self.cone.kinks[0] >= 0).sum()):
            return None  # weights that are known to rounding do not tell whether it is a zero
        rows = [*self.cone.Q[meeting], *self.cone.linear(active)]
        common = null_space([{j: int(v) for j, v in enumerate(row) if v} for row in rows], len(p))
        at = _nearest(common, p, self.axis, self.sign)
        if at is None:
            return None
        half = up((at - p).abs() + rho + 4 * UNIT)
        half[self.axis] = 0.0
        around, _, _ = self._sides(at[None], half[None] + 64 * UNIT)
        others = torch.ones(len(self.cone), dtype=torch.bool)
        others[meeting] = False
        if float(half.max()) > 0.5 or bool((around[0] != sides)[others].any()):
            return None
        self._about(active, meeting)
        return at, (at - p).abs() + rho

    def _about(self, active: list[bool], meeting: list[int]) -> None:
        """The regions about a zero in which the kinks of the units ``meeting`` meet."""
        inner = self.cone.within(active, meeting, self.free)
        around = cover(inner, self.work)
        self.found.boxes += around.boxes
        self.found.left += around.left
        aside = np.array([1 + 7 * k * k for k in range(len(self.free))], dtype=object)  # a way that keeps off the kinks
        known = {np.array([int(v) > 0 for v in inner.Q.dot(aside)]).tobytes()}  # one that the zero itself is in
        for mine in known | around.patterns:
            pattern = np.array(active)
            pattern[meeting] = np.frombuffer(mine, dtype=bool)
            self.found.patterns.add(pattern.tobytes())


def _nearest(common: list[Vector], p: Tensor, axis: int, sign: float) -> Tensor | None:
    """That of the span of ``common`` on the face which is about next to p (d,), if there is one."""
    if not common:
        return None
    basis = np.array([[v / max(map(abs, vector)) for v in vector] for vector in common], dtype=np.float64)
    shares = [Fraction(float(share)) for share in np.linalg.lstsq(basis.T, p.numpy(), rcond=None)[0]]
    shares = [share / max(map(abs, vector)) for share, vector in zip(shares, common, strict=True)]
    at = [
        sum((share * v for share, v in zip(shares, row, strict=True)), Fraction(0)) for row in zip(*common, strict=True)
    ]
    if at[axis] * int(sign) <= 0:
        return None
    return torch.tensor([float(v / abs(at[axis])) for v in at], dtype=torch.float64)


def _preconditioner(A: Tensor) -> Tensor:
    """What makes the linear part A (B, r, k) of some boxes diagonal, or leaves rows of it empty where k is below r."""
    r, k = A.shape[1:]
    if k == 0:
        return torch.eye(r, dtype=A.dtype).expand(len(A), r, r)
    if k < r:
        return torch.linalg.qr(A, mode="complete")[0].mT
    Y = adjugate(A / A.abs().amax((1, 2), keepdim=True).clamp_min(1e-300))
    return Y / Y.abs().amax((1, 2), keepdim=True).clamp_min(1e-300)

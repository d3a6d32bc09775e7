"""The latent equation g(kappa) = kappa - d - N^T tanh(M kappa + c) in a box, as a polynomial and a bound on the rest.

kappa = k0 + rho z with |z| <= 1. About y = M k0 + c each tanh is a polynomial in its own shift, whose coefficients
tanh^(j)(y) / j! are polynomials in tanh y. Summed over the units they give one polynomial of z for each component of
g: what cancels between units cancels in its coefficients, and a box is then worked on at a cost that does not depend on
the number of units. What is left out is of order mu^(p + 1), mu = |m| rho; its bound holds all rounding.

The drive may be c + s swing with any |s| <= 1: s is one more variable of the polynomials, but no axis of the boxes.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from dynsys.proof.exact import UNIT, exact_product, gamma, up
from dynsys.proof.functions.elementary import LOGISTIC, TANH
from dynsys.systems.latent import Latent

ORDER = 6
GRID = 1 << 15  # places at which a polynomial is looked at for its largest value
LARGEST = 340.0  # of a current: beyond, tanh is 1 to 1e-290
LEAST_REACH = 1e-6  # of the largest: a latent variable that does not move is given that much room
FLAT, SLACK = 1e-8, 1e-11  # of a chord that is not used, and what rounding may take where its tanh is farthest from it
WIDEST = 300.0  # of a current's interval, above which the range of tanh is taken to be all of [-1, 1]


@dataclass(frozen=True)
class Polynomials:
    """g in B boxes: coefficients c (B, r, m) of the monomials of ``Basis``; within a box g is off by at most ``rest``
    (B, r), and the rows of its derivative by z by at most ``steep`` (B, r) in the sum of their entries.
    """

    c: Tensor
    rest: Tensor
    steep: Tensor

    def __getitem__(self, rows: Tensor) -> Polynomials:
        return Polynomials(self.c[rows], self.rest[rows], self.steep[rows])

    def half(self, basis: Basis, axis: int, side: int) -> Polynomials:
        """In the lower (0) or upper (1) half of each box along one axis, in the variables of the half."""
        rounding = up(16 * UNIT * self.c.abs().sum(2))
        c = self.c @ basis.halves[axis][side]
        return Polynomials(c, up(self.rest + rounding), up(self.steep + ORDER * rounding))

    @staticmethod
    def joined(parts: list[Polynomials]) -> Polynomials:
        return Polynomials(*(torch.cat([getattr(part, key) for part in parts]) for key in ("c", "rest", "steep")))


@dataclass(frozen=True)
class Basis:
    """The monomials of r variables up to ``ORDER``, by degree: ``powers`` (m, r), ``degree`` (m,), how often each comes
    in a power of a sum (``ways``), and what halves a box: matrices (m, m) by axis and side.
    """

    powers: Tensor
    degree: Tensor
    ways: Tensor
    halves: list[tuple[Tensor, Tensor]]

    @staticmethod
    @functools.cache
    def of(r: int) -> Basis:
        every = [a for a in itertools.product(range(ORDER + 1), repeat=r) if sum(a) <= ORDER]
        every.sort(key=lambda a: (sum(a), [-p for p in a]))
        row = {a: k for k, a in enumerate(every)}
        halves = []
        for axis in range(r):
            sides = [torch.zeros(len(every), len(every), dtype=torch.float64) for _ in range(2)]
            for a, k in row.items():
                for j in range(a[axis] + 1):
                    to = row[(*a[:axis], j, *a[axis + 1 :])]
                    for side, sign in enumerate((-1.0, 1.0)):
                        sides[side][k, to] = math.comb(a[axis], j) * sign ** (a[axis] - j) * 0.5 ** a[axis]
            halves.append((sides[0], sides[1]))
        ways = [math.factorial(sum(a)) // math.prod(map(math.factorial, a)) for a in every]
        powers = torch.tensor(every)
        return Basis(powers, powers.sum(1), torch.tensor(ways, dtype=torch.float64), halves)


@functools.cache
def tanh_series() -> list[list[Fraction]]:
    """P_1, ..., P_(ORDER + 1) with tanh^(k)(y) / k! = (1 - t^2) P_k(t), t = tanh y, by their coefficients."""
    a, rows = [Fraction(0), Fraction(1)], []
    for k in range(1, ORDER + 2):
        P = [Fraction(j * a[j], k) for j in range(1, len(a))]
        rows.append(P)
        a = [x - y for x, y in zip([*P, Fraction(0), Fraction(0)], [Fraction(0), Fraction(0), *P], strict=True)]
    return rows


@functools.cache
def largest_coefficient() -> float:
    """Not below |P| of the first term left out, for any |t| <= 1: on a grid, and what it can rise between."""
    P = [float(x) for x in tanh_series()[-1]]
    steepest = sum(j * abs(p) for j, p in enumerate(P))
    values = np.polynomial.polynomial.polyval(np.linspace(-1, 1, GRID + 1), P)
    return float(np.abs(values).max() + steepest / GRID + 1e-12)


@functools.cache
def _coefficient_error() -> float:
    """Not below the error of any computed tanh^(k)(y) / k!, k up to ORDER, with t off by four units of rounding."""
    worst = max(sum(abs(p) * (12 * (j + 4)) for j, p in enumerate(map(float, P))) for P in tanh_series()[:-1])
    return (worst + 8) * UNIT


class Equation:
    """g of a ``Latent``: a logistic network is one of tanh with half the weights, and a constant d.

    With a ``swing`` (n,) the drive is any c + s swing, |s| <= 1; what is asked for at one drive is told for s = 0.
    """

    def __init__(self, latent: Latent, swing: Tensor | None = None) -> None:
        share = 0.5 if latent.phi is LOGISTIC else 1.0
        self.M, self.N, self.c = share * latent.M, share * latent.N, share * latent.c[0]
        self.c_error = up(share * sum((part.abs() for part in latent.c[1:]), torch.zeros_like(self.c)))
        self.unlike = 0.0  # what the rows of W - M N^T add up to at the most, which acts as an error of the currents
        if latent.rest is not None:
            self.c_error = up(self.c_error + latent.rest)
            self.unlike = float(latent.rest.max())
        d = [math.fsum(column) if share < 1 else 0.0 for column in self.N.T.tolist()]
        self.d = self.M.new_tensor(d)
        reach = up(self.N.abs().sum(0))  # (r,) of |N^T tanh|, but nowhere none at all
        self.reach = torch.maximum(reach, LEAST_REACH * reach.max())
        self.swing = torch.zeros_like(self.c) if swing is None else share * swing
        self.variables = latent.rank + (swing is not None)
        self.basis = Basis.of(self.variables)
        self._rows = self.M.abs()

    def __len__(self) -> int:
        return len(self.M)

    def currents(self, k: Tensor) -> Tensor:
        return torch.addmm(self.c, k, self.M.T)

    def currents_error(self, k: Tensor) -> Tensor:
        """(n,) of the computed currents at any of the latent states k (B, r)."""
        largest = k.abs().amax(0)
        sizes = self._rows @ largest + self.c.abs() + self.swing.abs()
        return up(gamma(len(largest) + 2) * sizes + self.c_error)

    def _reached(self, rho: Tensor) -> Tensor:
        """(n,) how far currents go from those at the middle of a box of half width ``rho`` (r,)."""
        return self._rows @ rho + self.swing.abs()

    def range(self, k: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        """The middle and the half width (B, r) of d + N^T tanh(M kappa + c) within ``rho`` (r,) of k (B, r), by the
        ranges of its terms: tanh(y + w) = (t + T) / (1 + t T).
        """
        w = self._reached(rho) + self.currents_error(k)
        y = self.currents(k).clamp_(-LARGEST, LARGEST)
        t, S = torch.tanh(y), _cosh_squared_inverse(w.clamp_max(LARGEST))
        q = y.abs_().mul_(-2).exp_()
        s = 4 * q / (1 + q).square_()  # 1 - t^2, to some units in the last place however small
        share = 1 / torch.where(w > WIDEST, torch.inf, s + (1 - s) * S)
        middle = t * S * share
        half = torch.where(w > WIDEST, 1.0, torch.tanh(w) * s * share)
        rounding = (4 * gamma(len(self) + 64)) * self.reach + 4 * UNIT * self.d.abs()
        return self.d + middle @ self.N, up(half @ self.N.abs() + rounding)

    def chords(self, k: Tensor, rho: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """g within ``rho`` (r,) of k (B, r) as value (B, r) + slope (B, r, r) times what kappa differs by from k + s
        times ``along`` (B, r).

        It is off by no more than the terms of the units, N times ``off`` (B, n), and ``rounding`` (r,): each tanh lies
        beside its chord, farthest where it has its slope.
        """
        error = self.currents_error(k)
        w, y = self._reached(rho) + error, self.currents(k)
        low, high = torch.tanh(y - w), torch.tanh(y + w)
        middle, slope = (low + high) / 2, (high - low) / (2 * w).clamp_min(1e-300)
        flat = (slope < FLAT) | (w > WIDEST)
        slope = torch.where(flat, 0.0, slope.clamp_max(1.0))
        at = torch.atanh((1 - slope).clamp(0.0, 1 - FLAT / 2).sqrt())
        beside = []
        for v in (at, -at):
            s = torch.maximum(torch.minimum(v - y, w), -w)
            beside.append(torch.tanh(y + s) - middle - slope * s)
        most, least = torch.maximum(*beside).clamp_min(0.0), torch.minimum(*beside).clamp_max(0.0)
        off = torch.where(flat, (high - low) / 2, (most - least) / 2) + error + SLACK * (1 + w.clamp_max(WIDEST))
        middle = middle + torch.where(flat, 0.0, (most + least) / 2)
        r = len(rho)
        G = torch.eye(r, dtype=k.dtype) - (slope @ (self.N.unsqueeze(2) * self.M.unsqueeze(1)).flatten(1)).view(
            -1, r, r
        )
        along = -(slope @ (self.N * self.swing.unsqueeze(1)))
        many = 4 * gamma(len(self) + 64)
        rounding = many * (self.reach + self.N.abs().T @ self._reached(rho)) + 8 * UNIT * (
            self.d.abs() + k.abs().amax(0)
        )
        return k - self.d - middle @ self.N, G, along, up(off), up(rounding)

    def newton(self, k: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Newton from the latent states k (B, r), each step no longer than half of what the box is wide; and the last
        step."""
        step = torch.full_like(k, torch.inf)
        for _ in range(steps):
            t = torch.tanh(self.currents(k))
            value = k - self.d - t @ self.N
            J = -torch.einsum("bi,ia,ic->bac", 1 - t * t, self.N, self.M)
            J.diagonal(dim1=1, dim2=2).add_(1.0)
            step = torch.linalg.solve_ex(J, value.unsqueeze(2))[0].squeeze(2).nan_to_num(torch.inf, torch.inf)
            k = k - torch.maximum(torch.minimum(step, self.reach), -self.reach)
        return k, step

    def value(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """g at k (B, r) to nearly the last digit, and what it may be off by."""
        y, error = exact_product(self.M, k, self.c)
        t = torch.tanh(y)
        product, rounding = exact_product(self.N.T.contiguous(), t)
        of_t = up(TANH.rounding(t) + error + self.c_error)
        value = (k - self.d) - product
        off = of_t @ self.N.abs() + rounding + UNIT * (2 * self.d.abs() + (k - self.d).abs() + value.abs())
        return value, up(off)


def _cosh_squared_inverse(y: Tensor) -> Tensor:
    """1 / cosh(y)^2 = 1 - tanh(y)^2, to some units in the last place however small."""
    q = torch.exp(-2 * y.abs())
    return 4 * q / (1 + q) ** 2


class Expansion:
    """Polynomials of an equation in boxes of one size, ``rho`` (r,)."""

    def __init__(self, equation: Equation, rho: Tensor) -> None:
        self.equation, self.rho, basis = equation, rho, equation.basis
        scaled = torch.cat([equation.M * rho, equation.swing.unsqueeze(1)], dim=1)[:, : equation.variables]
        powers = torch.ones(len(scaled), len(basis.powers), dtype=torch.float64)
        for axis in range(equation.variables):
            powers *= scaled[:, axis : axis + 1] ** basis.powers[:, axis]
        powers *= basis.ways
        self.by_degree = [basis.degree == k for k in range(ORDER + 1)]
        N = equation.N
        self.weights = [(N.unsqueeze(2) * powers[:, some].unsqueeze(1)).flatten(1) for some in self.by_degree]
        self.mu = up(scaled.abs().sum(1))
        # how much of mu is of the drive, of the unit in which that is most
        self.swung = float((equation.swing.abs() / self.mu.clamp_min(1e-300)).max().clamp_max(1.0))
        self.left_out = up(largest_coefficient() * self.mu.unsqueeze(1) ** (ORDER + 1) * N.abs())
        # coefficients of one degree k take up mu^k of the rounding of tanh^(k) / k!, and there are ORDER + 1 degrees
        largest = max(1.0, float(self.mu.max())) ** ORDER
        self.rounding = (ORDER + 1) * largest * (_coefficient_error() + gamma(len(equation) + 32)) * equation.reach

    @property
    def least_rest(self) -> Tensor:
        """(r,) a bound on what is left out, wherever the box lies."""
        return self.left_out.sum(0)

    def at(self, k: Tensor) -> Polynomials:
        """In the boxes around k (B, r)."""
        c, left_out, rest, steep = self.parts(k)
        return Polynomials(c, up(left_out + rest), up((ORDER + 1) * left_out + steep))

    def parts(self, k: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The coefficients, and bounds (B, r): on the terms left out, which fall as |z|^(ORDER + 1); on all rounding;
        and on what rounding does to the rows of the derivative by z."""
        equation, r = self.equation, len(self.rho)
        t = torch.tanh(equation.currents(k))
        slope = 1 - t * t
        c = torch.empty(len(k), r, len(equation.basis.powers), dtype=torch.float64)
        c[:, :, 0] = k - equation.d - t @ equation.N
        for degree in range(1, ORDER + 1):
            values = slope * _polynomial(tanh_series()[degree - 1], t)
            c[:, :, self.by_degree[degree]] = -(values @ self.weights[degree]).view(len(k), r, -1)
        c[:, range(r), range(1, r + 1)] += self.rho
        off = equation.currents_error(k)
        # 1 / cosh^2 rises by no more than exp(2 |y - y0|)
        near = (slope + 8 * UNIT) @ (self.left_out * torch.exp(2 * (self.mu + off)).unsqueeze(1))
        left_out = up(torch.minimum(near, self.least_rest))
        of_currents = up(off @ equation.N.abs())
        sizes = up(4 * UNIT * (k.abs() + equation.d.abs() + self.rho) + self.rounding)
        steep = up((self.mu * off) @ equation.N.abs())
        return c, left_out, up(of_currents + sizes), up(steep + ORDER * sizes)


def _polynomial(P: list[Fraction], t: Tensor) -> Tensor:
    """P(t), which has even powers only or odd ones only."""
    square, odd = t * t, (len(P) - 1) % 2
    terms = [float(p) for p in P[odd::2]]
    value = torch.full_like(t, terms[-1])
    for p in reversed(terms[:-1]):
        value = torch.addcmul(torch.full_like(t, p), value, square)
    return value * t if odd else value

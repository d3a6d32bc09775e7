"""The latent equation of a network of ReLUs as one without a constant: what is said of a point holds of its whole ray.

With p = (kappa, t) the zeros of kappa - N^T max(M kappa + c, 0) are those of

    h(p) = L p - N^T max(Q p, 0),      Q = (M, c),

with t = 1. As h(a p) = a h(p) for a >= 0, all of them lie over the surface of the cube |p| <= 1, those at t = 0
infinitely far out. About a zero where many kinks meet, h is such a function of what p differs by from there.

Numbers are kept twice: whole, for what has to be exact, and in float64 with bounds on their rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.proof.exact import UNIT, Sum, gamma, up
from dynsys.systems.latent import Latent

Whole = NDArray[Any]  # of Python's integers


@dataclass(frozen=True)
class Cone:
    """h of d unknowns, r equations and n units: whole numbers L (r, d), N (n, r) and Q (n, d), which stand for
    L / (``of_N`` ``of_Q``), N / ``of_N`` and Q / ``of_Q``.

    ``loose`` (n,) is what weights unlike M N^T may add to Q p for |p| <= 1. With ``half`` the last unknown is not
    negative.
    """

    L: Whole
    N: Whole
    Q: Whole
    of_N: int
    of_Q: int
    loose: Tensor
    half: bool

    @classmethod
    def of(cls, latent: Latent) -> Cone:
        """Of a network; kappa is in units of a usual one, powers of two."""
        size = unit_of(latent)
        N, of_N = whole((latent.N / size,))
        Q, of_Q = whole(tuple(torch.cat(parts, 1) for parts in _columns(latent, size)))
        n, r = latent.M.shape
        L = np.array([[of_N * of_Q * int(a == b) for b in range(r + 1)] for a in range(r)], dtype=object)
        loose = torch.zeros(n, dtype=torch.float64)
        if latent.rest is not None:
            largest = float(latent.rest.max())
            reach = (latent.M.abs() * size).sum(1) + latent.c[0].abs()
            loose = up(latent.rest * (float(reach.max()) / (1 - largest)))
        return cls(L, N, Q, of_N, of_Q, loose, half=True)

    def __len__(self) -> int:
        return len(self.N)

    @cached_property
    def floats(self) -> tuple[Tensor, Tensor, Tensor]:
        """L, N and Q, each to half a unit in the last place."""
        return _float(self.L, self.of_N * self.of_Q), _float(self.N, self.of_N), _float(self.Q, self.of_Q)

    @cached_property
    def products(self) -> Tensor:
        """(n, r d) what each unit takes from L while it is active."""
        _, N, Q = self.floats
        return (N.unsqueeze(2) * Q.unsqueeze(1)).flatten(1)

    @cached_property
    def y_error(self) -> Tensor:
        """(n,) of the computed Q p for |p| <= 2, with what the weights may add."""
        _, _, Q = self.floats
        return up(2 * gamma(Q.shape[1] + 4) * Q.abs().sum(1) + 2 * self.loose)

    @cached_property
    def G_error(self) -> Tensor:
        """(r, d) of the computed L - sum over some units of ``products``."""
        L, N, Q = self.floats
        return up(gamma(len(N) + 8) * (N.abs().T @ Q.abs()) + 2 * UNIT * L.abs())

    @cached_property
    def h_error(self) -> Tensor:
        """(r,) what weights unlike M N^T may add to h for |p| <= 1."""
        return up(self.floats[1].abs().T @ self.loose)

    @cached_property
    def kinks(self) -> tuple[Tensor, Tensor]:
        """Which kink each unit has (n,), by number, and on which side of it it is active (n,), +1 or -1; rows that are
        multiples of each other share one, if they are known exactly. -1 and 0 for units without any."""
        number, side, known = [], [], dict[tuple[Fraction, ...], int]()
        exact = not bool((self.loose > 0).any())
        for row in self.Q:
            first = next((v for v in row if v), 0)
            if not first:
                number.append(-1)
                side.append(0.0)
                continue
            key = tuple(Fraction(int(v), int(first)) for v in row) if exact else (Fraction(len(number)),)
            number.append(known.setdefault(key, len(known)))
            side.append(1.0 if first > 0 else -1.0)
        return torch.tensor(number), torch.tensor(side, dtype=torch.float64)

    @cached_property
    def n_kinks(self) -> int:
        return int(self.kinks[0].max()) + 1 if len(self) else 0

    @cached_property
    def steady(self) -> Tensor:
        """(n,) the sign that Q p has wherever the cone is, +1 or -1, or 0 where it can have both."""
        n, d = self.Q.shape
        only_last = [self.half and not any(row[: d - 1]) for row in self.Q]
        return torch.tensor(
            [
                (1.0 if row[d - 1] > 0 else -1.0) if alone or not any(row) else 0.0
                for row, alone in zip(self.Q, only_last, strict=True)
            ],
            dtype=torch.float64,
        ).reshape(n)

    def within(self, active: Sequence[bool], meeting: Sequence[int], columns: Sequence[int]) -> Cone:
        """h about a zero where the kinks of the units ``meeting`` all meet and the others are ``active`` or not.

        Its unknowns are what the ``columns`` differ by from there.
        """
        loose = self.loose[list(meeting)]
        Q, N = self.Q[np.ix_(meeting, columns)], self.N[list(meeting)]
        return Cone(self.linear(active)[:, list(columns)], N, Q, self.of_N, self.of_Q, loose, half=False)

    def linear(self, active: Sequence[bool]) -> Whole:
        """L - N^T Q of the active units, (r, d)."""
        on = np.flatnonzero(active)
        return np.asarray(self.L - self.N[on].T.dot(self.Q[on]) if len(on) else self.L)


def unit_of(latent: Latent) -> Tensor:
    """A usual size of each latent variable (r,), a power of two."""
    driven = latent.N * latent.c[0].unsqueeze(1)
    size = driven.clamp_min(0).sum(0).abs() + torch.linalg.vector_norm(driven, dim=0)
    size = torch.where(size > 0, size, size.max() if bool((size > 0).any()) else torch.ones_like(size))
    return 2.0 ** torch.log2(size).round()


def whole(parts: Sum) -> tuple[Whole, int]:
    """A sum of tensors as whole numbers, and what they are to be divided by."""
    ratios = [[value.as_integer_ratio() for value in part.flatten().tolist()] for part in parts]
    scale = max((denominator for part in ratios for _, denominator in part), default=1)
    sums = [sum(a * (scale // b) for a, b in each) for each in zip(*ratios, strict=True)]
    return np.array(sums, dtype=object).reshape(parts[0].shape), scale


def _columns(latent: Latent, size: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Q as a sum, whose first part alone has M."""
    first, *more = latent.c
    none = torch.zeros_like(latent.M)
    return [(latent.M * size, first.unsqueeze(1)), *((none, part.unsqueeze(1)) for part in more)]


def _float(numbers: Whole, scale: int) -> Tensor:
    values = [int(v) / scale for v in numbers.flatten()]
    return torch.tensor(values, dtype=torch.float64).reshape(numbers.shape)

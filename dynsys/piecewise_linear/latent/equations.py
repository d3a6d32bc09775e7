"""The latent equation of a network of ReLUs in one linear region, in whole numbers: r equations, whatever its units."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd

import numpy as np
import torch

from dynsys.numerics.eigenvalues import eigvals
from dynsys.piecewise_linear.exact.equations import OfRegions
from dynsys.piecewise_linear.exact.rationals import Vector, null_space
from dynsys.piecewise_linear.latent.cone import Cone

NEARLY = 2.0**-48  # of weights, which may be rounding


class LatentEquations(OfRegions):
    """Of a network whose state is the currents y, or the rates with ``of_rates``."""

    free = ()  # y depends on kappa alone, which nothing leaves open where y is known

    def __init__(self, cone: Cone, of_rates: bool) -> None:
        self.cone, self.of_rates = cone, of_rates
        self.n = self.m = len(cone)

    @property
    def cost(self) -> float:
        return self.m * (self.cone.L.shape[1] + 4)

    def span(self, pattern: Sequence[bool]) -> list[Vector]:
        cone = self.cone
        rows = [{j: int(v) for j, v in enumerate(row) if v} for row in cone.linear(pattern)]
        sign = np.where(pattern, 1, -1).astype(object)
        span = []
        for p in null_space(rows, cone.L.shape[1]):
            y = sign * cone.Q.dot(np.array(p, dtype=object))
            span.append(_shortest([p[-1] * cone.of_Q, *y]))
        return span

    def state(self, pattern: Sequence[bool], ray: Vector, one: int) -> list[Fraction]:
        sides = zip(pattern, ray[1:], strict=True)
        if self.of_rates:
            return [Fraction(int(active) * v, one) for active, v in sides]
        return [Fraction(v if active else -v, one) for active, v in sides]

    def along(self, free: int) -> list[Fraction]:
        raise IndexError(free)  # there is none

    def is_nearly_flat(self, pattern: Sequence[bool]) -> bool:
        """Whether a change of the weights by rounding may give the region more than one zero, or none."""
        L, N, Q = self.cone.floats
        r, on = len(L), torch.as_tensor(list(pattern), dtype=torch.float64).unsqueeze(1)
        G, sizes = L - (on * N).T @ Q, L.abs() + (on * N).abs().T @ Q.abs()
        rows = sizes.amax(1, keepdim=True)
        A, b, size = G[:, :r] / rows, G[:, r] / rows[:, 0], sizes[:, :r] / rows
        R, failed = torch.linalg.inv_ex(A)
        share = R.abs() @ size
        known = not int(failed) and bool(torch.isfinite(share).all())
        if known and float(eigvals(share).abs().max()) * NEARLY * r <= 1:
            return False
        U, S, _ = torch.linalg.svd(A)
        null = NEARLY * r >= S
        return bool(((U[:, null].T @ b).abs() <= NEARLY * r).all())


def _shortest(v: Sequence[int]) -> Vector:
    common = gcd(*v)
    return tuple(value // common for value in v) if common > 1 else tuple(v)

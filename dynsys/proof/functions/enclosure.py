"""Functions of the state with all that a proof needs: rounding errors, and how much they change in a ball.

A velocity that is written down with ``Enclosed`` numbers comes with a bound on the rounding error of its value and of
its gradient, and, for every one of a row of balls around the state, with bounds on its gradient and its Hessian. Every
operation states its bound, so that whatever is composed of them has one: docs/bounds.md gives the rules.

>>> import torch
>>> x = Enclosed.state(torch.tensor([[0.5]], dtype=torch.float64), radii=torch.tensor([1e-3, 1.0]).double())
>>> f = x.tanh() - x
>>> round(float(f.value), 6), [round(float(h), 4) for h in f.curvature.flatten()]  # |tanh''| is 0.7698 at the most
(-0.037883, [0.7274, 0.7698])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from dynsys.proof.exact import UNIT, exact_product, length, up
from dynsys.proof.functions.elementary import Elementary, widened
from dynsys.proof.functions.gradient import Gradient
from dynsys.proof.functions.written import Written


@dataclass(frozen=True)
class Enclosed(Written):
    """m functions of n state variables near B states, and around each state K balls of rising ``radii`` (K, 1, 1).

    ``value`` (B, m) is computed, ``error`` (B, m) what it may be wrong by; ``gradient`` holds the computed rows,
    ``gradient_error`` (B, m) what each may be wrong by in the 2-norm; ``steepness`` and ``curvature`` (K, B, m) are not
    below the length of the gradient and the 2-norm of the Hessian anywhere in the ball. Any B may be 1 where all agree.
    """

    radii: Tensor
    value: Tensor
    error: Tensor
    gradient: Gradient
    gradient_error: Tensor
    steepness: Tensor
    curvature: Tensor

    @staticmethod
    def state(x: Tensor, radii: Tensor) -> Enclosed:
        """The state itself, at x (B, n), with balls of ``radii`` (K,)."""
        one, zero = x.new_ones(1, x.shape[1]), x.new_zeros(1, x.shape[1])
        flat = x.new_zeros(1, 1, x.shape[1])
        return Enclosed(radii.view(-1, 1, 1), x, zero, Gradient(x.shape[1], one, 0), zero, flat + 1, flat)

    def constant(self, value: Tensor, error: Tensor | None = None) -> Enclosed:
        """What does not depend on the state, (B, m), with balls like those of this one."""
        zero = torch.zeros_like(value)
        held = zero if error is None else error
        return Enclosed(self.radii, value, held, Gradient(self.gradient.n), zero, zero[None], zero[None])

    @property
    def width(self) -> Tensor:
        """(K, B, m) how far from the computed value the function can be within the ball."""
        return up(self.error + self.steepness * self.radii)

    def __add__(self, other: Enclosed) -> Enclosed:
        value = self.value + other.value
        steepness = up(self.steepness + other.steepness)
        rounding = UNIT * (steepness[0] + self.gradient_error + other.gradient_error)
        return Enclosed(
            self.radii,
            value,
            up(self.error + other.error + UNIT * value.abs()),
            self.gradient.plus(other.gradient),
            up(self.gradient_error + other.gradient_error + 2 * rounding),
            steepness,
            up(self.curvature + other.curvature),
        )

    def __neg__(self) -> Enclosed:
        return replace(self, value=-self.value, gradient=self.gradient.scaled(-torch.ones_like(self.value[:1])))

    def __mul__(self, other: Enclosed | float) -> Enclosed:
        if not isinstance(other, Enclosed):
            other = self.constant(torch.full_like(self.value[:1], other))
        a, b = self.value.abs(), other.value.abs()
        most_a, most_b = up(a + self.width), up(b + other.width)
        value = self.value * other.value
        steepness = up(most_a * other.steepness + most_b * self.steepness)
        carried = a * other.gradient_error + b * self.gradient_error
        carried = carried + self.error * other.steepness[0] + other.error * self.steepness[0]
        return Enclosed(
            self.radii,
            value,
            up(a * other.error + b * self.error + self.error * other.error + UNIT * value.abs()),
            other.gradient.scaled(self.value).plus(self.gradient.scaled(other.value)),
            up(carried + 3 * UNIT * (steepness[0] + carried)),
            steepness,
            up(most_a * other.curvature + most_b * self.curvature + 2 * self.steepness * other.steepness),
        )

    def affine(self, W: Tensor, b: Tensor | None = None) -> Enclosed:
        """W f + b, for W (k, m) and b (k,)."""
        value, rounding = exact_product(W, self.value, b)
        size, rows = W.abs().T, length(W)
        squares = size * size
        if self.gradient.separate:  # then gradients are orthogonal and Hessians diagonal, each with entries of its own
            steepness = up(up(self.steepness**2 @ squares).sqrt())
            curvature = up(up(self.curvature**2 @ squares).sqrt())
            curvature = torch.minimum(curvature, up(size.amax(0) * self.curvature.amax(-1, keepdim=True)))
        else:  # by the triangle inequality, or by Cauchy and Schwarz
            steepness, curvature = (
                torch.minimum(up(bounds @ size), up(rows * length(bounds).unsqueeze(-1)))
                for bounds in (self.steepness, self.curvature)
            )
        return Enclosed(
            self.radii,
            value,
            up(rounding + self.error @ size),
            self.gradient.through(W),
            self.gradient.error_through(self.steepness[0], self.gradient_error, size, squares),
            steepness,
            curvature,
        )

    def through(self, phi: Elementary) -> Enclosed:
        """phi(f) of every component."""
        low, high = widened(self.value, self.width)
        first, second = up(phi.steepest(low, high)), up(phi.bend(low, high))
        value, slope = phi.value(self.value), phi.slope(self.value)
        of_slope = _product(second[0], self.error) + phi.loose(self.value) * slope
        return replace(
            self,
            value=value,
            error=up(first[0] * self.error + phi.rounding(value)),
            gradient=self.gradient.scaled(slope),
            gradient_error=up(
                up(slope) * self.gradient_error
                + _product(of_slope, self.steepness[0])
                + UNIT * up(slope) * (self.steepness[0] + self.gradient_error)
            ),
            steepness=up(first * self.steepness),
            curvature=up(first * self.curvature + _product(second, self.steepness**2)),
        )

    def clip(self, low: float, high: float) -> Enclosed:
        """min(max(x, low), high), with an infinite curvature wherever the ball may reach a kink."""
        width, moves = self.width, self.steepness > 0
        above, below = self.value - low, high - self.value
        kinked = moves & ~((above.abs() > width) & (below.abs() > width))  # so that NaN counts as being there
        active = (above > 0) & (below > 0)
        met = ~((above < -width) | (below < -width))
        return replace(
            self,
            value=self.value.clamp(low, high),
            error=torch.where(met[0], self.error, 0.0),
            gradient=self.gradient.scaled(active.to(self.value.dtype)),
            gradient_error=torch.where(kinked[0], torch.inf, torch.where(active, self.gradient_error, 0.0)),
            steepness=torch.where(met, self.steepness, 0.0),
            curvature=torch.where(kinked, torch.inf, torch.where(active, self.curvature, 0.0)),
        )

    def part(self, rows: slice) -> Enclosed:
        """Some of the components."""
        vectors = {key: getattr(self, key)[..., rows] for key in VECTORS}
        return replace(self, gradient=self.gradient.part(rows), **vectors)

    def tightened(self) -> Enclosed:
        """The same, its steepness bounded by that at the state plus what the curvature can add, where that is less."""
        grown = up(self.gradient.lengths() + self.gradient_error + self.curvature * self.radii)
        return replace(self, steepness=torch.fmin(self.steepness, grown))

    def with_others(self, others: Sequence[Enclosed]) -> Enclosed:
        parts = [self, *others]
        vectors = {key: _cat([getattr(part, key) for part in parts]) for key in VECTORS}
        rows = [part.gradient.dense() for part in parts]
        B = max(len(r) for r in rows)
        entries = torch.cat([r.expand(B, -1, -1) for r in rows], dim=1)
        return Enclosed(radii=self.radii, gradient=Gradient(self.gradient.n, entries), **vectors)


F = TypeVar("F", bound=Written)
VECTORS = ("value", "error", "gradient_error", "steepness", "curvature")


def joined(parts: Sequence[F]) -> F:
    """The components of several as those of one."""
    return parts[0] if len(parts) == 1 else parts[0].with_others(parts[1:])


def _cat(values: Sequence[Tensor]) -> Tensor:
    """Along the last axis; the others are broadcast."""
    leading = [max(value.shape[axis] for value in values) for axis in range(values[0].ndim - 1)]
    return torch.cat([value.expand(*leading, -1) for value in values], dim=-1)


def _product(bound: Tensor, length: Tensor) -> Tensor:
    """The product of two bounds, 0 where the second is: what does not move crosses no kink, be it on one."""
    return torch.where(length == 0, 0.0, bound * length)

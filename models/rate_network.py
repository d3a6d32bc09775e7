"""Continuous-time rate networks, tau dx/dt = -x + W r(x) + drive: what the simple RNN and the ESN have in common.

Seed 003, section 4: F(x) = -x + W r (eq. 18), r = tanh(x) (eq. 19), dF/dx = -I + W diag(r'(x)) (eq. 20).
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from dynsys.proof.enclosure import Enclosed
from dynsys.relu.pieces import Pieces, rectified_rates
from dynsys.system import Kind, Product, System


@dataclass(frozen=True)
class Activation:
    """A firing rate r(x), its slope written in terms of r, its range, and r of enclosed states."""

    rate: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]  # r' as a function of r
    low: float
    high: float
    enclosed: Callable[[Enclosed], Enclosed]


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, lambda r: 1 - r * r, -1.0, 1.0, Enclosed.tanh),
    "logistic": Activation(torch.sigmoid, lambda r: r * (1 - r), 0.0, 1.0, Enclosed.sigmoid),
    "relu": Activation(torch.relu, lambda r: (r > 0).to(r.dtype), 0.0, float("inf"), Enclosed.relu),
}
BOUNDED = {name: activation for name, activation in ACTIVATIONS.items() if isfinite(activation.high)}


class RateNetwork(System):
    """F(x, u) = -x + W r(x) + drive(u), with W the weights that act on the rates and every Jacobian in closed form."""

    kind = Kind.FLOW
    box_is_trapping = True
    single_precision = True
    W: Tensor  # (n, n)
    activation: str

    @abc.abstractmethod
    def drive(self, u: Tensor) -> Tensor:
        """The part of F that does not depend on the state, (B, n) or (1, n)."""

    @abc.abstractmethod
    def enclosed_drive(self, y: Enclosed, u: Tensor) -> Enclosed:
        """The same as a constant beside the enclosed states y."""

    def rates(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation].rate(x)

    def enclosed_rates(self, y: Enclosed) -> Enclosed:
        return ACTIVATIONS[self.activation].enclosed(y)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        return self.enclosed_rates(y).affine(self.W) - y + self.enclosed_drive(y, u)

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self.rates(x) @ self.W.T - x + self.drive(u)

    def _slopes(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation].slope(self.rates(x))

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = self.W * self._slopes(x).unsqueeze(1)  # column j carries r'(x_j)
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return (self._slopes(x) * v) @ self.W.T - v

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        slopes = self._slopes(x)
        return lambda v: torch.addmm(v, slopes * v, self.W.T, beta=-1)

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return self._slopes(x) * (w @ self.W) - w

    def pieces(self, u: Tensor) -> Pieces | None:
        return rectified_rates(self.W, self.drive(u)[0]) if self.activation == "relu" else None

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """Once inside, x stays between the least and the greatest value of W r + drive (-x + c decays to c).

        With relu there is no box, and nothing says that the states stay bounded.
        """
        if self.activation not in BOUNDED:
            return None
        activation = BOUNDED[self.activation]
        least = (self.W * torch.where(self.W > 0, activation.low, activation.high)).sum(1)
        most = (self.W * torch.where(self.W > 0, activation.high, activation.low)).sum(1)
        drive = self.drive(u)
        return (least + drive).expand(len(u), -1), (most + drive).expand(len(u), -1)

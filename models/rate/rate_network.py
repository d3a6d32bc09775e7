"""Rate networks in the two forms that papers use: the state is the current into a unit, or its firing rate.

    tau dx/dt = -x + W r(x) + drive        (Jang, section 4: eq. 18 to 20)
    tau dr/dt = -r + f(W r + drive)

With x = W r + drive they have the same fixed points seen in different coordinates (Miller & Fumarola 2012).
"""

from __future__ import annotations

import abc

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.lyapunov.energy import RateEnergy
from dynsys.models.activations import INTEGRALS, LATENT, PROVED, Activation, activation
from dynsys.piecewise_linear.hinged import hinged_activity, hinged_rates
from dynsys.proof.exact import Sum, affine_terms
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.latent import Latent, of_weights
from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Kind, Product, System

Array = NDArray[np.float64]


class RateNetwork(System):
    """F(x, u) = -x + W r(x) + drive(u), with W the weights that act on the rates and every Jacobian in closed form."""

    kind = Kind.FLOW
    box_is_trapping = True
    single_precision = True
    many_directions = True
    W: Tensor  # (n, n)
    B: Tensor  # (n, n_input)
    activation: str
    pace: Tensor | None = None  # (n,) of the units, None where all have 1
    gain: float = 1.0  # of the units: r(x) is f(gain x)

    @abc.abstractmethod
    def drive(self, u: Tensor) -> Tensor:
        """The part of F that does not depend on the state, (B, n) or (1, n)."""

    @abc.abstractmethod
    def enclosed_drive(self, y: Enclosed, u: Tensor) -> Enclosed:
        """The same as a constant beside the enclosed states y."""

    @property
    def f(self) -> Activation:
        return activation(self.activation)

    def drive_terms(self, u: Tensor) -> Sum:
        """The drive at u (1, n_input) without rounding, (n,)."""
        return affine_terms([(self.B, u[0])], [self.W.new_zeros(self.n_state)])

    def latent(self, u: Tensor) -> Latent | None:
        """Where W is of low rank, to rounding, and f one of those whose points can all be found; rates that are f of
        something else than the currents need an equation of their own."""
        plain = type(self).rates in (RateNetwork.rates, ActivityNetwork.rates)
        phi = LATENT.get(self.activation) if plain else None
        return of_weights(self.W, self.drive_terms(u), phi, isinstance(self, ActivityNetwork))

    def energy_function(self, u: Tensor) -> RateEnergy | None:
        """Of the flow whose W is symmetric to the last bit; what is less so may go round, however slowly."""
        phi, integral = PROVED.get(self.activation), INTEGRALS.get(self.activation)
        if phi is None or integral is None or self.kind is not Kind.FLOW or not bool((self.W == self.W.T).all()):
            return None
        drive, gain = self.drive(u)[0], self.gain

        def value(states: Array) -> Array:
            x = torch.as_tensor(states)
            r = self.rates(x)
            pulled = -((0.5 * r @ self.W + drive) * r).sum(-1)
            return np.asarray(pulled + (r * x - integral(gain * x) / gain).sum(-1))

        return RateEnergy(value, self.W, gain, phi, integral, self.f.high - self.f.low)

    def rates(self, x: Tensor) -> Tensor:
        """The firing rates in state x."""
        return self.f.value(x)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        return self.f.enclosed(y).affine(self.W) - y + self.enclosed_drive(y, u)

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self.rates(x) @ self.W.T - x + self.drive(u)

    def slopes(self, x: Tensor) -> Tensor:
        return self.f.slope(x, self.f.value(x))

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = self.W * self.slopes(x).unsqueeze(1)  # column j carries r'(x_j)
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return (self.slopes(x) * v) @ self.W.T - v

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        slopes = self.slopes(x)
        return lambda v: torch.addmm(v, slopes * v, self.W.T, beta=-1)

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return self.slopes(x) * (w @ self.W) - w

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self.B.repeat(len(x), 1, 1)

    def input_matrix(self) -> Tensor | None:
        return self.B if self.pace is None else self.B * self.pace.unsqueeze(1)

    def pieces(self, u: Tensor) -> Pieces | None:
        if self.f.hinges is None:
            return None
        return hinged_rates((self.W,), self.drive_terms(u), self.f.hinges, self.pace)

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """Once inside, x stays between the least and the greatest value of W r + drive (-x + c decays to c).

        With an unbounded r there is no box, and nothing says that the states stay bounded.
        """
        if not self.f.is_bounded:
            return None
        least = (self.W * torch.where(self.W > 0, self.f.low, self.f.high)).sum(1)
        most = (self.W * torch.where(self.W > 0, self.f.high, self.f.low)).sum(1)
        drive = self.drive(u)
        return (least + drive).expand(len(u), -1), (most + drive).expand(len(u), -1)


class ActivityNetwork(RateNetwork):
    """F(r, u) = -r + f(W r + drive(u)): the second form, whose box is the range of f."""

    def rates(self, x: Tensor) -> Tensor:
        return x

    def energy_function(self, u: Tensor) -> RateEnergy | None:
        return None  # E is one of r too, but only where r is in the range of f, which a ball about a point may leave

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self.f.value(x @ self.W.T + self.drive(u)) - x

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        return self.f.enclosed(y.affine(self.W) + self.enclosed_drive(y, u)) - y

    def input_matrix(self) -> None:
        return None

    def _gains(self, x: Tensor, u: Tensor) -> Tensor:
        """f' of each unit at its input, (B, n)."""
        return self.slopes(x @ self.W.T + self.drive(u))

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = self.W * self._gains(x, u).unsqueeze(2)  # row i carries f'(y_i)
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self._gains(x, u) * (v @ self.W.T) - v

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        gains = self._gains(x, u)
        return lambda v: gains * (v @ self.W.T) - v

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return (self._gains(x, u) * w) @ self.W - w

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self.B * self._gains(x, u).unsqueeze(2)

    def pieces(self, u: Tensor) -> Pieces | None:
        if self.f.hinges is None:
            return None
        return hinged_activity(self.W, self.drive_terms(u), self.f.hinges, self.pace)

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        if not self.f.is_bounded:
            return None
        return u.new_full((len(u), self.n_state), self.f.low), u.new_full((len(u), self.n_state), self.f.high)

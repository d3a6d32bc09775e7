"""The vanilla recurrent network (Elman 1990), h' = f(W_ih a + b_ih + W_hh h + b_hh), f any of ``ACTIVATIONS``.

One of ReLUs whose recurrent weights begin at the identity is the IRNN (Le, Jaitly & Hinton 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from dynsys.models.activations import LATENT, Activation, activation, activation_named
from dynsys.models.recurrent.base import Recurrent, random_weights
from dynsys.models.recurrent.layer import Bounds, GatedSlopes, Layer, Parts, Slopes
from dynsys.piecewise_linear.hinged import Hinges
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.latent import Latent, of_weights


@dataclass(frozen=True)
class VanillaLayer(Layer):
    """One layer; ``nonlinearity`` is the name of its f."""

    nonlinearity: str = "tanh"

    @property
    def f(self) -> Activation:
        return activation(self.nonlinearity)

    @property
    def hinges(self) -> Hinges | None:
        return self.f.hinges

    def step(self, a: Tensor, s: Parts) -> Parts:
        return (self.f.value(self.driven(a) + self.recurrent(s[0])),)

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        y = self.driven(a) + self.recurrent(s[0])
        h = self.f.value(y)
        slope = (self.f.slope(y, h),)
        return h, GatedSlopes(self, slope, slope)

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> tuple[Enclosed, ...]:
        driven = a.affine(self.weight_ih, self.bias_ih) + s[0].affine(self.weight_hh, self.bias_hh)
        return (self.f.enclosed(driven) - s[0],)

    def bounds(self, low: Tensor, high: Tensor) -> Bounds | None:
        """The range of f, where it has two ends."""
        if not self.f.is_bounded:
            return None
        one = low.new_ones(len(low), *self.widths)
        return ((self.f.low * one, self.f.high * one),)


class RNN(Recurrent):
    """A stack of vanilla layers, with the weights of ``torch.nn.RNN`` by its own names.

    Raises ValueError for weights that are missing, unknown, misshapen or not finite, and for an unknown nonlinearity.
    """

    name = "rnn"
    papers = ("elman1990", "kingma2015")
    title = "vanilla RNN"
    equation = "h' = f(W_ih u + b_ih + W_hh h + b_hh)"
    modules = (nn.RNN, nn.RNNCell)
    gates = 1

    def __init__(self, weights: Mapping[str, Any], *, nonlinearity: str = "tanh", task: Any = None) -> None:
        self.nonlinearity = activation_named(nonlinearity, "nonlinearity")
        super().__init__(weights, task=task)

    @classmethod
    def random(
        cls, units: int = 8, layers: int = 1, seed: int = 0, gain: float = 1.5, *, nonlinearity: str = "tanh"
    ) -> RNN:
        """Normal weights, W_hh ~ N(0, gain^2 / units), with 2 inputs and 2 outputs."""
        return cls(random_weights(cls.gates, units, layers, seed, gain), nonlinearity=nonlinearity)

    def make_layer(self, weights: dict[str, Tensor | None]) -> Layer:
        return VanillaLayer(nonlinearity=self.nonlinearity, **weights)  # type: ignore[arg-type]

    def latent(self, u: Tensor) -> Latent | None:
        """Of one layer, whose state is its rates."""
        if len(self.layers) > 1:
            return None
        return of_weights(self.layers[0].weight_hh, self._drive(0, u), LATENT.get(self.nonlinearity), of_rates=True)

    def module_options(self) -> dict[str, Any]:
        return super().module_options() | {"nonlinearity": self.nonlinearity}

    def settings(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}


class IRNN(RNN):
    """As ``RNN`` with relu; only how it begins sets it apart, see ``RecurrentNetwork``."""

    name = "irnn"
    papers = ("le2015", "kingma2015")
    title = "IRNN"
    usual_activation = "relu"

    def __init__(self, weights: Mapping[str, Any], *, nonlinearity: str = "relu", task: Any = None) -> None:
        super().__init__(weights, nonlinearity=nonlinearity, task=task)

    @classmethod
    def module(cls, *sizes: int, **options: Any) -> nn.Module:
        return super().module(*sizes, **{"nonlinearity": "relu", **options})

    @classmethod
    def random(
        cls, units: int = 8, layers: int = 1, seed: int = 0, gain: float = 0.5, *, nonlinearity: str = "relu"
    ) -> IRNN:
        """Recurrent weights of ``gain`` times the identity, with noise of a tenth of that."""
        weights = random_weights(cls.gates, units, layers, seed, 0.1 * gain)
        begun = {k: w + gain * np.eye(units) if "weight_hh" in k else w for k, w in weights.items()}
        return cls(begun, nonlinearity=nonlinearity)

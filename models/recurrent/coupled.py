"""The LSTM with one gate to forget and to write, i = 1 - f, with or without peepholes.

1 - sigma(z) = sigma(-z): it is an LSTM whose input gate has the negated weights of its forget gate. As c' - c is
(1 - f)(g - c), wherever f < 1 the zeros are those of o tanh(g) - h with c = g, a map in h alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dynsys.models.networks.lstm_variants import COUPLED
from dynsys.models.recurrent.layer import Bounds, GatedSlopes, Layer, Parts, Slopes
from dynsys.models.recurrent.peephole import PeepholeLayer, PeepholeLSTM
from dynsys.models.recurrent.stack import Stack
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.system import Reduction


@dataclass(frozen=True)
class CoupledLayer(PeepholeLayer):
    """One layer with i = 1 - f; its weights have the rows of i as well, the negated ones of f."""

    def _enclosed_change(self, i: Enclosed, f: Enclosed, g: Enclosed, c: Enclosed) -> Enclosed:
        return (-f).sigmoid() * (g - c)

    def bounds(self, low: Tensor, high: Tensor) -> Bounds:
        """c' lies between c and g, and |h'| <= tanh |c'|."""
        least, most = (z.chunk(4, dim=1)[2] for z in self._reached(low, high))
        c = torch.tanh(torch.maximum(-least, most)).expand(len(low), -1)
        h = torch.tanh(c)
        return (-h, h), (-c, c)

    def _reach(self, like: Tensor) -> Tensor:
        return torch.tanh(like.new_ones(self.widths[0]))

    def resting(self) -> RestingLayer:
        """The layer h' = o tanh(g), c being at g, without the rows of i and f."""

        def of_g_and_o(w: Tensor) -> Tensor:
            return torch.cat(w.chunk(4)[2:])

        b_ih, b_hh = (None if b is None else of_g_and_o(b) for b in (self.bias_ih, self.bias_hh))
        p_o = None if self.peephole is None else self.peephole[2]
        return RestingLayer(of_g_and_o(self.weight_ih), of_g_and_o(self.weight_hh), b_ih, b_hh, peephole=p_o)


@dataclass(frozen=True)
class RestingLayer(Layer):
    """A coupled layer whose c has come to rest at g, a map in h alone; ``peephole`` (units,) is p_o."""

    parts: ClassVar[tuple[str, ...]] = ("h",)
    peephole: Tensor | None = None

    def step(self, a: Tensor, s: Parts) -> Parts:
        g, o = self._gates(a, s[0])
        return (o * torch.tanh(g),)

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        g, o = self._gates(a, s[0])
        t = torch.tanh(g)
        of_o, of_c = t * o * (1 - o), o * (1 - t * t)
        gates = ((of_c if self.peephole is None else of_c + self.peephole * of_o) * (1 - g * g), of_o)
        return o * t, GatedSlopes(self, gates, gates)

    def bounds(self, low: Tensor, high: Tensor) -> Bounds:
        one = torch.tanh(low.new_ones(len(low), *self.widths))
        return ((-one, one),)

    def cells(self, a: Tensor, h: Tensor) -> Tensor:
        """Where c comes to rest, g."""
        return self._gates(a, h)[0]

    def _gates(self, a: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        g, o = (self.driven(a) + self.recurrent(h)).chunk(2, dim=1)
        g = torch.tanh(g)
        return g, torch.sigmoid(o if self.peephole is None else o + self.peephole * g)


class CoupledLSTM(PeepholeLSTM):
    """As ``PeepholeLSTM`` with i = 1 - f: the rows of the weights are those of f, g and o, those of peephole_l{k}
    (2, units), where there is one, p_f and p_o. The mark of coupled gates in a module's state dict may be among them.
    """

    name = "lstm-coupled"
    papers = ("greff2017", "kingma2015")
    title = "LSTM with coupled gates"
    equation = "as an lstm with i = 1 - f, and p_f c in f and p_o c' in o where there are peepholes"
    gates = 3
    looking = ("f", "o")

    def __init__(self, weights: Mapping[str, Any], *, task: Any = None) -> None:
        super().__init__({key: value for key, value in weights.items() if key != COUPLED}, task=task)

    def make_layer(self, weights: dict[str, Tensor | None]) -> Layer:
        both = {role: None if w is None else torch.cat([-w.chunk(3)[0], w]) for role, w in weights.items()}
        return CoupledLayer(**both)  # type: ignore[arg-type]

    @classmethod
    def module(cls, *sizes: int, **options: Any) -> nn.Module:
        return super().module(*sizes, **{"coupled": True, "peephole": False, **options})

    def _peephole(self, k: int, units: int, given: Tensor | None) -> Tensor | None:
        p = super()._peephole(k, units, given)
        return None if p is None else torch.stack([-p[0], p[0], p[1]])

    def _traps(self) -> bool:
        return True

    def settings(self) -> dict[str, Any]:
        return {}

    def reduction(self) -> Reduction:
        """A map in h alone, half the size, from which the forget gate is gone: c = g wherever f < 1."""
        layers = [layer.resting() for layer in self.layers if isinstance(layer, CoupledLayer)]
        resting = Stack(layers, fresh=False, name="lstm-coupled-resting")

        def lift(y: Tensor, u: Tensor) -> Tensor:
            h = y.chunk(len(layers), dim=1)
            c = [layer.cells(a, own) for layer, a, own in zip(layers, (u, *h), h, strict=False)]
            return torch.cat([y, *c], dim=1)

        return Reduction(resting, lambda x: x[:, : resting.n_state], lift)

"""The long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000) as torch computes it.

i, f, o = sigma(W_i. a + b_i. + W_h. h + b_h.),   g = tanh(W_ig a + b_ig + W_hg h + b_hg),
c' = f c + i g,   h' = o tanh(c')   or   h' = W_hr (o tanh(c')) with a projection.

At a fixed point c = i g / (1 - f), so that its zeros are those of a map in h alone: o tanh(i g / (1 - f)) - h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from dynsys.models.layer import Blocks, Bounds, GatedSlopes, Layer, Parts, Slopes
from dynsys.models.recurrent import Recurrent, random_weights
from dynsys.models.stack import Stack
from dynsys.proof.enclosure import Enclosed
from dynsys.system import Reduction


@dataclass(frozen=True)
class LSTMLayer(Layer):
    """One layer; the rows of its weights are those of i, f, g and o. Its state is h, then c."""

    parts: ClassVar[tuple[str, ...]] = ("h", "c")

    @property
    def units(self) -> int:
        return len(self.weight_hh) // 4

    @property
    def widths(self) -> tuple[int, ...]:
        return self.weight_hh.shape[1], self.units

    def step(self, a: Tensor, s: Parts) -> Parts:
        i, f, g, o = self._gates(a, s[0])
        c = f * s[1] + i * g
        return self._projected(o * torch.tanh(c)), c

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        i, f, g, o = self._gates(a, s[0])
        t = torch.tanh(f * s[1] + i * g)
        of_gates = torch.cat([g * i * (1 - i), s[1] * f * (1 - f), i * (1 - g * g), t * o * (1 - o)], dim=1)
        return self._projected(o * t), LSTMSlopes(self, of_gates, f, o * (1 - t * t))

    def _preactivations(self, a: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        return (self.driven(a) + self.recurrent(h)).chunk(4, dim=1)

    def _gates(self, a: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        i, f, g, o = self._preactivations(a, h)
        return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)

    def _projected(self, m: Tensor) -> Tensor:
        return m if self.weight_hr is None else m @ self.weight_hr.T

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> tuple[Enclosed, ...] | None:
        """o tanh(c') - h and i g - (1 - f) c, 1 - f as sigma of the negative, which keeps its digits near f = 1."""
        h, c = s
        driven = a.affine(self.weight_ih, self.bias_ih) + h.affine(self.weight_hh, self.bias_hh)
        pre_i, pre_f, pre_g, pre_o = driven.chunk(4)
        written = pre_i.sigmoid() * pre_g.tanh()
        m = pre_o.sigmoid() * (pre_f.sigmoid() * c + written).tanh()
        new = m if self.weight_hr is None else m.affine(self.weight_hr)
        return new - h, written - (-pre_f).sigmoid() * c

    def bounds(self, low: Tensor, high: Tensor) -> Bounds:
        """|h| <= 1, or the row sums of |W_hr|; |c| <= max i |g| / (1 - max f), each over the box and the inputs.

        From c' = f c + i g: once inside, c stays. In floating point c never grows beyond 2 / eps, where adding 1 is
        lost, so that is the bound where the forget gate rounds to 1.
        """
        reach = self._reach(low)
        middle, radius = (high + low) / 2, (high - low) / 2
        centre = middle @ self.weight_ih.T
        for bias in (self.bias_ih, self.bias_hh):
            centre = centre if bias is None else centre + bias
        spread = radius @ self.weight_ih.abs().T + self.weight_hh.abs() @ reach
        i, f, g, _ = (centre + spread).chunk(4, dim=1)
        most_g = torch.tanh(torch.maximum(g.abs(), (centre - spread).chunk(4, dim=1)[2].abs()))
        most = torch.sigmoid(i) * most_g / torch.sigmoid(-f).clamp_min(torch.finfo(f.dtype).tiny)
        most = most.clamp_max(2 / torch.finfo(f.dtype).eps)
        reach = reach.expand(len(low), -1)
        return (-reach, reach), (-most, most)

    def _reach(self, like: Tensor) -> Tensor:
        return like.new_ones(self.widths[0]) if self.weight_hr is None else self.weight_hr.abs().sum(1)

    def settled(self) -> SettledLayer:
        """The layer h' = o tanh(i g / (1 - f)), c being where it comes to rest while h is held."""
        return SettledLayer(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, self.weight_hr)


class LSTMSlopes(Slopes):
    """dc' = f dc + sum over i, f, g of of_g (W dh)_g;   dm = of_c dc' + of_o (W dh)_o;   dh' = dm or W_hr dm.

    W dh stands for W_hh dh + W_ih da; ``of_gates`` (B, 4 units) are the derivatives by the preactivations.
    """

    def __init__(self, layer: LSTMLayer, of_gates: Tensor, f: Tensor, of_c: Tensor) -> None:
        self._layer, self._of_gates, self._f, self._of_c = layer, of_gates, f, of_c
        self._W_hh, self._W_ih = layer.weight_hh.T, layer.weight_ih.T
        self._W_hr = None if layer.weight_hr is None else layer.weight_hr.T

    def product(self, ds: Parts, da: Tensor | None) -> Parts:
        terms = ds[0] @ self._W_hh
        if da is not None:
            terms.addmm_(da, self._W_ih)
        i, f, g, m = terms.mul_(self._of_gates).chunk(4, dim=1)
        c = torch.addcmul(i, self._f, ds[1]).add_(f).add_(g)
        m = torch.addcmul(m, self._of_c, c)
        return m if self._W_hr is None else m @ self._W_hr, c

    def transposed(self, g: Parts, below: bool) -> tuple[Parts, Tensor | None]:
        m = g[0] if self._layer.weight_hr is None else g[0] @ self._layer.weight_hr
        c = torch.addcmul(g[1], self._of_c, m)
        terms = torch.cat([c, c, c, m], dim=1).mul_(self._of_gates)
        return (terms @ self._layer.weight_hh, self._f * c), terms @ self._layer.weight_ih if below else None

    def dense(self) -> Blocks:
        c_by_h, h_by_h = self._dense(self._layer.weight_hh)
        c_by_c, h_by_c = torch.diag_embed(self._f), torch.diag_embed(self._of_c * self._f)
        if self._layer.weight_hr is not None:
            h_by_c = self._layer.weight_hr @ h_by_c
        return (h_by_h, h_by_c), (c_by_h, c_by_c)

    def by_input(self) -> Parts:
        return self._dense(self._layer.weight_ih)[::-1]

    def _dense(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """dc' and dh' by what W multiplies."""
        i, f, g, o = (k.unsqueeze(2) * w for k, w in zip(self._of_gates.chunk(4, 1), W.chunk(4), strict=True))
        c = i.add_(f).add_(g)
        m = o.addcmul_(self._of_c.unsqueeze(2), c)
        return c, m if self._layer.weight_hr is None else self._layer.weight_hr @ m


@dataclass(frozen=True)
class SettledLayer(LSTMLayer):
    """An LSTM's layer whose c has come to rest, a map in h alone: h' = o tanh(c), c = i g / (1 - f)."""

    parts: ClassVar[tuple[str, ...]] = ("h",)

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.weight_hh.shape[1],)

    def step(self, a: Tensor, s: Parts) -> Parts:
        o, c = self._settled(a, s[0])[3:5]
        return (self._projected(o * torch.tanh(c)),)

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        i, f, g, o, c, rest = self._settled(a, s[0])
        t = torch.tanh(c)
        of_c = o * (1 - t * t)
        of_i, of_f, of_g = c * (1 - i), c * f, i * (1 - g * g) / rest  # dc by each preactivation
        gates = (of_c * of_i, of_c * of_f, of_c * of_g, t * o * (1 - o))
        return self._projected(o * t), GatedSlopes(self, gates, gates)

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> None:
        return None  # it is the network that gets certificates, not this way to its zeros

    def cells(self, a: Tensor, h: Tensor) -> Tensor:
        """Where c comes to rest, i g / (1 - f)."""
        return self._settled(a, h)[4]

    def _settled(self, a: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """i, f, g, o, c and 1 - f, which is computed as sigma(-W_f ...) to keep its digits where f is near 1."""
        i, f, g, o = self._preactivations(a, h)
        i, g, rest = torch.sigmoid(i), torch.tanh(g), torch.sigmoid(-f)
        rest = rest.clamp_min(torch.finfo(rest.dtype).eps ** 4)  # so that no square of 1 / (1 - f) overflows
        return i, torch.sigmoid(f), g, torch.sigmoid(o), i * g / rest, rest

    def bounds(self, low: Tensor, high: Tensor) -> Bounds:
        return (super().bounds(low, high)[0],)


class LSTM(Recurrent):
    """A stack of long short-term memories, with the weights of ``torch.nn.LSTM`` by its own names.

    Raises ValueError for weights that are missing, unknown, misshapen or not finite.
    """

    name = "lstm"
    gates = 4

    def __init__(self, weights: Mapping[str, Any], *, task: Any = None) -> None:
        super().__init__(weights, task=task)

    @classmethod
    def random(cls, units: int = 6, layers: int = 1, seed: int = 0, gain: float = 0.7, *, proj_size: int = 0) -> LSTM:
        """Normal weights, W_hh ~ N(0, gain^2 / hidden), with 2 inputs and 2 outputs; a small gain keeps c small."""
        return cls(random_weights(cls.gates, units, layers, seed, gain, proj_size=proj_size))

    def make_layer(self, weights: dict[str, Tensor | None]) -> Layer:
        return LSTMLayer(**weights)  # type: ignore[arg-type]

    def reduction(self) -> Reduction:
        """A map in h alone, half the size: c is put where it comes to rest while h is held."""
        layers = [layer.settled() for layer in self.layers if isinstance(layer, LSTMLayer)]
        settled = Stack(layers, fresh=False, name="lstm-settled")

        def lift(y: Tensor, u: Tensor) -> Tensor:
            h = y.chunk(len(layers), dim=1)
            c = [layer.cells(a, own) for layer, a, own in zip(layers, (u, *h), h, strict=False)]
            return torch.cat([y, *c], dim=1)

        return Reduction(settled, lambda x: x[:, : settled.n_state], lift)

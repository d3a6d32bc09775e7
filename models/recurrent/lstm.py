"""The long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000) as torch computes it.

i, f, o = gate(W_i. a + b_i. + W_h. h + b_h.),   g = tanh(W_ig a + b_ig + W_hg h + b_hg),
c' = f c + i g,   h' = o tanh(c')   or   h' = W_hr (o tanh(c')) with a projection;

the gates are logistic, or hard, and any other activation may stand in both places of tanh. Where f < 1, as it always is
with a logistic gate, c = i g / (1 - f) at a fixed point, so that the zeros are those of a map in h alone:
o tanh(i g / (1 - f)) - h. Where a hard gate has f = 1 and i = 0 the cell keeps c, whatever that is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from dynsys.models.activations import GATES, Activation, activation, activation_named
from dynsys.models.recurrent.base import Recurrent, random_weights
from dynsys.models.recurrent.layer import Blocks, Bounds, GatedSlopes, Layer, Parts, Slopes
from dynsys.models.recurrent.stack import Stack
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.system import Reduction


class Opened(NamedTuple):
    """i, f, g and o of one step, the preactivations ``y`` that they come from, and c'."""

    y: Parts
    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor


@dataclass(frozen=True)
class LSTMLayer(Layer):
    """One layer; the rows of its weights are those of i, f, g and o. Its state is h, then c."""

    parts: ClassVar[tuple[str, ...]] = ("h", "c")

    gate: str = "logistic"
    activation: str = "tanh"

    @property
    def phi(self) -> Activation:
        return activation(self.activation)

    @property
    def sigma(self) -> Activation:
        return activation(self.gate)

    @property
    def units(self) -> int:
        return len(self.weight_hh) // 4

    @property
    def widths(self) -> tuple[int, ...]:
        return self.weight_hh.shape[1], self.units

    def step(self, a: Tensor, s: Parts) -> Parts:
        opened = self._opened(a, s)
        return self._projected(opened.o * self.phi.value(opened.c)), opened.c

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        opened = self._opened(a, s)
        t = self.phi.value(opened.c)
        of_i, of_f, of_g, of_o = self._of_gates(opened, s[1], t)
        of_gates = torch.cat([of_i, of_f, of_g, of_o], dim=1)
        of_c = opened.o * self.phi.slope(opened.c, t)
        return self._projected(opened.o * t), LSTMSlopes(self, of_gates, opened.f, of_c)

    def _of_gates(self, opened: Opened, c: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The derivatives by the preactivations of i, f and g (of c'), and of o (of h', with t = phi(c'))."""
        sigma, (y_i, y_f, y_g, y_o) = self.sigma, opened.y
        return (
            opened.g * sigma.slope(y_i, opened.i),
            c * sigma.slope(y_f, opened.f),
            opened.i * self.phi.slope(y_g, opened.g),
            t * sigma.slope(y_o, opened.o),
        )

    def _preactivations(self, a: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        return (self.driven(a) + self.recurrent(h)).chunk(4, dim=1)

    def _opened(self, a: Tensor, s: Parts) -> Opened:
        y = self._preactivations(a, s[0])
        i, f, g, o = self.sigma.value(y[0]), self.sigma.value(y[1]), self.phi.value(y[2]), self.sigma.value(y[3])
        return Opened(y, i, f, g, o, f * s[1] + i * g)

    def _projected(self, m: Tensor) -> Tensor:
        return m if self.weight_hr is None else m @ self.weight_hr.T

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> tuple[Enclosed, ...] | None:
        """o tanh(c') - h and i g - (1 - f) c, 1 - f as sigma of the negative, which keeps its digits near f = 1."""
        h, c = s
        driven = a.affine(self.weight_ih, self.bias_ih) + h.affine(self.weight_hh, self.bias_hh)
        pre_i, pre_f, pre_g, pre_o = driven.chunk(4)
        sigma, phi = self.sigma.enclosed, self.phi.enclosed
        written = sigma(pre_i) * phi(pre_g)
        m = sigma(pre_o) * phi(sigma(pre_f) * c + written)
        new = m if self.weight_hr is None else m.affine(self.weight_hr)
        return new - h, written - sigma(-pre_f) * c

    def bounds(self, low: Tensor, high: Tensor) -> Bounds | None:
        """|h| <= max |phi|, or that times the row sums of |W_hr|; |c| <= max i |g| / (1 - max f), each over the box and
        the inputs. None where phi has no bound.

        From c' = f c + i g: once inside, c stays. In floating point c never grows beyond 2 / eps times max |phi|, where
        adding that much is lost, so that is the bound where the forget gate is 1, if only by rounding.
        """
        if not self.phi.is_bounded:
            return None
        reach = self._reach(low)
        middle, radius = (high + low) / 2, (high - low) / 2
        centre = middle @ self.weight_ih.T
        for bias in (self.bias_ih, self.bias_hh):
            centre = centre if bias is None else centre + bias
        spread = radius @ self.weight_ih.abs().T + self.weight_hh.abs() @ reach
        i, f, g, _ = (centre + spread).chunk(4, dim=1)
        most_g = self._largest((centre - spread).chunk(4, dim=1)[2], g)
        most = self.sigma.value(i) * most_g / self.sigma.value(-f).clamp_min(torch.finfo(f.dtype).tiny)
        most = most.clamp_max(2 * self.phi.reach / torch.finfo(f.dtype).eps)
        reach = reach.expand(len(low), -1)
        return (-reach, reach), (-most, most)

    def _largest(self, low: Tensor, high: Tensor) -> Tensor:
        """The largest |phi| between two numbers: it rises, so that it is at one of them."""
        return torch.maximum(self.phi.value(low).abs(), self.phi.value(high).abs())

    def _reach(self, like: Tensor) -> Tensor:
        whole = like.new_ones(self.widths[0]) if self.weight_hr is None else self.weight_hr.abs().sum(1)
        return self.phi.reach * whole

    def settled(self) -> SettledLayer:
        """The layer h' = o tanh(i g / (1 - f)), c being where it comes to rest while h is held."""
        return SettledLayer(**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})


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
        opened, _ = self._settled(a, s[0])
        return (self._projected(opened.o * self.phi.value(opened.c)),)

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        opened, rest = self._settled(a, s[0])
        y, i, f, g, o, c = opened
        t = self.phi.value(c)
        of_c = o * self.phi.slope(c, t)
        of_i, of_f, of_g = c * (1 - i), c * f, i * self.phi.slope(y[2], g) / rest  # dc by each preactivation
        gates = (of_c * of_i, of_c * of_f, of_c * of_g, t * self.sigma.slope(y[3], o))
        return self._projected(o * t), GatedSlopes(self, gates, gates)

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> None:
        return None  # it is the network that gets certificates, not this way to its zeros

    def cells(self, a: Tensor, h: Tensor) -> Tensor:
        """Where c comes to rest, i g / (1 - f)."""
        return self._settled(a, h)[0].c

    def _settled(self, a: Tensor, h: Tensor) -> tuple[Opened, Tensor]:
        """And 1 - f, which is computed as sigma(-W_f ...) to keep its digits where f is near 1."""
        y = self._preactivations(a, h)
        i, g, rest = torch.sigmoid(y[0]), self.phi.value(y[2]), torch.sigmoid(-y[1])
        rest = rest.clamp_min(torch.finfo(rest.dtype).eps ** 4)  # so that no square of 1 / (1 - f) overflows
        return Opened(y, i, torch.sigmoid(y[1]), g, torch.sigmoid(y[3]), i * g / rest), rest

    def bounds(self, low: Tensor, high: Tensor) -> Bounds | None:
        both = super().bounds(low, high)
        return None if both is None else both[:1]


class LSTM(Recurrent):
    """A stack of long short-term memories, with the weights of ``torch.nn.LSTM`` by its own names.

    ``gate`` is the function of i, f and o, and ``activation`` that of g and of c'. Raises ValueError for these where
    they are not known, and for weights that are missing, unknown, misshapen or not finite.
    """

    name = "lstm"
    papers = ("hochreiter1997", "kingma2015")
    title = "LSTM"
    equation = "c' = f c + i g, h' = o tanh(c'), g = tanh(W_ig u + b_ig + W_hg h + b_hg), i, f and o logistic"
    modules = (nn.LSTM, nn.LSTMCell)
    gates = 4

    def __init__(
        self, weights: Mapping[str, Any], *, gate: str = "logistic", activation: str = "tanh", task: Any = None
    ) -> None:
        self.gate, self.activation = activation_named(gate, "gate", GATES), activation_named(activation)
        super().__init__(weights, task=task)
        self.box_is_trapping = self.box_is_trapping and self.gate == "logistic"  # else c may grow for ever

    @classmethod
    def random(
        cls,
        units: int = 6,
        layers: int = 1,
        seed: int = 0,
        gain: float = 0.7,
        *,
        proj_size: int = 0,
        **options: Any,
    ) -> LSTM:
        """Normal weights, W_hh ~ N(0, gain^2 / hidden), with 2 inputs and 2 outputs; a small gain keeps c small."""
        return cls(random_weights(cls.gates, units, layers, seed, gain, proj_size=proj_size), **options)

    def make_layer(self, weights: dict[str, Tensor | None]) -> Layer:
        return LSTMLayer(**weights, **self.settings())  # type: ignore[arg-type]

    def module_options(self) -> dict[str, Any]:
        projected = {"proj_size": len(self._arrays["weight_hr_l0"])} if "weight_hr_l0" in self._arrays else {}
        return super().module_options() | projected

    def settings(self) -> dict[str, Any]:
        return {"gate": self.gate, "activation": self.activation}

    def reduction(self) -> Reduction | None:
        """A map in h alone, half the size: c is put where it comes to rest while h is held.

        None where the forget gate can reach 1: there c may rest anywhere.
        """
        if self.gate != "logistic":
            return None
        layers = [layer.settled() for layer in self.layers if isinstance(layer, LSTMLayer)]
        settled = Stack(layers, fresh=False, name="lstm-settled")

        def lift(y: Tensor, u: Tensor) -> Tensor:
            h = y.chunk(len(layers), dim=1)
            c = [layer.cells(a, own) for layer, a, own in zip(layers, (u, *h), h, strict=False)]
            return torch.cat([y, *c], dim=1)

        return Reduction(settled, lambda x: x[:, : settled.n_state], lift)

"""The LSTM whose gates look at the cell state through peepholes (Gers & Schmidhuber 2000).

i = gate(W_i. a + b_i. + W_h. h + b_h. + p_i c),   f alike with p_f c,   g = tanh(W_ig a + b_ig + W_hg h + b_hg),
c' = f c + i g,   o = gate(... + p_o c'),   h' = o tanh(c')   or   h' = W_hr (o tanh(c')) with a projection;

each peephole p is one weight per unit, as in the paper.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from dynsys.models.activations import GATES, activation_named
from dynsys.models.networks.lstm_variants import LSTMVariant
from dynsys.models.recurrent.base import Recurrent, checked, random_weights
from dynsys.models.recurrent.layer import Bounds, Layer, Parts, Slopes
from dynsys.models.recurrent.lstm import LSTMLayer, LSTMSlopes, Opened
from dynsys.models.recurrent.stack import Stack
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.system import Reduction

LARGEST = 40.0  # log i / (1 - f) that is computed: with more, c would rest beyond 2 / eps, where nothing adds to it
SATURATED = 4.0  # |c| from which h = o tanh(c) no longer feels c: up to it h may hold a cell that would run away


@dataclass(frozen=True)
class PeepholeLayer(LSTMLayer):
    """One layer of an LSTM whose gates see c; ``peephole`` (3, units) holds p_i, p_f and p_o, None is none."""

    peephole: Tensor | None = None

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        opened = self._opened(a, s)
        t = self.phi.value(opened.c)
        of_i, of_f, of_g, of_o = self._of_gates(opened, s[1], t)
        return self._looked(opened, t, of_i, of_f, of_g, of_o, opened.f)

    def _looked(
        self, opened: Opened, t: Tensor, of_i: Tensor, of_f: Tensor, of_g: Tensor, of_o: Tensor, kept: Tensor
    ) -> tuple[Tensor, Slopes]:
        """h' and the derivative, from those by the preactivations and from ``kept``, that of c' by c without peepholes;
        t = phi(c')."""
        of_c = opened.o * self.phi.slope(opened.c, t)
        if self.peephole is not None:
            p_i, p_f, p_o = self.peephole
            of_c, kept = of_c + p_o * of_o, kept + p_i * of_i + p_f * of_f
        return self._projected(opened.o * t), LSTMSlopes(self, torch.cat([of_i, of_f, of_g, of_o], 1), kept, of_c)

    def _seen(self, a: Tensor, s: Parts) -> Parts:
        """The preactivations of i, f, g, and of o without its peephole, for which c' has to be known."""
        i, f, g, o = self._preactivations(a, s[0])
        if self.peephole is not None:
            i, f = i + self.peephole[0] * s[1], f + self.peephole[1] * s[1]
        return i, f, g, o

    def _opened(self, a: Tensor, s: Parts) -> Opened:
        y = self._seen(a, s)
        i, f, g = self.sigma.value(y[0]), self.sigma.value(y[1]), self.phi.value(y[2])
        return self._put_out(y, i, f, g, f * s[1] + i * g)

    def _put_out(self, y: Parts, i: Tensor, f: Tensor, g: Tensor, c: Tensor) -> Opened:
        of_o = y[3] if self.peephole is None else y[3] + self.peephole[2] * c
        return Opened((*y[:3], of_o), i, f, g, self.sigma.value(of_o), c)

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> tuple[Enclosed, ...] | None:
        """o tanh(c') - h and i g - (1 - f) c, 1 - f as sigma of the negative, which keeps its digits near f = 1."""
        h, c = s
        driven = a.affine(self.weight_ih, self.bias_ih) + h.affine(self.weight_hh, self.bias_hh)
        i, f, g, o = driven.chunk(4)
        if self.peephole is not None:
            p_i, p_f, p_o = (c.constant(p) for p in self.peephole.unsqueeze(1))
            i, f = i + c * p_i, f + c * p_f
        change = self._enclosed_change(i, f, self.phi.enclosed(g), c)
        new_c = (c + change).tightened()
        if self.peephole is not None:
            o = o + new_c * p_o
        m = self.sigma.enclosed(o) * self.phi.enclosed(new_c)
        return (m if self.weight_hr is None else m.affine(self.weight_hr)) - h, change

    def _enclosed_change(self, i: Enclosed, f: Enclosed, g: Enclosed, c: Enclosed) -> Enclosed:
        """c' - c, from the preactivations of i and f."""
        return self.sigma.enclosed(i) * g - self.sigma.enclosed(-f) * c

    def bounds(self, low: Tensor, high: Tensor) -> Bounds | None:
        """|h| as an LSTM's, and |c| up to where a cell whose h and inputs are held can rest without running away.

        At rest c (1 - f) = i g, and with c > 0 the slope of c' - c is (1 - f) (c (p_f f + p_i (1 - i)) - 1). So where c
        shuts its forget gate the bound is an LSTM's, and where it opens it, p_f > 0, a slope below 0 needs

            c (p_f - max(0, -p_i)) <= 1 + p_f i g.

        A rest farther out is one beyond which c grows for ever; 2^units of these may surround every other rest. Where
        that says nothing, since p_i shuts as fast as p_f opens, or the gate is hard, the bound is the c at which f is
        1, if only by rounding.
        """
        both = super().bounds(low, high)
        if both is None or self.peephole is None:
            return both
        least_h, most_h = both[0]
        above, below = (self._farthest(low, high, side * self.peephole) for side in (1.0, -1.0))
        return (least_h, most_h), (-below, above)

    def _farthest(self, low: Tensor, high: Tensor, peephole: Tensor) -> Tensor:
        """The bound of |c| (B, units), for peepholes on |c|."""
        eps, (writes, opens, _) = torch.finfo(low.dtype).eps, peephole
        least, most = (z.chunk(4, dim=1) for z in self._reached(low, high))
        i = torch.where(writes > 0, 1.0, self.sigma.value(most[0]))
        ig = i * self._largest(least[2], most[2])
        as_lstm = ig / self.sigma.value(-most[1]).clamp_min(torch.finfo(low.dtype).tiny)
        full = float(np.log(2 / eps)) if self.sigma.hinges is None else self.sigma.hinges.places[-1]
        opening = (full - least[1]).clamp_min(0.0) / opens
        if self.gate == "logistic" and self.activation == "tanh":  # whose slopes are those of the inequality above
            runs_away = (1 + opens * ig) / (opens + writes.clamp_max(0.0)).clamp_min(torch.finfo(low.dtype).tiny)
            opening = torch.minimum(runs_away.clamp_min(SATURATED), opening)
        return torch.where(opens > 0, opening, as_lstm).clamp_max(2 * self.phi.reach / eps)

    def opened(self) -> OpenLayer:
        """The layer without its forget gate."""
        return OpenLayer(**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    def _reached(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest W_ih a + W_hh h + b, (B, 4 units), for h within its bounds."""
        middle, radius = (high + low) / 2, (high - low) / 2
        centre = self.driven(middle) + self.recurrent(low.new_zeros(1, self.widths[0]))
        spread = radius @ self.weight_ih.abs().T + self.weight_hh.abs() @ self._reach(low)
        return centre - spread, centre + spread


@dataclass(frozen=True)
class OpenLayer(PeepholeLayer):
    """A layer whose forget gate is taken out: c' = i g / (1 - f), with i and f of the held c, h' = o tanh(c').

    It rests where the layer does, wherever f < 1. But where i and 1 - f both vanish, the layer's c hardly moves, be it
    where it may, and this one's goes to where they balance.
    """

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        opened, log_ratio = self._resting(a, s)
        t = self.phi.value(opened.c)
        by_ratio = torch.where(log_ratio < LARGEST, opened.c, torch.zeros_like(t))
        of_g = torch.exp(log_ratio) * self.phi.slope(opened.y[2], opened.g)
        of_o = t * self.sigma.slope(opened.y[3], opened.o)
        of_i, of_f = by_ratio * (1 - opened.i), by_ratio * opened.f
        return self._looked(opened, t, of_i, of_f, of_g, of_o, torch.zeros_like(t))

    def _opened(self, a: Tensor, s: Parts) -> Opened:
        return self._resting(a, s)[0]

    def _resting(self, a: Tensor, s: Parts) -> tuple[Opened, Tensor]:
        """And log i / (1 - f): both may be as small as they like."""
        y = self._seen(a, s)
        log_ratio = (logsigmoid(y[0]) - logsigmoid(-y[1])).clamp_max(LARGEST)
        g = self.phi.value(y[2])
        return self._put_out(y, torch.sigmoid(y[0]), torch.sigmoid(y[1]), g, torch.exp(log_ratio) * g), log_ratio

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> None:
        return None  # it is the network that gets certificates, not this way to its zeros


class PeepholeLSTM(Recurrent):
    """A stack of LSTMs with peepholes: the weights of ``torch.nn.LSTM`` by its own names, and besides, for each layer
    that has them, peephole_l{k} (3, units) with the rows p_i, p_f and p_o.

    ``gate`` and ``activation`` are as those of an ``LSTM``. Raises ValueError for these where they are not known, and
    for weights that are missing, unknown, misshapen or not finite.
    """

    name = "lstm-peephole"
    papers = ("gers2000", "kingma2015")
    title = "LSTM with peepholes"
    equation = "as an lstm, with p_i c in i, p_f c in f and p_o c' in o"
    gates = 4
    looking: ClassVar[tuple[str, ...]] = ("i", "f", "o")  # the gates that have peepholes

    def __init__(
        self, weights: Mapping[str, Any], *, gate: str = "logistic", activation: str = "tanh", task: Any = None
    ) -> None:
        self.gate, self.activation = activation_named(gate, "gate", GATES), activation_named(activation)
        names = [key for key in weights if re.fullmatch(r"peephole_l\d+", key)]
        peepholes = {key: checked(key, weights[key]) for key in names}
        super().__init__({key: value for key, value in weights.items() if key not in peepholes}, task=task)
        for key in peepholes:
            if int(key.removeprefix("peephole_l")) >= len(self.layers):
                raise ValueError(f"{key} is given, but the network has {len(self.layers)} layers, counted from 0")
        found = [peepholes.get(f"peephole_l{k}") for k in range(len(self.layers))]
        self.layers = tuple(
            dataclasses.replace(layer, peephole=self._peephole(k, layer.widths[1], found[k]))
            for k, layer in enumerate(self.layers)
            if isinstance(layer, PeepholeLayer)
        )
        self._arrays = self._arrays | peepholes
        self.box_is_trapping = self.box_is_trapping and self._traps()

    def _peephole(self, k: int, units: int, given: Tensor | None) -> Tensor | None:
        """As a layer wants it, from the rows of ``looking``."""
        shape = (len(self.looking), units)
        if given is not None and given.shape != shape:
            raise ValueError(
                f"peephole_l{k} has shape {tuple(given.shape)}; a layer of kind {self.name!r} with {units} units needs "
                f"{shape}, one row for each of {', '.join(self.looking)}"
            )
        return given

    def _traps(self) -> bool:
        """c that opens its own forget gate may grow for ever, and so may any behind a hard gate."""
        if self.gate != "logistic":
            return False
        peepholes = [layer.peephole for layer in self.layers if isinstance(layer, PeepholeLayer)]
        return not any(p is not None and bool(p[1].any()) for p in peepholes)

    @classmethod
    def random(
        cls,
        units: int = 8,
        layers: int = 1,
        seed: int = 0,
        gain: float = 0.8,
        *,
        peephole: float = 0.3,
        **options: Any,
    ) -> Self:
        """Normal weights, W_hh ~ N(0, gain^2 / units), with 2 inputs and 2 outputs; peepholes of either sign and of
        1/2 to 3/2 the size ``peephole``, none where that is 0."""
        weights = random_weights(cls.gates, units, layers, seed, gain)
        rng = np.random.default_rng([seed, 1])
        for k in range(layers if peephole else 0):
            shape = (len(cls.looking), units)
            sign, size = rng.choice([-1.0, 1.0], shape), rng.uniform(0.5, 1.5, shape)
            weights[f"peephole_l{k}"] = peephole * sign * size
        return cls(weights, **options)

    def make_layer(self, weights: dict[str, Tensor | None]) -> Layer:
        return PeepholeLayer(**weights, gate=self.gate, activation=self.activation)  # type: ignore[arg-type]

    @classmethod
    def module(cls, *sizes: int, **options: Any) -> nn.Module:
        return LSTMVariant(*sizes, **options)

    def module_options(self) -> dict[str, Any]:
        if any(key.startswith("weight_hr") for key in self._arrays):
            raise ValueError("the layers have peepholes and project their h; no torch module does both")
        return super().module_options() | {"peephole": any(key.startswith("peephole") for key in self._arrays)}

    def settings(self) -> dict[str, Any]:
        return {"gate": self.gate, "activation": self.activation}

    def reduction(self) -> Reduction | None:
        """The network without its forget gates, in the same state; it has no zeros where c hardly moves.

        None where a forget gate can reach 1: there c may rest anywhere.
        """
        if self.gate != "logistic":
            return None
        layers = [layer.opened() for layer in self.layers if isinstance(layer, PeepholeLayer)]
        opened = Stack(layers, fresh=False, name="lstm-peephole-open")
        opened.box_is_trapping = False  # it is the network's box, and this map leaps
        return Reduction(opened, lambda x: x, lambda y, u: y)

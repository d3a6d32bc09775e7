"""The gated recurrent unit (Cho et al. 2014), and the easier map with the same fixed points.

r = gate(W_ir a + b_ir + W_hr h + b_hr),   z = gate(W_iz a + b_iz + W_hz h + b_hz),   h' = (1 - z) n + z h,
n = f(W_in a + b_in + r (W_hn h + b_hn))    where the reset comes after the product, as in torch,
n = f(W_in a + b_in + W_hn (r h) + b_hn)    where it comes before, as in the paper.

h' - h = (1 - z)(n - h): wherever z < 1 the zeros are those of n(h) - h, from which the gate is gone. A logistic gate
never reaches 1. A hard one does, and then h stays where it is, whatever n: such states are fixed points as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dynsys.models.activations import GATES, Activation, activation, activation_named
from dynsys.models.recurrent.base import Recurrent, random_weights
from dynsys.models.recurrent.layer import Blocks, Bounds, GatedSlopes, Layer, Parts, Slopes
from dynsys.models.recurrent.stack import Stack
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.system import Reduction

RESETS = ("after", "before")  # the product with W_hn


class Opened(NamedTuple):
    """Preactivations and values of the gates (B, gates * units), r being the first, and of n; and what r multiplies."""

    y: Tensor
    gates: Tensor
    candidate: Tensor
    n: Tensor
    inner: Tensor


@dataclass(frozen=True)
class GRULayer(Layer):
    """One layer; the rows of its weights are those of r, z and n."""

    gate: str = "logistic"
    activation: str = "tanh"
    reset: str = "after"

    @property
    def f(self) -> Activation:
        return activation(self.activation)

    @property
    def sigma(self) -> Activation:
        return activation(self.gate)

    def step(self, a: Tensor, s: Parts) -> Parts:
        opened = self._opened(a, s[0])
        z = opened.gates.chunk(2, dim=1)[1]
        return (torch.lerp(opened.n, s[0], z),)  # which is h itself where z = 1, to the last bit

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        (h,), opened = s, self._opened(a, s[0])
        (r, z), (of_r, of_z) = opened.gates.chunk(2, 1), self.sigma.slope(opened.y, opened.gates).chunk(2, 1)
        n, of_n = opened.n, (1 - z) * self.f.slope(opened.candidate, opened.n)
        return torch.lerp(n, h, z), self._derivative(r, of_r * opened.inner, of_n, ((h - n) * of_z,), keep=z)

    def _derivative(
        self, r: Tensor, of_r: Tensor, of_n: Tensor, of_z: Parts = (), keep: Tensor | None = None
    ) -> Slopes:
        """From the derivatives of r times what it multiplies by r's preactivation, and of h' by the others."""
        if self.reset == "before":
            return ResetSlopes(self, r, of_r, of_n, of_z, keep)
        of_r = of_n * of_r
        return GatedSlopes(self, (of_r, *of_z, of_n * r), (of_r, *of_z, of_n), keep)

    def _opened(self, a: Tensor, h: Tensor) -> Opened:
        from_a, units = self.driven(a), h.shape[1]
        of_gates, of_n = slice(0, from_a.shape[1] - units), slice(from_a.shape[1] - units, None)
        if self.reset == "before":
            y = from_a[:, of_gates] + self.recurrent(h, of_gates)
            gates, inner = self.sigma.value(y), h
            candidate = from_a[:, of_n] + self.recurrent(gates[:, :units] * h, of_n)
        else:
            from_h = self.recurrent(h)
            y = from_a[:, of_gates] + from_h[:, of_gates]
            gates, inner = self.sigma.value(y), from_h[:, of_n]
            candidate = torch.addcmul(from_a[:, of_n], gates[:, :units], inner)
        return Opened(y, gates, candidate, self.f.value(candidate), inner)

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> tuple[Enclosed, ...] | None:
        """(1 - z)(n - h), with 1 - z as sigma of the negative, which keeps its digits where the gate is shut."""
        h, both = s[0], slice(0, 2 * self.widths[0])
        W_n, b_n = self.weight_hh[both.stop :], None if self.bias_hh is None else self.bias_hh[both.stop :]
        of_a = a.affine(self.weight_ih, self.bias_ih)
        from_h = h.affine(self.weight_hh[both], None if self.bias_hh is None else self.bias_hh[both])
        y_r, y_z = (of_a.part(both) + from_h).chunk(2)
        r, rest = self.sigma.enclosed(y_r), self.sigma.enclosed(-y_z)
        candidate = (r * h).affine(W_n, b_n) if self.reset == "before" else r * h.affine(W_n, b_n)
        return (rest * (self.f.enclosed(of_a.part(slice(both.stop, None)) + candidate) - h),)

    def bounds(self, low: Tensor, high: Tensor) -> Bounds | None:
        """h' lies between n and h, and n in the range of f."""
        if not self.f.is_bounded:
            return None
        one = low.new_ones(len(low), *self.widths)
        return ((self.f.low * one, self.f.high * one),)

    def candidate(self) -> CandidateLayer:
        """The layer h' = n(a, h), without the rows of z."""

        def without_z(w: Tensor | None) -> Tensor | None:
            return None if w is None else torch.cat([w.chunk(3)[0], w.chunk(3)[2]])

        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        kept: dict[str, Any] = {key: without_z(w) if isinstance(w, Tensor) else w for key, w in held.items()}
        return CandidateLayer(**kept)


@dataclass(frozen=True)
class CandidateLayer(GRULayer):
    """h' = n(a, h): a GRU's layer whose update gate is taken out; the rows of its weights are those of r and n."""

    def step(self, a: Tensor, s: Parts) -> Parts:
        return (self._opened(a, s[0]).n,)

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        opened = self._opened(a, s[0])
        of_r = self.sigma.slope(opened.y, opened.gates) * opened.inner
        return opened.n, self._derivative(opened.gates, of_r, self.f.slope(opened.candidate, opened.n))

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> None:
        return None  # it is the network that gets certificates, not this way to its zeros


class ResetSlopes(Slopes):
    """dh' = keep dh + of_z (W_z dh) + of_n (W_n (r dh + of_r (W_r dh))), where r multiplies h before W_n does.

    W dh stands for W_hh dh + W_ih da, but for the sum in brackets, to which W_ih da is added outside. Without an update
    gate there is no ``of_z``.
    """

    def __init__(self, layer: Layer, r: Tensor, of_r: Tensor, of_n: Tensor, of_z: Parts, keep: Tensor | None) -> None:
        self._r, self._of_r, self._of_n, self._of_z, self._keep = r, of_r, of_n, of_z, keep
        self._hh, self._ih = (W.chunk(2 + len(of_z)) for W in (layer.weight_hh, layer.weight_ih))

    def product(self, ds: Parts, da: Tensor | None) -> Parts:
        (dh,), of_inputs = ds, [0.0 if da is None else da @ W.T for W in self._ih]
        inner = self._r * dh + self._of_r * (dh @ self._hh[0].T + of_inputs[0])
        new = self._of_n * (inner @ self._hh[-1].T + of_inputs[-1])
        for of_z in self._of_z:
            new = new + of_z * (dh @ self._hh[1].T + of_inputs[1])
        return (new if self._keep is None else new + self._keep * dh,)

    def transposed(self, g: Parts, below: bool) -> tuple[Parts, Tensor | None]:
        w = g[0]
        by_n = self._of_n * w
        inner = by_n @ self._hh[-1]
        terms = [self._of_r * inner, *(of_z * w for of_z in self._of_z)]
        back = self._r * inner
        for term, W in zip(terms, self._hh, strict=False):
            back = back + term @ W
        back = back if self._keep is None else back + self._keep * w
        if not below:
            return (back,), None
        return (back,), torch.cat([*terms, by_n], dim=1) @ torch.cat(self._ih)

    def dense(self) -> Blocks:
        inner = self._of_r.unsqueeze(2) * self._hh[0] + torch.diag_embed(self._r)
        A = self._of_n.unsqueeze(2) * (self._hh[-1] @ inner)
        for of_z in self._of_z:
            A = A + of_z.unsqueeze(2) * self._hh[1]
        return ((A if self._keep is None else A + torch.diag_embed(self._keep),),)

    def by_input(self) -> Parts:
        inner = self._hh[-1] @ (self._of_r.unsqueeze(2) * self._ih[0]) + self._ih[-1]
        B = self._of_n.unsqueeze(2) * inner
        for of_z in self._of_z:
            B = B + of_z.unsqueeze(2) * self._ih[1]
        return (B,)


class GRU(Recurrent):
    """A stack of gated recurrent units, with the weights of ``torch.nn.GRU`` by its own names.

    ``reset`` is "after" the product, as in torch, or "before" it; ``gate`` and ``activation`` are the functions of the
    gates and of n. Raises ValueError for these where they are not known, and for weights that are missing, unknown,
    misshapen or not finite.
    """

    name = "gru"
    papers = ("cho2014", "kingma2015")
    title = "GRU"
    equation = "h' = (1 - z) n + z h, n = tanh(W_in u + b_in + r (W_hn h + b_hn)), z and r logistic"
    reset_before = "h' = (1 - z) n + z h, n = tanh(W_in u + b_in + W_hn (r h) + b_hn), z and r logistic"
    modules = (nn.GRU, nn.GRUCell)
    gates = 3

    def __init__(
        self,
        weights: Mapping[str, Any],
        *,
        reset: str = "after",
        gate: str = "logistic",
        activation: str = "tanh",
        task: Any = None,
    ) -> None:
        if reset not in RESETS:
            raise ValueError(f"reset is {reset!r}; it can be {' or '.join(RESETS)} the product with W_hn")
        self.reset, self.gate = reset, activation_named(gate, "gate", GATES)
        self.activation = activation_named(activation)
        super().__init__(weights, task=task)

    @classmethod
    def random(cls, units: int = 8, layers: int = 1, seed: int = 0, gain: float = 1.5, **options: Any) -> GRU:
        """Normal weights, W_hh ~ N(0, gain^2 / units), with 2 inputs and 2 outputs."""
        return cls(random_weights(cls.gates, units, layers, seed, gain), **options)

    def make_layer(self, weights: dict[str, Tensor | None]) -> Layer:
        return GRULayer(**weights, **self.settings())  # type: ignore[arg-type]

    def settings(self) -> dict[str, Any]:
        return {"reset": self.reset, "gate": self.gate, "activation": self.activation}

    def reduction(self) -> Reduction | None:
        """h = n(h) in every layer: inside the box every zero of F is one, and the other way round where z < 1.

        None where the gate can reach 1: the zeros with a shut gate would be missing.
        """
        if self.gate != "logistic":
            return None
        layers = [layer.candidate() for layer in self.layers if isinstance(layer, GRULayer)]
        return Reduction(Stack(layers, fresh=False, name="gru-candidate"), lambda x: x, lambda y, u: y)

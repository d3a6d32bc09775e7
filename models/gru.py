"""The gated recurrent unit (Cho et al. 2014) as torch computes it, and the easier map with the same fixed points.

r = sigma(W_ir a + b_ir + W_hr h + b_hr),   z = sigma(W_iz a + b_iz + W_hz h + b_hz),
n = tanh(W_in a + b_in + r (W_hn h + b_hn)),   h' = (1 - z) n + z h.

h' - h = (1 - z)(n - h): wherever z < 1 the zeros are those of n(h) - h, from which the gate is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dynsys.models.layer import Bounds, GatedSlopes, Layer, Parts, Slopes
from dynsys.models.recurrent import Recurrent, random_weights
from dynsys.models.stack import Stack
from dynsys.proof.enclosure import Enclosed
from dynsys.system import Reduction


@dataclass(frozen=True)
class GRULayer(Layer):
    """One layer; the rows of its weights are those of r, z and n."""

    def step(self, a: Tensor, s: Parts) -> Parts:
        _, z, n, _ = self._gates(a, s[0])
        return (n + z * (s[0] - n),)

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        r, z, n, candidate = self._gates(a, s[0])
        of_n = (1 - z) * (1 - n * n)
        of_r, of_z = of_n * candidate * r * (1 - r), (s[0] - n) * z * (1 - z)
        slopes = GatedSlopes(self, (of_r, of_z, of_n * r), (of_r, of_z, of_n), keep=z)
        return n + z * (s[0] - n), slopes

    def _gates(self, a: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """r, z, n, and W_hn h + b_hn, which r multiplies."""
        from_a, from_h, both = self.driven(a), self.recurrent(h), 2 * h.shape[1]
        r, z = torch.sigmoid(from_a[:, :both] + from_h[:, :both]).chunk(2, dim=1)
        candidate = from_h[:, both:]
        return r, z, torch.tanh(torch.addcmul(from_a[:, both:], r, candidate)), candidate

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> tuple[Enclosed, ...]:
        """(1 - z)(n - h), with 1 - z as sigma of the negative, which keeps its digits where the gate is shut."""
        of_a, of_h = a.affine(self.weight_ih, self.bias_ih).chunk(3), s[0].affine(self.weight_hh, self.bias_hh).chunk(3)
        r, rest = (of_a[0] + of_h[0]).sigmoid(), (-(of_a[1] + of_h[1])).sigmoid()
        return (rest * ((of_a[2] + r * of_h[2]).tanh() - s[0]),)

    def bounds(self, low: Tensor, high: Tensor) -> Bounds:
        """h' lies between n and h, and n in [-1, 1]."""
        one = low.new_ones(len(low), *self.widths)
        return ((-one, one),)

    def candidate(self) -> CandidateLayer:
        """The layer h' = n(a, h), without the rows of z."""

        def without_z(w: Tensor | None) -> Tensor | None:
            return None if w is None else torch.cat([w.chunk(3)[0], w.chunk(3)[2]])

        weight_ih, weight_hh = without_z(self.weight_ih), without_z(self.weight_hh)
        assert weight_ih is not None
        assert weight_hh is not None
        return CandidateLayer(weight_ih, weight_hh, without_z(self.bias_ih), without_z(self.bias_hh))


@dataclass(frozen=True)
class CandidateLayer(Layer):
    """h' = n(a, h): a GRU's layer whose update gate is taken out; the rows of its weights are those of r and n."""

    def step(self, a: Tensor, s: Parts) -> Parts:
        return (self._gates(a, s[0])[1],)

    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        r, n, candidate = self._gates(a, s[0])
        of_n = 1 - n * n
        of_r = of_n * candidate * r * (1 - r)
        return n, GatedSlopes(self, (of_r, of_n * r), (of_r, of_n))

    def _gates(self, a: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        from_a, from_h = self.driven(a).chunk(2, dim=1), self.recurrent(h).chunk(2, dim=1)
        r = torch.sigmoid(from_a[0] + from_h[0])
        return r, torch.tanh(torch.addcmul(from_a[1], r, from_h[1])), from_h[1]

    def bounds(self, low: Tensor, high: Tensor) -> Bounds:
        one = low.new_ones(len(low), *self.widths)
        return ((-one, one),)


class GRU(Recurrent):
    """A stack of gated recurrent units, with the weights of ``torch.nn.GRU`` by its own names.

    Raises ValueError for weights that are missing, unknown, misshapen or not finite.
    """

    name = "gru"
    gates = 3

    def __init__(self, weights: Mapping[str, Any], *, task: Any = None) -> None:
        super().__init__(weights, task=task)

    @classmethod
    def random(cls, units: int = 8, layers: int = 1, seed: int = 0, gain: float = 1.5) -> GRU:
        """Normal weights, W_hh ~ N(0, gain^2 / units), with 2 inputs and 2 outputs."""
        return cls(random_weights(cls.gates, units, layers, seed, gain))

    def make_layer(self, weights: dict[str, Tensor | None]) -> Layer:
        return GRULayer(**weights)  # type: ignore[arg-type]

    def reduction(self) -> Reduction:
        """h = n(h) in every layer: inside the box every zero of F is one, and the other way round where z < 1."""
        layers = [layer.candidate() for layer in self.layers if isinstance(layer, GRULayer)]
        return Reduction(Stack(layers, fresh=False, name="gru-candidate"), lambda x: x, lambda y, u: y)

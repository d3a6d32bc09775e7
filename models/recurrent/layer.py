"""One layer of a recurrent network, s' = g(a, s) for an input a, and its derivative ds' = A ds + B da.

The vanilla layer, the GRU's and the reduced forms of the gated ones all have a derivative of one form, which is here;
the LSTM's, which has a second part of its state, is in ``lstm.py``.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from dynsys.piecewise_linear.hinged import Hinges
from dynsys.proof.functions.enclosure import Enclosed

Parts = tuple[Tensor, ...]  # the state of one layer: (h,), or (h, c)
Blocks = tuple[tuple[Tensor, ...], ...]
Bounds = tuple[tuple[Tensor, Tensor], ...]  # low and high of each part


class Slopes(abc.ABC):
    """The derivative of one layer at given states: ds' = A ds + B da, for a batch."""

    @abc.abstractmethod
    def product(self, ds: Parts, da: Tensor | None) -> Parts:
        """A ds + B da, in tensors of its own; da None is zero."""

    @abc.abstractmethod
    def transposed(self, g: Parts, below: bool) -> tuple[Parts, Tensor | None]:
        """A^T g, and B^T g where there is a layer ``below``."""

    @abc.abstractmethod
    def dense(self) -> Blocks:
        """A in blocks by the parts of s, A[i][j] (B, s_i, s_j)."""

    @abc.abstractmethod
    def by_input(self) -> Parts:
        """B by the parts of s, (B, s_i, inputs) each."""


@dataclass(frozen=True)
class Layer(abc.ABC):
    """The weights of one layer, shaped as torch shapes them, and what it computes.

    weight_ih (gates * units, inputs), weight_hh (gates * units, hidden), biases (gates * units,), weight_hr
    (hidden, units) where the LSTM projects its h, else None and hidden = units.
    """

    parts: ClassVar[tuple[str, ...]] = ("h",)  # of the state, in order

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    weight_hr: Tensor | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the parts of the state."""
        return (self.weight_hh.shape[1],)

    @property
    def hinges(self) -> Hinges | None:
        """f, where g(a, h) = f(W_ih a + b_ih + W_hh h + b_hh) with a piecewise-linear f."""
        return None

    @abc.abstractmethod
    def step(self, a: Tensor, s: Parts) -> Parts:
        """g(a, s)."""

    @abc.abstractmethod
    def slopes(self, a: Tensor, s: Parts) -> tuple[Tensor, Slopes]:
        """The new h, and the derivative of g at (a, s)."""

    @abc.abstractmethod
    def bounds(self, low: Tensor, high: Tensor) -> Bounds | None:
        """What s' can be, each (B, width), for inputs between ``low`` and ``high``; None where there is no bound."""

    def enclosure(self, a: Enclosed, s: tuple[Enclosed, ...]) -> tuple[Enclosed, ...] | None:
        """g(a, s) - s; None where no closed form is written down.

        The difference is the part's own to form: where a gate keeps s, it is small, and so are then its errors.
        """
        return None

    def to(self, device: torch.device | str | None, dtype: torch.dtype | None) -> Self:
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        moved = {key: w.to(device=device, dtype=dtype) for key, w in held.items() if isinstance(w, Tensor)}
        return dataclasses.replace(self, **moved)

    def driven(self, a: Tensor) -> Tensor:
        """W_ih a + b_ih, (B, gates * units), or (1, ...) for a held input that is one row seen B times."""
        a = one_row(a)
        return a @ self.weight_ih.T if self.bias_ih is None else torch.addmm(self.bias_ih, a, self.weight_ih.T)

    def recurrent(self, h: Tensor, rows: slice | None = None) -> Tensor:
        """W_hh h + b_hh, (B, gates * units), or some of its rows."""
        W, b = self.weight_hh, self.bias_hh
        if rows is not None:
            W, b = W[rows], None if b is None else b[rows]
        return h @ W.T if b is None else torch.addmm(b, h, W.T)


class GatedSlopes(Slopes):
    """dh' = keep dh + sum over gates of across_g (W_hh dh)_g + up_g (W_ih da)_g, projected where the layer projects.

    ``across`` and ``up`` hold (B, units) for every gate, ``keep`` is (B, units), or None for none.
    """

    def __init__(self, layer: Layer, across: Parts, up: Parts, keep: Tensor | None = None) -> None:
        self._layer, self._keep, self._gates = layer, keep, len(across)
        self._across = across[0] if len(across) == 1 else torch.cat(across, dim=1)
        self._up_of_gates, self._shared = up, across is up
        self._W_hh, self._W_ih = layer.weight_hh.T, layer.weight_ih.T
        self._W_hr = None if layer.weight_hr is None else layer.weight_hr.T

    @functools.cached_property
    def _up(self) -> Tensor:  # a layer that has none below never needs it
        return self._across if self._shared else torch.cat(self._up_of_gates, dim=1)

    def product(self, ds: Parts, da: Tensor | None) -> Parts:
        terms = ds[0] @ self._W_hh
        if da is not None and self._shared:
            terms.addmm_(da, self._W_ih)
        terms.mul_(self._across)
        if da is not None and not self._shared:
            terms.addcmul_(da @ self._W_ih, self._up)
        new = terms if self._gates == 1 else terms.view(len(terms), self._gates, terms.shape[1] // self._gates).sum(1)
        if self._keep is not None:
            new.addcmul_(self._keep, ds[0])
        return (new if self._W_hr is None else new @ self._W_hr,)

    def transposed(self, g: Parts, below: bool) -> tuple[Parts, Tensor | None]:
        w = g[0] if self._layer.weight_hr is None else g[0] @ self._layer.weight_hr
        repeated = w if self._gates == 1 else w.repeat(1, self._gates)
        back = (repeated * self._across) @ self._layer.weight_hh
        if self._keep is not None:
            back.addcmul_(self._keep, w)
        return (back,), (repeated * self._up) @ self._layer.weight_ih if below else None

    def dense(self) -> Blocks:
        A = self._gated(self._across, self._layer.weight_hh)
        if self._keep is not None:
            A.diagonal(dim1=1, dim2=2).add_(self._keep)
        return ((self._projected(A),),)

    def by_input(self) -> Parts:
        return (self._projected(self._gated(self._up, self._layer.weight_ih)),)

    def _projected(self, M: Tensor) -> Tensor:
        return M if self._layer.weight_hr is None else self._layer.weight_hr @ M

    def _gated(self, factors: Tensor, W: Tensor) -> Tensor:
        first, *rest = zip(factors.chunk(self._gates, dim=1), W.chunk(self._gates), strict=True)
        total = first[0].unsqueeze(2) * first[1]
        for factor, w in rest:
            total.addcmul_(factor.unsqueeze(2), w)
        return total


def one_row(a: Tensor) -> Tensor:
    """The single row of a batch that was expanded from one, else the batch: what depends on it is computed once."""
    return a[:1] if len(a) > 1 and a.stride(0) == 0 else a

"""Layers of a recurrent network on top of each other, as one map with every derivative in closed form.

The state is h of every layer, then c of every layer (LSTM). With ds' = A ds + B da for each layer the Jacobian is
block lower triangular, and its products need each layer's A and B only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from dynsys.models.recurrent.layer import Layer, Parts, Slopes, one_row
from dynsys.piecewise_linear.hinged import HingedLayer, hinged_layers
from dynsys.proof.exact import Sum, affine_terms
from dynsys.proof.functions.enclosure import Enclosed, joined
from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Kind, Product, System


class Stack(System):
    """The map of layers whose input is the held u, or h of the layer below.

    ``fresh`` says which h of the layer below a layer sees: the new one, as a network does, or the held one, which
    couples neighbours only and has the same fixed points, since there the two are equal.
    """

    kind = Kind.MAP
    single_precision = True
    many_directions = True

    def __init__(self, layers: Sequence[Layer], *, fresh: bool = True, name: str = "stack") -> None:
        self.layers, self.fresh, self.name = tuple(layers), fresh, name
        self.n_input = layers[0].weight_ih.shape[1]
        self._places, self.n_state = _places(self.layers)
        self.box_is_trapping = self.box(layers[0].weight_ih.new_zeros(1, self.n_input)) is not None

    @property
    def state_parts(self) -> dict[str, slice]:
        """Where in the state each layer's part lies: h_l0, h_l1, ..., then c_l0, ... of an LSTM."""
        names = self.layers[0].parts
        return {f"{name}_l{k}": place[i] for i, name in enumerate(names) for k, place in enumerate(self._places)}

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        a, new = u, []
        for k, layer in enumerate(self.layers):
            s = self._split(x, k)
            new.append(layer.step(a, s))
            a = new[k][0] if self.fresh else s[0]
        return self._joined(new) - x

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed | None:
        a, changes = y.constant(one_row(u)), []
        for k, layer in enumerate(self.layers):
            s = tuple(y.part(place) for place in self._places[k])
            change = layer.enclosure(a, s)
            if change is None:
                return None
            changes.append(change)
            a = (s[0] + change[0]).tightened() if self.fresh else s[0]
        return joined([change[i] for i in range(len(self._places[0])) for change in changes])

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        layers = self._slopes(x, u)

        def product(v: Tensor) -> Tensor:
            da, new = None, []
            for k, slopes in enumerate(layers):
                ds = self._split(v, k)
                new.append(slopes.product(ds, da))
                da = new[k][0] if self.fresh else ds[0]
            return self._joined(new).sub_(v)

        return product

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.linearised(x, u)(v)

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        layers = self._slopes(x, u)
        back: list[Parts] = []
        sent: Tensor | None = None  # by the layer above, to the h that it sees
        for k in reversed(range(len(layers))):
            g = self._split(w, k)
            if sent is not None and self.fresh:
                g = (g[0] + sent, *g[1:])
            ds, da = layers[k].transposed(g, below=k > 0)
            if sent is not None and not self.fresh:
                ds = (ds[0] + sent, *ds[1:])
            back.append(ds)
            sent = da
        return self._joined(back[::-1]).sub_(w)

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        layers = self._slopes(x, u)
        J = x.new_zeros(len(x), self.n_state, self.n_state)
        for k, slopes in enumerate(layers):
            for rows, blocks in zip(self._places[k], slopes.dense(), strict=True):
                for columns, block in zip(self._places[k], blocks, strict=True):
                    J[:, rows, columns] = block
            for rows, block in zip(self._places[k], slopes.by_input(), strict=True) if k else ():
                below = self._places[k - 1][0]
                if not self.fresh:
                    J[:, rows, below] = block
                    continue
                for first, own in zip(self._places[0], self._places[k], strict=True):
                    lower = slice(first.start, own.start)
                    J[:, rows, lower] = block @ J[:, below, lower]
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = x.new_zeros(len(x), self.n_state, self.n_input)
        for k, slopes in enumerate(self._slopes(x, u)):
            for rows, block in zip(self._places[k], slopes.by_input(), strict=True):
                J[:, rows] = block if k == 0 else block @ J[:, self._places[k - 1][0]]
            if not self.fresh:
                break  # an upper layer then sees the held h, which the input has not reached
        return J

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """The states that G can give, layer by layer: an upper layer's input is what the lower one's h can be."""
        low = high = one_row(u)
        found = []
        for layer in self.layers:
            bounds = layer.bounds(low, high)
            if bounds is None:
                return None
            found.append(bounds)
            low, high = bounds[0]
        least, most = (self._joined([tuple(pair[side] for pair in b) for b in found]) for side in (0, 1))
        return least.expand(len(u), -1), most.expand(len(u), -1)

    def pieces(self, u: Tensor) -> Pieces | None:
        layers = []
        for k, layer in enumerate(self.layers):
            if layer.hinges is None:
                return None
            layers.append(HingedLayer(layer.weight_ih, layer.weight_hh, self._drive(k, u), layer.hinges))
        return hinged_layers(layers, self.fresh)

    def _drive(self, k: int, u: Tensor) -> Sum:
        """What does not depend on the state in the preactivations of a layer, without rounding."""
        layer = self.layers[k]
        held = [(layer.weight_ih, u[0])] if k == 0 else []
        biases = [b for b in (layer.bias_ih, layer.bias_hh) if b is not None]
        return affine_terms(held, biases or [layer.weight_hh.new_zeros(layer.widths[0])])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        moved = super().to(device, dtype)
        moved.layers = tuple(layer.to(device, dtype) for layer in self.layers)
        return moved

    def _slopes(self, x: Tensor, u: Tensor) -> list[Slopes]:
        a, found = u, []
        for k, layer in enumerate(self.layers):
            s = self._split(x, k)
            h, slopes = layer.slopes(a, s)
            found.append(slopes)
            a = h if self.fresh else s[0]
        return found

    def _split(self, x: Tensor, k: int) -> Parts:
        """The state of layer k in x (B, n_state)."""
        if len(self.layers) == 1 and len(self._places[0]) == 1:
            return (x,)
        return tuple(x[:, part] for part in self._places[k])

    def _joined(self, parts: Sequence[Parts]) -> Tensor:
        """The layers' states as one, (B, n_state)."""
        ordered = [layer[i] for i in range(len(parts[0])) for layer in parts]
        return ordered[0] if len(ordered) == 1 else torch.cat(ordered, dim=1)


def _places(layers: Sequence[Layer]) -> tuple[list[tuple[slice, ...]], int]:
    """For each layer the slices of its parts, and the size of the whole state."""
    starts, end = [[] for _ in layers], 0  # type: list[list[slice]], int
    for i in range(len(layers[0].parts)):
        for k, layer in enumerate(layers):
            starts[k].append(slice(end, end + layer.widths[i]))
            end += layer.widths[i]
    return [tuple(parts) for parts in starts], end

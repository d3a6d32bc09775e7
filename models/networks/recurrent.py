"""Recurrent networks to be trained: a cell of torch's or an LSTM variant, a linear readout, and what they become.

That is the standard RNN of Wayman, definition 5.1, and its gated kin: o(t) = c + V h(t) is what comes out. A softmax
of it belongs to the loss, as torch has it: ``functional.cross_entropy`` takes o itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.networks.through_time import states_of
from dynsys.models.recurrent.base import Recurrent
from dynsys.models.registry import MODELS
from dynsys.models.training.beginning import USUAL, begin_matrices

DIRECTIONS = ("forward", "backward")

CELLS: dict[str, type[Recurrent]] = {
    name: model.kind for name, model in MODELS.items() if issubclass(model.kind, Recurrent)
}


class RecurrentNetwork(nn.Module):
    """Inputs (B, T, n_input) to outputs (B, T, n_output); its state dict is one that ``dynsys.load`` recognises.

    ``cell`` is a name in ``CELLS``. A ``bidirectional`` network reads h of both directions; it has no ``system``, but
    ``directions``, since one of them runs from the future and together they are no dynamical system. The recurrent
    weights of an "irnn" (Le, Jaitly & Hinton 2015) begin as ``identity`` times the identity, its biases at 0, and its
    input weights as N(0, ``input_scale``^2); another ``begin`` is one of ``BEGINNINGS``, for these and the readout's.
    """

    def __init__(
        self,
        cell: str,
        n_input: int,
        units: int,
        n_output: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        seed: int = 0,
        identity: float = 1.0,
        input_scale: float = 0.1,
        begin: str = USUAL,
        reach: float | None = None,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell is {cell!r}; the cells are {', '.join(CELLS)}")
        self.cell, self.layers, self.bidirectional = cell, layers, bidirectional
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.rnn = CELLS[cell].module(n_input, units, layers, batch_first=True, bidirectional=bidirectional)
            self.readout = nn.Linear(units * (1 + bidirectional), n_output)
            if cell == "irnn":
                _begin_at_the_identity(self.rnn, identity, input_scale)
                matrices = [value for name, value in self.rnn.named_parameters() if "weight" in name]
                begin_matrices([*matrices, self.readout.weight], begin, identity=identity, reach=reach)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.readout(states_of(self.rnn, inputs))

    def whole(self, inputs: Tensor, ends: Tensor | None = None) -> Tensor:
        """What is left of each whole sequence, (B, units), or (B, 2 units) of both directions: many to one.

        That is h of the forward direction at its last step, at ``ends`` (B,) where some are shorter, and h of the
        backward one at the first, where it has read all of it.
        """
        if self.bidirectional and ends is not None:
            parts = {end: torch.nonzero(ends == end)[:, 0] for end in sorted(set(ends.tolist()))}
            found = [self.whole(inputs[rows, : end + 1]) for end, rows in parts.items()]
            return torch.cat(found)[torch.cat(list(parts.values())).argsort()]
        h = states_of(self.rnn, inputs)
        if self.bidirectional:
            forward, backward = h.chunk(2, dim=2)
            return torch.cat([forward[:, -1], backward[:, 0]], dim=1)
        last: Tensor = h[:, -1] if ends is None else h[torch.arange(len(ends)), ends]
        return last

    def system(self, task: Any = None) -> Recurrent:
        """The network as a map in float64, with its readout. Raises ValueError where it is bidirectional."""
        if self.bidirectional:
            raise ValueError(
                "this network is bidirectional: one direction runs from the past, the other from the future, so that "
                "together they are no dynamical system. Take each on its own: directions()"
            )
        weights = dict(self.rnn.named_parameters())
        readout = {"readout.weight": self.readout.weight, "readout.bias": self.readout.bias}
        return CELLS[self.cell](weights | readout, task=task)

    def directions(self, layer: int | None = None) -> dict[str, Recurrent]:
        """The "forward" and the "backward" half of a layer, the top one by default, as maps in float64.

        The input of layer 0 is the network's; that of a layer above is h of both directions below, forward first. Each
        half of the top layer reads out its own part of the sum, V_forward h_forward or V_backward h_backward: the two
        and the readout's bias add up to the output. Time runs backward in the backward half.
        """
        if not self.bidirectional:
            raise ValueError("this network has one direction; take system()")
        k = self.layers - 1 if layer is None else layer
        if k not in range(self.layers):
            raise ValueError(f"layer is {layer}; this network has layers 0 to {self.layers - 1}")
        halves = dict(zip(DIRECTIONS, self.readout.weight.chunk(2, dim=1), strict=True))
        return {
            name: CELLS[self.cell](
                self._weights_of(k, name) | ({"readout.weight": halves[name]} if k == self.layers - 1 else {})
            )
            for name in DIRECTIONS
        }

    def _weights_of(self, k: int, direction: str) -> dict[str, Tensor]:
        """The weights of one layer in one direction, by the names of a network that is nothing else."""
        end = f"_l{k}" if direction == "forward" else f"_l{k}_reverse"
        held = self.rnn.named_parameters()
        return {f"{name.removesuffix(end)}_l0": value for name, value in held if name.endswith(end)}


def _begin_at_the_identity(rnn: nn.Module, identity: float, scale: float) -> None:
    with torch.no_grad():
        for name, value in rnn.named_parameters():
            if "weight_hh" in name:
                value.copy_(identity * torch.eye(len(value)))
            elif "bias" in name:
                value.zero_()
            else:
                value.normal_(0.0, scale)

"""Recurrent networks to be trained: a cell of torch's with a linear readout, and the systems that they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.gru import GRU
from dynsys.models.irnn import IRNN
from dynsys.models.lstm import LSTM
from dynsys.models.recurrent import Recurrent
from dynsys.models.vanilla import RNN

CELLS: dict[str, Callable[..., nn.RNNBase]] = {
    "rnn": nn.RNN,
    "irnn": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


SYSTEMS: dict[str, type[Recurrent]] = {"rnn": RNN, "irnn": IRNN, "gru": GRU, "lstm": LSTM}


class RecurrentNetwork(nn.Module):
    """Inputs (B, T, n_input) to outputs (B, T, n_output); its state dict is one that ``dynsys.load`` recognises.

    ``cell`` is a name in ``CELLS``. The recurrent weights of an "irnn" (Le, Jaitly & Hinton 2015) begin as ``identity``
    times the identity, its biases at 0, and its input weights as N(0, ``input_scale``^2), or, with ``uniform``, between
    -``input_scale`` and ``input_scale``.
    """

    def __init__(
        self,
        cell: str,
        n_input: int,
        units: int,
        n_output: int,
        *,
        layers: int = 1,
        seed: int = 0,
        identity: float = 1.0,
        input_scale: float = 0.1,
        uniform: bool = False,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell is {cell!r}; the cells are {', '.join(CELLS)}")
        self.cell = cell
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.rnn = CELLS[cell](n_input, units, num_layers=layers, batch_first=True)
            self.readout = nn.Linear(units, n_output)
            if cell == "irnn":
                _begin_at_the_identity(self.rnn, identity, input_scale, uniform)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.readout(self.rnn(inputs)[0])

    def system(self, task: Any = None) -> Recurrent:
        """The network as a map in float64, with its readout."""
        weights = {key: value.detach().numpy() for key, value in self.rnn.state_dict().items()}
        weights |= {"readout.weight": self.readout.weight.detach().numpy()}
        weights |= {"readout.bias": self.readout.bias.detach().numpy()}
        return SYSTEMS[self.cell](weights, task=task)


def _begin_at_the_identity(rnn: nn.RNNBase, identity: float, scale: float, uniform: bool) -> None:
    with torch.no_grad():
        for name, value in rnn.named_parameters():
            if "weight_hh" in name:
                value.copy_(identity * torch.eye(len(value)))
            elif "bias" in name:
                value.zero_()
            elif uniform:
                value.uniform_(-scale, scale)
            else:
                value.normal_(0.0, scale)

"""A recurrent network that reads a string and answers with a digit: embedding, cell of torch's, ReLU layer, logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynsys.models.recurrent import Recurrent
from dynsys.models.recurrent_network import CELLS, SYSTEMS, RecurrentNetwork
from dynsys.models.retrieval import CHARACTERS, DIGITS

__all__ = ["CELLS", "StringNetwork"]


class StringNetwork(nn.Module):
    """Strings (B, T) of character numbers to the logits (B, 10); around the cell it is as ``FastWeightsNetwork``."""

    def __init__(
        self, cell: str, units: int, *, embedding: int = 100, hidden: int = 100, seed: int = 0, **options: Any
    ) -> None:
        """``options`` are those of ``RecurrentNetwork``."""
        super().__init__()
        self.network = RecurrentNetwork(cell, embedding, units, hidden, seed=seed, **options)
        own = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])  # not the numbers of the cell once more
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(own)
            self.embedding = nn.Embedding(len(CHARACTERS), embedding)
            self.output = nn.Linear(hidden, len(DIGITS))

    def system(self, task: Any = None) -> Recurrent:
        """The cell as a map whose 37 inputs are the characters: the embedding is taken into its input weights."""
        weights = {key: value.detach().double() for key, value in self.network.rnn.state_dict().items()}
        weights["weight_ih_l0"] = weights["weight_ih_l0"] @ self.embedding.weight.detach().double().T
        parts = {"readout": self.network.readout, "output": self.output}
        named = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
        return SYSTEMS[self.network.cell](weights | named, task=task)

    def forward(self, characters: Tensor, ends: Tensor | None = None) -> Tensor:
        """``ends`` (B,) are the places at which the strings end, before the last where they do not fill their rows."""
        h = self.network.rnn(self.embedding(characters))[0]
        last = h[:, -1] if ends is None else h[torch.arange(len(ends)), ends]
        return self.output(self.network.readout(last).relu())

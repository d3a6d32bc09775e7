"""A recurrent network that reads a string and answers with a digit: embedding, cell of torch's, ReLU layer, logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynsys.models.networks.recurrent import CELLS, RecurrentNetwork
from dynsys.models.recurrent.base import Recurrent
from dynsys.models.tasks.retrieval import CHARACTERS, DIGITS

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
        """The cell as a map whose 37 inputs are the characters; raises ValueError where it is bidirectional."""
        if self.network.bidirectional:
            return self.network.system()
        return CELLS[self.network.cell](self.weights(), task=task)

    def weights(self, prefix: str = "") -> dict[str, Tensor]:
        """In float64, the embedding taken into the weights of the input, with a ``prefix`` for those of the cell."""
        weights = {key: value.detach().double() for key, value in self.network.rnn.state_dict().items()}
        for key in weights:
            if key in ("weight_ih_l0", "weight_ih_l0_reverse"):
                weights[key] = weights[key] @ self.embedding.weight.detach().double().T
        parts = {"readout": self.network.readout, "output": self.output}
        named = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
        return {f"{prefix}{key}": value for key, value in weights.items()} | named

    def forward(self, characters: Tensor, ends: Tensor | None = None) -> Tensor:
        """``ends`` (B,) are the places at which the strings end, before the last where they do not fill their rows."""
        whole = self.network.whole(self.embedding(characters), ends)
        return self.output(self.network.readout(whole).relu())

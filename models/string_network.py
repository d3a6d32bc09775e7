"""A recurrent network that reads a string and answers with a digit: embedding, cell of torch's, ReLU layer, logits."""

from __future__ import annotations

from torch import Tensor, nn

from dynsys.models.recurrent_network import RecurrentNetwork
from dynsys.models.retrieval import CHARACTERS, DIGITS


class StringNetwork(nn.Module):
    """Strings (B, T) of character numbers to the logits (B, 10); around the cell it is as ``FastWeightsNetwork``."""

    def __init__(
        self, cell: str, units: int, *, embedding: int = 100, hidden: int = 100, identity: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.network = RecurrentNetwork(cell, embedding, units, hidden, seed=seed, identity=identity)
        self.embedding = nn.Embedding(len(CHARACTERS), embedding)
        self.output = nn.Linear(hidden, len(DIGITS))

    def forward(self, characters: Tensor) -> Tensor:
        h = self.network.rnn(self.embedding(characters))[0][:, -1]
        return self.output(self.network.readout(h).relu())

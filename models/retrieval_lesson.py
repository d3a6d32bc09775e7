"""Associative retrieval as a lesson for backpropagation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dynsys.models.retrieval import Strings

TOGETHER = 5_000  # strings answered at once


@dataclass(frozen=True)
class RetrievalLesson:
    """Softmax and cross-entropy on batches of the training set; the error is the share of wrong answers."""

    sets: dict[str, Strings] = field(repr=False)
    batch: int = 128
    seed: int = 0

    def loss(self, network: nn.Module, step: int) -> Tensor:
        rows = np.random.default_rng([self.seed, step]).integers(len(self.sets["train"]), size=self.batch)
        some = self.sets["train"][rows]
        return functional.cross_entropy(network(torch.as_tensor(some.characters)), torch.as_tensor(some.answers))

    def error(self, network: nn.Module) -> float:
        return self.share_wrong(network, "validation")

    def share_wrong(self, network: nn.Module, name: str) -> float:
        """Of the set of that name."""
        some = self.sets[name]
        return float(np.mean(answers(network, some) != some.answers))


def answers(network: nn.Module, strings: Strings) -> np.ndarray:
    """The digit (n,) that the network gives to each string."""
    with torch.no_grad():
        parts = [network(part).argmax(1) for part in torch.split(torch.as_tensor(strings.characters), TOGETHER)]
    return torch.cat(parts).numpy()

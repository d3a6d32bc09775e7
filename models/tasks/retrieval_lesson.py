"""Associative retrieval as a lesson for backpropagation."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dynsys.models.tasks.retrieval import Ints, Strings

TOGETHER = 5_000  # strings answered at once


@dataclass(frozen=True)
class RetrievalLesson:
    """Softmax and cross-entropy on batches of the training set; the error is the share of wrong answers.

    Of strings of several lengths every length is as frequent in a batch as any other, and counts as much in the error,
    however many the set has of it.
    """

    sets: dict[str, Strings] = field(repr=False)
    batch: int = 128
    seed: int = 0

    def loss(self, network: nn.Module, step: int) -> Tensor:
        some = self.sets["train"][self.rows(step)]
        logits = network(torch.as_tensor(some.characters), _ends(some))
        return functional.cross_entropy(logits, torch.as_tensor(some.answers))

    def rows(self, step: int) -> Ints:
        """The numbers (batch,) of the training strings of that step."""
        rng = np.random.default_rng([self.seed, step])
        if len(self._pools) == 1:
            return rng.integers(len(self.sets["train"]), size=self.batch)
        which, where = rng.integers(len(self._pools), size=self.batch), rng.random(self.batch)
        return np.array([self._pools[k][int(x * len(self._pools[k]))] for k, x in zip(which, where, strict=True)])

    def error(self, network: nn.Module) -> float:
        return self.share_wrong(network, "validation")

    def share_wrong(self, network: nn.Module, name: str) -> float:
        """Of the set of that name."""
        return statistics.fmean(self.wrong_by_pairs(network, name).values())

    def wrong_by_pairs(self, network: nn.Module, name: str) -> dict[int, float]:
        """The share of wrong answers to the strings of each number of pairs."""
        parts = self.sets[name].by_pairs()
        return {pairs: float(np.mean(answers(network, some) != some.answers)) for pairs, some in parts.items()}

    @cached_property
    def _pools(self) -> list[Ints]:
        """The numbers of the training strings of each length."""
        pairs = self.sets["train"].pairs
        return [np.flatnonzero(pairs == k) for k in np.unique(pairs)]


def answers(network: nn.Module, strings: Strings) -> Ints:
    """The digit (n,) that the network gives to each string."""
    with torch.no_grad():
        parts = [strings[i : i + TOGETHER] for i in range(0, len(strings), TOGETHER)]
        given = [network(torch.as_tensor(part.characters), _ends(part)).argmax(1) for part in parts]
    return torch.cat(given).numpy()


def _ends(some: Strings) -> Tensor | None:
    """Where each string ends, None where all fill their rows."""
    return None if some.lengths is None else torch.as_tensor(some.ends)

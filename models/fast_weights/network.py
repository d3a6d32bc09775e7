"""The fast-weights network to be trained (Ba et al. 2016; Wayman, sections 3 and 7).

    z_t = W h_{t-1} + C x_t + b,   h^0 = f(LN(z_t)),   h^{s+1} = f(LN(z_t + A_{t-1} h^s)),   h_t = h^S,
    A_t = lambda A_{t-1} + eta h_t h_t^T,   A_0 = 0,   f = relu.

A_{t-1} h = eta sum over tau < t of lambda^(t-1-tau) h_tau (h_tau . h), so A itself is never formed in training: the
last states are attended to instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynsys.models.fast_weights.attention import Constants, attended
from dynsys.models.tasks.retrieval import CHARACTERS, DIGITS
from dynsys.models.training.beginning import USUAL, begin_matrices, check_beginning

NORMALISED = ("all", "slow")


@dataclass(frozen=True)
class FastWeightsConfig:
    """Sizes and constants. ``decay`` is lambda, ``rate`` eta, ``inner`` the number S of inner steps.

    ``normalise`` is "all", layer normalisation around the whole sum as in the paper, or "slow", around z alone as in
    Wayman. "all" is the default: A h grows with h, and under "slow" nothing holds it back. W begins at ``identity``
    times the identity; another ``begin`` is one of ``BEGINNINGS``, for W, C and what reads h, ``reach`` its range.
    """

    units: int = 50
    inner: int = 1
    rate: float = 0.1
    decay: float = 0.95
    identity: float = 0.5
    embedding: int = 100
    hidden: int = 100
    normalise: str = "all"
    seed: int = 0
    begin: str = USUAL
    reach: float | None = None

    def __post_init__(self) -> None:
        check_beginning(self.begin, None, self.reach)
        if self.normalise not in NORMALISED:
            raise ValueError(f"normalise is {self.normalise!r}; it is one of {', '.join(NORMALISED)}")
        if not (self.units >= 2 and self.inner >= 0 and 0 <= self.decay < 1):
            raise ValueError(
                f"units={self.units}, inner={self.inner}, decay={self.decay}; needed are units >= 2, inner >= 0 and "
                "0 <= decay < 1"
            )

    @property
    def constants(self) -> Constants:
        """What the recurrence needs of this."""
        return Constants(self.inner, self.rate, self.decay, self.normalise == "all")


class FastWeightsNetwork(nn.Module):
    """Strings (B, T) of character numbers to the logits (B, 10) of the digit asked for."""

    def __init__(self, config: FastWeightsConfig) -> None:
        super().__init__()
        self.config = config
        R = config.units
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.embedding = nn.Embedding(len(CHARACTERS), config.embedding)
            self.W = nn.Parameter(config.identity * torch.eye(R))
            self.C = nn.Linear(config.embedding, R)
            self.gain, self.shift = nn.Parameter(torch.ones(R)), nn.Parameter(torch.zeros(R))
            self.hidden = nn.Linear(R, config.hidden)
            self.output = nn.Linear(config.hidden, len(DIGITS))
            matrices = (self.W, self.C.weight, self.hidden.weight)
            begin_matrices(matrices, config.begin, identity=config.identity, reach=config.reach)

    def forward(self, characters: Tensor, ends: Tensor | None = None) -> Tensor:
        """``ends`` (B,) are the places at which the strings end, before the last where they do not fill their rows."""
        states = self.states(characters)
        return self.read(states[-1] if ends is None else states[ends, torch.arange(len(ends))])

    def read(self, h: Tensor) -> Tensor:
        """The logits (B, 10) in states h (B, R)."""
        return self.output(torch.relu(self.hidden(h)))

    def states(self, characters: Tensor) -> Tensor:
        """h_1 ... h_T, (T, B, R)."""
        table = self.C(self.embedding.weight)  # C x + b of each character: there are fewer than places in a batch
        return attended(functional.embedding(characters.T, table), self.W, self.gain, self.shift, self.config.constants)

"""The simple recurrent network of Jang, section 4: rate units and nothing else, tau dx/dt = -x + W r(x)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.models.activations import activation_named
from dynsys.models.rate.rate_network import RateNetwork
from dynsys.proof.functions.enclosure import Enclosed

Array = NDArray[np.float64]


class SimpleRNN(RateNetwork):
    """N rate units with recurrent weights W (N, N), no input and no readout (eq. 18 to 21).

    Raises ValueError where W is not square or not finite, for an unknown activation, and for a time constant that is
    not positive.
    """

    name = "simple-rnn"
    title = "simple RNN"
    equation = "tau dx/dt = -x + W r(x), r = f"
    recurrent_weights = "W"
    told_by = ("W",)

    def __init__(self, W: Any, *, activation: str = "tanh", time_constant: float = 1.0) -> None:
        self.W = torch.tensor(np.asarray(W), dtype=torch.float64)
        if self.W.ndim != 2 or self.W.shape[0] != self.W.shape[1] or len(self.W) == 0:
            raise ValueError(f"W has shape {tuple(self.W.shape)}; a simple RNN of N units needs (N, N), N >= 1")
        if not torch.isfinite(self.W).all():
            raise ValueError(f"W holds {int((~torch.isfinite(self.W)).sum())} values that are NaN or infinite")
        if not 0 < time_constant < float("inf"):
            raise ValueError(f"time_constant is {time_constant}; it must be positive")
        self.n_state, self.time_constant = len(self.W), float(time_constant)
        self.activation = activation_named(activation)
        self.B, self.box_is_trapping = self.W.new_zeros(len(self.W), 0), self.f.is_bounded

    @classmethod
    def random(cls, n: int = 50, gain: float = 1.5, seed: int = 0, *, activation: str = "tanh") -> SimpleRNN:
        """W ~ N(0, gain^2 / n): above a gain of 1 a large tanh network is chaotic (Sompolinsky et al. 1988)."""
        W = np.random.default_rng(seed).standard_normal((n, n)) * (gain / np.sqrt(n))
        return cls(W, activation=activation)

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a checkpoint gives them."""
        return {"W": np.asarray(self.W)}

    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides the weights."""
        return {"tau": self.time_constant, "activation": self.activation}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], settings: dict[str, Any], task: Any = None) -> SimpleRNN:
        return cls(arrays["W"], activation=settings.get("activation", "tanh"), time_constant=settings.get("tau", 1.0))

    def drive(self, u: Tensor) -> Tensor:
        return u.new_zeros(1, self.n_state)

    def enclosed_drive(self, y: Enclosed, u: Tensor) -> Enclosed:
        return y.constant(self.drive(u))

"""The continuous Hopfield net: graded units that relax, with an energy that falls along every path (Hopfield 1984).

    tau dx/dt = -x + W V + u,   V = tanh(gain x)
    E(x) = -1/2 V^T W V - u^T V + sum_i (1/gain) integral_0^{V_i} artanh(v) dv

For a symmetric W, tau dE/dt = -sum_i V_i'(x_i) (tau dx_i/dt)^2 <= 0: E is a Lyapunov function, and every path ends at
rest. Hebb's W here is (sum_p s(p) s(p)^T - P I) / n, so that the gain is measured against 1: for orthogonal patterns
the origin is the only point of rest up to gain (1 - P/n) = 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from dynsys.models.associative.learning import RULES
from dynsys.models.associative.patterns import Array, checked_matrix, checked_patterns, checked_states, random_patterns
from dynsys.models.rate.rate_network import RateNetwork
from dynsys.proof.functions.enclosure import Enclosed


class ContinuousHopfield(RateNetwork):
    """A flow of n units with weights W (n, n); its input u (n,) is the external input, its readout the outputs V.

    ``S`` holds the stored patterns where they are known. Raises ValueError for a W that is not square or not finite,
    and for a gain or a time constant that is not positive.
    """

    name = "continuous-hopfield"
    papers = ("hopfield1984",)
    title = "continuous Hopfield net"
    equation = "tau dx/dt = -x + W tanh(gain x) + u"
    recurrent_weights = "W"
    activation = "tanh"

    def __init__(self, W: Any, gain: float = 4.0, *, time_constant: float = 1.0, S: Any = None) -> None:
        self.W = torch.as_tensor(checked_matrix(W))
        for key, value in {"gain": gain, "time_constant": time_constant}.items():
            if not 0 < value < float("inf"):
                raise ValueError(f"{key} is {value}; it must be positive")
        self.gain, self.time_constant = float(gain), float(time_constant)
        self.n_state = self.n_input = self.n_output = len(self.W)
        self.S = None if S is None else checked_patterns(S, binary=False)
        if self.S is not None and self.S.shape[1] != self.n_state:
            raise ValueError(f"the patterns have {self.S.shape[1]} components and W is {tuple(self.W.shape)}")
        self.B = torch.eye(self.n_state, dtype=torch.float64)

    @classmethod
    def hebb(cls, S: Any, gain: float = 4.0, *, time_constant: float = 1.0) -> Self:
        """W = (S^T S - P I) / n of bipolar patterns S (P, n)."""
        return cls.learned(S, "hebb", gain, time_constant=time_constant)

    @classmethod
    def learned(cls, S: Any, rule: str, gain: float = 4.0, *, time_constant: float = 1.0) -> Self:
        """A net by the name of its rule, as of ``Hopfield.learned``, its weights divided by n."""
        if rule not in RULES:
            raise ValueError(f"rule is {rule!r}; a Hopfield net learns by {', '.join(RULES)}")
        S = checked_patterns(S, binary=False)
        return cls(RULES[rule](S) / S.shape[1], gain, time_constant=time_constant, S=S)

    @classmethod
    def random(cls, n: int = 12, P: int = 2, gain: float = 4.0, seed: int = 0) -> Self:
        return cls.hebb(random_patterns(P, n, np.random.default_rng(seed)), gain)

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a checkpoint gives them."""
        held = {} if self.S is None else {"S": self.S}
        return {"W": np.asarray(self.W), **held}

    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides the weights."""
        return {"gain": self.gain, "tau": self.time_constant}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any], task: Any = None) -> Self:
        return cls(arrays["W"], settings.get("gain", 4.0), time_constant=settings.get("tau", 1.0), S=arrays.get("S"))

    # the dynamics

    def rates(self, x: Tensor) -> Tensor:
        return torch.tanh(self.gain * x)

    def slopes(self, x: Tensor) -> Tensor:
        return self.gain * (1 - self.rates(x) ** 2)

    def drive(self, u: Tensor) -> Tensor:
        return u

    def enclosed_drive(self, y: Enclosed, u: Tensor) -> Enclosed:
        return y.constant(u)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        return (y * self.gain).tanh().affine(self.W) - y + self.enclosed_drive(y, u)

    def readout(self, x: Tensor) -> Tensor:
        return self.rates(x)

    def states_of_outputs(self, z: Tensor) -> Tensor:
        """The states that the outputs z would hold the units at, W z."""
        return z @ self.W.T.to(z)

    # its energy

    @property
    def has_energy(self) -> bool:
        """Whether W is symmetric to the last bit; what is less so may go round, however slowly."""
        return bool((self.W == self.W.T).all())

    def energy(self, x: Any, input: Any = None) -> Array:
        """E of states x (..., n) under an external input; ValueError where W is not symmetric."""
        if not self.has_energy:
            off = float((self.W - self.W.T).abs().max())
            raise ValueError(
                f"there is no energy: W must be symmetric, and it differs from its transpose by {off:.3g}; "
                "of a W that rounding alone keeps from symmetry give (W + W.T) / 2"
            )
        x = checked_states(x, self.n_state)
        held = np.zeros(self.n_state) if input is None else np.asarray(input, dtype=np.float64)
        found = self.energy_function(torch.as_tensor(held).reshape(1, -1))
        assert found is not None
        return found.value(x)

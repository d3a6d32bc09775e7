"""Leaky rate networks with input, bias and readout, in the two forms that papers use.

    rate:      tau dx/dt = -x + W r(x) + B u + b,     z = W_out r(x) + b_out     (x is the current into a unit)
    activity:  tau dr/dt = -r + f(W r + B u + b),     z = W_out r + b_out        (r is its firing rate)

With y = W r + B u + b they have the same fixed points seen in different coordinates (Miller & Fumarola 2012). A leaky
discrete network r(t+1) = (1 - a) r(t) + a f(W r(t) + B u + b) is the Euler step of the second, a = dt / tau.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.models.random_drive import driven_trajectories
from dynsys.models.rate_network import ACTIVATIONS, BOUNDED, RateNetwork
from dynsys.proof.enclosure import Enclosed
from dynsys.relu.pieces import Pieces, rectified_activity
from dynsys.system import Product

Array = NDArray[np.float64]


class LeakyRate(RateNetwork):
    """Shapes: W (n, n), B (n, m) or None, b (n,) or None, W_out (o, n) or None, b_out (o,) or None.

    Raises ValueError where they disagree or are not finite, for an unknown activation, and for a tau that is not
    positive. With relu there is no box, and nothing says that the states stay bounded.
    """

    name = "rate"

    def __init__(
        self,
        W: Any,
        B: Any = None,
        b: Any = None,
        W_out: Any = None,
        b_out: Any = None,
        *,
        activation: str = "tanh",
        tau: float = 1.0,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is {activation!r}; the network knows {', '.join(ACTIVATIONS)}")
        if not 0 < tau < float("inf"):
            raise ValueError(f"tau is {tau}; it must be positive")
        self.W = _tensor(W)
        n = len(self.W)
        self.B = torch.zeros(n, 0, dtype=torch.float64) if B is None else _tensor(B)
        self.b = torch.zeros(n, dtype=torch.float64) if b is None else _tensor(b)
        self.W_out = torch.zeros(0, n, dtype=torch.float64) if W_out is None else _tensor(W_out)
        self.b_out = torch.zeros(len(self.W_out), dtype=torch.float64) if b_out is None else _tensor(b_out)
        self._check_shapes(n)
        self.n_state, self.n_input, self.n_output = n, self.B.shape[1], len(self.W_out)
        self.activation, self.time_constant = activation, float(tau)
        self.box_is_trapping = activation in BOUNDED

    def _check_shapes(self, n: int) -> None:
        legal: dict[str, tuple[Any, ...]] = {
            "W": (n, n),
            "B": (n, "m"),
            "b": (n,),
            "W_out": ("o", n),
            "b_out": (len(self.W_out),),
        }
        for key, shape in legal.items():
            value = getattr(self, key)
            fits = value.ndim == len(shape) and all(s in (t, "m", "o") for s, t in zip(shape, value.shape, strict=True))
            if not fits:
                needs = "(" + ", ".join(str(s) for s in shape) + ")"
                raise ValueError(f"{key} has shape {tuple(value.shape)}; a network of {n} units needs {needs}")
            if not torch.isfinite(value).all():
                raise ValueError(f"{key} holds {int((~torch.isfinite(value)).sum())} values that are NaN or infinite")

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a checkpoint gives them."""
        return {key: np.asarray(getattr(self, key)) for key in ("W", "B", "b", "W_out", "b_out")}

    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides the weights."""
        return {"tau": self.time_constant, "activation": self.activation}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], settings: dict[str, Any], task: Any = None) -> LeakyRate:
        return cls(arrays["W"], *(arrays.get(key) for key in ("B", "b", "W_out", "b_out")), **settings)

    @classmethod
    def random(cls, n: int = 20, seed: int = 0) -> LeakyRate:
        """W ~ N(0, 1.5^2 / n) with two inputs, a bias and three outputs."""
        rng = np.random.default_rng(seed)
        W = rng.standard_normal((n, n)) * (1.5 / np.sqrt(n))
        return cls(W, rng.standard_normal((n, 2)), rng.standard_normal(n), rng.standard_normal((3, n)), np.ones(3))

    def drive(self, u: Tensor) -> Tensor:
        return u @ self.B.T + self.b

    def enclosed_drive(self, y: Enclosed, u: Tensor) -> Enclosed:
        return y.constant(u).affine(self.B, self.b)

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self.B.repeat(len(x), 1, 1)

    def rates(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation].rate(x)

    def _slopes(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation].slope(self.rates(x))

    def readout(self, x: Tensor) -> Tensor:
        return self.rates(x) @ self.W_out.T + self.b_out

    def task_trajectories(self, steps: int, runs: int, seed: int) -> Tensor:
        """Runs under random inputs from the origin and from random states, (steps, runs, n_state)."""
        return driven_trajectories(self, self.W.new_zeros(runs, self.n_state), steps, seed)


class LeakyActivity(LeakyRate):
    """The second form: the state is the rate itself, and its box the range of f."""

    name = "activity"

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self.rates(x @ self.W.T + self.drive(u)) - x

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        return self.enclosed_rates(y.affine(self.W) + self.enclosed_drive(y, u)) - y

    def _gains(self, x: Tensor, u: Tensor) -> Tensor:
        """f' of each unit at its input, (B, n)."""
        return self._slopes(x @ self.W.T + self.drive(u))

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = self.W * self._gains(x, u).unsqueeze(2)  # row i carries f'(y_i)
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self.B * self._gains(x, u).unsqueeze(2)

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self._gains(x, u) * (v @ self.W.T) - v

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        gains = self._gains(x, u)
        return lambda v: gains * (v @ self.W.T) - v

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return (self._gains(x, u) * w) @ self.W - w

    def readout(self, x: Tensor) -> Tensor:
        return x @ self.W_out.T + self.b_out

    def pieces(self, u: Tensor) -> Pieces | None:
        return rectified_activity(self.W, self.drive(u)[0]) if self.activation == "relu" else None

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.activation not in BOUNDED:
            return None
        low, high = BOUNDED[self.activation].low, BOUNDED[self.activation].high
        return u.new_full((len(u), self.n_state), low), u.new_full((len(u), self.n_state), high)


def _tensor(values: Any) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64)

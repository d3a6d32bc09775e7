"""Leaky rate networks with input, bias and readout, in the two forms that papers use.

    rate:      tau dx/dt = -x + W f(x) + B u + b,     z = W_out f(x) + b_out     (x is the current into a unit)
    activity:  tau dr/dt = -r + f(W r + B u + b),     z = W_out r + b_out        (r is its firing rate)

tau is one number, or one for each unit. Their Euler steps are networks of their own, with a stability of their own:
``leaky_map``.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.models.activations import activation_named
from dynsys.models.driven.of_task import driven_or_of_task
from dynsys.models.rate.rate_network import ActivityNetwork, RateNetwork
from dynsys.proof.exact import Sum, affine_terms
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.system import Product

Array = NDArray[np.float64]

WEIGHTS = ("W", "B", "b", "W_out", "b_out", "initial")


class LeakyNetwork(RateNetwork):
    """What the leaky networks have in common: weights, and a pace for each unit, F_i = pace_i (-x_i + ...).

    Shapes: W (n, n), B (n, m) or None, b (n,) or None, W_out (o, n) or None, b_out (o,) or None, initial (n,) or None,
    a first state. Raises ValueError where they disagree or are not finite, and for an unknown activation. With an
    unbounded activation there is no box, and nothing says that the states stay bounded.

    For developers: the two forms are below, for flows; ``leaky_map`` has those of maps.
    """

    recurrent_weights = "W"

    @abc.abstractmethod
    def __init__(self, W: Any, *weights: Any, **options: Any) -> None: ...

    def _hold(
        self, W: Any, B: Any, b: Any, W_out: Any, b_out: Any, activation: str, initial: Any, task: Any = None
    ) -> None:
        self.W = _tensor(W)
        n = len(self.W) if self.W.ndim else 0
        self.B = torch.zeros(n, 0, dtype=torch.float64) if B is None else _tensor(B)
        self.b = torch.zeros(n, dtype=torch.float64) if b is None else _tensor(b)
        self.W_out = torch.zeros(0, n, dtype=torch.float64) if W_out is None else _tensor(W_out)
        self.b_out = torch.zeros(len(self.W_out), dtype=torch.float64) if b_out is None else _tensor(b_out)
        self.initial_state = None if initial is None else _tensor(initial)
        self._check_shapes(n)
        self.n_state, self.n_input, self.n_output = n, self.B.shape[1], len(self.W_out)
        self.activation = activation_named(activation)
        self.box_is_trapping = self.f.is_bounded
        self.task = task
        if task is not None and task.n_input != self.n_input:
            raise ValueError(f"its task has {task.n_input} inputs, the network {self.n_input}")

    def _check_shapes(self, n: int) -> None:
        legal: dict[str, tuple[Any, ...]] = {
            "W": (n, n),
            "B": (n, "m"),
            "b": (n,),
            "W_out": ("o", n),
            "b_out": (len(self.W_out),),
            "initial": (n,),
        }
        for key, value in self._held().items():
            shape = legal[key]
            fits = value.ndim == len(shape) and all(s in (t, "m", "o") for s, t in zip(shape, value.shape, strict=True))
            if not fits or n == 0:
                needs = str(shape).replace("'", "")
                raise ValueError(f"{key} has shape {tuple(value.shape)}; a network of {n or 'n'} units needs {needs}")
            if not torch.isfinite(value).all():
                raise ValueError(f"{key} holds {int((~torch.isfinite(value)).sum())} values that are NaN or infinite")

    def _held(self) -> dict[str, Tensor]:
        named = {key: getattr(self, "initial_state" if key == "initial" else key) for key in WEIGHTS}
        return {key: value for key, value in named.items() if value is not None}

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a checkpoint gives them."""
        return {key: np.asarray(value) for key, value in self._held().items()}

    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides the weights."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any], task: Any = None) -> Self:
        """``arrays`` may hold what the settings hold as one number, tau or alpha, as one for each unit."""
        each = {key: arrays[key] for key in ("tau", "alpha") if key in arrays}
        return cls(
            arrays["W"],
            *(arrays.get(key) for key in WEIGHTS[1:-1]),
            initial=arrays.get("initial"),
            task=task,
            **{**settings, **each},
        )

    def with_weights(self, changed: Mapping[str, Any]) -> Self:
        """The same network with some of its ``arrays`` changed."""
        return type(self).from_arrays({**self.arrays(), **changed}, self.settings(), self.task)

    @classmethod
    def random(cls, n: int = 20, seed: int = 0, **options: Any) -> Self:
        """W ~ N(0, 1.5^2 / n) with two inputs, a bias and three outputs."""
        rng = np.random.default_rng(seed)
        W = rng.standard_normal((n, n)) * (1.5 / np.sqrt(n))
        B, b, W_out = rng.standard_normal((n, 2)), rng.standard_normal(n), rng.standard_normal((3, n))
        return cls(W, B, b, W_out, np.ones(3), **options)

    def drive(self, u: Tensor) -> Tensor:
        return u @ self.B.T + self.b

    def drive_terms(self, u: Tensor) -> Sum:
        return affine_terms([(self.B, u[0])], [self.b])

    def enclosed_drive(self, y: Enclosed, u: Tensor) -> Enclosed:
        return y.constant(u).affine(self.B, self.b)

    def readout(self, x: Tensor) -> Tensor:
        return self.rates(x) @ self.W_out.T + self.b_out

    def task_trajectories(self, steps: int, runs: int, seed: int) -> Tensor:
        """Runs of its task where that is known, else under random inputs, (steps, runs, n_state)."""
        first = self.W.new_zeros(self.n_state) if self.initial_state is None else self.initial_state
        return driven_or_of_task(self, first.expand(runs, -1), steps, seed)

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self._paced(super().velocity(x, u))

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        F = super().enclosure(y, u)
        return F if self.pace is None else F * F.constant(self.pace.unsqueeze(0))

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = super().jacobian(x, u)
        return J if self.pace is None else J * self.pace.unsqueeze(1)

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self._paced(super().jacobian_product(x, u, v))

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        product = super().linearised(x, u)
        return product if self.pace is None else lambda v: self._paced(product(v))

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return super().transposed_product(x, u, self._paced(w))

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = super().input_jacobian(x, u)
        return J if self.pace is None else J * self.pace.unsqueeze(1)

    def _paced(self, F: Tensor) -> Tensor:
        return F if self.pace is None else F * self.pace


class LeakyFlow(LeakyNetwork):
    """The flows: ``tau`` is a number, or (n,). One unit of time, ``time_constant``, is their geometric mean."""

    def __init__(
        self,
        W: Any,
        B: Any = None,
        b: Any = None,
        W_out: Any = None,
        b_out: Any = None,
        *,
        activation: str = "tanh",
        tau: Any = 1.0,
        initial: Any = None,
        task: Any = None,
    ) -> None:
        self._hold(W, B, b, W_out, b_out, activation, initial, task)
        each = of_units("tau", tau, self.n_state)
        if not bool(((each > 0) & torch.isfinite(each)).all()):
            raise ValueError(f"tau is {tau}; it must be positive")
        self.tau = each
        same = bool((each == each[0]).all())
        self.time_constant = float(each[0] if same else each.log().mean().exp())
        self.pace = None if same else self.time_constant / each

    def arrays(self) -> dict[str, Array]:
        return super().arrays() | ({} if self.pace is None else {"tau": self.tau.cpu().numpy()})

    def settings(self) -> dict[str, Any]:
        return {"activation": self.activation} | ({"tau": self.time_constant} if self.pace is None else {})


class LeakyRate(LeakyFlow):
    """The first form: the state is the current into a unit."""

    name = "rate"
    title = "rate network"
    equation = "tau dx/dt = -x + W r(x) + B u + b, z = W_out r(x) + b_out, r = f"


class LeakyActivity(LeakyFlow, ActivityNetwork):
    """The second form: the state is the rate itself, and its box the range of f."""

    name = "activity"
    title = "firing-rate network"
    equation = "tau dr/dt = -r + f(W r + B u + b), z = W_out r + b_out"


def of_units(name: str, values: Any, n: int) -> Tensor:
    """One number for each unit (n,), from one number for all or from as many; raises ValueError."""
    each = _tensor(values)
    if each.numel() not in (1, n):
        raise ValueError(f"{name} has shape {tuple(each.shape)}; it must be one number, or ({n},) for {n} units")
    return each.reshape(-1).expand(n).clone()


def _tensor(values: Any) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64)

"""Leaky networks in discrete time, as they are trained: one step mixes the old state with the new.

    leaky:       x' = (1 - a) x + a f(W x + B u + b),      z = W_out x + b_out
    leaky-rate:  x' = (1 - a) x + a (W f(x) + B u + b),    z = W_out f(x) + b_out

These are the Euler steps of ``leaky_rate``, a = dt / tau, with the same fixed points. But their stability is that of a
map: with J the Jacobian of the flow it is decided by 1 + a J, and where J turns fast a step may well be too long.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dynsys.models.rate.leaky_rate import Array, LeakyActivity, LeakyFlow, LeakyNetwork, LeakyRate, of_units
from dynsys.models.rate.rate_network import ActivityNetwork
from dynsys.systems.system import Kind


class LeakyStep(LeakyNetwork):
    """The maps: ``alpha`` above 0 and up to 1 is a number, or (n,); else as ``LeakyNetwork``.

    Raises ValueError for an alpha that is not.
    """

    kind = Kind.MAP
    papers = ("song2016",)
    flows: type[LeakyFlow]

    def __init__(
        self,
        W: Any,
        B: Any = None,
        b: Any = None,
        W_out: Any = None,
        b_out: Any = None,
        *,
        alpha: Any,
        activation: str = "tanh",
        initial: Any = None,
        task: Any = None,
    ) -> None:
        self._hold(W, B, b, W_out, b_out, activation, initial, task)
        self.alpha = of_units("alpha", alpha, self.n_state)
        if not bool(((self.alpha > 0) & (self.alpha <= 1)).all()):
            raise ValueError(f"alpha is {alpha}; it must be above 0 and at most 1: it is dt / tau")
        self.pace = None if bool((self.alpha == 1).all()) else self.alpha

    @property
    def _is_one_for_all(self) -> bool:
        return bool((self.alpha == self.alpha[0]).all())

    def arrays(self) -> dict[str, Array]:
        return super().arrays() | ({} if self._is_one_for_all else {"alpha": self.alpha.cpu().numpy()})

    def settings(self) -> dict[str, Any]:
        return {"activation": self.activation} | ({"alpha": float(self.alpha[0])} if self._is_one_for_all else {})

    @classmethod
    def random(cls, n: int = 20, seed: int = 0, *, alpha: Any = 0.3, **options: Any) -> LeakyStep:
        return super().random(n, seed, alpha=alpha, **options)

    def flow(self) -> LeakyFlow | None:
        """The flow of which this is the Euler step of length 1: the same points, with the stability of a flow.

        None where no unit leaks, as such a step is that of a plain network.
        """
        if bool((self.alpha == 1).all()):
            return None
        weights = {key: value for key, value in self._held().items() if key != "initial"}
        tau: Tensor = 1 / self.alpha
        return self.flows(**weights, activation=self.activation, tau=tau, initial=self.initial_state)


class LeakyMap(LeakyStep, ActivityNetwork):
    """x' = (1 - a) x + a f(W x + B u + b): the state is the rate, and its box the range of f."""

    name = "leaky"
    title = "leaky RNN"
    equation = "x' = (1 - a) x + a f(W x + B u + b), z = W_out x + b_out"
    flows = LeakyActivity


class LeakyRateMap(LeakyStep):
    """x' = (1 - a) x + a (W f(x) + B u + b): the state is the current into a unit."""

    name = "leaky-rate"
    title = "leaky rate network"
    equation = "x' = (1 - a) x + a (W r(x) + B u + b), z = W_out r(x) + b_out, r = f"
    flows = LeakyRate

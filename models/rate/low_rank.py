"""Rate networks whose recurrent weights have low rank, tau dx/dt = -x + M N^T f(x) + B u + b (Mastrogiuseppe & Ostojic
2018): what they do happens in the few latent variables kappa = N^T f(x), to which every point can be traced back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.models.activations import LATENT, Activation, activation, activation_named
from dynsys.models.driven.random_drive import driven_trajectories
from dynsys.piecewise_linear.hinged import hinged_rates
from dynsys.proof.exact import affine_terms, exact_sum, two_product
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.latent import Latent
from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Kind, Product, Reduction, System

Array = NDArray[np.float64]


class LowRank(System):
    """n rate units with recurrent weights M N^T, of rank r at the most.

    Shapes: ``M`` and ``N`` (n, r), ``bias`` (n,) or None, ``input`` (n, m) or None, the weights B of m inputs,
    ``readout`` (o, n) or None, of the rates. Raises ValueError where they disagree or are not finite, for an unknown
    activation, and for a tau that is not positive.

    >>> network = LowRank([[2.0], [1.0]], [[1.0], [0.5]])
    >>> from dynsys import find_fixed_points
    >>> points = find_fixed_points(network)
    >>> len(points), points.search.complete
    (3, True)
    """

    name = "low-rank"
    title = "low-rank rate network"
    equation = "tau dx/dt = -x + M N^T r(x) + B u + b, z = W_out r(x), r = f"
    recurrent_weights = "M|N"
    kind = Kind.FLOW
    factorised_up_to = 128  # a Krylov space of rank + 1 vectors holds all that a solve needs

    def __init__(
        self,
        M: Any,
        N: Any,
        activation: str = "tanh",
        bias: Any = None,
        input: Any = None,
        tau: float = 1.0,
        *,
        readout: Any = None,
    ) -> None:
        self.M, self.N = _tensor(M), _tensor(N)
        n = len(self.M) if self.M.ndim else 0
        self.b = torch.zeros(n, dtype=torch.float64) if bias is None else _tensor(bias)
        self.B = torch.zeros(n, 0, dtype=torch.float64) if input is None else _tensor(input)
        self.W_out = torch.zeros(0, n, dtype=torch.float64) if readout is None else _tensor(readout)
        self._check()
        if not 0 < tau < float("inf"):
            raise ValueError(f"tau is {tau}; it must be positive")
        self.n_state, self.n_input, self.n_output = n, self.B.shape[1], len(self.W_out)
        self.time_constant = float(tau)
        self.activation = activation_named(activation)
        self.box_is_trapping = self.f.is_bounded

    def _check(self) -> None:
        n, r = self.M.shape if self.M.ndim == 2 else (0, 0)
        if n == 0 or r == 0 or self.N.shape != self.M.shape:
            given = f"M has shape {tuple(self.M.shape)} and N {tuple(self.N.shape)}"
            raise ValueError(f"{given}; a network of n units and rank r needs (n, r) for both, n and r at least 1")
        legal = {"b": (n,), "B": (n, self.B.shape[-1]), "W_out": (len(self.W_out) if self.W_out.ndim else 0, n)}
        for key, shape in legal.items():
            value = getattr(self, key)
            if tuple(value.shape) != shape:
                name = {"b": "bias", "B": "input", "W_out": "readout"}[key]
                needs = {"b": f"({n},)", "B": f"({n}, m)", "W_out": f"(o, {n})"}[key]
                raise ValueError(f"{name} has shape {tuple(value.shape)}; a network of {n} units needs {needs}")
        for key, value in self._held().items():
            if not torch.isfinite(value).all():
                raise ValueError(f"{key} holds {int((~torch.isfinite(value)).sum())} values that are NaN or infinite")

    def _held(self) -> dict[str, Tensor]:
        return {key: getattr(self, key) for key in ("M", "N", "B", "b", "W_out")}

    @classmethod
    def random(cls, n: int = 30, rank: int = 2, gain: float = 2.0, seed: int = 0, **options: Any) -> Self:
        """Gaussian M and N that overlap by ``gain``: N^T M is ``gain`` times the identity in the mean."""
        rng = np.random.default_rng(seed)
        M = rng.standard_normal((n, rank))
        N = (gain * M + rng.standard_normal((n, rank))) / n
        B, b, W_out = rng.standard_normal((n, 2)), 0.1 * rng.standard_normal(n), rng.standard_normal((3, n)) / n
        return cls(M, N, bias=b, input=B, readout=W_out, **options)

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a checkpoint gives them."""
        return {key: np.asarray(value) for key, value in self._held().items()}

    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides the weights."""
        return {"activation": self.activation, "tau": self.time_constant}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any], task: Any = None) -> Self:
        return cls(
            arrays["M"],
            arrays["N"],
            bias=arrays.get("b"),
            input=arrays.get("B"),
            readout=arrays.get("W_out"),
            **{"activation": "tanh", "tau": 1.0, **settings},
        )

    @property
    def f(self) -> Activation:
        return activation(self.activation)

    def drive(self, u: Tensor) -> Tensor:
        """The part of F that does not depend on the state, (B, n)."""
        return u @ self.B.T + self.b

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return (self.f.value(x) @ self.N) @ self.M.T - x + self.drive(u)

    def slopes(self, x: Tensor) -> Tensor:
        return self.f.slope(x, self.f.value(x))

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = (self.M @ self.N.T) * self.slopes(x).unsqueeze(1)
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def factored_jacobian(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor] | None:
        if 4 * self.M.shape[1] > self.n_state:
            return None
        return self.M.expand(len(x), -1, -1), self.slopes(x).unsqueeze(2) * self.N

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.linearised(x, u)(v)

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        slopes = self.slopes(x)
        return lambda v: ((slopes * v) @ self.N) @ self.M.T - v

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return self.slopes(x) * ((w @ self.M) @ self.N.T) - w

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self.B.repeat(len(x), 1, 1)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        return self.f.enclosed(y).affine(self.N.T).affine(self.M) - y + y.constant(u).affine(self.B, self.b)

    def readout(self, x: Tensor) -> Tensor:
        return self.f.value(x) @ self.W_out.T

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """Once inside, x stays between the least and the greatest value of M kappa + drive; None for an unbounded f."""
        if not self.f.is_bounded:
            return None
        least = (self.N * torch.where(self.N > 0, self.f.low, self.f.high)).sum(0)
        most = (self.N * torch.where(self.N > 0, self.f.high, self.f.low)).sum(0)
        middle, half = self.M @ ((most + least) / 2), self.M.abs() @ ((most - least) / 2)
        return self.drive(u) + (middle - half), self.drive(u) + (middle + half)

    def task_trajectories(self, steps: int, runs: int, seed: int) -> Tensor:
        """Runs under random inputs from the origin and from random states, (steps, runs, n_state)."""
        return driven_trajectories(self, self.M.new_zeros(runs, self.n_state), steps, seed)

    def latent(self, u: Tensor) -> Latent | None:
        phi = LATENT.get(self.activation)
        return None if phi is None else Latent(self.M, self.N, affine_terms([(self.B, u[0])], [self.b]), phi)

    def pieces(self, u: Tensor) -> Pieces | None:
        if self.f.hinges is None:
            return None
        products = [part for a, b in zip(self.M.T, self.N.T, strict=True) for part in two_product(a.unsqueeze(1), b)]
        return hinged_rates(exact_sum(*products), affine_terms([(self.B, u[0])], [self.b]), self.f.hinges)

    def reduction(self) -> Reduction:
        """The latent variables, in which every zero is one of F and the other way round."""
        return Reduction(
            _LatentFlow(self), lambda x: self.f.value(x) @ self.N, lambda y, u: y @ self.M.T + self.drive(u)
        )


class _LatentFlow(System):
    """d kappa / dt = N^T f(M kappa + B u + b) - kappa."""

    kind = Kind.FLOW

    def __init__(self, network: LowRank) -> None:
        self.network, self.n_state, self.n_input = network, network.M.shape[1], network.n_input
        self.name = f"{network.name}-latent"

    def _currents(self, x: Tensor, u: Tensor) -> Tensor:
        return x @ self.network.M.T + self.network.drive(u)

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self.network.f.value(self._currents(x, u)) @ self.network.N - x

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        slopes = self.network.slopes(self._currents(x, u))
        J = torch.einsum("bi,ia,ic->bac", slopes, self.network.N, self.network.M)
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return (self.network.slopes(self._currents(x, u)) * (v @ self.network.M.T)) @ self.network.N - v

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return (self.network.slopes(self._currents(x, u)) * (w @ self.network.N.T)) @ self.network.M - w

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        f, N = self.network.f, self.network.N
        if not f.is_bounded:
            return None
        least = (N * torch.where(N > 0, f.low, f.high)).sum(0)
        most = (N * torch.where(N > 0, f.high, f.low)).sum(0)
        return least.expand(len(u), -1), most.expand(len(u), -1)


def _tensor(values: Any) -> Tensor:
    return torch.tensor(np.array(values, dtype=np.float64, order="C"))

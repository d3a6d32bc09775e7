"""Independent bistable units seen in rotated coordinates: a network whose 3^n fixed points are all known.

Each unit obeys y' = -y + w tanh(y), with zeros at 0 and, for w > 1, at +-a where a = w tanh(a). The states are x = Q y
with Q a random rotation, so that no coordinate axis gives the independence away. It remembers n bits.
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.system import Kind, System


class Bistable(System):
    """n units of weight w in coordinates turned by Q (n, n), drawn from ``seed``; the readout is the units themselves.

    Raises ValueError for n below 1, and for a weight that is not positive.
    """

    kind = Kind.FLOW
    name = "bistable"
    box_is_trapping = True
    single_precision = True

    def __init__(self, n: int = 3, w: float = 2.0, seed: int = 0) -> None:
        if n < 1:
            raise ValueError(f"n is {n}; give at least one unit")
        if not 0 < w < float("inf"):
            raise ValueError(f"w is {w}; it must be positive, and above 1 for the units to be bistable")
        self.n_state = self.n_output = n
        self.w = float(w)
        self.Q = torch.as_tensor(np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0])

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self.w * torch.tanh(x @ self.Q) @ self.Q.T - x

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        return (y.affine(self.Q.T).tanh() * self.w).affine(self.Q) - y

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return (self.Q * self._slopes(x).unsqueeze(1)) @ self.Q.T

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return (self._slopes(x) * (v @ self.Q)) @ self.Q.T

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return self.jacobian_product(x, u, w)  # Q D Q^T is symmetric

    def _slopes(self, x: Tensor) -> Tensor:
        """The eigenvalues of the Jacobian (B, n): each unit's own slope, -1 + w (1 - tanh(y)^2)."""
        return self.w * (1 - torch.tanh(x @ self.Q) ** 2) - 1

    def readout(self, x: Tensor) -> Tensor:
        return x @ self.Q

    def box(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """|x_i| <= w sum_j |Q_ij|, since x decays to w Q tanh(y)."""
        high = (self.w * self.Q.abs().sum(1)).expand(len(u), -1)
        return -high, high

    def fixed_points(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Every fixed point (k, n), and how many unstable directions it has (k,): one for each unit at 0 if w > 1.

        k is 3^n with 2^n of them stable; for w <= 1 only the origin is left.
        """
        roots = [0.0] if self.w <= 1 else [0.0, self._root(), -self._root()]
        units = np.array(list(itertools.product(roots, repeat=self.n_state)))
        n_unstable = (units == 0).sum(axis=1) if self.w > 1 else np.zeros(1, dtype=np.int64)
        return units @ self.Q.cpu().numpy().astype(np.float64).T, n_unstable

    def _root(self) -> float:
        """a > 0 with a = w tanh(a); it lies above sqrt(3 (1 - 1/w)), as tanh(a) > a - a^3 / 3, and below w."""
        least = (3 * (1 - 1 / self.w)) ** 0.5
        return float(
            scipy.optimize.brentq(
                lambda a: self.w * np.tanh(a) - a, least, self.w, xtol=1e-15, rtol=4 * np.finfo(float).eps
            )
        )

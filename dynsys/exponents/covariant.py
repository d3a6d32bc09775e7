"""Covariant Lyapunov vectors: the directions that grow at each exponent's own rate, carried along by the dynamics.

Frames made upright on the way forward span the subspaces of the fastest growth; coefficients taken backward through the
triangular factors find in each of them the direction that is carried into the next (Ginelli et al. 2007, Phys. Rev.
Lett. 99, 130601).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Covariant:
    """Unit vectors (T, n, k) at states (T, n) of one trajectory, one for each exponent, the fastest first."""

    states: Array
    vectors: Array

    def angle(self, j: int) -> Array:
        """The least angle (T,) in radians between the span of the first j vectors and that of the others.

        Where it comes near 0 the two subspaces touch, and the motion is not hyperbolic.
        """
        k = self.vectors.shape[2]
        if not 0 < j < k:
            raise ValueError(f"j is {j}; with {k} vectors there are subspaces of 1 to {k - 1} on one side")
        first, rest = np.linalg.qr(self.vectors[:, :, :j])[0], np.linalg.qr(self.vectors[:, :, j:])[0]
        cosine = np.linalg.svd(first.swapaxes(1, 2) @ rest, compute_uv=False)[:, 0]
        return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))


def backward(states: list[Tensor], frames: list[Tensor], factors: list[Tensor], margin: int, seed: int) -> Covariant:
    """Vectors out of frames Q_t (n, k) at the states, and the factors with D_t Q_t = Q_{t+1} R_t.

    The last ``margin`` of them only serve to forget where the way backward began.
    """
    k = frames[0].shape[1]
    generator = torch.Generator().manual_seed(seed)
    C = torch.triu(torch.rand(k, k, generator=generator, dtype=frames[0].dtype) + 0.1)
    kept_states, vectors = [], []
    last = len(factors) - 1
    for t in range(last, -1, -1):
        C = torch.linalg.solve_triangular(factors[t], C, upper=True)
        C = C / torch.linalg.vector_norm(C, dim=0, keepdim=True)
        if t <= last - margin:
            kept_states.append(states[t])
            vectors.append(frames[t] @ C)
    return Covariant(torch.stack(kept_states[::-1]).numpy(), torch.stack(vectors[::-1]).numpy())

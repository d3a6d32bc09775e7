"""A few directions that show most of a high-dimensional state space: its principal components.

Fitted once and reused, so that points, trajectories and modes of one figure, or the snapshots of one network, share
their axes (Jang, figures 6 to 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.shown import Shown

Array = NDArray[np.float64]

FLAT = 1e-13  # of the largest singular value: the rounding of states


@dataclass(frozen=True, eq=False, repr=False)
class Projection(Shown):
    """Principal components: ``mean`` (n,), ``components`` (c, n), ``explained_variance_ratio`` (c,).

    The largest entry of each component is positive, so that the same states give the same picture.

    >>> line = Projection.fit([[0.0, 0.0], [3.0, 4.0]])
    >>> line.transform([3.0, 4.0]).round(6).tolist(), line.explained_variance_ratio.round(6).tolist()
    ([2.5, 0.0, 0.0], [1.0, 0.0, 0.0])
    """

    mean: Array
    components: Array
    explained_variance_ratio: Array

    @classmethod
    def fit(cls, states: Any, n_components: int = 3) -> Projection:
        """Fit to states (..., n), NumPy or torch.

        k states span at most k - 1 directions, and n variables n: components beyond either, and those in which states
        differ by rounding alone, are rows of zeros that explain nothing, so that what is projected always has
        ``n_components`` columns. Raises ValueError where there is no state or one is not finite.
        """
        rows = as_array(states)
        if rows.ndim < 2 or rows.size == 0:
            raise ValueError(f"states has shape {rows.shape}; a projection is fitted to at least one state, (..., n)")
        rows = rows.reshape(-1, rows.shape[-1])
        if not np.isfinite(rows).all():
            raise ValueError(f"{int((~np.isfinite(rows).all(axis=1)).sum())} of {len(rows)} states are not finite")
        k, n = rows.shape
        components, ratio = np.zeros((n_components, n)), np.zeros(n_components)
        spanned = min(n_components, n, k - 1) if np.ptp(rows, axis=0).any() else 0
        mean = rows.mean(axis=0)
        if spanned:
            rows = rows - mean
            rows -= rows.mean(axis=0)  # what the mean is off by, its own last digits, far from the origin
            # Singular values keep the digits of small components, which are squared away in a covariance.
            _, sizes, axes = np.linalg.svd(rows / np.abs(rows).max(), full_matrices=False)
            spanned = min(spanned, int((sizes > FLAT * sizes[0]).sum()))
            components[:spanned], ratio[:spanned] = _upright(axes[:spanned]), (sizes**2 / (sizes**2).sum())[:spanned]
        return cls(mean, components, ratio)

    def transform(self, states: Any) -> Array:
        """Coordinates (..., c) of states (..., n)."""
        return (as_array(states) - self.mean) @ self.components.T

    def directions(self, modes: Any) -> Array:
        """Vectors (..., n) as seen in the projection, (..., c): no mean is removed."""
        return as_array(modes) @ self.components.T

    def headline(self) -> str:
        shares = ", ".join(f"{share:.1%}" for share in self.explained_variance_ratio)
        return f"of {self.components.shape[1]} state variables to {len(self.components)}, with {shares} of the variance"

    @property
    def n_shown(self) -> int:
        """How many components are not zero."""
        return int(self.components.any(axis=1).sum())


def as_array(values: Any) -> Array:
    """A NumPy array or a tensor on any device, as float64."""
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    return np.asarray(array, dtype=np.float64)


def _upright(components: Array) -> Array:
    """Each with its largest entry positive: of entries equal to rounding, the first."""
    size = np.abs(components)
    decisive = np.argmax(size >= size.max(axis=1, keepdims=True) * (1 - 1e-6), axis=1)
    return components * np.sign(components[np.arange(len(components)), decisive])[:, None]

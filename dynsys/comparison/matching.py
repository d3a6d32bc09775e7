"""Which point of one network is which of another, and how much alike their spectra and representations are.

Where the points of one are those of the other rotated, permuted or renumbered, distances between them are the same, and
a search for such an assignment finds it. Else points are paired by index, readout and spectrum (Kuhn 1955).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy
from numpy.typing import NDArray

from dynsys.result.fixed_points import FixedPoints

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SAME = 1e-6  # of the size of what is compared: nearer is the same
STEPS = 20_000  # of the search for an assignment that keeps distances
MODES = 8  # leading eigenvalues of each point that are compared
ROUNDING = 1e-9  # a difference below is none


@dataclass(frozen=True)
class Matched:
    """Rows ``a`` and ``b`` of points that stand for each other; ``exactly`` where all distances are kept."""

    a: Integers
    b: Integers
    exactly: bool


@dataclass(frozen=True)
class Pairing:
    """Rows ``rows_a`` and ``rows_b`` of two results, whose spectra differ by ``spectral`` (k, l)."""

    a: FixedPoints
    b: FixedPoints
    rows_a: Integers
    rows_b: Integers
    spectral: Array

    @classmethod
    def of(cls, a: FixedPoints, b: FixedPoints, rows_a: Integers, rows_b: Integers) -> Self:
        return cls(a, b, rows_a, rows_b, spectral_differences(a, b, rows_a, rows_b))

    @functools.cached_property
    def _index(self) -> NDArray[np.bool_]:
        return np.asarray(self.a.n_unstable[self.rows_a][:, None] == self.b.n_unstable[self.rows_b])

    @functools.cached_property
    def _apart(self) -> tuple[Array, Array]:
        return _distances(self.a.states[self.rows_a]), _distances(self.b.states[self.rows_b])

    def exactly(self, readouts: Array) -> Matched | None:
        """All points paired so that distances are kept; ``readouts`` are those of b, their outputs in the order of a's.
        None where there is no such pairing."""
        read = _readout_differences(self.a.readouts[self.rows_a], readouts[self.rows_b])
        kept = _isometry(*self._apart, self._index & (self.spectral <= SAME) & (read <= SAME))
        return None if kept is None else Matched(self.rows_a, self.rows_b[kept], True)

    def nearest(self, readouts: Array) -> Matched:
        """Points of one index paired at the least cost in readouts and spectra."""
        read = _readout_differences(self.a.readouts[self.rows_a], readouts[self.rows_b])
        cost = 4.0 * ~self._index + np.minimum(read, 1.0) * 2 + np.minimum(self.spectral, 1.0)
        i, j = scipy.optimize.linear_sum_assignment(cost)
        good = self._index[i, j]
        return Matched(self.rows_a[i[good]], self.rows_b[j[good]], False)


def _readout_differences(a: Array, b: Array) -> Array:
    """(k, l) relative to the largest readout."""
    if a.shape[1] != b.shape[1] or not a.shape[1]:
        return np.zeros((len(a), len(b)))
    size = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0))) or 1.0
    return np.asarray(np.linalg.norm(a[:, None] - b, axis=2) / (size * a.shape[1] ** 0.5))


def _distances(x: Array) -> Array:
    return np.asarray(scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(x)) if len(x) else x[:, :0])


def _isometry(A: Array, B: Array, may: NDArray[np.bool_]) -> list[int] | None:
    """An assignment of all points to all of the other that keeps distances A (k, k) and B, pairs that ``may`` be only.

    Points with the fewest candidates come first. None where there is none, or none was found in ``STEPS``.
    """
    k = len(A)
    if len(B) != k:
        return None
    near = SAME * max(float(A.max(initial=0.0)), float(B.max(initial=0.0)))
    if np.abs(np.sort(A, axis=None) - np.sort(B, axis=None)).max(initial=0.0) > near:
        return None
    order = np.argsort(may.sum(1), kind="stable")
    chosen: list[int] = []
    waiting = [iter(_candidates(A, B, may, order, chosen, near))] if k else []
    for _ in range(STEPS):
        if len(chosen) == k:
            result = np.empty(k, dtype=int)
            result[order] = chosen
            return [int(j) for j in result]
        step = next(waiting[-1], None)
        if step is None:
            waiting.pop()
            if not waiting:
                return None
            chosen.pop()
        else:
            chosen.append(step)
            waiting.append(iter(_candidates(A, B, may, order, chosen, near) if len(chosen) < k else ()))
    return None


def _candidates(
    A: Array, B: Array, may: NDArray[np.bool_], order: Integers, chosen: list[int], near: float
) -> list[int]:
    """The points that the next one in ``order`` may be, given what those before it are."""
    i, before = order[len(chosen)], order[: len(chosen)]
    good = may[i] & (np.abs(A[i, before] - B[:, chosen]) <= near).all(1)
    good[chosen] = False
    return [int(j) for j in np.flatnonzero(good)]


def spectral_differences(a: FixedPoints, b: FixedPoints, rows_a: Integers, rows_b: Integers) -> Array:
    """(k, l) the mean relative difference of the leading eigenvalues, each paired with one near it."""
    return np.array(
        [[_apart(a.eigenvalues[i], b.eigenvalues[j]) for j in rows_b] for i in rows_a], dtype=np.float64
    ).reshape(len(rows_a), len(rows_b))


def _apart(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> float:
    m = min(int(np.isfinite(a).sum()), int(np.isfinite(b).sum()), MODES)
    a, b = a[:m], b[:m]
    size = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
    if size == 0:
        return 0.0
    difference = np.abs(a[:, None] - b)
    i, j = scipy.optimize.linear_sum_assignment(difference)
    return float((difference[i, j] / np.maximum(np.maximum(np.abs(a[i]), np.abs(b[j])), SAME * size)).mean())


def cka(x: Array, y: Array) -> float | None:
    """Linear centred kernel alignment of rows that belong together (Kornblith et al. 2019): 1 where one is the other
    rotated and scaled; None where either does not vary."""
    K, L = _gram(x), _gram(y)
    size = float(np.linalg.norm(K) * np.linalg.norm(L))
    return float((K * L).sum() / size) if size > 0 else None


def procrustes(x: Array, y: Array) -> float | None:
    """The largest overlap of centred rows after a rotation, from 0 to 1 (Schoenemann 1966); None as for ``cka``."""
    X, Y = (_factor(_gram(z)) for z in (x, y))
    size = float(np.linalg.norm(X) * np.linalg.norm(Y))
    return float(np.linalg.svd(X.T @ Y, compute_uv=False).sum() / size) if size > 0 else None


SIMILARITIES = {"cka": cka, "procrustes": procrustes}


def _gram(x: Array) -> Array:
    centred = x - x.mean(axis=0)
    return np.asarray(centred @ centred.T)


def _factor(K: Array) -> Array:
    """X with X X^T = K."""
    values, vectors = np.linalg.eigh(K)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

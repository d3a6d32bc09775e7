"""The leading eigenvalues of one matrix with both kinds of eigenvector, A r = lambda r and l^H A = lambda l^H.

They are scaled to |r| = 1 and l^H r = 1, so that l^H v is how much of the mode is in v and |l| is the condition number
of the eigenvalue (Golub & Van Loan 2013, section 7.2). Where l and r are orthogonal (a Jordan block) there is no such
scale: the condition is infinite and the left vector NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import torch
from numpy.typing import NDArray

from dynsys.numerics.eigenvalues import eig
from dynsys.numerics.rounding import EPS
from dynsys.stability.spectrum import leading_first
from dynsys.systems.system import Kind

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

SMALL = 256  # units, up to which norms and the like are taken from the whole matrix
RESIDUAL = 1e-10  # of a left vector, relative to |A| |l|, up to which it is taken as it came
SAME = 1e-8  # relative to |A|, within which the Krylov spaces of A and A^T have found one eigenvalue
SPARE = 4  # eigenvalues that a Krylov space is asked for beyond those wanted
DEFECTIVE = 1e4  # least condition number of an eigenvalue that may be one of a Jordan block
APART = 100.0  # times condition x eps x |A|, below which rounding alone may have split two eigenvalues


@dataclass(frozen=True, eq=False)
class Eigenmodes:
    """Eigenvalues (m,), leading first, of a complex pair the one of positive frequency first; right and left vectors
    (m, n); condition numbers (m,)."""

    values: ComplexArray
    right: ComplexArray
    left: ComplexArray
    condition: Array


def dense_modes(A: Array, count: int, kind: Kind) -> Eigenmodes:
    """From all eigenvalues of A (n, n): the leading ``count``, and one more where that would be half of a pair.

    None at all where A is not finite, as at the root of a square root.
    """
    if not np.isfinite(A).all():
        nothing = np.zeros((0, len(A)), dtype=np.complex128)
        return Eigenmodes(nothing[:, 0], nothing, nothing, np.zeros(0))
    if np.abs(A - A.T).max(initial=0.0) <= 4 * EPS * np.abs(A).max(initial=0.0):  # then both vectors are one
        real, Q = (np.asarray(part) for part in torch.linalg.eigh(torch.as_tensor(A)))
        rows, _ = _leading(real + 0j, count, kind)
        return _modes(real[rows] + 0j, Q.T[rows] + 0j, Q.T[rows] + 0j)
    found = eig(torch.as_tensor(A))
    values, R = np.asarray(found[0]), np.asarray(found[1])
    rows, pairs = _leading(values, count, kind)
    wanted = torch.as_tensor(np.eye(len(A), dtype=np.complex128)[:, rows])
    left = np.asarray(torch.linalg.solve_ex(found[1].mH, wanted)[0]).T
    if not _are_left(left, values[rows], A):  # R is close to singular, and its inverse far from the left vectors
        values, L, R = (part.astype(np.complex128) for part in scipy.linalg.eig(A, left=True, right=True))
        rows, pairs = _leading(values, count, kind)
        left = L.T[rows]
    split = _split_by_rounding(left, R.T[rows], values[rows], values, float(np.linalg.norm(A)))
    return _with_partners(_modes(values[rows], R.T[rows], left, split), pairs)


def krylov_modes(A: scipy.sparse.linalg.LinearOperator, count: int, kind: Kind) -> Eigenmodes:
    """From products with A and A^T alone (ARPACK); by ``dense_modes`` where the two spaces do not agree."""
    n, which = A.shape[0], "LR" if kind is Kind.FLOW else "LM"
    k = min(count + 1 + SPARE, n - 2)
    start = np.random.default_rng(0).standard_normal(n)
    try:
        values, R = scipy.sparse.linalg.eigs(A, k, which=which, v0=start, ncv=min(n, 4 * k + 20))
        others, Y = scipy.sparse.linalg.eigs(A.T, k, which=which, v0=start[::-1], ncv=min(n, 4 * k + 20))
    except scipy.sparse.linalg.ArpackError:  # no convergence, or A is zero or not finite
        return dense_modes(_matrix(A), count, kind)
    norm = float(np.abs(values).max())
    distance = np.abs(values[:, None] - others)
    here, there = scipy.optimize.linear_sum_assignment(distance)
    known = distance[here, there] <= SAME * norm
    R, Y, found = R[:, here[known]], Y[:, there[known]], values[here[known]]
    rows, pairs = _leading(found, count, kind)
    overlap = Y.T @ R  # its inverse makes the vectors of repeated eigenvalues biorthogonal as well
    missed = len(rows) == 0 or not np.array_equal(found[rows], values[_leading(values, count, kind)[0]])
    if missed or np.linalg.cond(overlap) > 1 / RESIDUAL:
        return dense_modes(_matrix(A), count, kind)
    left = np.linalg.solve(overlap, Y.T).conj()[rows]
    split = _split_by_rounding(left, R.T[rows], found[rows], found, norm)
    return _with_partners(_modes(found[rows], R.T[rows], left, split), pairs)


def numerical_abscissa(A: scipy.sparse.linalg.LinearOperator) -> float:
    """The largest eigenvalue of (A + A^T) / 2, slope of |exp(tA)| at t = 0 (Trefethen & Embree 2005, section 17)."""
    n = A.shape[0]
    if n > SMALL:
        return _largest((A + A.T) * 0.5)
    return _largest_of(_matrix((A + A.T) * 0.5))


def largest_gain(A: scipy.sparse.linalg.LinearOperator) -> float:
    """|A|_2: the most by which one application of A can lengthen a vector."""
    if A.shape[0] > SMALL:
        return float(np.sqrt(np.maximum(_largest(A.T @ A), 0.0)))
    M = _matrix(A)
    return float(torch.linalg.matrix_norm(torch.as_tensor(M), 2)) if np.isfinite(M).all() else np.nan


def _largest(symmetric: scipy.sparse.linalg.LinearOperator) -> float:
    start = np.random.default_rng(0).standard_normal(symmetric.shape[0])
    try:
        return float(scipy.sparse.linalg.eigsh(symmetric, 1, which="LA", v0=start, return_eigenvectors=False)[0])
    except scipy.sparse.linalg.ArpackError:  # no convergence, or the matrix is zero or not finite
        return _largest_of(_matrix(symmetric))


def _largest_of(symmetric: Array) -> float:
    if not np.isfinite(symmetric).all():
        return np.nan
    return float(torch.linalg.eigvalsh(torch.as_tensor(symmetric))[-1])


def _matrix(A: scipy.sparse.linalg.LinearOperator) -> Array:
    with np.errstate(invalid="ignore"):  # 0 times infinity, where A is not finite
        return np.asarray(A @ np.eye(A.shape[0]), dtype=np.float64)


def _leading(values: ComplexArray, count: int, kind: Kind) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows of the leading eigenvalues, one of each complex pair; and which of them have a partner."""
    upper = np.flatnonzero(values.imag >= 0)
    rows = upper[leading_first(torch.as_tensor(values[upper]), kind).numpy()]
    pairs = values.imag[rows] > 0
    before = np.cumsum(1 + pairs) - (1 + pairs)  # eigenvalues that come before each row
    return rows[before < count], pairs[before < count]


def _modes(
    values: ComplexArray, right: ComplexArray, left: ComplexArray, split: NDArray[np.bool_] | None = None
) -> Eigenmodes:
    """Scaled vectors; the phase is such that the largest entry of the right one is real and positive."""
    if len(values) == 0:
        return Eigenmodes(values, right, left, np.zeros(0))
    largest = np.take_along_axis(right, np.abs(right).argmax(1, keepdims=True), 1)
    right = right * (largest.conj() / np.abs(largest)) / np.linalg.norm(right, axis=1, keepdims=True)
    overlap = (left.conj() * right).sum(1, keepdims=True)
    lost = (overlap == 0) | ~np.isfinite(overlap) | (False if split is None else split[:, None])
    scaled = np.divide(np.where(lost, np.nan, left), np.where(lost, 1, overlap).conj(), dtype=np.complex128)
    real = values.imag == 0  # its vectors are real, but for what rounding left
    right[real], scaled[real] = right[real].real, scaled[real].real
    return Eigenmodes(values, right, scaled, np.where(lost[:, 0], np.inf, np.linalg.norm(scaled, axis=1)))


def _with_partners(modes: Eigenmodes, pairs: NDArray[np.bool_]) -> Eigenmodes:
    """The conjugate of each of a pair, next to it."""
    rows = np.repeat(np.arange(len(pairs)), 1 + pairs)
    second = np.concatenate([[False], rows[1:] == rows[:-1]])[: len(rows)]

    def expanded(values: ComplexArray) -> ComplexArray:
        values = values[rows]
        values[second] = values[second].conj()
        return values

    condition = np.asarray(modes.condition[rows])
    return Eigenmodes(expanded(modes.values), expanded(modes.right), expanded(modes.left), condition)


def _are_left(left: ComplexArray, values: ComplexArray, A: Array) -> bool:
    residual = np.linalg.norm(left.conj() @ A - values[:, None] * left.conj(), axis=1)
    return bool((residual <= RESIDUAL * np.linalg.norm(A) * np.linalg.norm(left, axis=1)).all())


def _split_by_rounding(
    left: ComplexArray, right: ComplexArray, values: ComplexArray, all_values: ComplexArray, norm: float
) -> NDArray[np.bool_]:
    """Which modes cannot be told from a Jordan block: ill-conditioned, and nearer to another than their error.

    An m-fold defective eigenvalue comes out of rounding as m simple ones, about eps^(1/m) apart and of a condition of
    about eps^(1/m - 1): condition x eps is then as large as their distance.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        overlap = np.abs((left.conj() * right).sum(1))
        condition = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1) / overlap
    distance = np.abs(values[:, None] - all_values)
    nearest = np.sort(distance, axis=1)[:, 1] if len(all_values) > 1 else np.full(len(values), np.inf)
    return np.asarray(~(condition <= DEFECTIVE) & ~(nearest > APART * condition * EPS * norm))

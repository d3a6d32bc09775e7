"""How patterns become weights: Hebb, Hebb without self-coupling, the pseudo-inverse, and Storkey's rule.

W (n, m) goes from input i to output j, so that the net input is x^T W. For patterns S (P, n) and targets T (P, m):

    Hebb             W = S^T T
    modified         W = S^T S - P I, which has no diagonal where S is bipolar
    pseudo-inverse   W = S^+ T, for which S W = T wherever the patterns are linearly independent
    Storkey          dW_ij = (s_i s_j - s_i h_ji - h_ij s_j) / n, h_ij = sum_{k != i, j} W_ik s_k, pattern by pattern

Rules for a recurrent net leave its diagonal at zero: Hopfield's proof that the energy falls needs it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynsys.models.associative.patterns import Array

INDEPENDENT = 1e-10  # of the largest singular value, above which a direction of the patterns counts
MOST_EXACT = 300_000  # products of whole numbers, a tenth of a second, up to which weights are rational
LARGEST_WHOLE = 2**53  # up to which float64 holds every whole number


def hebb(S: Array, T: Array) -> Array:
    return S.T @ T


def pseudo_inverse(S: Array, T: Array) -> Array:
    """Raises ValueError where the patterns are linearly dependent and ask for different targets.

    Of whole numbers, as patterns are, every weight is the float64 nearest to the rational one, up to ``MOST_EXACT``.
    """
    size = len(S) * S.shape[1] * (len(S) + T.shape[1])
    if size <= MOST_EXACT and _are_whole(S) and _are_whole(T):
        return _rational(S, T)
    inverse = np.linalg.pinv(S, rcond=INDEPENDENT)
    W: Array = inverse @ T
    W += inverse @ (T - S @ W)  # which leaves of the condition of S only the rounding of S W itself
    worst = np.abs(S @ W - T).max()
    if worst > 1e-6:
        raise ValueError(_dependent(S, f" (off by {worst:.2g})"))
    return W


def _are_whole(values: Array) -> bool:
    return bool((values == np.rint(values)).all() and np.abs(values).max() < LARGEST_WHOLE)


def _dependent(S: Array, by: str = "") -> str:
    rank = np.linalg.matrix_rank(S)
    return (
        f"the {len(S)} patterns span {rank} dimensions and no weights give each its target{by}; "
        f"the pseudo-inverse takes at most n = {S.shape[1]} patterns, linearly independent ones"
    )


def _rational(S: Array, T: Array) -> Array:
    """S^T (S S^T)^-1 T over a basis of the rows of S, by elimination without fractions (Bareiss 1968)."""
    rows, targets = S.astype(np.int64).astype(object), T.astype(np.int64).astype(object)
    A, last = np.concatenate([rows @ rows.T, targets], axis=1), 1
    basis: list[int] = []
    for k in range(len(S)):
        pivot = A[k, k]
        if pivot == 0:  # what is left of S S^T is no less than 0: the pattern depends on those before it
            continue
        others = np.arange(len(S)) != k
        A[others] = (pivot * A[others] - A[others, k : k + 1] * A[k]) // last
        last, basis = pivot, [*basis, k]
    numerators = rows[basis].T @ A[basis, len(S) :]
    if (rows @ numerators != last * targets).any():
        raise ValueError(_dependent(S))
    return np.asarray(numerators / last, dtype=np.float64)  # of Python's integers, whose quotient is rounded once


def hopfield_hebb(S: Array) -> Array:
    """sum_p s_i s_j with zero diagonal."""
    return without_diagonal(hebb(S, S))


def hopfield_projection(S: Array) -> Array:
    """n times the projection on the span of the patterns, with zero diagonal.

    A pattern stays where its components' shares in the span are all below 1, which they are for P < n in general
    position: (W s)_i = n (1 - Q_ii) s_i.
    """
    n = S.shape[1]
    rank = int(np.linalg.matrix_rank(S))
    if rank >= n:
        raise ValueError(
            f"the {len(S)} patterns span all {n} dimensions: the projection on them is the identity, and nothing is "
            f"left of it without the diagonal; the pseudo-inverse takes fewer than n = {n} independent patterns"
        )
    W = without_diagonal(pseudo_inverse(S, n * S))
    return (W + W.T) / 2  # as the projection is, up to rounding


def storkey(S: Array) -> Array:
    """The rule of Storkey (1997), local and incremental like Hebb's, with more capacity; scaled by n as Hebb's is here.

    What it stores depends on the order of the patterns.
    """
    n = S.shape[1]
    W = np.zeros((n, n))
    for s in S:
        h = (W @ s)[:, None] - W * s  # h_ij without k = j; the diagonal is zero, so k = i is not in it
        back = s[:, None] * h.T
        W += (np.outer(s, s) - (back + back.T)) / n  # symmetric to the last bit
        np.fill_diagonal(W, 0.0)
    return n * W


def without_diagonal(W: Array) -> Array:
    W = W.copy()
    np.fill_diagonal(W, 0.0)
    return W


RULES: dict[str, Callable[[Array], Array]] = {  # of a Hopfield net, from bipolar patterns
    "hebb": hopfield_hebb,
    "pseudo-inverse": hopfield_projection,
    "storkey": storkey,
}

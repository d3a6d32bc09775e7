"""Where the nodes of a layered graph stand: a row for each level, in an order that keeps the edges short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]

SWEEPS, TRIALS = 20, 8  # over all rows until nothing moves, and from how many orders


def places(levels: NDArray[np.int64], edges: Sequence[tuple[int, int]]) -> Array:
    """The place of each node along its row (k,), in [0, 1], for nodes at ``levels`` (k,) and edges between them.

    Row by row the nodes are assigned to the row's even places such that the edges to other rows are shortest (a linear
    assignment), from a few fixed orders; the best is kept. Same graph, same places.
    """
    k = len(levels)
    joined = np.zeros((k, k))
    for i, j in edges:
        if levels[i] != levels[j]:
            joined[i, j] = joined[j, i] = 1
    rng = np.random.default_rng(0)
    orders = [np.arange(k), _spectral(joined), *(rng.permutation(k) for _ in range(TRIALS - 2))]
    tried = [_settled(levels, joined, order) for order in orders]
    return min(tried, key=lambda x: round(_length(joined, x), 9))


def _settled(levels: NDArray[np.int64], joined: Array, order: NDArray[np.int64]) -> Array:
    """The places after sweeping up and down from a first order (k,), the nodes from left to right."""
    x = np.zeros(len(levels))
    rows = [np.flatnonzero(levels == level) for level in np.unique(levels)]
    rank = np.argsort(order)
    for row in rows:
        x[row[np.argsort(rank[row])]] = _slots(len(row))
    for _ in range(SWEEPS):
        before = x.copy()
        for row in (*rows, *rows[::-1]):
            slots = _slots(len(row))
            distance = np.abs(slots[:, None] - x[None, :])
            cost = joined[row] @ distance.T + 1e-6 * np.abs(x[row][:, None] - slots[None, :])  # ties: stay
            x[row] = slots[scipy.optimize.linear_sum_assignment(cost)[1]]
        if np.array_equal(x, before):
            break
    return x


def _slots(n: int) -> Array:
    return (np.arange(n) + 0.5) / n


def _length(joined: Array, x: Array) -> float:
    return float((joined * np.abs(x[:, None] - x[None, :])).sum() / 2)


def _spectral(joined: Array) -> NDArray[np.int64]:
    """The order along the second eigenvector of the graph's Laplacian (Fiedler), which keeps neighbours together."""
    laplacian = np.diag(joined.sum(axis=1)) - joined
    vectors = np.linalg.eigh(laplacian)[1]
    return np.argsort(vectors[:, min(1, len(joined) - 1)].round(9), kind="stable")

"""The geometry of memories: how far they lie apart, and what solid they are the corners of.

Memories that differ in one bit are neighbours: in a cube they lie closer together than any others, with all edges of
equal length.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import subspace_angles
from scipy.spatial.distance import cdist

from dynsys.analyses.flipflop_memories import Bits, design

Array = NDArray[np.float64]
Row = dict[str, float | int]


@dataclass(frozen=True)
class Distances:
    """How far memories lie apart, by the number of bits in which they differ (their Hamming distance).

    ``by_hamming`` has a row for each Hamming distance. ``spread`` is the standard deviation of all distances over their
    mean, and 0 where all are equal; ``edge_spread`` that of the edges. ``edges`` (b,) are the mean lengths of the edges
    along each bit. ``memories_with_nearest`` is the share of memories with every Hamming neighbour nearer than all
    others, ``nearer`` the share of pairs (a neighbour, another) of which the neighbour is nearer. None: there are none.
    ``edges_shortest``: whether every pair of neighbours is nearer to each other than any pair of others.
    """

    by_hamming: tuple[Row, ...]
    mean: float
    spread: float
    edge: float
    edge_spread: float
    edges: tuple[float | None, ...]
    memories_with_nearest: float | None
    nearer: float | None
    edges_shortest: bool | None


def distances(states: Array, bits: Bits) -> Distances:
    """Of memories ``states`` (k, n) with ``bits`` (k, b); raises ValueError unless two of them are neighbours."""
    apart, hamming = cdist(states, states), _hamming(bits)
    i, j = np.triu_indices(len(bits), 1)
    all_of_them, kinds = apart[i, j], hamming[i, j]
    edge = all_of_them[kinds == 1]
    if not len(edge):
        raise ValueError(f"of {len(bits)} memories no two differ in one bit; there is no edge to measure")
    along = np.array([np.flatnonzero(bits[a] != bits[b])[0] for a, b in zip(i[kinds == 1], j[kinds == 1], strict=True)])
    wins, nearest = [], []
    for row, differing in zip(apart, hamming, strict=True):
        neighbours, others = row[differing == 1], row[differing > 1]
        if len(neighbours) and len(others):
            nearer = neighbours[:, None] < others[None, :]
            wins.append(nearer.ravel())
            nearest.append(bool(nearer.all()))
    return Distances(
        tuple(_summary(int(kind), all_of_them[kinds == kind]) for kind in np.unique(kinds)),
        float(all_of_them.mean()),
        _spread(all_of_them),
        float(edge.mean()),
        _spread(edge),
        tuple(float(edge[along == bit].mean()) if (along == bit).any() else None for bit in range(bits.shape[1])),
        float(np.mean(nearest)) if nearest else None,
        float(np.concatenate(wins).mean()) if wins else None,
        bool(edge.max() < all_of_them[kinds > 1].min()) if (kinds > 1).any() else None,
    )


def hypercube_spread(n_bits: int) -> float:
    """The spread of the distances between the corners of an exact hypercube, which are the roots of the Hamming ones.

    >>> round(hypercube_spread(4), 3)
    0.216
    """
    corners = np.array(list(itertools.product((0, 1), repeat=n_bits)))
    return _spread(np.sqrt(_hamming(corners)[np.triu_indices(len(corners), 1)]))


def _hamming(bits: Bits) -> Bits:
    differing: Bits = (bits[:, None, :] != bits[None, :, :]).sum(axis=2)
    return differing


def _summary(kind: int, lengths: Array) -> Row:
    return {
        "hamming": kind,
        "pairs": len(lengths),
        "mean": float(lengths.mean()),
        "sd": float(lengths.std()),
        "least": float(lengths.min()),
        "most": float(lengths.max()),
    }


def _spread(lengths: Array) -> float:
    return float(lengths.std() / lengths.mean())


@dataclass(frozen=True, eq=False)
class Axes:
    """The parallelepiped nearest to memories: ``centre`` (n,), ``axes`` (b, n) which a bit of 1 adds, 0 takes off.

    ``share`` is the part of the memories' variance that it explains: 1 where they are its corners.
    """

    centre: Array
    axes: Array
    share: float


def bit_axes(states: Array, bits: Bits) -> Axes:
    """Least squares of states (k, n) on bits (k, b); raises ValueError where the memories do not determine an axis."""
    terms = design(bits)
    solution, _, rank, _ = np.linalg.lstsq(terms, states, rcond=None)
    if rank < terms.shape[1]:
        raise ValueError(f"{len(bits)} memories of {bits.shape[1]} bits do not determine an axis for every bit")
    left = states - terms @ solution
    total = ((states - states.mean(axis=0)) ** 2).sum()
    axes: Array = solution[1:].astype(np.float64)
    return Axes(solution[0], axes, float(1 - (left**2).sum() / total))


def principal_angles(one: Array, other: Array) -> Array:
    """Degrees (min(a, b),), the least first, between the subspaces that vectors (a, n) and (b, n) span."""
    return np.sort(np.degrees(subspace_angles(one.T, other.T)))

"""The geometry of memories: which stable point is which memory, and what solid the memories are the corners of.

A network that remembers b bits ought to have 2^b memories, one for each row of signs. Memories that differ in one bit
are neighbours: in a cube they lie closer together than any others, with all edges of equal length.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import subspace_angles
from scipy.spatial.distance import cdist

from dynsys.points import FixedPoints

Array = NDArray[np.float64]
Bits = NDArray[np.int64]
Row = dict[str, float | int]

CLEAR = 0.5  # a stable point with an output nearer to 0 than this holds no memory: its bit is neither


@dataclass(frozen=True, eq=False)
class Memories:
    """The stable points that are memories, in binary order of their bits.

    Shapes: ``bits`` (k, b) of -1 and 1, ``states`` (k, n), ``readouts`` (k, b), ``numbers`` (k,) of the points.
    ``missing`` are the rows of bits that no stable point holds. ``doubles`` are the numbers of stable points that hold
    the bits of a memory which has outputs closer to them, ``strangers`` those of stable points without clear bits.
    """

    bits: Bits
    states: Array
    readouts: Array
    numbers: NDArray[np.int64]
    missing: tuple[tuple[int, ...], ...]
    doubles: tuple[int, ...]
    strangers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.bits)

    @property
    def n_bits(self) -> int:
        return self.bits.shape[1]

    @property
    def determined(self) -> bool:
        """Whether they are enough for ``bit_axes``."""
        return bool(np.linalg.matrix_rank(_design(self.bits)) == self.n_bits + 1) if len(self) else False

    @property
    def names(self) -> list[str]:
        """The bits as they are written, like 0110."""
        return [named(row) for row in self.bits]

    @property
    def edges(self) -> list[tuple[int, int, int]]:
        """Pairs of memories (i, j) that differ in one bit, and which bit."""
        return [
            (i, j, int(np.flatnonzero(self.bits[i] != self.bits[j])[0]))
            for i, j in itertools.combinations(range(len(self)), 2)
            if (self.bits[i] != self.bits[j]).sum() == 1
        ]


def named(bits: Bits | tuple[int, ...]) -> str:
    return "".join("1" if bit > 0 else "0" for bit in bits)


def memories(points: FixedPoints) -> Memories:
    """The memories among fixed points, by the signs of their readouts (k, b)."""
    stable = np.flatnonzero((points.verdict == "fixed") & (points.n_unstable == 0) & (points.stability != "marginal"))
    return memories_among(points.states[stable], points.readouts[stable], stable)


def memories_among(states: Array, readouts: Array, numbers: NDArray[np.int64]) -> Memories:
    """The memories among stable states (k, n) with readouts (k, b), which bear these ``numbers``."""
    n_bits = readouts.shape[1]
    clear = (np.abs(readouts) >= CLEAR).all(axis=1)
    signs = np.where(readouts > 0, 1, -1)
    off = np.linalg.norm(readouts - signs, axis=1)
    kept: list[int] = []
    doubles: list[int] = []
    missing: list[tuple[int, ...]] = []
    for bits in itertools.product((-1, 1), repeat=n_bits):
        holders = np.flatnonzero(clear & (signs == bits).all(axis=1))
        holders = holders[np.argsort(off[holders], kind="stable")]
        kept += holders[:1].tolist()
        doubles += numbers[holders[1:]].tolist()
        if not len(holders):
            missing.append(bits)
    return Memories(
        signs[kept].astype(np.int64),
        states[kept],
        readouts[kept],
        numbers[kept],
        tuple(missing),
        tuple(sorted(doubles)),
        tuple(numbers[~clear].tolist()),
    )


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
    design = _design(bits)
    solution, _, rank, _ = np.linalg.lstsq(design, states, rcond=None)
    if rank < design.shape[1]:
        raise ValueError(f"{len(bits)} memories of {bits.shape[1]} bits do not determine an axis for every bit")
    left = states - design @ solution
    total = ((states - states.mean(axis=0)) ** 2).sum()
    axes: Array = solution[1:].astype(np.float64)
    return Axes(solution[0], axes, float(1 - (left**2).sum() / total))


def _design(bits: Bits) -> Array:
    return np.hstack([np.ones((len(bits), 1)), bits.astype(np.float64)])


def principal_angles(one: Array, other: Array) -> Array:
    """Degrees (min(a, b),), the least first, between the subspaces that vectors (a, n) and (b, n) span."""
    return np.sort(np.degrees(subspace_angles(one.T, other.T)))

"""What becomes of a cube of memories when its network learns a further bit: each corner may split in two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orth
from scipy.spatial import procrustes

from dynsys.analyses.flipflop_memories import Memories, named
from dynsys.analyses.transfer.geometry import distances

Array = NDArray[np.float64]

ENOUGH = 4  # corners that both cubes have: fewer fit onto each other whatever became of them


@dataclass(frozen=True)
class Survival:
    """Lengths are in edges of the old cube (the mean of them), in the order of the old memories.

    ``shift``: from each old memory to the nearer of the new ones with the same first bits; ``middle_shift``: to the
    middle between these; ``split``: between these. None where the new memories are missing. ``disparity`` (0: the same
    solid, turned, moved and resized; at most 1) of the middles and of the two faces on which the new bit is 0 and 1,
    and how many times larger each is; None where too few corners are left.
    """

    edge: float
    names: tuple[str, ...]
    shift: tuple[float | None, ...]
    middle_shift: tuple[float | None, ...]
    split: tuple[float | None, ...]
    disparity: dict[str, float | None]
    size: dict[str, float | None]


def survival(old: Memories, new: Memories) -> Survival:
    """Of the memories of b bits in the states of a network of as many units that remembers b + 1."""
    if new.n_bits != old.n_bits + 1 or new.states.shape[1] != old.states.shape[1]:
        raise ValueError(
            f"memories of {new.n_bits} bits in {new.states.shape[1]} units after {old.n_bits} bits in "
            f"{old.states.shape[1]}; one bit more in as many units is what can be compared"
        )
    edge = distances(old.states, old.bits).edge
    pairs = [_pair(row, new) for row in old.bits]
    shift: list[float | None] = []
    middle_shift: list[float | None] = []
    split: list[float | None] = []
    for state, pair in zip(old.states, pairs, strict=True):
        there = [p for p in pair if p is not None]
        shift.append(min(_length(p - state) for p in there) / edge if there else None)
        both = len(there) == 2
        middle_shift.append(_length((there[0] + there[1]) / 2 - state) / edge if both else None)
        split.append(_length(there[1] - there[0]) / edge if both else None)
    matched = {
        "middles": [None if a is None or b is None else (a + b) / 2 for a, b in pairs],
        "face 0": [a for a, _ in pairs],
        "face 1": [b for _, b in pairs],
    }
    fits = {key: _fit(old.states, corners) for key, corners in matched.items()}
    return Survival(
        edge,
        tuple(named(row) for row in old.bits),
        tuple(shift),
        tuple(middle_shift),
        tuple(split),
        {key: disparity for key, (disparity, _) in fits.items()},
        {key: size for key, (_, size) in fits.items()},
    )


def _pair(bits: NDArray[np.int64], new: Memories) -> tuple[Array | None, Array | None]:
    """The new memories that begin with these bits: with the new bit 0, and with 1."""
    found = []
    for value in (-1, 1):
        rows = np.flatnonzero((new.bits == [*bits.tolist(), value]).all(axis=1))
        found.append(new.states[rows[0]] if len(rows) else None)
    return found[0], found[1]


def _fit(old: Array, corners: list[Array | None]) -> tuple[float | None, float | None]:
    """Disparity and relative size of the corners that are there."""
    kept = [i for i, corner in enumerate(corners) if corner is not None]
    if len(kept) < ENOUGH:
        return None, None
    a, b = old[kept], np.array([corners[i] for i in kept])
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    together = orth(np.vstack([a, b]).T)  # both lie in it, and Procrustes is dear in all of the units
    _, _, disparity = procrustes(a @ together, b @ together)
    return float(disparity), _length(b) / _length(a)


def _length(x: Array) -> float:
    return float(np.linalg.norm(x))

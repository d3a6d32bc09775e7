"""Which stable points of a flip-flop network are its memories.

A network that remembers b bits ought to have 2^b, one for each row of signs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynsys.result.fixed_points import FixedPoints

Array = NDArray[np.float64]
Bits = NDArray[np.int64]

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
        return bool(np.linalg.matrix_rank(design(self.bits)) == self.n_bits + 1) if len(self) else False

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


def design(bits: Bits) -> Array:
    """A column of ones and one for each bit: states are nearly linear in these where memories are a hypercube."""
    return np.hstack([np.ones((len(bits), 1)), bits.astype(np.float64)])

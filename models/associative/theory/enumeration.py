"""All fixed points and cycles of a small discrete net, with their basins: every state is looked at.

Updates of all units at once, or of layers in turn, take each state to one other: every state leads into a cycle, of
length 1 for a fixed point. One unit at a time in random order leads to several: there a basin is the chance to get
there from a state drawn at random, which is exact, as the energy lets no path come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.models.associative.bidirectional import BidirectionalMemory
from dynsys.models.associative.hopfield import Hopfield
from dynsys.models.associative.patterns import Array, checked_vector
from dynsys.models.associative.polynomial import PolynomialMemory
from dynsys.models.associative.recurrent import RecurrentAssociator

MOST = 1 << 20  # states: 20 units of two values, 12 of three
CHUNK = 1 << 14  # states updated together

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Attractor:
    """States (period, n) that follow each other for ever, and the share of all states that end there."""

    states: Array
    basin: float

    @property
    def period(self) -> int:
        return len(self.states)


@dataclass(frozen=True, eq=False)
class Landscape:
    """Every attractor, that of the largest basin first, out of so many states; ``of`` (states,) where each leads.

    ``of`` is None for one unit at a time, as a state may then lead to several.
    """

    attractors: list[Attractor]
    n_states: int
    of: Indices | None

    @property
    def fixed_points(self) -> Array:
        """(k, n), those of period 1."""
        points = [attractor.states[0] for attractor in self.attractors if attractor.period == 1]
        return np.array(points).reshape(len(points), -1)


@singledispatch
def enumerated(net: Any, external: Any = None) -> Landscape:
    """All attractors of a net of at most 20 units (12 with ties at zero, where a unit has three values).

    ``external`` (n,) is held at a Hopfield net; without it there is none. Raises ValueError for larger nets.
    """
    raise ValueError(f"{type(net).__name__} is no discrete net whose states can be listed")


@enumerated.register
def _(net: RecurrentAssociator, external: Any = None) -> Landscape:
    _check_no_external(external)
    values = (net.low, 1.0) if net.ties == "keep" else tuple(sorted({net.low, 0.0, 1.0}))
    return of_map(net.step, len(net.W), values)


@enumerated.register
def _(net: BidirectionalMemory, external: Any = None) -> Landscape:
    """A state is x and y together; a step is the y-layer, then the x-layer."""
    _check_no_external(external)
    n, m = net.W.shape

    def step(state: Array) -> Array:
        y = net.answer(state[:, :n], state[:, n:])
        return np.concatenate([net.answer_back(state[:, :n], y), y], axis=1)

    return of_map(step, n + m, (net.low, 1.0))


@enumerated.register
def _(net: Hopfield, external: Any = None) -> Landscape:
    """One unit at a time, each of those that would change as likely as the other."""
    if not net.has_energy:
        raise ValueError(
            "W must be symmetric to the last bit, with no negative diagonal: only then does every path end; of a W "
            "that rounding alone keeps from symmetry give (W + W.T) / 2"
        )
    n, values = len(net.W), (net.low, 1.0)
    x = np.zeros(n) if external is None else checked_vector(external, n, "external")

    def leaves(y: Array) -> NDArray[np.bool_]:
        fields = net.nets(y, x)
        return (fields > 0) & (y != 1) | (fields < 0) & (y != net.low)

    return _one_at_a_time(leaves, n, values)


@enumerated.register
def _(net: PolynomialMemory, external: Any = None) -> Landscape:
    _check_no_external(external)

    def leaves(y: Array) -> NDArray[np.bool_]:
        gaps = np.stack([net.gaps(i, y) for i in range(y.shape[1])], axis=1)
        return gaps * y < 0

    return _one_at_a_time(leaves, net.S.shape[1], (-1.0, 1.0))


def _one_at_a_time(leaves: Callable[[Array], NDArray[np.bool_]], n: int, values: tuple[float, float]) -> Landscape:
    """``leaves`` says of states (B, n) which units would change."""
    _check_size(n, 2)
    chunks = [np.arange(begin, min(begin + CHUNK, 1 << n)) for begin in range(0, 1 << n, CHUNK)]
    goes = np.concatenate([leaves(states_of(chunk, n, values)) for chunk in chunks])
    ways = goes.sum(axis=1)
    rest = np.flatnonzero(ways == 0)
    mass = _flowed(np.full(1 << n, 1.0 / (1 << n)), goes, ways)
    order = np.argsort(-mass[rest], kind="stable")
    attractors = [Attractor(states_of(rest[k : k + 1], n, values), float(mass[rest[k]])) for k in order]
    return Landscape(attractors, 1 << n, None)


def _flowed(mass: Array, leaves: NDArray[np.bool_], ways: Indices) -> Array:
    """Where the mass of each state comes to rest, handed on in equal parts to the states that one change leads to."""
    n = leaves.shape[1]
    moving = np.flatnonzero(ways)
    while len(moving):
        share = mass[moving] / ways[moving]
        mass[moving] = 0.0
        for i in range(n):
            goes = leaves[moving, i]
            np.add.at(mass, moving[goes] ^ (1 << i), share[goes])
        moving = np.flatnonzero((ways > 0) & (mass > 0))
    return mass


def of_map(step: Callable[[Array], Array], n: int, values: tuple[float, ...]) -> Landscape:
    """The attractors of any map of the states of n units with these ``values``; step takes and gives (B, n)."""
    _check_size(n, len(values))
    size = len(values) ** n
    after = np.concatenate(
        [
            index_of(step(states_of(np.arange(begin, min(begin + CHUNK, size)), n, values)), values)
            for begin in range(0, size, CHUNK)
        ]
    )
    far = after
    for _ in range(size.bit_length()):  # far = the map applied 2^k times, at last more often than there are states
        far = far[far]
    cyclic, label = np.unique(far), np.arange(size)
    ahead = after.copy()
    for _ in range(len(cyclic).bit_length()):  # the least state of each cycle names it
        label[cyclic] = np.minimum(label[cyclic], label[ahead[cyclic]])
        ahead[cyclic] = ahead[ahead[cyclic]]
    names, of, counts = np.unique(label[far], return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    attractors = [
        Attractor(states_of(np.array(_cycle(after, int(names[k]))), n, values), float(counts[k] / size)) for k in order
    ]
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Landscape(attractors, size, rank[of])


def _cycle(after: Indices, begin: int) -> list[int]:
    states = [begin]
    while (following := int(after[states[-1]])) != begin:
        states.append(following)
    return states


def states_of(indices: Indices, n: int, values: tuple[float, ...]) -> Array:
    """States (B, n) by their numbers, of which unit i is the i-th digit, the lowest first."""
    digits = indices[:, None] // len(values) ** np.arange(n) % len(values)
    return np.array(values)[digits]


def index_of(states: Array, values: tuple[float, ...]) -> Indices:
    """The number (B,) of each state (B, n)."""
    digits = np.searchsorted(np.array(values), states)
    return np.asarray(digits @ len(values) ** np.arange(states.shape[1]))


def _check_size(n: int, values: int) -> None:
    if values**n > MOST:
        most = int(np.log(MOST) / np.log(values) + 1e-9)
        raise ValueError(f"the net has {n} units of {values} values each; states are listed of up to {most} such units")


def _check_no_external(external: Any) -> None:
    if external is not None:
        raise ValueError("an external input is that of a Hopfield net; this one has none")

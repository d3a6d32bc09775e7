"""The points that are stable at the end of a training: which of them are memories, and how each came to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynsys.analyses.flipflop_memories import memories_among
from dynsys.continuation.diagram import Branch, Diagram, Event


@dataclass(frozen=True)
class StablePoint:
    """A point that is stable at the end: ``since`` when, and by which ``event``.

    ``born`` in that event, or it was there before and became stable. ``event`` None: it was there and stable at the
    start, or its branch was ``lost`` from sight towards the start, or nothing was seen to make it stable. ``memory`` is
    whether it holds bits (each output clearly of one sign, and no other point nearer to those bits); None for a
    network that learned no flip-flop.
    """

    branch: int
    readout: tuple[float, ...]
    since: float
    event: Event | None
    born: bool
    lost: bool
    memory: bool | None


def stable_points(diagram: Diagram, flipflop: bool) -> list[StablePoint]:
    """Of every branch that is stable at the last snapshot how it came to be, the earliest first.

    ``flipflop``: the outputs stand for bits.
    """
    last = len(diagram.steps) - 1
    rows = [(branch, row) for branch in diagram.branches if (row := branch.at(last)) is not None]
    stable = [(branch, row) for branch, row in rows if branch.n_unstable[row] == 0]
    holding = _holding_bits(stable) if flipflop else None
    found = [_came_to_be(diagram, *one, None if holding is None else one[0].id in holding) for one in stable]
    return sorted(found, key=lambda point: (point.since, point.branch))


def _holding_bits(stable: list[tuple[Branch, int]]) -> set[int]:
    """The branches of those that are memories, as ``dynsys transfer`` tells them from others."""
    if not stable:
        return set()
    states = np.array([branch.states[row] for branch, row in stable])
    readouts = np.array([branch.readouts[row] for branch, row in stable])
    return set(memories_among(states, readouts, np.array([branch.id for branch, _ in stable])).numbers.tolist())


def _came_to_be(diagram: Diagram, branch: Branch, row: int, memory: bool | None) -> StablePoint:
    unstable = np.flatnonzero(branch.n_unstable[:row])
    born = not len(unstable)
    event = _by_id(diagram, branch.born) if born else _at_change(diagram, branch, int(unstable[-1]))
    since = event.time if event else float(branch.s[0 if born else unstable[-1] + 1])
    readout = tuple(float(value) for value in branch.readouts[row])
    lost = born and event is None and begins_lost(diagram, branch)
    return StablePoint(branch.id, readout, since, event, born, lost, memory)


def begins_lost(diagram: Diagram, branch: Branch) -> bool:
    """Whether it begins after the first snapshot without an event: it was lost on the way down from there."""
    return branch.born is None and bool(branch.s[0] > diagram.steps[0])


def ends_lost(diagram: Diagram, branch: Branch) -> bool:
    """Whether it ends before the last snapshot without an event."""
    return branch.died is None and bool(branch.s[-1] < diagram.steps[-1])


def _by_id(diagram: Diagram, number: int | None) -> Event | None:
    return next((event for event in diagram.events if event.id == number), None)


def _at_change(diagram: Diagram, branch: Branch, row: int) -> Event | None:
    """The last event of this branch between that row and the next."""
    low, high = branch.s[row], branch.s[row + 1]
    among = [event for event in diagram.events if branch.id in event.branches and low <= event.time <= high]
    return among[-1] if among else None

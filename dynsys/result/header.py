"""What a result says of its system and of what was found, as the header of its file has it."""

from __future__ import annotations

import typing
from typing import Any, TypedDict


class Told(TypedDict):
    """What is told in a sentence."""

    sentence: str


class Reached(TypedDict):
    """What is always said of where some trajectories settle."""

    kind: str
    period: float
    point: int | None
    trajectories: int


class End(Reached, total=False):
    """And of orbits and cycles."""

    states: list[list[float]]
    multipliers: list[tuple[float, float]] | None
    proved: bool
    reason: str
    error_bound: float | None


class Settled(Told):
    """Where trajectories settle."""

    ends: list[End]
    unit: str


class Manifold(Told):
    """A line, ring or plane of points."""

    kind: str


class Kept(TypedDict):
    """What a result always says of its system."""

    name: str
    kind: typing.Literal["map", "flow"]
    n_state: int


class Part(TypedDict):
    """One of several results that were joined: how many points, its own words, and how many attractors its search met
    that are none of its points."""

    label: str
    points: int
    summary: str
    beside: int


class About(Kept, total=False):
    """What else. ``loading`` are the choices with which the network was read."""

    n_input: int
    n_output: int
    time_constant: float
    periods: list[float]
    checkpoint: str
    sha256: str
    loading: dict[str, Any]
    assumed: list[str]
    unread: list[str]
    parts: list[Part]

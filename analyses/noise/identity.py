"""What a trial was done with, known again by its content: a study that was moved, or merged from elsewhere, goes on.

The fields that count in a comparison make a task's fingerprint; a path says where to look and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.provenance import digest, digest_of
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import System

TRIED, PLACES = 4, 9  # states at which a system is tried, and decimals of F and of the readout that count
PLACES_OF_POINTS = 4  # decimals of a state that count: another machine's rounding makes no other points


@dataclass(frozen=True)
class File:
    """A network's file or folder, by what is in it."""

    path: Path = field(compare=False)
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", digest_of(self.path))


@dataclass(frozen=True)
class Held:
    """A system that is in no file, by what it does: F and the readout at some states, and its task."""

    system: System = field(compare=False)
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        system, draw = self.system, torch.Generator().manual_seed(0)
        x, u = (
            torch.randn(TRIED, size, generator=draw, dtype=torch.float64) for size in (system.n_state, system.n_input)
        )
        does = [np.round(values.numpy(), PLACES).tolist() for values in (system.velocity(x, u), system.readout(x))]
        told = f"{system.name} {system.kind} {getattr(system, 'task', None)!r} {does}"
        object.__setattr__(self, "identity", digest(told))


@dataclass(frozen=True)
class PointsFile:
    """The file of a network's points, by those that are followed: "all", or "memories"."""

    path: Path = field(compare=False)
    which: str
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", _digest(FixedPoints.load(self.path, find_system=False), self.which))


def _digest(points: FixedPoints, which: str) -> str:
    """Of the states and their unstable directions, in whatever order they were found."""
    stable = np.char.startswith(points.stability.astype(str), "stable")
    followed = (points.verdict == "fixed") & (stable | (which == "all"))
    told = np.column_stack([points.states, points.n_unstable])[followed]
    rounded: NDArray[np.float64] = np.round(told, PLACES_OF_POINTS) + 0.0  # no negative zeros
    return digest(rounded[np.lexsort(rounded.T)])

"""Trajectories that a search began from, as many as a picture has room for, kept beside its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError
from dynsys.io.provenance import digest_of
from dynsys.io.record import Record, axes
from dynsys.models.loading.trajectories import conditions_from_file, trials_from_file
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

SHOWN = {Kind.MAP: 1_000, Kind.FLOW: 10_000}  # states, of whole trials where it can be: more would hide the points
LARGEST = 1e30


@dataclass(frozen=True, eq=False)
class Recording:
    """Trajectories (T_i, n) as they were read, the file and the arrays that they came from."""

    runs: Sequence[Array]
    path: Path | None = None
    keys: list[str] | None = None


@dataclass(frozen=True, eq=False)
class Recorded(Record, schema="dynsys.trajectories/1", what="set of trajectories", remedy="run 'dynsys find' again"):
    """States (p, n) of runs one after the other, so many of each (r,), of ``trials`` that were recorded."""

    states: Array = field(metadata=axes("f p n"))
    lengths: NDArray[np.int64] = field(metadata=axes("i r"))
    trials: int
    file: str = ""  # that they were read from, and what it was
    digest: str = ""
    keys: list[str] = field(default_factory=list)  # its arrays that are the state, where the user named them

    @classmethod
    def of(cls, recording: Recording, kind: Kind) -> Recorded | None:
        """Of its runs evenly spaced ones, as many as have room and one at least, which is cut if it has none.

        States beyond ``LARGEST`` are left out: a picture is drawn in single precision. None where nothing is left.
        """
        runs = [run[(np.abs(run) < LARGEST).all(axis=1)] for run in recording.runs]
        runs = [run for run in runs if len(run)]
        if not runs:
            return None
        some = min(len(runs), max(1, SHOWN[kind] * len(runs) // sum(map(len, runs))))
        kept = [runs[i][: SHOWN[kind]] for i in np.linspace(0, len(runs) - 1, some).round().astype(int)]
        source = (str(recording.path.resolve()), digest_of(recording.path)) if recording.path else ("", "")
        keys = recording.keys or []
        return cls(np.concatenate(kept), np.array([len(run) for run in kept]), len(runs), *source, keys)

    @property
    def runs(self) -> list[Array]:
        return np.split(self.states.astype(np.float64), np.cumsum(self.lengths)[:-1])

    @property
    def called(self) -> str:
        shown = f" ({len(self.lengths)} of {self.trials})" if len(self.lengths) < self.trials else ""
        return f"recorded trajectories{shown}"

    @property
    def told(self) -> str:
        """Whose they are, for a caption."""
        return f"The trajectories are those recorded in {Path(self.file).name}." if self.file else ""

    def check(self) -> None:
        if not len(self.lengths) or self.lengths.min() < 1 or self.lengths.sum() != len(self.states):
            raise ValueError("its lengths do not add up to its states")


@dataclass(frozen=True, eq=False)
class Trials:
    """What a portrait draws of recorded trials: runs (T_i, n), their name, the condition of each, whose they are."""

    runs: list[Array]
    called: str
    told: str
    conditions: list[str | float] | None = None


def trials_drawn(
    recorded: Recorded | None, system: System, path: Path | None, keys: list[str] | None, conditions: str | None
) -> Trials | None:
    """Those kept beside the points, or all of the file ``path``: by default, where conditions are asked, of the one
    that was searched from.

    Raises CheckpointError where that file is not there, or has changed.
    """
    if path is None and conditions is None:
        return Trials(recorded.runs, recorded.called, recorded.told) if recorded else None
    if path is None:
        path, keys = _searched_from(recorded)
    trials = trials_from_file(path, system, keys)
    labels = None if conditions is None else conditions_from_file(conditions, path, len(trials))
    there = [i for i, trial in enumerate(trials) if len(trial)]
    return Trials(
        [trials[i] for i in there],
        "recorded trajectories",
        f"The trajectories are those recorded in {path.name}.",
        None if labels is None else [labels[i] for i in there],
    )


def _searched_from(recorded: Recorded | None) -> tuple[Path, list[str] | None]:
    if recorded is None or not recorded.file:
        raise ValueError("these points were not searched from recorded trials; give them: --trajectories FILE")
    path = Path(recorded.file)
    if not path.is_file() or digest_of(path) != recorded.digest:
        what = "it has changed since the search began from it" if path.is_file() else "it is no longer there"
        raise CheckpointError(path, what, "give the recorded trials with --trajectories FILE")
    return path, recorded.keys or None

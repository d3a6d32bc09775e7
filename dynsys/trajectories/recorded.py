"""Trajectories that a search began from, as many as a picture has room for, kept beside its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.provenance import digest_of
from dynsys.io.record import Record, axes
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

RECORDED = "trajectories.safetensors"  # in the folder of a run
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


def recorded_in(folder: str | Path) -> Recorded | None:
    """Those that the search began from whose points are in a run's folder; raises CheckpointError."""
    path = Path(folder) / RECORDED
    return Recorded.load(path) if path.is_file() else None


def remembering(system: System, folder: str | Path) -> System:
    """The system, which takes its starts from now on from the trials that a run's folder keeps, if it keeps any."""
    recorded = recorded_in(folder)
    if recorded is not None and recorded.states.shape[1] == system.n_state:
        system.recorded = torch.as_tensor(recorded.states, dtype=torch.float64)
    return system

"""Trajectories that a search began from, as many as a picture has room for, kept beside its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsys.io.files import read_tensors, write_tensors
from dynsys.result.header import check_arrays, checked, content_of
from dynsys.systems.system import Kind

Array = NDArray[np.float64]

SCHEMA = "dynsys.trajectories/1"
SHOWN = {Kind.MAP: 1_000, Kind.FLOW: 10_000}  # states, of whole trials where it can be: more would hide the points
LARGEST = 1e30


@dataclass(frozen=True, eq=False)
class Recorded:
    """``runs`` (T_i, n) of ``trials`` that were recorded."""

    runs: list[Array]
    trials: int

    @classmethod
    def of(cls, runs: Sequence[Array], kind: Kind) -> Recorded:
        """Evenly spaced trials, as many as have room and one at least, which is cut if it has none itself.

        States beyond ``LARGEST`` are left out: a picture is drawn in single precision.
        """
        runs = [run[(np.abs(run) < LARGEST).all(axis=1)] for run in runs]
        runs = [run for run in runs if len(run)]
        if not runs:
            return cls([], 0)
        some = min(len(runs), max(1, SHOWN[kind] * len(runs) // sum(map(len, runs))))
        kept = [runs[i] for i in np.linspace(0, len(runs) - 1, some).round().astype(int)]
        return cls([run[: SHOWN[kind]] for run in kept], len(runs))

    @property
    def called(self) -> str:
        shown = f" ({len(self.runs)} of {self.trials})" if len(self.runs) < self.trials else ""
        return f"recorded trajectories{shown}"

    def save(self, path: Path) -> Path:
        """Raises OutputError."""
        states, lengths = np.concatenate(self.runs), np.array([len(run) for run in self.runs])
        return write_tensors(path, {"states": states, "lengths": lengths}, {"schema": SCHEMA, "trials": self.trials})

    @classmethod
    def load(cls, path: Path) -> Recorded:
        """Raises CheckpointError."""
        tensors, header = read_tensors(path, SCHEMA)
        with content_of(path, "set of trajectories", "run 'dynsys find' again"):
            sizes = check_arrays(tensors, {"states": "f p n", "lengths": "i r"}, alone=True)
            lengths = tensors["lengths"]
            if not len(lengths) or lengths.min() < 1 or lengths.sum() != sizes["p"]:
                raise ValueError("its lengths do not add up to its states")
            runs = np.split(tensors["states"].astype(np.float64), np.cumsum(lengths)[:-1])
            return cls(runs, checked(int, header["trials"], "trials"))

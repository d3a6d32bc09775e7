"""Trajectories that a search began from, as many as a picture has room for, kept beside its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dynsys.io.record import Record, axes
from dynsys.systems.system import Kind

Array = NDArray[np.float64]

SHOWN = {Kind.MAP: 1_000, Kind.FLOW: 10_000}  # states, of whole trials where it can be: more would hide the points
LARGEST = 1e30


@dataclass(frozen=True, eq=False)
class Recorded(Record, schema="dynsys.trajectories/1", what="set of trajectories", remedy="run 'dynsys find' again"):
    """States (p, n) of runs one after the other, so many of each (r,), of ``trials`` that were recorded."""

    states: Array = field(metadata=axes("f p n"))
    lengths: NDArray[np.int64] = field(metadata=axes("i r"))
    trials: int

    @classmethod
    def of(cls, runs: Sequence[Array], kind: Kind) -> Recorded | None:
        """Of runs (T_i, n) evenly spaced ones, as many as have room and one at least, which is cut if it has none.

        States beyond ``LARGEST`` are left out: a picture is drawn in single precision. None where nothing is left.
        """
        runs = [run[(np.abs(run) < LARGEST).all(axis=1)] for run in runs]
        runs = [run for run in runs if len(run)]
        if not runs:
            return None
        some = min(len(runs), max(1, SHOWN[kind] * len(runs) // sum(map(len, runs))))
        kept = [runs[i][: SHOWN[kind]] for i in np.linspace(0, len(runs) - 1, some).round().astype(int)]
        return cls(np.concatenate(kept), np.array([len(run) for run in kept]), len(runs))

    @property
    def runs(self) -> list[Array]:
        return np.split(self.states.astype(np.float64), np.cumsum(self.lengths)[:-1])

    @property
    def called(self) -> str:
        shown = f" ({len(self.lengths)} of {self.trials})" if len(self.lengths) < self.trials else ""
        return f"recorded trajectories{shown}"

    def check(self) -> None:
        if not len(self.lengths) or self.lengths.min() < 1 or self.lengths.sum() != len(self.states):
            raise ValueError("its lengths do not add up to its states")

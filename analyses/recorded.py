"""Recorded trials as a portrait draws them: which runs, what they are called, the condition of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError
from dynsys.io.provenance import digest_of
from dynsys.models.loading.trajectories import conditions_from_file, trials_from_file
from dynsys.systems.system import System
from dynsys.trajectories.recorded import Recorded

Array = NDArray[np.float64]


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

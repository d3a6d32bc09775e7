"""Runs side by side: every two of them compared by their points and, where all have them, by their connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.analyses.run import CONNECTIONS, points_of
from dynsys.attractors.connections import Connections
from dynsys.comparison.compared import Comparison, compare, embedded
from dynsys.comparison.dsa import check_package, dynamical_distances
from dynsys.models.driven.of_task import trajectories_of_task
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.tasks.trials import TrialTask
from dynsys.result.fixed_points import FixedPoints

Array = NDArray[np.float64]

TRIALS, STEPS = 10, 200  # of the task of the first network, by which all are driven for DSA


@dataclass(frozen=True)
class ComparedRuns:
    """The ``names`` of k runs and of their networks' ``kinds``, the distances of every two (k, k), the comparisons by
    pair, and ``places`` (k, 2) in a map; ``dsa`` (k, k) are distances by dynamical similarity analysis, if asked."""

    names: list[str]
    kinds: list[str]
    distances: Array
    pairs: dict[tuple[int, int], Comparison]
    dsa: Array | None = None

    @property
    def places(self) -> Array:
        return embedded(self.distances)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each pair."""
        return [
            {"first": self.names[i], "second": self.names[j], "skeleton": one.skeleton, "distance": one.distance}
            | one.parts
            | ({} if self.dsa is None else {"dsa": float(self.dsa[i, j])})
            for (i, j), one in self.pairs.items()
        ]

    def to_json(self) -> dict[str, Any]:
        pairs = [{"first": i, "second": j, **one.to_json()} for (i, j), one in self.pairs.items()]
        told = {"schema": "dynsys.comparison/1", "runs": self.names, "kinds": self.kinds}
        return {**told, "distances": self.distances.tolist(), "pairs": pairs, "places": self.places.tolist()} | (
            {} if self.dsa is None else {"dsa": self.dsa.tolist()}
        )


def compare_runs(folders: Sequence[str | Path], representation: str = "cka", dsa: str | None = None) -> ComparedRuns:
    """Raises ValueError for fewer than two runs, and CheckpointError for one without points."""
    if len(folders) < 2:
        raise ValueError(f"{len(folders)} run is given; a comparison needs two or more")
    if dsa is not None:
        check_package()
    runs = [points_of(folder, find_system=True) for folder in folders]
    points = [found for found, _ in runs]
    connections = [_connections(found, path.parent / CONNECTIONS) for found, path in runs]
    table, pairs = np.zeros((len(runs), len(runs))), {}
    for i in range(len(runs)):
        for j in range(i + 1, len(runs)):
            a, b = connections[i], connections[j]
            both = None if a is None or b is None else (a, b)
            try:
                pairs[i, j] = compare(points[i], points[j], connections=both, representation=representation)
            except ValueError as error:
                raise ValueError(f"{folders[i]} and {folders[j]}: {error}") from error
            table[i, j] = table[j, i] = pairs[i, j].distance
    motion = None if dsa is None else dynamical_distances(_motions(points, folders), metric=dsa)
    kinds = [str(found.about.get("name", "a system")) for found in points]
    return ComparedRuns([str(folder) for folder in folders], kinds, table, pairs, motion)


def _motions(points: Sequence[FixedPoints], folders: Sequence[str | Path]) -> list[Array]:
    """Trajectories (trials, T, n) of each network from zero under the same trials of a task."""
    found: list[Array] = []
    task = getattr(points[0].system, "task", None)
    steps = task.length if isinstance(task, TrialTask) else STEPS  # one trial: the next would begin anew, with a leap
    for one, folder in zip(points, folders, strict=True):
        if one.system is None or not isinstance(getattr(one.system, "task", None), (FlipFlop, TrialTask)):
            raise ValueError(
                f"{folder}: no task of trials is known of this network, by which it could be driven for DSA; in Python "
                "give trajectories to dynsys.comparison.dsa.dynamical_distances"
            )
        first = torch.zeros(TRIALS, one.system.n_state, dtype=torch.float64)
        states = trajectories_of_task(one.system, task, first, steps, 0)
        found.append(np.asarray(states).transpose(1, 0, 2))
    return found


def _connections(points: FixedPoints, path: Path) -> Connections | None:
    """Those that 'dynsys basins' wrote beside the points, if they are of these points."""
    found = Connections.load(path) if path.is_file() else None
    return found if found is not None and found.are_of(points) else None

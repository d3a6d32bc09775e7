"""How much noise a network bears: figure 9 of Jang for any networks of one task and size, and what breaks.

Noise of rising level on the weights, the state or the input; every network meets the same noise, inputs and first
state in a trial. Beside the error, the fixed points are followed: which survive, and how far they drift.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.analyses.noise.folder import check_begun, kept_points, search_points
from dynsys.analyses.noise.networks import Network, PointsFile, check_comparable, networks_of
from dynsys.analyses.noise.results import SCHEMA, results_of
from dynsys.analyses.noise.trial import ON, POINTS, Trial, noise_trial
from dynsys.analyses.points_compared import of_points
from dynsys.analyses.report import cut_short
from dynsys.io.files import check_writable
from dynsys.io.progress import Progress
from dynsys.models.driven.perturbation import weights_chosen
from dynsys.numerics.deadline import CutShort, Deadline, Part
from dynsys.result.fixed_points import FixedPoints
from dynsys.sweep import Task, check_cluster, check_sweep, of_shard, run_sweep

ROWS = "rows.jsonl"
CALL = "dynsys.analyses.noise.study.run"
HIGHEST = 1e100  # far above any weight, and its square is still a number
FIGURE_9 = tuple(float(level) for level in np.geomspace(1e-4, 1, 20))


@dataclass(frozen=True)
class NoiseStudy:
    """``on`` "weights", "state" or "input"; which ``weights`` by name (none: the recurrent ones); the standard
    deviations, ``trials`` of ``steps`` steps for each network, and which of its fixed ``points`` are followed where the
    noise is on the weights: "all", "memories" or "none"."""

    on: str = "weights"
    weights: tuple[str, ...] = ()
    levels: tuple[float, ...] = FIGURE_9
    trials: int = 10
    steps: int = 5000
    seed: int = 0
    points: str = "memories"

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _numbers(self.levels))
        object.__setattr__(self, "weights", (self.weights,) if isinstance(self.weights, str) else tuple(self.weights))
        for name, least in (("trials", 1), ("steps", 1), ("seed", 0)):
            object.__setattr__(self, name, _whole(name, getattr(self, name), least))
        if self.on not in ON:
            raise ValueError(f"noise on {self.on!r}; it may be on {', '.join(ON)}")
        if self.points not in POINTS:
            raise ValueError(f"points is {self.points!r}; it may be {', '.join(POINTS)}")
        if self.weights and self.on != "weights":
            raise ValueError(f"weights {', '.join(self.weights)} are named, but the noise is on the {self.on}")
        rising = all(a < b for a, b in zip(self.levels, self.levels[1:], strict=False))
        if not self.levels or not rising or not all(0 < level <= HIGHEST for level in self.levels):
            raise ValueError(
                f"levels are {', '.join(f'{level:g}' for level in self.levels) or 'none'}; standard deviations have to "
                f"be positive and rising, at most {HIGHEST:g}, like 1e-4:1:20 or 0.001,0.01,0.1"
            )


def _numbers(levels: Any) -> tuple[float, ...]:
    given: Any = None if isinstance(levels, str) else levels
    try:
        return tuple(float(level) for level in given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"levels is {levels!r}; give a sequence of numbers, like (0.001, 0.01, 0.1)") from error


def _whole(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name} is {value!r}; it has to be a whole number, {least} or more")
    return number


def run(
    study: NoiseStudy,
    networks: Sequence[Any],
    folder: str | Path,
    progress: Progress = lambda stage, done, total: None,
    *,
    loading: Mapping[str, Any] | None = None,
    command: str = "",
    seconds: float | Deadline | None = None,
    **sweeping: Any,
) -> dict[str, Any]:
    """Do all trials, or go on with them, and write ``results.json`` and ``report.html``; returns the results.

    After so many ``seconds`` no more is begun: the results are of the trials that are done, "cut" says how many, and
    the same call goes on. Raises CutShort where there are none yet.

    ``networks`` are checkpoints, systems or modules, see ``networks_of``; ``sweeping`` are ``jobs``, ``cluster``,
    ``shard`` and ``retry_failed`` of ``run_sweep``. A shard writes its rows only, and the results hold those. Raises
    ValueError where the networks cannot be compared.
    """
    folder, deadline = Path(folder), Deadline.of(seconds)
    compared = networks_of(networks, loading)
    check_comparable(compared, study.on, study.weights)
    check_sweep(**{key: sweeping[key] for key in ("jobs", "cluster", "shard") if key in sweeping})
    cluster = sweeping.get("cluster")
    if cluster is not None:
        check_cluster(cluster)  # before there is a folder, and before a search that may take long
    check_writable(folder)
    check_begun(dataclasses.asdict(study), compared, folder, folder / ROWS)
    points = _points(study, compared, folder, progress, deadline)
    if points is None:
        done = [kept_points(network, study.points, folder / network.name) is not None for network in compared]
        raise _cut_short(study, folder, command, deadline, Part(sum(done), len(done), "searches for points"))
    tasks = [
        Task(f"{network.name}/trial={trial.number}", _arguments(trial))
        for network, followed in zip(compared, points, strict=True)
        for trial in _trials(study, network, followed)
    ]
    going = {"seed": study.seed, "deadline": deadline, "progress": progress, "stage": "trials", **sweeping}
    rows = run_sweep(noise_trial, tasks, folder / ROWS, **going)
    reached = Part(len(rows), len(of_shard(tasks, sweeping.get("shard"))), "trials")
    results = results_of(dataclasses.asdict(study), compared, rows, deadline.cut(reached))
    for network, followed in zip(results["networks"], points, strict=True):
        network["points"] = None if followed is None else of_points(FixedPoints.load(followed.path, find_system=False))
    if sweeping.get("shard") is None:
        from dynsys.analyses.noise.pictures import write

        if not rows:
            raise _cut_short(study, folder, command, deadline, reached)
        if not any(network["trials"] for network in results["networks"]):
            raise ValueError(
                f"no trial was done; {results['failed'][0]['id']} ended in: {results['failed'][0]['error']}"
            )
        write(results, folder, command or CALL)
    return results


def _cut_short(study: NoiseStudy, folder: Path, command: str, deadline: Deadline, reached: Part) -> CutShort:
    """What to raise where time was over before the first trial."""
    cut = deadline.cut(reached)
    assert cut is not None
    return cut_short(cut, f"Noise on the {study.on}", command or CALL, dataclasses.asdict(study), SCHEMA, folder)


def _points(
    study: NoiseStudy, networks: Sequence[Network], folder: Path, progress: Progress, deadline: Deadline
) -> list[PointsFile | None] | None:
    """Of every network those that are followed; None where time was over before they were found."""
    if study.on != "weights" or study.points == "none":
        return [None] * len(networks)
    found: list[PointsFile | None] = []
    for network in networks:
        home = folder / network.name
        path = kept_points(network, study.points, home)
        if path is None and not deadline.is_over:
            path = search_points(network, study.points, home, progress, deadline)
        if path is None:
            return None
        found.append(PointsFile(path, study.points))
    return found


def _trials(study: NoiseStudy, network: Network, points: PointsFile | None) -> list[Trial]:
    weights = weights_chosen(network.system, study.weights) if study.on == "weights" else ()
    return [
        Trial(
            network=network.source,
            number=number,
            seed=study.seed,
            on=study.on,
            weights=weights,
            levels=study.levels,
            steps=study.steps,
            points=points,
            loading=_hashable(network.loading),
        )
        for number in range(study.trials)
    ]


def _hashable(loading: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (key, tuple(value.items()) if isinstance(value, Mapping) else _fixed(value)) for key, value in loading.items()
    )


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _arguments(trial: Trial) -> dict[str, Any]:
    return {field.name: getattr(trial, field.name) for field in dataclasses.fields(trial)}

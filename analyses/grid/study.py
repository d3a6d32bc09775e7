"""A network at every point of a grid, from one seed or more; the best point by the error of validation.

A training may end early because its error is small enough (``enough``): errors below that are equal, and the point
that came there in the fewest steps is the best. Scores on test data have no say.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dynsys.analyses.grid.points import Point, check_lists, folder_of, points, told_choice, usual_lists
from dynsys.analyses.grid.training import trained_row
from dynsys.analyses.report import cut_short
from dynsys.io.files import check_writable
from dynsys.io.progress import Progress
from dynsys.models.training.learners import learner
from dynsys.models.training.optimisers import ADAM
from dynsys.numerics.deadline import Deadline, Part
from dynsys.sweep import Row, Task, check_cluster, check_sweep, of_shard, run_sweep

SCHEMA = "dynsys.grid/1"
TRIALS = "trials.jsonl"


@dataclass(frozen=True)
class Grid:
    """``over`` are lists of values for choices of the learner, ``fixed`` what all trainings share besides."""

    task: str
    model: str
    over: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1

    def __post_init__(self) -> None:
        choices = learner(self.task, self.model).choices
        if "learning_rate" not in choices:
            raise ValueError(f"{self.model} has no validation by which a point could be chosen: it learns by FORCE")
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}; it has to be 1 or more")
        for name in (*self.over, *self.fixed):
            if name not in choices or name == "seed":
                legal = ", ".join(told_choice(one) for one in choices if one != "seed")
                raise ValueError(f"{told_choice(name)} is no choice of {self.task} {self.model}; there are {legal}")
        both = [name for name in self.fixed if name in self.lists]
        if both and self.over:
            raise ValueError(f"{told_choice(both[0])} is both fixed and a list of the grid; give one of them")
        check_lists(self.lists)

    @property
    def lists(self) -> dict[str, tuple[Any, ...]]:
        """What the grid is over."""
        if self.over:
            return {name: tuple(values) for name, values in self.over.items()}
        usual = usual_lists(self.task, self.model, self.fixed.get("optimizer", ADAM))
        return {name: values for name, values in usual.items() if name not in self.fixed}

    def tasks(self) -> list[Task]:
        """One for each point and seed; ``name`` is the folder of its run below that of the study."""
        found = []
        for point in points(self.lists):
            for seed in range(self.seeds):
                name = "/".join(part for part in (folder_of(point), f"seed-{seed}") if part)
                key = {"task": self.task, "model": self.model, "point": point, "fixed": dict(self.fixed), "seed": seed}
                found.append(Task(name, {**key, "name": name}))
        return found


def run(
    settings: Grid,
    folder: str | Path,
    progress: Progress,
    *,
    jobs: int = 1,
    cluster: Any = None,
    shard: str | None = None,
    retry_failed: bool = False,
    seconds: float | Deadline | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Train what is not in the folder yet and write ``table.md``, ``report.html`` and ``results.json``.

    A shard writes its rows only. After so many ``seconds`` no training is begun and those under way are left as they
    are: the results are of those that are done, "cut" says how many, and the same call goes on. Raises CutShort where
    there are none yet, OutputError, SweepError, and RuntimeError where a training could not be done.
    """
    folder, deadline = Path(folder), Deadline.of(seconds)
    check_sweep(jobs, cluster, shard)
    if cluster is not None:
        check_cluster(cluster)
    check_writable(folder)
    within = progress if jobs == 1 and cluster is None else None  # what other processes are doing is not seen from here
    how: dict[str, Any] = {"jobs": jobs, "cluster": cluster, "shard": shard, "retry_failed": retry_failed}
    work, tasks = partial(train, str(folder), within, deadline), settings.tasks()
    rows = run_sweep(work, tasks, folder / TRIALS, progress=progress, stage="grid", deadline=deadline, **how)
    cut = deadline.cut(Part(len(rows), len(of_shard(tasks, shard)), "trainings"))
    results = {**results_of(settings, rows), "cut": None if cut is None else cut.to_json()}
    if shard is None:
        from dynsys.analyses.grid.report import title, write_grid

        if cut is not None and not rows:
            raise cut_short(cut, title(results), command, results["settings"], SCHEMA, folder)
        if not any(entry["trials"] for entry in results["points"]):
            raise RuntimeError(f"no training was done; {rows[0]['id']} ended in: {rows[0]['error']}")
        write_grid(results, folder, command)
    return results


def train(folder: str, progress: Progress | None, deadline: Deadline, key: Row, seed: int) -> Row:
    """The work of the sweep; the seed of the training is in the key."""
    choices = {**key["fixed"], **key["point"], "seed": key["seed"]}
    told = partial(progress, key["name"]) if progress else None
    left = trained_row(key["task"], key["model"], Path(folder) / key["name"], choices, told, deadline)
    return {"point": key["point"], "seed": key["seed"], "folder": key["name"], **left}


def results_of(settings: Grid, rows: Sequence[Row]) -> dict[str, Any]:
    """Every point with its trainings, in the order of the grid, and the best; what was not done is ``failed``."""
    done = [row["result"] for row in rows if "result" in row]
    entries = [_entry(point, [row for row in done if row["point"] == point]) for point in points(settings.lists)]
    failed = [{"id": row["id"], "error": row["error"]} for row in rows if "result" not in row]
    about = {**dataclasses.asdict(settings), "over": settings.lists}
    return {"schema": SCHEMA, "settings": about, "points": entries, "best": _best(entries), "failed": failed}


def _entry(point: Point, trials: list[Row]) -> dict[str, Any]:
    """``score`` is the mean error of validation, as small as is enough at least, and the mean number of steps."""
    entry: dict[str, Any] = {"point": point, "trials": trials, "score": None}
    if trials and not any("diverged" in row for row in trials):
        errors = [max(row["validation_error"], row["enough"]) for row in trials]
        entry["score"] = [statistics.fmean(errors), statistics.fmean(row["steps"] for row in trials)]
    return entry


def _best(entries: list[dict[str, Any]]) -> int | None:
    """The number of the point of the least score; of equal ones the first."""
    scored = [i for i, entry in enumerate(entries) if entry["score"] is not None]
    return min(scored, key=lambda i: entries[i]["score"], default=None)

"""Table 1 of Ba et al. (2016): the test error of networks of several sizes on associative retrieval, trained here.

Networks of one size see equally many strings. Each is trained at every point of a grid from one seed, and at the best
of these points from the other seeds; the seed and the point that are shown are those of the least validation error.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from dynsys.analyses.grid.points import check_lists, told_choice
from dynsys.analyses.report import cut_short
from dynsys.analyses.retrieval.report import TITLE, command, write_table
from dynsys.analyses.retrieval.trial import FULL, Trial, grid
from dynsys.io.files import check_writable
from dynsys.io.progress import Progress
from dynsys.io.text import sentence
from dynsys.models.tasks.retrieval import Retrieval
from dynsys.models.training.learners import LEARNERS
from dynsys.models.training.optimisers import ADAM, check_optimiser
from dynsys.models.training.retrieval import FAST, OF_PAIRS
from dynsys.numerics.deadline import Cut, Deadline, Part
from dynsys.sweep import (
    Row,
    check_cluster,
    check_sweep,
    of_shard,
    read_objects,
    rows_of_all,
    run_sweep,
    summary,
    write_rows,
)

SCHEMA = "dynsys.retrieval_table/1"
TRIALS = "trials.jsonl"
PAPER = {  # test errors of Ba et al. (2016), table 1
    ("irnn", 20): 0.621,
    ("irnn", 50): 0.602,
    ("irnn", 100): 0.0034,
    ("lstm", 20): 0.608,
    ("lstm", 50): 0.0185,
    ("lstm", 100): 0.0,
    (FAST, 20): 0.0181,
    (FAST, 50): 0.0,
    (FAST, 100): 0.0,
}
ORDER = (FAST, "lstm", "irnn")  # by test error, least first: what is to be verified


@dataclass(frozen=True)
class Retrieve:
    """Which networks, of which sizes, from how many seeds; ``steps`` and ``batch`` of None are those of the size.

    ``over`` are the lists of the grid "full", by the choices' names; a network without such a choice leaves that out.
    """

    models: tuple[str, ...] = ORDER
    units: tuple[int, ...] = (20, 50)
    seeds: int = 2
    steps: int | None = None
    batch: int | None = None
    grid: str = "none"
    jobs: int = 1
    over: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    optimizer: str = ADAM
    momentum: float | None = None
    pairs: str = "4"

    def __post_init__(self) -> None:
        unknown = [model for model in self.models if model not in LEARNERS["retrieval"]]
        if unknown:
            raise ValueError(f"retrieval is learned by {', '.join(LEARNERS['retrieval'])}, not by {unknown[0]!r}")
        if not self.models or not self.units or min(self.units) < 2:
            raise ValueError(f"models {self.models} of {self.units} units: one of each is needed, of 2 units or more")
        if self.seeds < 1 or self.jobs < 1:
            raise ValueError(f"seeds is {self.seeds} and jobs {self.jobs}; both have to be 1 or more")
        grid(self.grid, self.models[0])
        check_optimiser(self.optimizer, self.momentum)
        Retrieval.of(self.pairs)
        self._check_over()

    def _check_over(self) -> None:
        if self.over and self.grid != FULL:
            raise ValueError(f"lists are given with the grid {self.grid!r}; they are of --grid full")
        check_lists(self.over)
        known = {name for model in self.models for name in LEARNERS["retrieval"][model].choices}
        known -= {"units", "seed", "steps", "batch", "optimizer", "momentum", "pairs"}  # those of the whole table
        unknown = [name for name in self.over if name not in known]
        if unknown:
            legal = ", ".join(map(told_choice, sorted(known)))
            raise ValueError(f"{told_choice(unknown[0])} is no list of this grid; it can be over {legal}")

    @property
    def shared(self) -> dict[str, Any]:
        """What all trainings have that is not usual."""
        given = {"optimizer": self.optimizer, "momentum": self.momentum, "pairs": self.pairs}
        usual = {"optimizer": ADAM, "momentum": None, "pairs": "4"}
        return {name: value for name, value in given.items() if value != usual[name]}

    def cells(self) -> list[tuple[str, int]]:
        return [(model, units) for units in dict.fromkeys(self.units) for model in dict.fromkeys(self.models)]

    def first_trials(self, model: str, units: int) -> list[Trial]:
        """Every point of the grid, from seed 0."""
        points = grid(self.grid, model, self.over, self.optimizer)
        return [Trial.of(model, units, 0, point, self.steps, self.batch, self.shared) for point in points]

    def further_trials(self, best: Row) -> list[Trial]:
        """The other seeds, at the point of the best of the first trials."""
        return [
            Trial.of(best["model"], best["units"], seed, best["point"], self.steps, self.batch, self.shared)
            for seed in range(1, self.seeds)
        ]


def run(
    settings: Retrieve,
    folder: str | Path,
    progress: Progress,
    *,
    cluster: Any = None,
    shard: str | None = None,
    seconds: float | Deadline | None = None,
) -> dict[str, Any]:
    """Train what is not in the folder yet, and write ``table.md``, ``report.html`` and ``results.json`` there.

    A shard writes its rows only: its part of the grid and, once all of the grid is done, of the other seeds, for which
    the same command is given again. After so many ``seconds`` no training is begun and those under way are left as they
    are: the table is of those that are done, "cut" says how many, and the same call goes on. Raises CutShort where
    there are none yet, OutputError, and FloatingPointError where every training of a network diverged.
    """
    folder = Path(folder)
    check_sweep(settings.jobs, cluster, shard)
    if cluster is not None:
        check_cluster(cluster)
    check_writable(folder)
    sweep = _Sweep(settings, folder, progress, cluster, shard, Deadline.of(seconds))
    first = [settings.first_trials(*cell) for cell in settings.cells()]
    _adopt_earlier_lines(folder / TRIALS)
    of_first = sweep.trained(first, "seed 0")
    if shard is not None and _lacks(of_first, first):
        return sweep.told("the other shards of the grid")
    further = [
        settings.further_trials(_best(rows)) if len(rows) == len(trials) else []
        for rows, trials in zip(of_first, first, strict=True)
    ]
    of_further = sweep.trained(further, "other seeds")
    if shard is not None:
        return sweep.told("the other shards" if _lacks(of_further, further) else "")
    done = [[*a, *b] for a, b in zip(of_first, of_further, strict=True)]
    cut = sweep.cut(sum(settings.seeds - 1 for trials in further if not trials))
    entries = [_entry(rows) for rows in done if cut is None or any("diverged" not in row for row in rows)]
    if cut is not None and not entries:
        raise cut_short(cut, TITLE, command(settings, folder), dataclasses.asdict(settings), SCHEMA, folder)
    told = None if cut is None else cut.to_json()
    results = {"schema": SCHEMA, "cut": told, "entries": entries, "claims": claims(entries)}
    write_table(settings, results, folder)
    return results


def _lacks(rows: list[list[Row]], trials: list[list[Trial]]) -> bool:
    return any(len(left) < len(asked) for left, asked in zip(rows, trials, strict=True))


@dataclass
class _Sweep:
    """The trainings of a table, done in a folder: ``done`` of so many that this call has to do."""

    settings: Retrieve
    folder: Path
    progress: Progress
    cluster: Any
    shard: str | None
    deadline: Deadline
    done: int = 0
    of: int = 0

    def trained(self, cells: list[list[Trial]], stage: str) -> list[list[Row]]:
        """What the trials of each cell left, without those that other shards or a later call have to do.

        Raises RuntimeError where one could not be done.
        """
        jobs, path = self.settings.jobs, self.folder / TRIALS
        within = self.progress if jobs == 1 and self.cluster is None else None  # other processes are not seen from here
        tasks = [trial.task() for trial in chain(*cells)]
        how: dict[str, Any] = {"jobs": jobs, "cluster": self.cluster, "shard": self.shard, "retry_failed": True}
        work = partial(train, str(self.folder), within, self.deadline)
        rows = run_sweep(work, tasks, path, progress=self.progress, stage=stage, deadline=self.deadline, **how)
        self.done, self.of = self.done + len(rows), self.of + len(of_shard(tasks, self.shard))
        if any("result" not in row for row in rows):
            raise RuntimeError(f"{summary(rows)}; the same command tries again what was not done")
        done = {name: row["result"] for name, row in rows_of_all(path).items() if "result" in row}
        return [[done[name] for trial in trials if (name := trial.task().id) in done] for trials in cells]

    def cut(self, unknown: int = 0) -> Cut | None:
        """How far it came, where time was over; so many trainings more are not known yet."""
        return self.deadline.cut(Part(self.done, self.of + unknown, "trainings"))

    def told(self, left: str) -> Row:
        """Of a shard."""
        cut = self.cut()
        return {"schema": SCHEMA, "shard": self.shard, "left": left, "cut": None if cut is None else cut.to_json()}


def train(folder: str, progress: Progress | None, deadline: Deadline, key: Row, seed: int) -> Row:
    """The work of a sweep over trials; the seed is in the key."""
    trial = Trial.of_row(key)
    return trial.run(folder, partial(progress, trial.name) if progress else None, deadline)


def _adopt_earlier_lines(path: Path) -> None:
    """Lines that were written when a trial was not yet a task: they become its row."""
    rows = read_objects(path)
    if any("id" not in row for row in rows):
        write_rows(path, [row if "id" in row else Trial.of_row(row).task_row(row) for row in rows])


def _best(rows: list[Row]) -> Row:
    """By validation error; where there is a tie, the earliest."""
    learned = [row for row in rows if "diverged" not in row]
    if not learned:
        raise FloatingPointError(f"{rows[0]['model']} of {rows[0]['units']} units: {rows[0]['diverged']}")
    return min(learned, key=lambda row: row["validation_error"])


def _entry(rows: list[Row]) -> dict[str, Any]:
    """One network and size: the trial that is shown, the paper's error of its strings, and all of the trials."""
    best = _best(rows)
    pairs = str(best.get("shared", {}).get("pairs", "4"))
    paper = PAPER.get((best["model"], best["units"])) if pairs == "4" else None
    seen = best["steps"] * best["batch"]
    spread = standard_error(best, Retrieval.of(pairs).sizes()["test"])
    return {**best, "standard_error": spread, "paper": paper, "strings_seen": seen, "trials": rows}


def standard_error(row: Row, sizes: Mapping[int, int]) -> float:
    """Of the test error, over test sets with so many strings of each number of pairs, which count alike."""
    keys = {k: f"{OF_PAIRS}{k}" if len(sizes) > 1 else "test_error" for k in sizes}
    errors = {k: row[key] for k, key in keys.items()}
    return math.sqrt(sum(errors[k] * (1 - errors[k]) / n for k, n in sizes.items())) / len(sizes)


def claims(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each size with all three networks, whether fast weights < LSTM < IRNN in test error."""
    found = []
    for units in dict.fromkeys(entry["units"] for entry in entries):
        errors = {entry["model"]: entry["test_error"] for entry in entries if entry["units"] == units}
        if set(ORDER) <= set(errors):
            ordered = [errors[model] for model in ORDER]
            holds = ordered[0] < ordered[1] < ordered[2]
            told = sentence("dynsys.analyses.retrieval", "order", units, ordered, holds)
            found.append({"units": units, "errors": errors, "holds": holds, "sentence": told})
    return found

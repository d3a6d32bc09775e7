"""One training of the retrieval table: what is chosen, the folder it has, and the row that it leaves."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynsys.models.backprop import STATE, TrainingDiverged
from dynsys.models.learners import NAMES, learner
from dynsys.models.learning import OnProgress
from dynsys.models.retrieval_learning import FAST, usual_recipe
from dynsys.sweep import DONE, Row, Task

Point = dict[str, float]  # what a grid changes

# One thing changed at a time from what is known to work, which comes first.
GRIDS: dict[str, dict[str, list[Point]]] = {
    "none": {},
    "small": {
        FAST: [{}, {"learning_rate": 2e-3}, {"learning_rate": 5e-3}, {"rate": 0.2}, {"decay": 0.9}],
        "irnn": [{}, {"learning_rate": 1e-3}, {"learning_rate": 1e-2}, {"identity": 0.5}],
        "other": [{}, {"learning_rate": 1e-3}, {"learning_rate": 1e-2}],
    },
}


def grid(name: str, model: str) -> list[Point]:
    """The points of that grid for that network; raises ValueError where there is no such grid."""
    if name not in GRIDS:
        raise ValueError(f"there is no grid {name!r}; the grids are {', '.join(GRIDS)}")
    return GRIDS[name].get(model, GRIDS[name].get("other", [{}]))


@dataclass(frozen=True)
class Trial:
    """A network of one size, at one point of the grid, from one seed, on ``steps`` x ``batch`` strings."""

    model: str
    units: int
    seed: int
    steps: int
    batch: int
    point: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, model: str, units: int, seed: int, point: Point, steps: int | None, batch: int | None) -> Trial:
        """With as many strings as a fast-weights network of that size needs, whichever network it is."""
        usual = usual_recipe(FAST, units)
        return cls(model, units, seed, steps or usual.steps, batch or usual.batch, tuple(sorted(point.items())))

    @property
    def strings_seen(self) -> int:
        return self.steps * self.batch

    @property
    def name(self) -> str:
        """The folder of the trial below that of the table."""
        changed = "".join(f"-{NAMES.get(key, key.replace('_', '-'))}-{value:g}" for key, value in self.point)
        return f"{self.model}-{self.units}/seed-{self.seed}{changed}"

    def key(self) -> Row:
        """What makes it this trial, in a row."""
        return {**dataclasses.asdict(self), "point": dict(self.point)}

    def run(self, folder: str | Path, on_progress: OnProgress | None = None) -> Row:
        """Train in its folder; the row has ``validation_error``, ``test_error`` and CPU ``seconds``, or ``diverged``.

        A trial that was broken off goes on from its last snapshot, and its seconds are not known then.
        """
        place = Path(folder) / self.name
        resumed, began = (place / STATE).is_file(), time.process_time()
        choices: dict[str, Any] = {"steps": self.steps, "batch": self.batch, **dict(self.point)}
        try:
            learned = learner("retrieval", self.model)(
                place, on_progress=on_progress, units=self.units, seed=self.seed, **choices
            )
        except TrainingDiverged as error:
            return {**self.key(), "diverged": str(error)}
        seconds = None if resumed else time.process_time() - began
        return {**self.key(), **learned.metrics, "folder": self.name, "seconds": seconds}

    def task(self) -> Task:
        """In a sweep; its seed is the trial's own."""
        return Task(f"{self.name}/{self.steps}x{self.batch}", self.key())

    def task_row(self, left: Row) -> Row:
        """The row of the task, from what the trial left."""
        return self.task().row(0, {"status": DONE, "result": left, "seconds": left.get("seconds")})

    @classmethod
    def of_row(cls, row: Row) -> Trial:
        """The one that left this row, or has this key."""
        key = {field.name: row[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**key, "point": tuple(sorted(row["point"].items()))})

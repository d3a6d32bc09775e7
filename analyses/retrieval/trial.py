"""One training of the retrieval table: what is chosen, the folder it has, and the row that it leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynsys.analyses.grid.points import Lists, Point, folder_of, of_network, points, usual_lists
from dynsys.analyses.grid.training import trained_row
from dynsys.models.training.learning import OnProgress
from dynsys.models.training.optimisers import ADAM
from dynsys.models.training.retrieval import FAST, usual_recipe
from dynsys.numerics.deadline import Deadline
from dynsys.sweep import DONE, Row, Task

FULL = "full"  # the product of lists
# One thing changed at a time from what is known to work, which comes first.
GRIDS: dict[str, dict[str, list[Point]]] = {
    "none": {},
    "small": {
        FAST: [{}, {"learning_rate": 2e-3}, {"learning_rate": 5e-3}, {"rate": 0.2}, {"decay": 0.9}],
        "irnn": [{}, {"learning_rate": 1e-3}, {"learning_rate": 1e-2}, {"identity": 0.5}],
        "other": [{}, {"learning_rate": 1e-3}, {"learning_rate": 1e-2}],
    },
}


def grid(name: str, model: str, over: Lists | None = None, optimizer: str = ADAM) -> list[Point]:
    """The points of that grid for that network; raises ValueError where there is no such grid.

    The full one is over those of the lists (``over``) that the network has a choice for, or the usual ones.
    """
    if name == FULL:
        return points(of_network(over, "retrieval", model) if over else usual_lists("retrieval", model, optimizer))
    if name not in GRIDS:
        raise ValueError(f"there is no grid {name!r}; the grids are {', '.join((*GRIDS, FULL))}")
    return GRIDS[name].get(model, GRIDS[name].get("other", [{}]))


@dataclass(frozen=True)
class Trial:
    """A network of one size, at one point of the grid, from one seed, on ``steps`` x ``batch`` strings.

    ``shared`` is what all trainings of the table have beside that, as another optimizer.
    """

    model: str
    units: int
    seed: int
    steps: int
    batch: int
    point: tuple[tuple[str, Any], ...] = ()
    shared: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(
        cls,
        model: str,
        units: int,
        seed: int,
        point: Point,
        steps: int | None,
        batch: int | None,
        shared: Mapping[str, Any] | None = None,
    ) -> Trial:
        """With as many strings as a fast-weights network of that size needs, whichever network it is."""
        usual = usual_recipe(FAST, units)
        sizes = steps or usual.steps, batch or usual.batch
        return cls(model, units, seed, *sizes, tuple(sorted(point.items())), tuple(sorted((shared or {}).items())))

    @property
    def strings_seen(self) -> int:
        return self.steps * self.batch

    @property
    def name(self) -> str:
        """The folder of the trial below that of the table."""
        changed = folder_of(dict((*self.shared, *self.point)))
        return f"{self.model}-{self.units}/seed-{self.seed}" + (f"-{changed}" if changed else "")

    def key(self) -> Row:
        """What makes it this trial, in a row."""
        key = {**dataclasses.asdict(self), "point": dict(self.point), "shared": dict(self.shared)}
        return key if self.shared else {name: value for name, value in key.items() if name != "shared"}

    def run(
        self, folder: str | Path, on_progress: OnProgress | None = None, seconds: float | Deadline | None = None
    ) -> Row:
        """Train in its folder; the row has ``validation_error``, ``test_error`` and CPU ``seconds``, or ``diverged``.

        A trial that was broken off goes on from its last snapshot, and its seconds are not known then. Raises CutShort
        where its ``seconds`` are over before; then it goes on from there.
        """
        own = {"units": self.units, "seed": self.seed, "steps": self.steps, "batch": self.batch}
        choices = {**own, **dict(self.shared), **dict(self.point)}
        left = trained_row("retrieval", self.model, Path(folder) / self.name, choices, on_progress, seconds)
        return {**left, **self.key(), **({} if "diverged" in left else {"folder": self.name})}

    def task(self) -> Task:
        """In a sweep; its seed is the trial's own."""
        return Task(f"{self.name}/{self.steps}x{self.batch}", self.key())

    def task_row(self, left: Row) -> Row:
        """The row of the task, from what the trial left."""
        return self.task().row(0, {"status": DONE, "result": left, "seconds": left.get("seconds")})

    @classmethod
    def of_row(cls, row: Row) -> Trial:
        """The one that left this row, or has this key."""
        key = {field.name: row[field.name] for field in dataclasses.fields(cls) if field.name in row}
        both = {name: tuple(sorted(row.get(name, {}).items())) for name in ("point", "shared")}
        return cls(**{**key, **both})

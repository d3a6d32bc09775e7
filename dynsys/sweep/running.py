"""A sweep: what is left to do, who does it, and a line on the disk for each task that ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dynsys.sweep.attempt import attempt, single_threaded
from dynsys.sweep.rows import RowFile, by_id, family, read_rows, shard_file
from dynsys.sweep.task import DONE, Row, SweepError, Task, Work, parse_shard, unique

Progress = Callable[[str, int, int], None]


def run_sweep(
    work: Work,
    tasks: Sequence[Task],
    path: str | Path,
    *,
    seed: int = 0,
    jobs: int = 1,
    cluster: Any = None,
    shard: str | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
    stage: str = "tasks",
) -> list[Row]:
    """The rows of the tasks, in their order, those of earlier runs among them; a line in ``path`` for each.

    ``work(arguments, seed)`` gives what JSON can hold. A row has ``id``, ``seed``, ``arguments`` (a fingerprint),
    ``status`` ("done", "failed" or "crashed"), ``result`` or ``error``, and ``seconds``.
    """
    if jobs < 1:
        raise SweepError(f"jobs is {jobs}; it has to be 1 or more")
    mine = _of_shard(unique(tasks), shard)
    with RowFile(shard_file(path, shard)) as file:
        earlier = by_id([row for source in family(path) for row in read_rows(source)])
        rows = {task.id: earlier[task.id] for task in mine if task.id in earlier}
        left = [task for task in mine if not _is_over(rows.get(task.id), retry_failed)]
        for task, outcome in _in_turn(work, left, seed):
            row = {"id": task.id, "seed": task.seed(seed), "arguments": task.fingerprint(), **outcome}
            file.append(row)
            rows[task.id] = row
            if progress:
                progress(stage, len(rows), len(mine))
    return [rows[task.id] for task in mine]


def _of_shard(tasks: list[Task], shard: str | None) -> list[Task]:
    if shard is None:
        return tasks
    number, count = parse_shard(shard)
    return tasks[number - 1 :: count]


def _is_over(row: Row | None, retry_failed: bool) -> bool:
    return row is not None and (row["status"] == DONE or not retry_failed)


def _in_turn(work: Work, tasks: list[Task], seed: int) -> Iterator[tuple[Task, Row]]:
    for task in tasks:
        with single_threaded():
            outcome = attempt(work, task.arguments, task.seed(seed))
        yield task, outcome

"""A sweep: what is left to do, who does it, and a line on the disk for each task that ends.

What a sweep in one process is doing is noted beside its rows: if the process ends with it, the next one knows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from dynsys.io.progress import Progress
from dynsys.numerics.deadline import ENDLESS, Deadline
from dynsys.sweep.attempt import attempt, single_threaded
from dynsys.sweep.cluster import ClusterWorkers
from dynsys.sweep.local import LocalWorkers
from dynsys.sweep.rows import RowFile, count_strange, family, rows_of_all, shard_file
from dynsys.sweep.task import CUT, DONE, CannotBeHanded, Row, SweepError, Task, Work, parse_shard, unique
from dynsys.sweep.workers import last_try, spread

Outcomes = Generator[tuple[Task, Row], None, None]


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
    deadline: Deadline = ENDLESS,
    progress: Progress | None = None,
    stage: str = "tasks",
) -> list[Row]:
    """The rows of the tasks, in their order, those of earlier runs among them; a line in the file ``path`` for each.

    ``work(arguments, seed)`` is a function of a module and gives what JSON can hold. It is called in this process where
    ``jobs`` is 1, in as many processes of their own where it is more, or on the workers of the Dask ``cluster`` (its
    address, or a cluster object); on one thread everywhere. ``shard`` "2/5" does the second of five parts, into a file
    of its own beside ``path``, and gives the rows of that part.

    A row has ``id``, ``seed``, ``arguments`` (a fingerprint), ``seconds``, ``status`` ("done", "failed": it raised,
    "crashed": it ended two processes, the second time alone) and ``result`` or ``error``. Rows that are there are not
    made again, failed ones only with ``retry_failed``. Once the time of ``deadline`` is over no task is begun: the rows
    are then of those that are done, and the same call goes on with the others, and with a task that raised CutShort.
    Raises SweepError where the rows that are there were made with other arguments or from another seed, and where the
    cluster does not answer; OutputError.
    """
    check_sweep(jobs, cluster, shard)
    mine = of_shard(unique(tasks), shard)
    with RowFile(shard_file(path, shard)) as file:
        earlier = rows_of_all(path)
        _tell_strange(path, progress)
        rows = {task.id: earlier[task.id] for task in mine if task.id in earlier}
        _refuse_other_settings([task for task in mine if task.id in rows], rows, seed, path)
        left = [task for task in mine if not _is_over(rows.get(task.id), retry_failed)]
        for task in left:
            rows.pop(task.id, None)
        tell = _teller(progress, stage, len(mine), before=len(mine) - len(left))
        mark = Mark(file.path)
        with contextlib.closing(_outcomes(work, left, seed, jobs, cluster, mark, progress, deadline)) as outcomes:
            ended = (pair for pair in outcomes if pair[1]["status"] != CUT)
            for number, (task, outcome) in enumerate(ended, 1):
                rows[task.id] = task.row(seed, outcome)
                file.append(rows[task.id])
                tell(number)
    return [rows[task.id] for task in mine if task.id in rows]


def check_sweep(jobs: int = 1, cluster: Any = None, shard: str | None = None) -> None:
    """Raises SweepError where these make no sweep, before anything else is done."""
    if jobs < 1:
        raise SweepError(f"jobs is {jobs}; it has to be 1 or more")
    if cluster is not None and jobs > 1:
        raise SweepError(f"{jobs} jobs and a cluster are given; give jobs for this machine, or a cluster")
    if shard is not None:
        parse_shard(shard)


def of_shard(tasks: Sequence[Task], shard: str | None) -> Sequence[Task]:
    """The tasks of that part; all of them for None."""
    if shard is None:
        return tasks
    number, count = parse_shard(shard)
    return tasks[number - 1 :: count]


def _refuse_other_settings(tasks: list[Task], rows: dict[str, Row], seed: int, path: str | Path) -> None:
    other = [task for task in tasks if not _is_of(rows[task.id], task, seed)]
    if other:
        raise SweepError(
            f"{path} holds {len(other)} tasks done with other settings or another seed, {other[0].id!r} the first: "
            "give the settings of then, another folder, or remove that file"
        )


def _is_of(row: Row, task: Task, seed: int) -> bool:
    return row.get("seed") == task.seed(seed) and row.get("arguments") == task.fingerprint()


def _is_over(row: Row | None, retry_failed: bool) -> bool:
    return row is not None and (row["status"] == DONE or not retry_failed)


def _tell_strange(path: str | Path, progress: Progress | None) -> None:
    for source in family(path):
        strange = count_strange(source)
        if strange and progress is not None:
            progress(f"lines of {source.name} passed over, since they are no rows: {strange}", 1, 1)


def _teller(progress: Progress | None, stage: str, total: int, before: int) -> Callable[[int], None]:
    """Told of every task; what is done already counts, but not for the time that is left."""
    if progress is None or total == before:
        return lambda number: None
    progress(stage, before, total)
    return lambda number: progress(stage, before + number, total)


def _outcomes(
    work: Work,
    tasks: list[Task],
    seed: int,
    jobs: int,
    cluster: Any,
    mark: Mark,
    progress: Progress | None,
    deadline: Deadline,
) -> Outcomes:
    if not tasks or deadline.is_over:
        return
    if cluster is not None:
        with ClusterWorkers(work, seed, cluster, _waiting(progress)) as workers:
            yield from spread(tasks, workers, deadline)
    elif jobs > 1:
        with LocalWorkers(work, seed, jobs) as workers:
            yield from spread(tasks, workers, deadline)
    else:
        yield from _here(work, tasks, seed, mark, deadline)


def _waiting(progress: Progress | None) -> Callable[[bool], None] | None:
    return None if progress is None else lambda absent: progress("waiting for a worker", 0 if absent else 1, 1)


def _here(work: Work, tasks: list[Task], seed: int, mark: Mark, deadline: Deadline) -> Outcomes:
    """One after the other in this process; one that may have ended it before is tried in a process of its own."""
    ended_with = mark.read()
    suspect = next((task for task in tasks if task.id == ended_with), None)
    if suspect is not None:
        with contextlib.suppress(CannotBeHanded), LocalWorkers(work, seed, jobs=1) as workers:
            yield from last_try([suspect], workers)
            tasks = [task for task in tasks if task is not suspect]
    with single_threaded():
        for task in tasks:
            if deadline.is_over:
                return
            with mark.of(task.id):
                outcome = attempt(work, task.arguments, task.seed(seed))
            yield task, outcome


class Mark:
    """A small hidden file with the id of a task. It is no loss where it cannot be written or read."""

    def __init__(self, rows: Path) -> None:
        self._path = rows.with_name(f".{rows.name}.running")

    def read(self) -> str | None:
        """The task with which an earlier process ended, if one did."""
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Stays where the process does not come to the end of the block."""
        with contextlib.suppress(OSError):
            self._path.write_text(name, encoding="utf-8")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._path.unlink()

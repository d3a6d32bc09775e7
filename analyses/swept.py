"""What a study that is a sweep begins with: who does the work is checked, and it goes on from what is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynsys.io.files import check_writable
from dynsys.io.progress import Progress
from dynsys.numerics.deadline import Cut, Deadline, Part
from dynsys.sweep import Row, Task, Work, check_cluster, check_sweep, of_shard, run_sweep

ROWS = "rows.jsonl"


def swept(
    work: Work,
    tasks: Sequence[Task],
    folder: str | Path,
    named: str,
    *,
    seed: int,
    seconds: float | Deadline | None,
    progress: Progress,
    stage: str,
    **sweeping: Any,
) -> tuple[list[Row], Cut | None]:
    """The rows of the tasks that are done, and whether time cut it short, counted in tasks as they are ``named``.

    ``sweeping`` are ``jobs``, ``cluster``, ``shard`` and ``retry_failed`` of ``run_sweep``. Raises SweepError,
    OutputError.
    """
    deadline, shard = Deadline.of(seconds), sweeping.get("shard")
    check_sweep(**{key: sweeping[key] for key in ("jobs", "cluster", "shard") if key in sweeping})
    if sweeping.get("cluster") is not None:
        check_cluster(sweeping["cluster"])
    check_writable(folder)
    going = {"seed": seed, "deadline": deadline, "progress": progress, "stage": stage, **sweeping}
    rows = run_sweep(work, tasks, Path(folder) / ROWS, **going)
    return rows, deadline.cut(Part(len(rows), len(of_shard(tasks, shard)), named))

"""Sweeps that survive: hundreds of independent tasks, in any order, on any number of workers, none of them lost.

A task has an id of its own and a seed made from it, so that its numbers do not depend on where and when it is done.
Each finished task is one JSON line on the disk; the same call goes on from the lines that are there.
"""

from dynsys.sweep.cluster import check_cluster
from dynsys.sweep.merging import Merged, merge
from dynsys.sweep.rows import read_objects, read_rows, rows_of_all, write_rows
from dynsys.sweep.running import check_sweep, of_shard, run_sweep
from dynsys.sweep.task import CRASHED, DONE, FAILED, Row, SweepError, Task, Work, summary

__all__ = [
    "CRASHED",
    "DONE",
    "FAILED",
    "Merged",
    "Row",
    "SweepError",
    "Task",
    "Work",
    "check_cluster",
    "check_sweep",
    "merge",
    "of_shard",
    "read_objects",
    "read_rows",
    "rows_of_all",
    "run_sweep",
    "summary",
    "write_rows",
]

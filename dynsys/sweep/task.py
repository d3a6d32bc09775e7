"""A piece of a sweep: its id, what it is given, its own seed; which pieces a shard has; what the rows say together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np

Row = dict[str, Any]
Work = Callable[[dict[str, Any], int], Any]

DONE, FAILED, CRASHED = "done", "failed", "crashed"
CUT = "cut"  # by time, and not over: it leaves no row


class SweepError(ValueError):
    """A sweep that cannot go on as it was asked for: why, and what to do."""


class CannotBeHanded(SweepError):
    """A task that another process cannot take: its work or its arguments cannot be sent, or are not known there."""

    def __init__(self, task: Task, worker: str, reason: str) -> None:
        super().__init__(
            f"task {task.id!r} cannot be handed to {worker}: {reason}; the work has to be a function of a module "
            "that is installed there, and its arguments what pickle knows"
        )


@dataclass(frozen=True)
class Task:
    """``id`` is unique in its sweep; ``arguments`` can be pickled, and hold paths rather than large arrays."""

    id: str
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)

    def seed(self, root: int) -> int:
        """Below 2^53, so that JSON readers keep it; it depends on the root and the id alone.

        >>> Task("tanh/trial=3").seed(0) == Task("tanh/trial=3", {"level": 0.1}).seed(0)
        True
        """
        words = np.frombuffer(hashlib.sha256(self.id.encode()).digest(), dtype="<u4")
        sequence = np.random.SeedSequence(root, spawn_key=tuple(int(word) for word in words))
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(11))

    def row(self, root: int, outcome: Row) -> Row:
        """Its line in the file, with what it came to."""
        return {"id": self.id, "seed": self.seed(root), "arguments": self.fingerprint(), **outcome}

    def fingerprint(self) -> str:
        """Of the arguments: equal in every process, for equal values of the usual kinds.

        Of dataclasses the fields that count in a comparison, so that one with ``compare=False`` can say where to look.
        """
        try:
            text = json.dumps(self.arguments, sort_keys=True, default=_plain)
        except (TypeError, ValueError):
            text = joblib.hash(self.arguments)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """What JSON has no word for, in words of its own."""
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"array": [str(value.dtype), list(value.shape), digest]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            type(value).__name__: {
                field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.compare
            }
        }
    return {type(value).__name__: joblib.hash(value)}


def unique(tasks: Sequence[Task]) -> list[Task]:
    """The tasks; raises SweepError where two have one id."""
    (double, count) = max(Counter(task.id for task in tasks).items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        raise SweepError(f"{count} tasks have the id {double!r}; every task needs one of its own")
    return list(tasks)


def parse_shard(shard: str) -> tuple[int, int]:
    """``"2/5"`` as (2, 5); raises SweepError.

    >>> parse_shard("2/5")
    (2, 5)
    """
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", shard)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise SweepError(f"shard {shard!r} is not of the form i/n with i from 1 to n, like 2/5")
    return number, count


def summary(rows: Sequence[Row]) -> str:
    """How many tasks came to what, and the first error, in one sentence.

    >>> summary([{"id": "a", "status": "done"}, {"id": "b", "status": "failed", "error": "ValueError: no"}])
    '2 tasks: 1 done, 1 failed (first b: ValueError: no)'
    """
    counts = Counter(row["status"] for row in rows)
    first = next((f" (first {row['id']}: {row['error']})" for row in rows if row["status"] != DONE), "")
    told = [f"{counts[status]} {status}" for status in (DONE, FAILED, CRASHED) if counts[status]]
    return f"{len(rows)} tasks: {', '.join(told) or 'nothing yet'}{first}"

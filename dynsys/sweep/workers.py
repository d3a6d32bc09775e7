"""Those who do the tasks of a sweep: places that take one task at a time, and may be lost with it.

A task whose worker was lost is tried once more after all others, alone: tasks that only ran beside a killer, or were
killed for the memory that their neighbours took, come to their end there, and a killer is known for certain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dynsys.numerics.deadline import ENDLESS, Deadline
from dynsys.sweep.task import CRASHED, Row, Task

PATIENCE = 1.0  # seconds after which those who wait look around


@dataclass(frozen=True)
class Lost:
    """What is known of the end of a worker that was lost with its task."""

    reason: str


Ended = tuple[Task, Row | Lost]


class Workers(ABC):
    """To be entered by ``with``; leaving it ends what is still running."""

    @abstractmethod
    def start(self, task: Task, alone: bool) -> bool:
        """Begin the task, beside no other where it has to be alone; False where no place is free now."""

    @abstractmethod
    def ended(self) -> list[Ended]:
        """The tasks that have ended; waits for one, ``PATIENCE`` at most."""

    @abstractmethod
    def close(self) -> None:
        """End all workers, with what they are doing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def spread(tasks: Sequence[Task], workers: Workers, deadline: Deadline = ENDLESS) -> Iterator[tuple[Task, Row]]:
    """What each task came to, as they end; none is handed out once time is over."""
    lost: list[Task] = []
    for task, outcome in _round(tasks, workers, deadline, alone=False):
        if isinstance(outcome, Lost):
            lost.append(task)
        else:
            yield task, outcome
    yield from last_try(lost, workers, deadline)


def last_try(tasks: Sequence[Task], workers: Workers, deadline: Deadline = ENDLESS) -> Iterator[tuple[Task, Row]]:
    """Of tasks that were running when their process ended, each alone: those that end it again have crashed."""
    for task, outcome in _round(tasks, workers, deadline, alone=True):
        if isinstance(outcome, Lost):
            error = f"its process was lost twice, the second time alone: {outcome.reason}"
            yield task, {"status": CRASHED, "error": error, "seconds": None}
        else:
            yield task, outcome


def _round(tasks: Sequence[Task], workers: Workers, deadline: Deadline, alone: bool) -> Iterator[Ended]:
    """Hands out a task when a place is free, not before: what waits is not pickled yet."""
    waiting, running = deque(tasks), 0
    while running or (waiting and not deadline.is_over):
        while waiting and not deadline.is_over and workers.start(waiting[0], alone):
            waiting.popleft()
            running += 1
        for end in workers.ended():
            running -= 1
            yield end

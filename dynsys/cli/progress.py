"""Progress on stderr: a bar on a terminal, a plain line every 10 % otherwise."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import click

Progress = Callable[[str, int, int], None]


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A function ``(stage, done, total)`` that shows how far each stage has come."""
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _Lines()


@contextlib.contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
    tasks: dict[str, object] = {}
    with Bars(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

        yield show


class _Lines:
    """``stage, about 3 min left: 30 %``, a line whenever another tenth is done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, int] = {}
        self._began: dict[str, tuple[float, int]] = {}  # when each stage was first told of, and what was done then

    def __call__(self, stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if stage not in self._told or tenth < self._told[stage]:  # the stage begins, or begins again
            self._told[stage], self._began[stage] = -1, (self._clock(), done)
        if tenth > self._told[stage]:
            self._told[stage] = tenth
            click.echo(f"{stage}{self._left(stage, done, total)}: {10 * tenth} %", err=True)

    def _left(self, stage: str, done: int, total: int) -> str:
        """At the pace since the stage began; not in its first seconds, which tell little."""
        began, before = self._began[stage]
        elapsed = self._clock() - began
        if elapsed < 5 or done <= before or done >= total:
            return ""
        return f", about {_duration(elapsed * (total - done) / (done - before))} left"


def _duration(seconds: float) -> str:
    """
    >>> [_duration(seconds) for seconds in (0.2, 40, 170, 6000)]
    ['1 s', '40 s', '3 min', '1 h 40 min']
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

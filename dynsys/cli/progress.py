"""Progress on stderr: a bar on a terminal, a plain line every 10 % otherwise."""

from __future__ import annotations

import contextlib
import sys
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
    """``stage: 30 %``, a line whenever another tenth is done."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth < self._told.get(stage, -1):
            self._told[stage] = -1  # the stage has begun again
        if tenth > self._told.get(stage, -1):
            self._told[stage] = tenth
            click.echo(f"{stage}: {10 * tenth} %", err=True)

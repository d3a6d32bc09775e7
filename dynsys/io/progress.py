"""How far work has come: a bar on a terminal or in a notebook, else a plain line on stderr every 10 %."""

from __future__ import annotations

import contextlib
import html
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Progress = Callable[[str, int, int], None]

NOTEBOOK = "ZMQInteractiveShell"  # what IPython calls the shell behind a notebook
PAUSE = 0.1  # seconds between two pictures of a notebook's bars


def silent(stage: str, done: int, total: int) -> None:
    """No progress wanted."""


@contextlib.contextmanager
def shown(wanted: Progress | bool | None) -> Iterator[Progress]:
    """What ``progress=`` of a function stands for: a function of one's own, True for ``progress()``, else nothing."""
    if wanted is True:
        with progress() as show:
            yield show
    else:
        yield wanted or silent


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A function ``(stage, done, total)`` that shows how far each stage has come."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if type(shell).__name__ == NOTEBOOK:
        yield _Notebook(sys.modules["IPython"].display)
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _Lines()


class _Notebook:
    """A bar for each stage, in the output of the cell that works."""

    def __init__(self, display: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._display, self._clock, self._last = display, clock, -PAUSE
        self._stages: dict[str, tuple[int, int]] = {}
        self._handle: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._stages[stage] = (done, total)
        if done < total and self._clock() - self._last < PAUSE:
            return
        self._last, page = self._clock(), self._display.HTML(self._page())
        if self._handle is None:
            self._handle = self._display.display(page, display_id=True)
        else:
            self._handle.update(page)

    def _page(self) -> str:
        lines = []
        for stage, (done, total) in self._stages.items():
            bar = f'<progress value="{done}" max="{max(total, 1)}"></progress>'
            lines.append(f"<div>{bar} {html.escape(stage)}: {done:,} of {total:,}</div>")
        return "".join(lines)


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
            print(f"{stage}{self._left(stage, done, total)}: {10 * tenth} %", file=sys.stderr, flush=True)

    def _left(self, stage: str, done: int, total: int) -> str:
        """At the pace since the stage began; not in its first seconds, which tell little."""
        began, before = self._began[stage]
        elapsed = self._clock() - began
        if elapsed < 5 or done <= before or done >= total:
            return ""
        return f", about {duration(elapsed * (total - done) / (done - before))} left"


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> [duration(seconds) for seconds in (0.2, 40, 170, 6000)]
    ['1 s', '40 s', '3 min', '1 h 40 min']
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

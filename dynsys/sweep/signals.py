"""Signals that end a sweep end its workers first, however often and at whatever moment they come."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

USUAL = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}


class Ending:
    """Answers Ctrl-C, SIGTERM and SIGHUP by ``end_all`` and then as Python would; a context manager.

    A signal that is answered in another way already, as SIGHUP under nohup, is left as it is. Only the main thread is
    asked; in others nothing changes.
    """

    def __init__(self, end_all: Callable[[], None]) -> None:
        self._end_all = end_all
        self._before: dict[int, Any] = {}
        self._held, self._came = False, 0

    def __enter__(self) -> Ending:
        if threading.current_thread() is threading.main_thread():
            for name, usual in USUAL.items():
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) == usual:
                    self._before[number] = signal.signal(number, self._answer)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What comes in this block is answered at its end: a worker that is being made is not known yet."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._came:
                self._answer(self._came, None)

    def _answer(self, number: int, frame: FrameType | None) -> None:
        self._came = number
        if self._held:
            return
        self._end_all()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

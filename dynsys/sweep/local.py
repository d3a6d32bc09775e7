"""Worker processes on this machine, by joblib's loky.

Each is an executor of its own with one process: the end of a process is then the end of one task, which is known, and
the others go on. (An executor of several processes breaks as a whole.)

Signals that end a sweep end its workers first, however often and at whatever moment they come.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Self

from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from dynsys.sweep.attempt import LIMITS, attempt_in_worker, told
from dynsys.sweep.task import CannotBeHanded, Row, Task, Work
from dynsys.sweep.workers import PATIENCE, Ended, Lost, Workers

USUAL = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}


class LocalWorkers(Workers):
    """``jobs`` processes, single-threaded, which begin when they are needed and end with this process."""

    def __init__(self, work: Work, seed: int, jobs: int) -> None:
        self._work, self._seed, self._jobs = work, seed, jobs
        self._executors: list[Any] = []
        self._idle: list[Any] = []
        self._running: dict[Future[Row], tuple[Task, Any]] = {}
        self._ended: SimpleQueue[Future[Row]] = SimpleQueue()
        self._signals = Ending(self._kill)

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            super().__exit__(*error)
        finally:
            self._signals.__exit__(*error)

    def start(self, task: Task, alone: bool) -> bool:
        if len(self._running) >= (1 if alone else self._jobs):
            return False
        executor = self._idle.pop() if self._idle else self._another()
        try:
            with self._signals.held():
                future = executor.submit(attempt_in_worker, self._work, task.arguments, task.seed(self._seed))
        except TerminatedWorkerError:  # it was killed while it had nothing to do
            self._end(executor)
            return self.start(task, alone)
        self._running[future] = (task, executor)
        future.add_done_callback(self._ended.put)
        return True

    def ended(self) -> list[Ended]:
        try:
            future = self._ended.get(timeout=PATIENCE)
        except Empty:
            return []
        task, executor = self._running.pop(future)
        error = future.exception()
        if error is None:
            self._idle.append(executor)
            return [(task, future.result())]
        self._end(executor)
        if isinstance(error, TerminatedWorkerError):
            return [(task, Lost(_last_words(error)))]
        raise CannotBeHanded(task, "a worker process", _cause(error)) from error

    def close(self) -> None:
        self._kill()
        for executor in list(self._executors):
            self._end(executor)
        self._idle, self._running = [], {}

    def _another(self) -> Any:
        executor = ProcessPoolExecutor(max_workers=1, env=LIMITS, initializer=_begin, initargs=(os.getpid(),))
        self._executors.append(executor)
        return executor

    def _end(self, executor: Any) -> None:
        executor.shutdown(kill_workers=True)
        self._executors.remove(executor)

    def _kill(self) -> None:
        """Without waiting for anything: what is left of the executors ends by itself."""
        for executor in self._executors:
            for process in list(executor._processes):
                with contextlib.suppress(OSError):  # it has ended by itself
                    os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))


def _begin(parent: int) -> None:
    """In a new worker: Ctrl-C is the parent's to answer, and a parent that was killed takes its workers with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name == "posix":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _last_words(error: BaseException) -> str:
    codes = re.search(r"exit codes of the workers are \{(.*?)\}", str(error))
    return f"it ended with {codes[1]}" if codes else "it ended without a word"


def _cause(error: BaseException) -> str:
    """The remote traceback's last line, where there is one."""
    lines = str(error.__cause__ or "").strip().strip('"').strip().splitlines()
    return lines[-1] if lines else told(error)


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

"""One task, done in whichever process: what it came to, never an exception."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator
from typing import Any

from threadpoolctl import threadpool_limits

from dynsys.numerics.deadline import CutShort
from dynsys.sweep.rows import to_json
from dynsys.sweep.task import CUT, DONE, FAILED, Row, Work

# Read when a library is loaded: for processes that are about to start.
LIMITS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR")}


Caught = tuple[type[BaseException], ...]


def attempt(work: Work, arguments: dict[str, Any], seed: int, caught: Caught = (Exception, SystemExit)) -> Row:
    """``status`` with ``result`` or ``error``, and ``seconds``; Ctrl-C goes through. One that ran out of its time is
    "cut": it is none that has ended."""
    began = time.perf_counter()
    try:
        outcome = {"status": DONE, "result": to_json(work(arguments, seed))}
    except CutShort as cut:
        outcome = {"status": CUT, "error": str(cut)}
    except caught as error:
        outcome = {"status": FAILED, "error": f"{told(error)} (at {_place(error)})"}
    return {**outcome, "seconds": round(time.perf_counter() - began, 4)}


def told(error: BaseException) -> str:
    """Type and message of an error, in one line.

    >>> told(ValueError("no such level"))
    'ValueError: no such level'
    """
    return ": ".join(filter(None, (type(error).__name__, textwrap.shorten(str(error), 600))))


def first_cause(error: BaseException) -> BaseException:
    """Of an error that others were raised from."""
    before = error.__cause__ or error.__context__
    return error if before is None else first_cause(before)


def _place(error: BaseException) -> str:
    """Where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.basename(last.filename)}:{last.lineno} in {last.name}"


def attempt_in_worker(work: Work, arguments: dict[str, Any], seed: int) -> Row:
    """In a process that is there for tasks only: single-threaded from now on, so that tasks do not share cores."""
    threadpool_limits(1)
    _torch_threads(1)
    return attempt(work, arguments, seed, caught=(BaseException,))


def _torch_threads(count: int) -> None:
    if "torch" in sys.modules:  # a task without it should not wait for it
        sys.modules["torch"].set_num_threads(count)


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """The same single thread in this process, for the time of the block: sums have one order wherever they are made."""
    import torch

    before = torch.get_num_threads()
    try:
        with threadpool_limits(1):
            torch.set_num_threads(1)
            yield
    finally:
        torch.set_num_threads(before)

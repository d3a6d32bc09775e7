"""Workers on other machines: a Dask client that hands each task to one worker by name.

Dask's own scheduling tries a task that kills its worker on one worker after the other, and cannot tell it from those
that were waiting behind it. Here each thread of a worker has one task at a time, pinned to it: where the worker is gone
and the task has not ended, they were lost together. Both ends of a connection have to have the same versions.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import platform
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from dynsys.sweep.attempt import attempt_in_worker, first_cause, told
from dynsys.sweep.task import CannotBeHanded, Row, SweepError, Task, Work
from dynsys.sweep.workers import PATIENCE, Ended, Lost, Workers

RETURN = 600.0  # seconds for a worker to come back where all were lost
TIMEOUT = 10.0  # seconds for the scheduler to answer
SAME = ("dynsys-rnn", "numpy", "scipy", "torch", "distributed")  # numbers and messages depend on their versions
Versions = dict[str, str]
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|inproc)://\S+|[\w.-]+:\d+")


def check_cluster(cluster: Any) -> None:
    """Raises SweepError where nothing answers at the ``cluster``, an address or a cluster object."""
    connected(cluster, _address(cluster)).close()


def _address(cluster: Any) -> str:
    return cluster if isinstance(cluster, str) else str(cluster.scheduler_address)


class ClusterWorkers(Workers):
    """The workers of a Dask cluster, those that come later too; ``cluster`` is an address or a cluster object.

    ``on_wait(True)`` is called when there is no worker, ``on_wait(False)`` when there is one again.
    """

    def __init__(self, work: Work, seed: int, cluster: Any, on_wait: Callable[[bool], None] | None = None) -> None:
        self._work, self._seed, self._on_wait = work, seed, on_wait
        self._where = _address(cluster)
        self._client = connected(cluster, self._where)
        self._running: dict[Any, tuple[Task, str]] = {}
        self._ended: SimpleQueue[Any] = SimpleQueue()
        self._threads: dict[str, int] = {}
        self._seen: float | None = None  # when there was a worker, last
        self._absent = False
        self._look()

    def start(self, task: Task, alone: bool) -> bool:
        address = self._free_machine() if alone else self._free_thread()
        if address is None:
            return False
        given = (versions(), self._work, task.arguments, task.seed(self._seed))
        key = f"{task.id}-{time.monotonic_ns()}"
        try:
            future = self._client.submit(attempt_there, *given, key=key, workers=[address], pure=False)
        except Exception as error:
            if self._client.status != "running":
                raise self._silent(told(error)) from error
            raise CannotBeHanded(task, f"worker {address}", told(first_cause(error))) from error
        self._running[future] = (task, address)
        future.add_done_callback(self._ended.put)
        return True

    def _free_thread(self) -> str | None:
        """The worker with the most free threads."""
        busy = Counter(address for _, address in self._running.values())
        free = {address: threads - busy[address] for address, threads in self._threads.items()}
        best = max(free, key=free.__getitem__, default="")
        return best if free.get(best, 0) > 0 else None

    def _free_machine(self) -> str | None:
        """A worker of a machine on which none of these tasks is running."""
        busy = {_machine(address) for _, address in self._running.values()}
        return next((address for address in self._threads if _machine(address) not in busy), None)

    def ended(self) -> list[Ended]:
        try:
            done = {self._ended.get(timeout=PATIENCE)}
        except Empty:
            done = set()
        if not done or time.monotonic() - self._looked > PATIENCE:
            self._look()
        gone = {future for future, (_, address) in self._running.items() if address not in self._threads}
        ends = [self._end(future, future in gone) for future in (done | gone) & set(self._running)]
        return [end for end in ends if end is not None]

    def _end(self, future: Any, gone: bool) -> Ended | None:
        """What came of it; None where the worker, which keeps it until it is asked for, was lost before that."""
        task, address = self._running[future]
        if future.status == "cancelled":
            raise self._silent("the connection was lost")
        if future.status == "error":
            self._raise_unless_killed(task, address, future.exception())
        outcome: Row | Lost | None = None
        if future.status == "finished":
            with contextlib.suppress(OSError, TimeoutError):
                outcome = future.result(timeout=PATIENCE)
        if outcome is None and not gone and future.status in ("pending", "finished"):
            future.add_done_callback(self._ended.put)
            return None
        del self._running[future]
        future.cancel()
        return task, outcome or Lost(f"worker {address} left the cluster")

    @staticmethod
    def _raise_unless_killed(task: Task, address: str, error: Exception) -> None:
        """What the work itself raises is a row: here is what went wrong on the way to it."""
        if isinstance(error, SweepError):
            raise SweepError(f"worker {address}: {error}")
        if type(error).__name__ != "KilledWorker":
            raise CannotBeHanded(task, f"worker {address}", told(first_cause(error)))

    def _look(self) -> None:
        """Which workers there are now."""
        try:
            self._threads = dict(self._client.nthreads(callback_timeout=TIMEOUT))
        except (OSError, TimeoutError) as error:
            raise self._silent(told(error)) from error
        if self._client.status != "running":
            raise self._silent(f"the connection is {self._client.status}")
        self._looked = time.monotonic()
        self._mind_absence()

    def _mind_absence(self) -> None:
        """A queueing system takes its time for a first worker; where all of them were lost, none may ever come back."""
        now = time.monotonic()
        if self._threads:
            self._seen = now
        absent = not self._threads
        if absent and self._seen is not None and now - self._seen > RETURN:
            raise SweepError(
                f"the cluster at {self._where} lost all of its workers, and none has come for {RETURN:.0f} seconds; "
                "what was finished is kept: start workers, and the same command goes on"
            )
        if absent != self._absent and self._on_wait:
            self._on_wait(absent)
        self._absent = absent

    def _silent(self, reason: str) -> SweepError:
        return SweepError(
            f"the cluster at {self._where} does not answer any more ({reason}); what was finished is kept: "
            "the same command goes on from there"
        )

    def close(self) -> None:
        with contextlib.suppress(Exception):  # of a cluster that is gone there is nothing to end
            self._client.cancel(list(self._running), asynchronous=False)
            self._client.close(timeout=TIMEOUT)
        self._running = {}


def _machine(address: str) -> str:
    """
    >>> _machine("tcp://10.0.0.7:41093")
    '10.0.0.7'
    """
    return urlsplit(address).hostname or address


def connected(cluster: Any, where: str) -> Any:
    """A client of the cluster; raises SweepError where the extra is missing, or nothing answers there."""
    try:
        from distributed import Client
    except ImportError as error:
        raise SweepError("a cluster needs Dask: pip install 'dynsys-rnn[cluster]'") from error
    if not _ADDRESS.fullmatch(where):
        raise SweepError(f"{where!r} is no address of a Dask scheduler; give one like tcp://host:8786")
    _mute()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions: the first task tells those that matter
            return Client(cluster, timeout=TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise SweepError(
            f"no Dask scheduler answers at {where} ({told(error)}): start one with 'dask scheduler' and workers with "
            "'dask worker tcp://HOST:8786', or use --jobs on this machine"
        ) from error


def _mute() -> None:
    """What Dask says about lost ends on many lines is said here in one."""
    for name in ("distributed.client", "distributed.batched", "distributed.core", "distributed.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_is_worth_telling)


def _is_worth_telling(record: logging.LogRecord) -> bool:
    return "exception=AllExit()" not in record.getMessage()  # of a result that was lost with its worker


def attempt_there(asked: Versions, work: Work, arguments: dict[str, Any], seed: int) -> Row:
    """In a worker, if it has the versions of the process that asks."""
    mine = versions()
    other = next((name for name in asked if asked[name] != mine[name]), None)
    if other is not None:
        raise SweepError(
            f"it has {other} {mine[other]} where this process has {asked[other]}; "
            "install the same versions there (constraints.txt)"
        )
    return attempt_in_worker(work, arguments, seed)


@functools.cache
def versions() -> Versions:
    return {"Python": ".".join(platform.python_version_tuple()[:2]), **{name: _version(name) for name in SAME}}


def _version(name: str) -> str:
    """Without what it was built for: ``2.13.0`` for ``2.13.0+cpu``."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return "none"

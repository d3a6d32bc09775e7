"""The connection to a Dask cluster: to be had or not, told in one line, with the same versions at both ends."""

from __future__ import annotations

import functools
import logging
import platform
import re
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dynsys.sweep.attempt import attempt_in_worker, told
from dynsys.sweep.task import Row, SweepError, Work

TIMEOUT = 10.0  # seconds for the scheduler to answer
SAME = ("dynsys-rnn", "numpy", "scipy", "torch", "distributed")  # numbers and messages depend on their versions

Versions = dict[str, str]

_ADDRESS = re.compile(r"(tcp|tls|ws|wss|inproc)://\S+|[\w.-]+:\d+")


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

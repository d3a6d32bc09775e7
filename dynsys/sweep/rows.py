"""Rows on disk: one JSON line for each finished task, on the disk before the next begins.

A line that was torn by an end in the middle of writing is dropped, one that is no row is passed over; the file of
another shard is read and never changed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from dynsys.io.errors import OutputError
from dynsys.io.files import write_text
from dynsys.sweep.task import CRASHED, DONE, FAILED, Row, SweepError, parse_shard

try:
    import fcntl
except ImportError:  # not on Windows: two sweeps into one file are not told from each other there
    fcntl = None  # type: ignore[assignment]


def read_rows(path: str | Path) -> list[Row]:
    """The rows of the file, none where there is no file."""
    return [row for row in map(_parsed, _lines(path)) if row is not None]


def read_objects(path: str | Path) -> list[dict[str, Any]]:
    """Every JSON object in the lines of a file, rows of a sweep or not; torn lines are left out."""
    return [one for one in map(_object, _lines(path)) if one is not None]


def count_strange(path: str | Path) -> int:
    """How many lines of the file are no rows."""
    return sum(_parsed(line) is None for line in _lines(path))


def _lines(path: str | Path) -> list[str]:
    path = Path(path)
    if not path.is_file():
        return []
    return [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if line.strip()]


def _parsed(line: str) -> Row | None:
    row = _object(line)
    return row if row is not None and _is_whole(row) else None


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object that the line is, if it is one."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # the latter where brackets are nested by the thousand
        return None
    return found if isinstance(found, dict) else None


def _is_whole(row: Row) -> bool:
    """Whether it has what is read of a row, so that a line of another tool is taken for none."""
    came_to = {DONE: "result", FAILED: "error", CRASHED: "error"}.get(str(row.get("status")))
    return isinstance(row.get("id"), str) and "seed" in row and came_to in row


def shard_file(path: str | Path, shard: str | None) -> Path:
    """Where that shard of the sweep writes: ``rows.2-of-5.jsonl`` for ``rows.jsonl``."""
    path = Path(path)
    if shard is None:
        return path
    number, count = parse_shard(shard)
    return path.with_name(f"{path.stem}.{number}-of-{count}{path.suffix}")


def family(path: str | Path) -> list[Path]:
    """The files of a sweep that exist: its own, then those of its shards."""
    path = Path(path)
    shards = sorted(path.parent.glob(f"{path.stem}.*-of-*{path.suffix}"))
    return [file for file in (path, *shards) if file.is_file()]


def rows_of_all(path: str | Path) -> dict[str, Row]:
    """The row that counts of each task, of a sweep and all of its shards."""
    return by_id([row for source in family(path) for row in read_rows(source)])


def by_id(rows: list[Row]) -> dict[str, Row]:
    """The row that counts of each task: one that is done before one that is not, else the later one."""
    found: dict[str, Row] = {}
    for row in rows:
        name = row["id"]
        if row["status"] == DONE or found.get(name, {}).get("status") != DONE:
            found[name] = row
    return found


def line_of(row: Row) -> str:
    return json.dumps(row, sort_keys=True) + "\n"


class RowFile:
    """The file of one sweep, opened by one process at a time to add lines; a context manager.

    Raises SweepError where another process is writing it, OutputError where it cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = _locked(self.path)
        except OSError as error:
            raise OutputError(self.path, error) from error

    def append(self, row: Row) -> None:
        """One more line, on the disk when this returns; where that fails, no part of it stays."""
        content, before = line_of(row).encode(), os.fstat(self._handle).st_size
        try:
            written = 0
            while written < len(content):
                written += os.write(self._handle, content[written:])
            os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, before)
            raise OutputError(self.path, error) from error

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._handle)


def _locked(path: Path) -> int:
    """The open file, without a torn line."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
    try:
        _lock(handle, path)
        _drop_torn(handle)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _lock(handle: int, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SweepError(f"{path}: another run is writing it; wait for its end, or give another folder") from error
    except OSError:
        pass  # a file system without locks


def _drop_torn(handle: int) -> None:
    """Cut the file after its last line end: what follows it was never finished."""
    end = os.fstat(handle).st_size
    while end > 0:
        begin = max(0, end - 65536)
        os.lseek(handle, begin, os.SEEK_SET)
        cut = os.read(handle, end - begin).rfind(b"\n")
        if cut >= 0:
            end = begin + cut + 1
            break
        end = begin
    os.ftruncate(handle, end)


def write_rows(path: str | Path, rows: list[Row]) -> Path:
    """All of them at once, whole or not at all."""
    return write_text(path, "".join(map(line_of, rows)))


def to_json(value: Any) -> Any:
    """The value as it comes back from the disk: tuples are lists, NumPy's and torch's numbers and arrays plain ones."""
    return json.loads(json.dumps(value, default=_listed))


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"JSON has no word for {type(value).__name__}; return numbers, strings, lists and dicts")

"""Finished tasks of a sweep, one JSON line each, appended as they come: a sweep that was broken off goes on from them.

A line that was torn by an end in the middle of writing is dropped. A task that failed is a row too, with its reason.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from dynsys.errors import OutputError
from dynsys.files import write_text

Row = dict[str, Any]


def read_rows(path: str | Path) -> list[Row]:
    """The rows of the file, none where there is none; a torn line is taken out of it, so that lines can follow."""
    path = Path(path)
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    rows: list[Row] = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            rows += [row] if isinstance(row, dict) else []
    whole = "".join(map(_line, rows))
    if whole != text:
        write_text(path, whole)
    return rows


def append_row(path: str | Path, row: Row) -> None:
    """One more line, on the disk when this returns; raises OutputError."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(_line(row))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(path, error) from error


def _line(row: Row) -> str:
    return json.dumps(row, sort_keys=True) + "\n"

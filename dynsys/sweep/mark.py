"""What a sweep in one process is about to do, noted beside its rows: if the process ends there, the next one knows."""

from __future__ import annotations

import contextlib
from pathlib import Path


class Mark:
    """A small hidden file with the id of a task. It is no loss where it cannot be written or read."""

    def __init__(self, rows: Path) -> None:
        self._path = rows.with_name(f".{rows.name}.running")

    def read(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def set(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._path.write_text(name, encoding="utf-8")

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()

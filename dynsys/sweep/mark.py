"""What a sweep in one process is doing, noted beside its rows: if the process ends with it, the next one knows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


class Mark:
    """A small hidden file with the id of a task. It is no loss where it cannot be written or read."""

    def __init__(self, rows: Path) -> None:
        self._path = rows.with_name(f".{rows.name}.running")

    def read(self) -> str | None:
        """The task with which an earlier process ended, if one did."""
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Stays where the process does not come to the end of the block."""
        with contextlib.suppress(OSError):
            self._path.write_text(name, encoding="utf-8")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._path.unlink()

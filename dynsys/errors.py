"""The errors of files: which file, what is wrong, what to do. This module imports nothing heavy."""

from __future__ import annotations

from pathlib import Path


class CheckpointError(ValueError):
    """A file that cannot be used: which, what is wrong with it, and what to do."""

    def __init__(self, path: str | Path, wrong: str, remedy: str) -> None:
        self.path, self.wrong, self.remedy = Path(path), wrong, remedy
        super().__init__(f"{path}: {wrong}; {remedy}")


class OutputError(OSError):
    """A file or folder that cannot be written, with the reason that the system gave."""

    def __init__(self, path: str | Path, reason: OSError) -> None:
        self.path = Path(path)
        super().__init__(f"{path} cannot be written ({reason.strerror or reason}); nothing was left half-written there")

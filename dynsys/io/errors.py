"""The errors of files: which file, what is wrong, what to do. This module imports nothing heavy."""

from __future__ import annotations

import shlex
from pathlib import Path

LONGEST = 4000  # letters of what is wrong, and of what to do


def typed(*words: object) -> str:
    """A command of dynsys as a shell takes it.

    >>> typed("portrait", "my run", "-o", "a.html")
    "dynsys portrait 'my run' -o a.html"
    """
    return shlex.join(["dynsys", *map(str, words)])


def printable(text: str) -> str:
    """The text with line breaks, terminal escapes and all else that is not to be printed written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def ignoring(*keys: str) -> str:
    """The options that put arrays aside, as a shell takes them.

    >>> ignoring("mask", "gain (old)")
    "--ignore mask --ignore 'gain (old)'"
    """
    return " ".join(f"--ignore {shlex.quote(printable(key))}" for key in keys)


def told(text: str) -> str:
    """A part of a message, printable and no longer than can be read, whatever a file has for names."""
    more = len(text) - LONGEST
    return printable(text if more <= 0 else f"{text[:LONGEST]} ... and {more} letters more")


class CheckpointError(ValueError):
    """A file that cannot be used: which, what is wrong with it, and what to do."""

    def __init__(self, path: str | Path, wrong: str, remedy: str) -> None:
        self.path, self.wrong, self.remedy = Path(path), told(wrong), told(remedy)
        super().__init__(f"{printable(str(path))}: {self.wrong}; {self.remedy}")


class OutputError(OSError):
    """A file or folder that cannot be written, with the reason that the system gave."""

    def __init__(self, path: str | Path, reason: OSError) -> None:
        self.path = Path(path)
        super().__init__(f"{path} cannot be written ({reason.strerror or reason}); nothing was left half-written there")

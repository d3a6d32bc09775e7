"""Whether a file belongs to that run: what it was made from by its content, and what of that is not so any more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ABSENT = "absent"  # the content of what is not there


def digest(*parts: str | bytes | NDArray[Any]) -> str:
    """The sha256 of texts, bytes and arrays one after the other.

    >>> digest("ab", b"c") == digest("abc")
    True
    """
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part if isinstance(part, bytes) else part.tobytes())
    return found.hexdigest()


def digest_of(path: Path) -> str:
    """The sha256 of a file, or of the names and contents of all files in a folder."""
    if not path.is_dir():
        return digest(path.read_bytes())
    files = sorted(one for one in path.rglob("*") if one.is_file() and not one.is_symlink())
    return digest(*(f"{file.relative_to(path).as_posix()} {digest_of(file)}\n" for file in files))


@dataclass(frozen=True)
class File:
    """A file or folder that is known by what is in it, wherever it lies; one that is not there by that."""

    path: Path = field(compare=False)
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", digest_of(self.path) if self.path.exists() else ABSENT)


def differing(made_from: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names of what a file was made from that is not so now, as JSON has both.

    >>> differing({"seed": 0, "sizes": [1]}, {"seed": 1, "sizes": (1,)})
    ['seed']
    """
    then, now = (json.loads(json.dumps(dict(each))) for each in (made_from, now))
    return [key for key in {**now, **then} if then.get(key) != now.get(key)]


def of_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Of named arrays, in the order of their names."""
    return digest(*(part for key in sorted(arrays) for part in (key, np.ascontiguousarray(arrays[key]))))

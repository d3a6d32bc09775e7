"""How much a file can hold: a header that asks for more than its file has room for is never given the memory.

No compression in use makes weights a thousand times smaller; deflate, the usual one, cannot (its limit is 1,032).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from dynsys.io.errors import CheckpointError

RATIO = 1100
FLOOR = 2**24  # bytes that any file may ask for: fill values and zeros need no room


class Room:
    """The bytes that the arrays of a file may still take; ``ratio`` is 1 where nothing is compressed."""

    def __init__(self, path: Path, *, ratio: int = RATIO, floor: int = FLOOR) -> None:
        self.path, self.size = path, path.stat().st_size
        self.left = self.size * ratio + floor

    def take(self, name: str, shape: Sequence[int], itemsize: int, within: int | None = None) -> None:
        """Count an array before it is read; raises CheckpointError where the file cannot hold it, or what lies
        ``within`` so many of its bytes cannot."""
        need = math.prod(int(size) for size in shape) * itemsize
        self.left -= need
        if self.left < 0 or (within is not None and need > within):
            wrong = f"{name or 'it'} is said to hold {need:,} bytes, more than a file of {self.size:,} bytes can"
            raise CheckpointError(self.path, wrong, "it is damaged, or not what it seems: copy or make it again")

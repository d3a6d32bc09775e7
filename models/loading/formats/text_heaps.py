"""The heaps in which an HDF5 file keeps texts of any length, looked through before the C library reads one.

Where the sizes in a damaged heap do not add up the library goes round in it for ever, and cannot be interrupted. So a
heap (HDF5 file format, III.E: GCOL, then objects of an index, a size and their bytes, and free space at the end) is
followed here first. What looks like a heap and is none may be weights: then another process tries the file, with a
limit of time.
"""

from __future__ import annotations

import mmap
import subprocess
import sys
import tempfile
from pathlib import Path

from dynsys.io.errors import CheckpointError

SIGNATURE, HEADER = b"GCOL", 16  # bytes of the header of a heap, and of an object in it
LONGEST = 10.0  # seconds that another process may take to read what this one then reads
TRY = """
import sys, h5py
def read(name, found):
    dict(found.attrs)
    if isinstance(found, h5py.Dataset) and h5py.check_string_dtype(found.dtype):
        found[()]
with h5py.File(sys.argv[1], "r") as file:
    dict(file.attrs)
    file.visititems(read)
"""


def check_heaps(path: Path, content: bytes | None = None) -> None:
    """Raise CheckpointError where reading the texts of the file, or of its ``content``, would not end."""
    if content is None:
        if path.stat().st_size == 0:
            return
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
            sound = are_sound(held)
    else:
        sound = are_sound(content)
    if not sound and not _ends(path, content):
        raise CheckpointError(path, "it is cut or damaged (the heap of its texts)", "copy or make it again")


def are_sound(held: bytes | mmap.mmap) -> bool:
    """Whether the objects of every heap, one behind the other, fill it."""
    at = held.find(SIGNATURE)
    while at >= 0:
        if not _is_sound(held, at):
            return False
        at = held.find(SIGNATURE, at + 1)
    return True


def _is_sound(held: bytes | mmap.mmap, at: int) -> bool:
    size = int.from_bytes(held[at + 8 : at + HEADER], "little")
    place, end = at + HEADER, at + size
    if size < HEADER or end > len(held):
        return False
    while end - place >= HEADER:
        index, inside = (int.from_bytes(held[place + a : place + b], "little") for a, b in ((0, 2), (8, 16)))
        if index == 0:  # free space, to the end, whose size counts its own header
            return inside == end - place
        place += HEADER + (inside + 7) // 8 * 8
    return place <= end


def _ends(path: Path, content: bytes | None) -> bool:
    """Whether another process reads all texts in time; an error is an end too."""
    with tempfile.TemporaryDirectory() as folder:
        place = path
        if content is not None:
            place = Path(folder) / "content.h5"
            place.write_bytes(content)
        try:
            subprocess.run(
                [sys.executable, "-c", TRY, str(place)],
                timeout=LONGEST,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except (subprocess.TimeoutExpired, OSError):
            return False
    return True

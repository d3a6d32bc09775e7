"""Folders whose files are the arrays: .npy files by their names, with dots for the folders inside, or one .safetensors.

No link is followed, so that a folder that came from elsewhere reads nothing but itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.formats.numpy_files import array_of_file, read_safetensors
from dynsys.models.loading.values import Read

DEEPEST = 8  # folders within each other
MOST = 10_000  # files


def holds_arrays(path: Path, head: bytes) -> bool:
    return path.is_dir() and any(True for _ in _files(path, ".npy"))


def holds_safetensors(path: Path, head: bytes) -> bool:
    return path.is_dir() and any(entry.suffix == ".safetensors" for entry in path.iterdir())


def read_folder(path: Path) -> Read:
    """Every .npy file, ``encoder/W.npy`` as encoder.W."""
    values = {}
    for file in _files(path, ".npy"):
        name = ".".join(file.relative_to(path).with_suffix("").parts)
        values[name] = array_of_file(file)
    return Read(values)


def read_only_safetensors(path: Path) -> Read:
    """The one .safetensors file of a folder; raises CheckpointError where there are several."""
    files = sorted(entry for entry in path.iterdir() if entry.suffix == ".safetensors" and entry.is_file())
    if len(files) != 1:
        named = ", ".join(file.name for file in files[:10])
        raise CheckpointError(path, f"the folder holds {len(files)} .safetensors files: {named}", "name one of them")
    return read_safetensors(files[0])


def _files(folder: Path, ending: str) -> Iterator[Path]:
    """The files of that ending, in the order of their names, without following links."""
    found = 0
    for at, folders, names in os.walk(folder):
        inside = Path(at)
        folders[:] = sorted(folders) if len(inside.relative_to(folder).parts) < DEEPEST else []
        for name in sorted(names):
            if name.endswith(ending) and (inside / name).is_file() and not (inside / name).is_symlink():
                found += 1
                if found > MOST:
                    raise CheckpointError(folder, f"it holds more than {MOST:,} {ending} files", "name a folder inside")
                yield inside / name

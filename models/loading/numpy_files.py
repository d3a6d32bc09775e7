"""Named arrays as NumPy and safetensors keep them: .npz, .npy, .safetensors. None of them needs code to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dynsys.errors import CheckpointError
from dynsys.models.loading.sizes import Room
from dynsys.models.loading.values import OBJECTS, Odd, Read


def read_npz(path: Path) -> Read:
    """The arrays of a zip of .npy files; those of Python objects are left where they are."""
    room = Room(path)
    with np.load(path, allow_pickle=False) as archive:
        return Read({key: _of_archive(archive, key, room) for key in archive.files})


def _of_archive(archive: Any, key: str, room: Room) -> Any:
    inside = archive.zip.namelist()
    name = f"{key}.npy" if f"{key}.npy" in inside else key
    if not name.endswith(".npy"):
        return Odd("no array but another file")
    with archive.zip.open(name) as file:
        needs = _needs(file)
    if needs is None:
        return Odd(OBJECTS)
    room.take(key, *needs, within=archive.zip.getinfo(name).file_size)
    return archive[key]


def _needs(file: Any) -> tuple[tuple[int, ...], int] | None:
    """The shape and the bytes of an entry that a .npy file announces; None for Python objects."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return None if dtype.hasobject else (shape, dtype.itemsize)


def array_of_file(path: Path) -> Any:
    """The array of a .npy file, or ``Odd`` where it is of Python objects."""
    with open(path, "rb") as file:
        needs = _needs(file)
    if needs is None:
        return Odd(OBJECTS)
    Room(path, ratio=1, floor=0).take("", *needs)
    return np.load(path, allow_pickle=False)


def read_npy(path: Path) -> Read:
    """One array without a name; it is called ``array``, as a tensor saved alone is."""
    array = array_of_file(path)
    if isinstance(array, Odd):
        raise CheckpointError(path, f"it is {array.why}", "save an array of real numbers")
    return Read({"array": array})


def read_safetensors(path: Path) -> Read:
    """By torch, since NumPy knows no bfloat16."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    return Read({key: (t if t.is_complex() else t.double()).numpy() for key, t in tensors.items()})

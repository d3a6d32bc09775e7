"""Named arrays as NumPy and safetensors keep them: .npz, .npy, .safetensors.

An array of Python objects is a pickle within, such as a dict of arrays that numpy.save was given; it is read as one,
without running anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dynsys.models.loading.nested import read_nested
from dynsys.models.loading.pickles.objects import expand, refuse_empty
from dynsys.models.loading.pickles.plain import content_of
from dynsys.models.loading.pickles.sparse import sparse_of_npz
from dynsys.models.loading.sizes import Room
from dynsys.models.loading.values import OBJECTS, Allowance, Odd, Read


def read_npz(path: Path) -> Read:
    """The arrays of a zip of .npy files, and those inside its objects; or the one sparse matrix that they make."""
    room, allowance = Room(path), Allowance(path.stat().st_size)
    with np.load(path, allow_pickle=False) as archive:
        content = {key: _of_archive(archive, key, room, allowance) for key in archive.files}
    matrix = sparse_of_npz(content)
    return refuse_empty(read_nested(content if matrix is None else matrix, expand, allowance))


def _of_archive(archive: Any, key: str, room: Room, allowance: Allowance) -> Any:
    inside = archive.zip.namelist()
    name = f"{key}.npy" if f"{key}.npy" in inside else key
    if not name.endswith(".npy"):
        return Odd("no array but another file")
    with archive.zip.open(name) as file:
        needs = _needs(file)
        if needs is None:
            size = archive.zip.getinfo(name).file_size
            allowance.take(size)
            return content_of(file.read(size), 0, allowance)
    room.take(key, *needs, within=archive.zip.getinfo(name).file_size)
    return _by_fields(archive[key])


def _by_fields(array: Any) -> Any:
    """A structured array as its fields by name; of a single record they have the shapes of their own."""
    if array.dtype.names is None:
        return array
    record = array.reshape(-1)[0] if array.size == 1 else array
    return {name: _by_fields(np.asarray(record[name])) for name in array.dtype.names}


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


def is_leaves(path: Path, head: bytes) -> bool:
    """Arrays one behind the other under a line of JSON, as Equinox's users write them."""
    return head.startswith(b"{") and b"}\n\x93NUMPY" in head


def _leaves(path: Path) -> list[Any]:
    """The arrays of a file, one behind the other; none where one is of Python objects."""
    room, found = Room(path, ratio=1, floor=0), list[Any]()
    with open(path, "rb") as file:
        if file.read(1) == b"{":
            file.readline()
        else:
            file.seek(0)
        while file.tell() < room.size:
            start = file.tell()
            needs = _needs(file)
            if needs is None:
                return []
            room.take("", *needs)
            file.seek(start)
            found.append(np.load(file, allow_pickle=False))
    return found


def read_npy(path: Path) -> Read:
    """One array without a name, which is called ``array``, as a tensor saved alone is; or what its object holds.

    Several, one behind the other, are the leaves of a tree of Equinox's, by their numbers from 0.
    """
    leaves = _leaves(path)
    if len(leaves) > 1:
        return Read({str(k): leaf for k, leaf in enumerate(leaves)})
    array = leaves[0] if leaves else array_of_file(path)
    if not isinstance(array, Odd):
        return Read({"array": array})
    with open(path, "rb") as file:
        _needs(file)  # goes past the header, to the pickle
        allowance = Allowance(path.stat().st_size)
        return refuse_empty(read_nested(content_of(file.read(), 0, allowance), expand, allowance))


def read_safetensors(path: Path) -> Read:
    """By torch, since NumPy knows no bfloat16; what the header says besides is a setting."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        said = file.metadata() or {}
    told = {key: value for key, value in said.items() if key not in tensors and key != "format"}
    return Read({**told, **{key: (t if t.is_complex() else t.double()).numpy() for key, t in tensors.items()}})

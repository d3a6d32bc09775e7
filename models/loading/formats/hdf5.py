"""HDF5: what h5py and Keras (.h5) and MATLAB (v7.3) write, read without leaving the file.

HDF5 shows a matrix that MATLAB wrote with its axes turned, since MATLAB keeps columns together. It is turned back where
MATLAB says that it wrote it, and nowhere else: h5py, Keras and JAX do not turn theirs.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.io.files import first_bytes
from dynsys.models.loading.formats.json_weights import single_values
from dynsys.models.loading.formats.matlab import matlab_member
from dynsys.models.loading.formats.text_heaps import check_heaps
from dynsys.models.loading.sizes import Room
from dynsys.models.loading.values import DEEPEST, MOST, Odd, Read, is_beside

CONFIGURATION = "model_config"  # the attribute in which Keras keeps the layers; its entries are named without it
SIGNATURE = b"\x89HDF\r\n\x1a\n"
TEXTS = 10_000  # of an array of names


def is_hdf5(path: Path, head: bytes) -> bool:
    """Its first bytes, or those behind a block of a user's, whose size is a power of 2 from 512 on."""
    if head.startswith(SIGNATURE) or path.is_dir():
        return head.startswith(SIGNATURE)
    with open(path, "rb") as file:
        places = (file.seek(512 << k) and file.read(len(SIGNATURE)) for k in range(8))
        return any(found == SIGNATURE for found in places)


def read_hdf5(path: Path) -> Read:
    """The datasets and attributes by dotted names. Raises CheckpointError where another file would have to be read."""
    with open_hdf5(path, path) as file:
        by_matlab = first_bytes(path).startswith(b"MATLAB 7.3")
        return Read(dict(Members(path, Room(path), by_matlab).of("", file, DEEPEST)))


def open_hdf5(path: Path, content: Any) -> Any:
    """``content`` (a path, or a file in memory) as h5py opens it; raises CheckpointError where h5py is not there."""
    try:
        import h5py
    except ImportError as error:
        remedy = "pip install 'dynsys-rnn[hdf5]' (from MATLAB, save with -v7 instead)"
        raise CheckpointError(path, "it is an HDF5 file, which needs h5py", remedy) from error
    check_heaps(path, content.getvalue() if isinstance(content, io.BytesIO) else None)
    return h5py.File(content, "r")


class Members:
    """A walk through the groups of a file, each of them once, with ``room`` for what is read."""

    def __init__(self, path: Path, room: Room, by_matlab: bool) -> None:
        self.path, self.room, self.by_matlab = path, room, by_matlab
        self._seen: set[Any] = set()
        self._left = MOST

    def of(self, name: str, group: Any, depth: int) -> Iterator[tuple[str, Any]]:
        """Everything in a group by dotted names, its attributes among them."""
        if group in self._seen or depth < 0:
            return
        self._seen.add(group)
        yield from self._attributes(name, group)
        for key in group:
            if name or not (key.startswith("#") or is_beside(key)):  # '#refs#' is MATLAB's own
                yield from self._linked(f"{name}.{key}" if name else key, group, key, depth - 1)

    def _linked(self, name: str, group: Any, key: str, depth: int) -> Iterator[tuple[str, Any]]:
        import h5py

        link = group.get(key, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise self._elsewhere(name, f"a link into another file, {link.filename}")
        if isinstance(link, h5py.SoftLink):
            yield name, Odd(f"a link to {link.path}, which is not followed")
        else:
            yield from self.member(name, group[key], depth)

    def member(self, name: str, found: Any, depth: int) -> Iterator[tuple[str, Any]]:
        """One group or dataset, under the name that it is to have."""
        import h5py

        self._left -= 1
        if self._left < 0:
            raise CheckpointError(self.path, f"it holds more than {MOST:,} entries", "save the weights alone")
        if self.by_matlab or any(attribute.startswith("MATLAB_") for attribute in found.attrs):
            yield from matlab_member(self, name, found, depth)
        elif isinstance(found, h5py.Group):
            yield from self.of(name, found, depth)
        elif isinstance(found, h5py.Dataset):
            yield from self._python_values(name, found)

    def read(self, name: str, dataset: Any) -> Any:
        """A dataset as it lies in the file, once it is known to lie there and to fit."""
        if dataset.external or dataset.is_virtual:
            raise self._elsewhere(name, "kept outside the file, or put together of other datasets")
        self.room.take(name, dataset.shape or (), dataset.dtype.itemsize)
        return dataset[()]

    def _elsewhere(self, name: str, what: str) -> CheckpointError:
        return CheckpointError(self.path, f"its {name} is {what}", "save the arrays themselves in one file")

    def _python_values(self, name: str, dataset: Any) -> Iterator[tuple[str, Any]]:
        import h5py

        if h5py.check_string_dtype(dataset.dtype):
            yield from _texts(name, self.read(name, dataset))
        elif dataset.shape is None:
            yield name, Odd("an empty dataset")
        else:
            value = self.read(name, dataset)
            yield name, np.array(value)

    def _attributes(self, name: str, group: Any) -> Iterator[tuple[str, Any]]:
        for key in group.attrs:
            kept = group.attrs.get_id(key)
            if key.startswith("MATLAB_") or kept.shape is None:
                continue
            self.room.take(key, kept.shape, kept.dtype.itemsize)
            value = group.attrs[key]
            value = _text(value) if isinstance(value, str | bytes) else value
            if isinstance(value, str) and value.lstrip().startswith("{"):
                yield from single_values(self.path, "" if key == CONFIGURATION else _inside(name, key), value)
            elif np.asarray(value).dtype.kind in "OSU":
                yield from _texts(_inside(name, key), value)
            elif np.size(value) == 1:
                yield _inside(name, key), np.asarray(value).item()


def _inside(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A text, or the texts of an array by their numbers from 0."""
    if isinstance(value, str | bytes):
        yield name, _text(value)
    else:
        entries = np.asarray(value).ravel()[:TEXTS]
        for i, entry in enumerate(entries):
            if isinstance(entry, str | bytes):
                yield (name if np.ndim(value) == 0 else f"{name}.{i}"), _text(entry)


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value

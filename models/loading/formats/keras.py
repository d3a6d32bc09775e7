"""The .keras files of Keras 2.12 and later: a zip of the layers (config.json) and their weights (model.weights.h5)."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.formats.archives import names_of
from dynsys.models.loading.formats.hdf5 import Members, open_hdf5
from dynsys.models.loading.formats.json_weights import single_values
from dynsys.models.loading.sizes import Room
from dynsys.models.loading.values import DEEPEST, Read

WEIGHTS, DESCRIPTION = "model.weights.h5", ("metadata.json", "config.json")


def is_keras(path: Path, head: bytes) -> bool:
    if not head.startswith(b"PK"):
        return False
    names = names_of(path)
    return WEIGHTS in names or all(name in names for name in DESCRIPTION)


def read_keras(path: Path) -> Read:
    """The layers by the names of config.json, ``config.layers.0.class_name``; the weights by those of Keras."""
    room, values = Room(path), dict[str, Any]()
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        for name in DESCRIPTION:
            if name in names:
                values |= single_values(path, "", _member(archive, name, room))
        if WEIGHTS not in names:
            raise CheckpointError(path, f"it is a Keras file without {WEIGHTS}", "save it with model.save('x.keras')")
        content = _member(archive, WEIGHTS, room)
    with open_hdf5(path, io.BytesIO(content)) as file:
        return Read(values | dict(Members(path, room, by_matlab=False).of("", file, DEEPEST)))


def _member(archive: zipfile.ZipFile, name: str, room: Room) -> bytes:
    """A file of the zip whole; zipfile raises where it is longer than it says, or damaged."""
    room.take(name, (archive.getinfo(name).file_size,), 1)
    with archive.open(name) as file:
        return file.read(archive.getinfo(name).file_size)

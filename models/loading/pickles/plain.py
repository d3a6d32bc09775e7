"""Plain pickles: of arrays, of dicts and lists of them, of layer objects, of models; and joblib's, not compressed.

Nothing that they name is imported or called.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from dynsys.models.loading.nested import read_nested
from dynsys.models.loading.pickles.arrays import DType, NumpyArray, checked_sizes
from dynsys.models.loading.pickles.machine import Machine
from dynsys.models.loading.pickles.objects import expand, refuse_empty
from dynsys.models.loading.pickles.opcodes import unpickled
from dynsys.models.loading.pickles.stand_ins import Made, Named
from dynsys.models.loading.pickles.torch_files import KNOWN_IN_FILES
from dynsys.models.loading.values import Allowance, Odd, Read

TEXT = re.compile(rb"[(]*(?:[dl](?:p\d+\n|[(SVI])|[}\]][q(.p]|[ic][\w.]+\n[\w.]+\n)")
MOST_PICKLES = 1000  # one after the other in a file


def is_pickle(path: Path, head: bytes) -> bool:
    """By the mark of protocol 2 and later; the older ones, which are text, by their first two opcodes and the stop."""
    if head[:1] == b"\x80":
        return True
    return TEXT.match(head) is not None and _last_byte(path) == b"."


def _last_byte(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(-1, 2)
        return file.read(1)


def read_pickle(path: Path) -> Read:
    data, allowance = path.read_bytes(), Allowance(path.stat().st_size)
    return refuse_empty(read_nested(content_of(data, 0, allowance), expand, allowance))


def content_of(data: bytes, start: int, allowance: Allowance) -> Any:
    """The object in a pickle, or a list of those in a row of pickles; they begin at ``start``."""
    machine = Machine(data, KNOWN_IN_FILES, unknown_id, allowance, start, filled=joblib_array)
    found = [unpickled(machine)]
    while data[machine.position : machine.position + 1] == b"\x80" and len(found) < MOST_PICKLES:
        found.append(unpickled(machine))
    return found if len(found) > 1 else found[0]


def unknown_id(key: Any) -> Made:
    """What lies outside of the file, by a name that only the program that wrote it knows."""
    return Made(Named("pickle", "something outside of the file"))


def joblib_array(machine: Machine, made: Made) -> Any:
    """An array where joblib has one: its wrapper is followed by the bytes themselves, on a boundary that it names."""
    if made.path == "joblib.numpy_pickle.NDArrayWrapper":
        return Odd("in another file beside this one")
    if made.path != "joblib.numpy_pickle.NumpyArrayWrapper":
        return made
    given = made.attributes()
    dtype, shape = given.get("dtype"), checked_sizes(given.get("shape"))
    if not isinstance(dtype, DType):
        raise ValueError("an array of joblib has no type")
    if dtype.of_objects:
        inner = Machine(machine.data, machine.known, machine.persistent, machine.allowance, machine.position)
        made.items = [unpickled(inner)]
        machine.position = inner.position
        return made.items[0]
    if given.get("numpy_array_alignment_bytes") is not None:
        machine.take(machine.take(1)[0])
    data = machine.take(math.prod(shape) * dtype.numpy().itemsize)
    return NumpyArray(shape, dtype, given.get("order") == "F", data)

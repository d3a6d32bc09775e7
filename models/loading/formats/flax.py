"""What ``flax.serialization.to_bytes`` writes: msgpack, with arrays as extensions of their own.

Of those kinds 1 is an array (shape, name of its type, bytes), 2 a complex number and 3 a single number; an array that
is too long for one extension is a dictionary of its shape and its pieces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.nested import read_nested
from dynsys.models.loading.values import DEEPEST, Odd, Read

ARRAY, COMPLEX, NUMBER = 1, 2, 3
PIECES = "__msgpack_chunked_array__"
LONGEST = 10_000  # entries of a list: a state dict keeps its arrays as extensions


def is_flax(path: Path, head: bytes) -> bool:
    """A msgpack map of at least one entry whose first key is a text; pickles begin with an empty map's byte."""
    if len(head) < 8:
        return False
    start = {0xDE: 3, 0xDF: 5}.get(head[0], 1 if 0x81 <= head[0] <= 0x8F else 0)
    return start > 0 and (0xA0 < head[start] <= 0xBF or head[start] == 0xD9)


def read_flax(path: Path) -> Read:
    try:
        import msgpack
    except ImportError as error:
        remedy = "pip install 'dynsys-rnn[flax]', or save the parameters with numpy.savez"
        raise CheckpointError(path, "it is a msgpack file, as flax writes it, which needs msgpack", remedy) from error
    try:
        content = msgpack.unpackb(path.read_bytes(), ext_hook=_extension, strict_map_key=False, max_array_len=LONGEST)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CheckpointError(path, f"it is cut or damaged ({error})", "copy or make it again") from error
    return read_nested(_whole(content, DEEPEST))


def _extension(kind: int, data: bytes) -> Any:
    import msgpack

    if kind == COMPLEX:
        return Odd("a complex number")
    if kind not in (ARRAY, NUMBER):
        return Odd(f"of a kind of msgpack's ({kind}) that flax does not write")
    shape, name, content = msgpack.unpackb(data, raw=True, max_array_len=64)
    array = _array(tuple(shape), name.decode(), content)
    return array if kind == ARRAY or isinstance(array, Odd) else array[()]


def _array(shape: tuple[int, ...], name: str, content: bytes) -> Any:
    """The array, widened where NumPy has no such type: bfloat16 is the upper half of a float32."""
    if name == "bfloat16":
        upper = np.frombuffer(content, dtype="<u2").astype("<u4")
        return (upper << 16).view("<f4").reshape(shape)
    try:
        kind = np.dtype(name)
    except TypeError:
        return Odd(f"of type {name}, which NumPy does not know")
    return np.frombuffer(content, dtype=kind).reshape(shape)


def _whole(value: Any, depth: int) -> Any:
    """The content with every array in one piece."""
    if isinstance(value, Mapping) and depth > 0:
        if PIECES in value:
            pieces = [value["chunks"][str(i)] for i in range(len(value["chunks"]))]
            shape = tuple(int(value["shape"][str(i)]) for i in range(len(value["shape"])))
            joined = np.concatenate([np.asarray(piece).ravel() for piece in pieces])
            if joined.size != math.prod(shape):
                raise ValueError(f"its pieces hold {joined.size} entries of {math.prod(shape)}")
            return joined.reshape(shape)
        return {key: _whole(inside, depth - 1) for key, inside in value.items()}
    return value

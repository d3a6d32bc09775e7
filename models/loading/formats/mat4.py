"""MATLAB's oldest format, v4 (``save -v4``): matrices one after the other, each behind 20 bytes.

The header holds a number MOPT by its decimal digits (M the byte order, P the precision, T the kind: full, text or
sparse), rows, columns, whether there are imaginary parts, and the length of the name, which follows with its zero.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.models.loading.sizes import Room
from dynsys.models.loading.values import Odd, Read

PRECISIONS = ("f8", "f4", "i4", "i2", "u2", "u1")
FULL, TEXT, SPARSE = 0, 1, 2
LONGEST_NAME = 256


def is_mat4(path: Path, head: bytes) -> bool:
    header = _header(head)
    if header is None:
        return False
    name = head[20 : 20 + header[-1]]
    return name[-1:] == b"\0" and name[:-1].decode("latin-1").isidentifier()


def _header(data: bytes, place: int = 0) -> tuple[str, int, int, int, int, int, int] | None:
    """Byte order, precision, kind, rows, columns, imaginary parts and length of the name; None where it is none."""
    for order, machine in (("<", 0), (">", 1)):
        if len(data) < place + 20:
            return None
        number, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", data, place)
        byte_order, precision, kind = number // 100, number // 10 % 10, number % 10
        legal = byte_order == 10 * machine and precision < len(PRECISIONS) and kind <= SPARSE
        if legal and rows >= 0 and columns >= 0 and imaginary in (0, 1) and 0 < length <= LONGEST_NAME:
            return order, precision, kind, rows, columns, imaginary, length
    return None


def read_mat4(path: Path) -> Read:
    """The matrices by their names. Raises ValueError where the file is cut."""
    data, room, place = path.read_bytes(), Room(path), 0
    values: dict[str, Any] = {}
    while place < len(data):
        header = _header(data, place)
        if header is None:
            raise ValueError(f"byte {place} begins no matrix")
        order, precision, kind, rows, columns, imaginary, length = header
        name = data[place + 20 : place + 20 + length].rstrip(b"\0").decode("latin-1")
        dtype = np.dtype(order + PRECISIONS[precision])
        place += 20 + length
        end = place + rows * columns * dtype.itemsize
        if end + imaginary * (end - place) > len(data):
            raise ValueError(f"it ends in the middle of {name}")
        numbers = np.frombuffer(data[place:end], dtype).reshape((rows, columns), order="F")
        place = end + imaginary * (end - place)
        odd = Odd("complex, not of real numbers")
        values[name] = odd if imaginary else _value(name, kind, numbers.astype(dtype.newbyteorder("=")), room)
    return Read(values)


def _value(name: str, kind: int, numbers: Any, room: Room) -> Any:
    if kind == TEXT:
        return "\n".join("".join(chr(int(code)) for code in row) for row in numbers)
    if kind == FULL:
        return numbers
    if numbers.shape[1] != 3:
        return Odd("complex, not of real numbers")
    places, (rows, columns) = numbers[:-1, :2].astype(np.int64) - 1, numbers[-1, :2].astype(np.int64)
    room.take(name, (int(rows), int(columns)), 8)
    if (places < 0).any() or (places >= [rows, columns]).any():
        raise ValueError(f"the sparse matrix {name} has entries outside of it")
    dense = np.zeros((int(rows), int(columns)))
    dense[places[:, 0], places[:, 1]] = numbers[:-1, 2]
    return dense

"""MATLAB's v5 files (-v6, -v7), read element by element; the format is MathWorks' "MAT-File Level 5".

An element is its type, its length in bytes and its content. A variable is an element of the type matrix, as it is or
compressed; inside it are its class, its dimensions, its name and its values, which for cells and structs are matrices.
Every length is checked against what there is, so that no file can ask for more than it holds, and none can do harm.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.formats.matlab import DEEPEST, dense, matlab_object
from dynsys.models.loading.sizes import Room
from dynsys.models.loading.values import Odd, Read

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # by type
MATRIX, COMPRESSED, TEXTS = 14, 15, {16: "utf-8", 17: "utf-16", 18: "utf-32"}
CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17  # classes of a matrix
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
COMPLEX, LOGICAL = 0x0800, 0x0200
HEADER = 128


class Elements:
    """The elements in a stretch of bytes, one after the other. Raises ValueError where they do not fit into it."""

    def __init__(self, data: bytes | memoryview, order: str) -> None:
        self._data, self.order, self._at = memoryview(data), order, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def next(self) -> tuple[int, memoryview]:
        """The type and the content of the next one; one of up to four bytes has them inside its own tag."""
        if self.left < 8:
            raise ValueError("an element ends before its length")
        kind, size = struct.unpack_from(f"{self.order}II", self._data, self._at)
        start, padded = self._at + 8, size if kind == COMPRESSED else size + -size % 8
        if kind >> 16:
            kind, size, start, padded = kind & 0xFFFF, kind >> 16, self._at + 4, 4
        if size > len(self._data) - start or (start == self._at + 4 and size > 4):
            raise ValueError(f"an element of {size:,} bytes where {len(self._data) - start:,} are left")
        self._at = min(start + padded, len(self._data))
        return kind, self._data[start : start + size]

    def numbers(self) -> Any:
        """The next element as the numbers that it holds."""
        kind, content = self.next()
        if kind not in NUMBERS:
            raise ValueError(f"an element of type {kind} where numbers have to be")
        return np.frombuffer(content, dtype=f"{self.order}{NUMBERS[kind]}")

    def text(self) -> str:
        """The next element as a text; names are bytes, and characters numbers of 16 bits or one of the Unicodes."""
        kind, content = self.next()
        if kind in TEXTS:
            little = {"<": "-le", ">": "-be"}[self.order] if kind > 16 else ""
            return str(bytes(content), TEXTS[kind] + little, errors="replace")
        if kind in (3, 4):
            return str(bytes(content), "utf-16-le" if self.order == "<" else "utf-16-be", errors="replace")
        return str(bytes(content), "latin-1")


def read_mat(path: Path) -> Read:
    """The values of a v5 file by dotted names. Raises ValueError where it is damaged."""
    data, room = path.read_bytes(), Room(path)
    order = "<" if data[HEADER - 2 : HEADER] == b"IM" else ">"
    whole, values = Elements(data[HEADER:], order), dict[str, Any]()
    while whole.left >= 8:
        kind, content = whole.next()
        if kind == COMPRESSED:
            kind, content = Elements(_unpacked(content, room), order).next()
        if kind == MATRIX and len(content):
            variable = Matrix(Elements(content, order))
            if variable.name:  # the one without is MATLAB's own workspace of functions and objects
                values |= variable.values(variable.name, DEEPEST, room)
    return Read(values)


def _unpacked(content: memoryview, room: Room) -> bytes:
    inflate = zlib.decompressobj()
    data = inflate.decompress(content, room.left + 1)
    room.take("one of its variables", (len(data),), 1)
    return data


class Matrix:
    """A variable, a field or an entry: its class and name, and the elements that hold its values."""

    def __init__(self, inside: Elements) -> None:
        flags = inside.numbers()
        if flags.size < 1:
            raise ValueError("a matrix without a class")
        self.kind = int(flags[0]) & 0xFF
        self.is_complex, self.is_logical = bool(int(flags[0]) & COMPLEX), bool(int(flags[0]) & LOGICAL)
        self.inside = inside
        self.shape: tuple[int, ...] = (0, 0)
        if self.kind == OPAQUE:
            self.name, _, self.of = inside.text(), inside.text(), inside.text()
            return
        self.shape = tuple(int(size) for size in inside.numbers())
        self.name = inside.text()
        if any(size < 0 for size in self.shape):
            raise ValueError(f"a matrix of shape {self.shape}")

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def values(self, name: str, depth: int, room: Room) -> Iterator[tuple[str, Any]]:
        """The numbers, texts and parts by dotted names; the entries of cells and struct arrays count from 1."""
        if depth < 0:
            raise CheckpointError(room.path, f"{name} is nested too deeply to be weights", "save the weights alone")
        if self.kind == OPAQUE:
            yield name, matlab_object(self.of)
        elif self.kind == FUNCTION:
            yield name, Odd("a function of MATLAB")
        elif self.kind == OBJECT:
            yield name, matlab_object(self.inside.text())
        elif self.kind in (CELL, STRUCT):
            yield from self._entries(name, depth, room)
        elif self.kind == CHAR:
            yield name, self._characters()
        elif self.is_complex:
            yield name, Odd("of complex numbers")
        elif self.kind == SPARSE:
            yield name, self._sparse(name, room)
        elif self.kind in CLASSES:
            yield name, self._shaped(self.inside.numbers()).astype(CLASSES[self.kind])
        else:
            yield name, Odd(f"of a class of MATLAB's ({self.kind}) that dynsys does not know")

    def _entries(self, name: str, depth: int, room: Room) -> Iterator[tuple[str, Any]]:
        fields = self._fields() if self.kind == STRUCT else [""]
        if self.size * len(fields) > self.inside.left // 8:
            raise ValueError(f"{name} has {self.size} entries where there is no room for them")
        for i in range(1, self.size + 1):
            of_many = name if self.size == 1 else f"{name}.{i}"
            for field in fields:
                inside = f"{of_many}.{field}" if field else of_many
                kind, content = self.inside.next()
                if kind != MATRIX:
                    raise ValueError(f"{inside} is an element of type {kind}")
                if not len(content):
                    yield inside, np.zeros((0, 0))
                else:
                    yield from Matrix(Elements(content, self.inside.order)).values(inside, depth - 1, room)

    def _fields(self) -> list[str]:
        """The names of the fields, which are padded to one length."""
        length = int(self.inside.numbers()[0])
        _, content = self.inside.next()
        if length < 1:
            raise ValueError("names of fields without a length")
        names = [bytes(content[k : k + length]) for k in range(0, len(content), length)]
        return [str(name.split(b"\0")[0], "latin-1") for name in names]

    def _shaped(self, numbers: Any) -> Any:
        if numbers.size != self.size:
            raise ValueError(f"{numbers.size} values for a matrix of shape {self.shape}")
        return numbers.reshape(self.shape, order="F")

    def _characters(self) -> str:
        """A row of characters, or several with line breaks between them."""
        text = self.inside.text() if self.size else ""
        rows = self.shape[0] if self.shape else 1
        return text if rows <= 1 else "\n".join(text[row::rows] for row in range(rows))

    def _sparse(self, name: str, room: Room) -> Any:
        room.take(name, self.shape, 8)
        rows, starts = self.inside.numbers(), self.inside.numbers()
        if self.is_logical:  # MATLAB writes bytes, and says that they are doubles
            return dense(self.shape, rows, starts, np.frombuffer(self.inside.next()[1], dtype=np.uint8))
        return dense(self.shape, rows, starts, self.inside.numbers())

"""The two formats of ``torch.save``: a zip with a pickle and a file for each storage, and before 1.6 a row of pickles
with the storages behind them."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any, Literal

from dynsys.models.loading.formats.archives import entry_of, pickle_of_zip
from dynsys.models.loading.nested import read_nested
from dynsys.models.loading.pickles.machine import Known, Machine, plain_key
from dynsys.models.loading.pickles.objects import expand, refuse_empty
from dynsys.models.loading.pickles.opcodes import unpickled
from dynsys.models.loading.pickles.rebuilt import KNOWN
from dynsys.models.loading.pickles.stand_ins import Made, Named, name_of
from dynsys.models.loading.pickles.tensors import Storage, item_size, storage_type
from dynsys.models.loading.values import Allowance, Odd, Read, Unfit

MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # 0x1950a86a20f9469cfc6c, the number that the old format begins with
LARGEST_LISTS = 100_000  # of storages


def is_old_torch(head: bytes) -> bool:
    return MAGIC in head[:32]


def read_torch_zip(path: Path) -> Read:
    allowance = Allowance(path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        file = TorchZip(archive, allowance)
        machine = Machine(file.entry("data.pkl"), KNOWN_IN_FILES, file.storage, allowance)
        return refuse_empty(read_nested(unpickled(machine), expand, allowance))


class TorchZip:
    """The entries of a file of torch, and its storages by their keys, read when they are asked for."""

    def __init__(self, archive: zipfile.ZipFile, allowance: Allowance) -> None:
        self.archive, self.allowance = archive, allowance
        self.root = pickle_of_zip(archive.namelist()).removesuffix("data.pkl")
        self.storages: dict[tuple[str, str, int], Storage] = {}
        big = f"{self.root}byteorder" in archive.namelist() and self.entry("byteorder") == b"big"
        self.order: Literal["<", ">"] = ">" if big else "<"

    def entry(self, name: str) -> bytes:
        return entry_of(self.archive, f"{self.root}{name}", self.allowance)

    def storage(self, key: Any) -> Any:
        """What a persistent id stands for: ('storage', class, key, device, numbers)."""
        if not isinstance(key, tuple) or len(key) != 5 or key[0] != "storage":
            return Made(Named("torch", "an unknown persistent id"))
        if not isinstance(key[2], str | int):
            raise ValueError("a storage of it has no name")
        dtype, name, count = storage_type(key[1]), str(key[2]), checked_count(key[4])
        if not dtype:
            return Odd(f"over a storage of the kind {name_of(key[1])}, which is not known")
        return self.storages.setdefault(
            (dtype, name, count), Storage(dtype, count, lambda: self.entry(f"data/{name}"), self.order)
        )


def checked_count(count: Any) -> int:
    if not isinstance(count, int) or not 0 <= count < 2**48:
        raise ValueError("it has a storage of an impossible size")
    return count


def read_old_torch(path: Path) -> Read:
    data, allowance = path.read_bytes(), Allowance(path.stat().st_size)
    return refuse_empty(read_nested(old_content(data, KNOWN_IN_FILES, allowance), expand, allowance))


def old_content(data: bytes, known: dict[str, Known], allowance: Allowance) -> Any:
    """The object in a file of the old format: number, protocol and system, itself, then the storages it speaks of."""
    file = OldTorch(data)
    machine = Machine(data, known, file.storage, allowance)
    number, _, _, content, keys = (unpickled(machine) for _ in range(5))
    if number != int.from_bytes(MAGIC, "little"):
        raise ValueError("it does not begin as files of torch do")
    if not isinstance(keys, list) or len(keys) > LARGEST_LISTS:
        raise ValueError("it has no list of its storages")
    file.place(keys, machine.position)
    return content


class OldTorch:
    """The storages of a file of the old format, which lie behind the pickles that name them."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.types: dict[Any, str] = {}
        self.places: dict[Any, tuple[int, int]] = {}
        self.storages: dict[Any, Storage] = {}

    def storage(self, key: Any) -> Any:
        """('storage', class, key, device, numbers, view) with view (key, offset, numbers) or None; or a module."""
        if not isinstance(key, tuple) or len(key) < 2:
            return Made(Named("torch", "an unknown persistent id"))
        if key[0] == "module":
            return key[1]
        if key[0] != "storage" or len(key) not in (5, 6):
            return Made(Named("torch", "an unknown persistent id"))
        root, count = str(plain_key(key[2], Allowance(0))), checked_count(key[4])
        dtype = self.types.setdefault(root, storage_type(key[1]))
        if not dtype:  # nor can what lies behind it be found
            wrong = f"it has a storage of the kind {name_of(key[1])}, which is not known"
            raise Unfit(wrong, "save it with torch 1.6 or later")
        whole = self.storages.setdefault(root, Storage(dtype, count, lambda: self._bytes(root)))
        view = key[5] if len(key) == 6 else None
        if isinstance(view, tuple) and len(view) == 3:
            return whole.view(checked_count(view[1]), checked_count(view[2]))
        return whole

    def place(self, keys: list[Any], start: int) -> None:
        """Find where each storage lies: its count of numbers in 8 bytes, then the numbers."""
        for key in keys:
            root = str(plain_key(key, Allowance(0)))
            if len(self.data) < start + 8 or root not in self.types:
                raise ValueError(f"it ends before its storage {root[:40]}")
            (count,) = struct.unpack_from("<q", self.data, start)
            end = start + 8 + checked_count(count) * item_size(self.types[root])
            if end > len(self.data):
                raise ValueError(f"it ends at byte {len(self.data)}, in the middle of a storage")
            self.places[root] = (start + 8, end)
            start = end

    def _bytes(self, root: Any) -> memoryview:
        if root not in self.places:
            raise ValueError("it lacks one of its storages")
        start, end = self.places[root]
        return self.data[start:end]


def storage_of_bytes(allowance: Allowance, data: Any, *rest: Any) -> Any:
    """``_load_from_bytes``: a storage that a plain pickle holds as a whole file of the old format within."""
    if not isinstance(data, bytes):
        raise TypeError("a storage is made of what are no bytes")
    return old_content(data, KNOWN, allowance)  # without this function: such files do not lie in each other


KNOWN_IN_FILES: dict[str, Known] = KNOWN | {"torch.storage._load_from_bytes": storage_of_bytes}

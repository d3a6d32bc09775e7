"""Pickles that mean harm, and sound files changed at random: what a reader of files has to withstand.

A program of opcodes is drawn with an eye on its stack, so that it runs on and reaches its calls; every opcode is in it,
and the functions that it names would open, write, run or import something, or leave a mark through a canary.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

Rng = np.random.Generator

CANARY = "canary_of_hostile_pickles"  # a module whose functions count their calls
CALLS: list[tuple[str, str, Any]] = [  # module, name, arguments
    ("os", "system", ("touch {mark}",)),
    ("posix", "system", ("touch {mark}",)),
    ("os", "popen", ("touch {mark}",)),
    ("os", "mkdir", ("{mark}",)),
    ("os", "remove", ("{mark}.keep",)),
    ("subprocess", "Popen", (["touch", "{mark}"],)),
    ("subprocess", "check_output", ("touch {mark}",)),
    ("builtins", "eval", ("open('{mark}', 'w')",)),
    ("builtins", "exec", ("open('{mark}', 'w')",)),
    ("builtins", "compile", ("1", "mark", "eval")),
    ("builtins", "open", ("{mark}", "w")),
    ("builtins", "__import__", (CANARY,)),
    ("builtins", "getattr", ("os", "system")),
    ("__builtin__", "execfile", ("{mark}",)),
    ("importlib", "import_module", (CANARY,)),
    ("runpy", "run_path", ("{mark}",)),
    ("pty", "spawn", ("sh",)),
    ("socket", "create_connection", (("localhost", 9),)),
    ("shutil", "rmtree", ("{mark}.keep",)),
    ("pathlib", "Path.touch", ("{mark}",)),
    ("pickle", "loads", (b"cos\nsystem\n(S'touch {mark}'\ntR.",)),
    ("torch", "load", ("{mark}.keep",)),
    ("torch.hub", "load", ("nobody/nothing", "model")),
    ("torch.jit", "load", ("{mark}.keep",)),
    ("torch.storage", "_load_from_bytes", (b"cos\nsystem\n(S'touch {mark}'\ntR.",)),
    ("torch._utils", "_rebuild_tensor_v2", (None, 0, (10**9, 10**9), (0, 0), False, {})),
    ("numpy", "load", ("{mark}.keep", None, True)),
    ("numpy._core.multiarray", "_reconstruct", (None, (10**12,), b"d")),
    ("numpy.core.multiarray", "scalar", (None, b"")),
    ("numpy.f2py", "compile", ("{mark}",)),
    ("collections", "OrderedDict", ()),
    ("copyreg", "_reconstructor", (None, None, None)),
    ("codecs", "encode", ("x", "rot13")),
    ("builtins", "bytearray", (10**12,)),
    ("builtins", "range", (10**12,)),
    ("builtins", "list", (10**12,)),
    (CANARY, "sing", (1,)),
    (CANARY, "Bird", ()),
    ("never_imported_" + CANARY, "sing", (1,)),
]


class Program:
    """Opcodes drawn one by one; ``held`` follows the stack, with None for a mark."""

    def __init__(self, rng: Rng, mark: str) -> None:
        self.rng, self.mark = rng, mark
        self.code = bytearray(b"\x80" + bytes([int(rng.integers(0, 6))]))
        self.held: list[str | None] = []
        self.memo = 0

    def choose(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def emit(self, code: bytes, takes: int = 0, gives: str | None = "", argument: bytes = b"") -> None:
        del self.held[len(self.held) - takes :]
        self.code += code + argument
        if gives != "":
            self.held.append(gives)

    def text(self, text: str) -> None:
        raw = text.encode()
        self.emit(pickle.BINUNICODE, gives="text", argument=struct.pack("<I", len(raw)) + raw)

    def value(self, value: Any) -> None:
        """A value of Python's, as a pickle within the pickle: without its protocol and its stop."""
        inner = pickle.dumps(value, protocol=2)[2:-1]
        self.emit(inner, gives="value")

    def function(self) -> tuple[str, str, Any]:
        """Name a function by one of the three ways; the arguments that would harm come back."""
        module, name, arguments = self.choose(CALLS)
        way = self.rng.integers(3)
        if way == 0:
            self.emit(pickle.GLOBAL, gives="name", argument=f"{module}\n{name}\n".encode())
        elif way == 1:
            self.text(module)
            self.text(name)
            self.emit(pickle.STACK_GLOBAL, takes=2, gives="name")
        else:
            self.emit(self.choose((pickle.EXT1,)), gives="name", argument=bytes([int(self.rng.integers(1, 256))]))
        return module, name, self.filled(arguments)

    def filled(self, arguments: Any) -> Any:
        if isinstance(arguments, str):
            return arguments.replace("{mark}", self.mark)
        if isinstance(arguments, bytes):
            return arguments.replace(b"{mark}", self.mark.encode())
        if isinstance(arguments, tuple | list):
            return type(arguments)(self.filled(entry) for entry in arguments)
        return arguments

    def call(self) -> None:
        """A call in one of the ways that the format has."""
        way = int(self.rng.integers(6))
        if way == 0:
            self.value(self.function()[2])
            self.emit(pickle.REDUCE, takes=2, gives="made")
        elif way == 1:
            self.value(self.function()[2])
            self.emit(pickle.NEWOBJ, takes=2, gives="made")
        elif way == 2:
            self.value(self.function()[2])
            self.emit(pickle.EMPTY_DICT, gives="dict")
            self.emit(pickle.NEWOBJ_EX, takes=3, gives="made")
        elif way == 3:
            self.emit(pickle.MARK, gives=None)
            module, name, arguments = self.choose(CALLS)
            for argument in arguments:
                self.value(self.filled(argument))
            self.emit(pickle.INST, takes=1 + len(arguments), gives="made", argument=f"{module}\n{name}\n".encode())
        elif way == 4:
            self.emit(pickle.MARK, gives=None)
            for argument in self.function()[2]:
                self.value(argument)
            self.unwind(pickle.OBJ, "made")
        else:
            self.function()
            self.value({"__reduce__": 1, "__setstate__": self.mark})
            self.emit(pickle.BUILD, takes=1)

    def unwind(self, code: bytes, gives: str | None) -> None:
        """An opcode that gathers what lies above the last mark."""
        while self.held and self.held.pop() is not None:
            pass
        self.emit(code, gives=gives)

    def need(self, count: int) -> None:
        while len(self.held) < count or any(kind is None for kind in self.held[len(self.held) - count :]):
            self.plain()

    def plain(self) -> None:
        codes: list[tuple[bytes, bytes]] = [
            (pickle.NONE, b""),
            (pickle.NEWTRUE, b""),
            (pickle.NEWFALSE, b""),
            (pickle.INT, b"7\n"),
            (pickle.LONG, b"9L\n"),
            (pickle.BININT, b"\xff\xff\xff\x7f"),
            (pickle.BININT1, b"\x05"),
            (pickle.BININT2, b"\x01\x02"),
            (pickle.LONG1, b"\x02\x00\xff"),
            (pickle.LONG4, struct.pack("<i", 3) + b"abc"),
            (pickle.FLOAT, b"1e3\n"),
            (pickle.BINFLOAT, struct.pack(">d", self.rng.normal())),
            (pickle.STRING, b"'text'\n"),
            (pickle.BINSTRING, struct.pack("<i", 2) + b"\xff\x00"),
            (pickle.SHORT_BINSTRING, b"\x01a"),
            (pickle.BINBYTES, struct.pack("<I", 8) + bytes(8)),
            (pickle.SHORT_BINBYTES, b"\x02ab"),
            (pickle.BINBYTES8, struct.pack("<Q", 1) + b"z"),
            (pickle.BYTEARRAY8, struct.pack("<Q", 1) + b"z"),
            (pickle.UNICODE, b"word\n"),
            (pickle.SHORT_BINUNICODE, b"\x03key"),
            (pickle.BINUNICODE8, struct.pack("<Q", 1) + b"W"),
            (pickle.EMPTY_LIST, b""),
            (pickle.EMPTY_DICT, b""),
            (pickle.EMPTY_TUPLE, b""),
            (pickle.EMPTY_SET, b""),
            (pickle.EXT2, b"\x01\x02"),
            (pickle.EXT4, b"\x01\x02\x03\x00"),
            (pickle.PERSID, b"outside\n"),
            (pickle.FRAME, bytes(8)),
            (pickle.READONLY_BUFFER, b""),
        ]
        code, argument = self.choose(codes)
        self.emit(code, gives="" if code in (pickle.FRAME, pickle.READONLY_BUFFER) else "value", argument=argument)

    def structure(self) -> None:
        code, takes, gives = self.choose(
            [
                (pickle.TUPLE1, 1, "value"),
                (pickle.TUPLE2, 2, "value"),
                (pickle.TUPLE3, 3, "value"),
                (pickle.DUP, 0, "value"),
                (pickle.POP, 1, ""),
                (pickle.APPEND, 1, ""),
                (pickle.SETITEM, 2, ""),
                (pickle.BUILD, 1, ""),
                (pickle.BINPERSID, 1, "value"),
                (pickle.REDUCE, 2, "value"),
            ]
        )
        if code in (pickle.APPEND, pickle.SETITEM):
            self.emit(pickle.EMPTY_LIST if code == pickle.APPEND else pickle.EMPTY_DICT, gives="holder")
            for _ in range(takes):
                self.plain_value()
        self.need(max(takes, 1))
        self.emit(code, takes, gives)

    def plain_value(self) -> None:
        before = len(self.held)
        while len(self.held) == before:
            self.plain()

    def gather(self) -> None:
        code, gives = self.choose(
            [
                (pickle.TUPLE, "value"),
                (pickle.LIST, "value"),
                (pickle.DICT, "value"),
                (pickle.FROZENSET, "value"),
                (pickle.POP_MARK, ""),
                (pickle.APPENDS, ""),
                (pickle.SETITEMS, ""),
                (pickle.ADDITEMS, ""),
            ]
        )
        if code in (pickle.APPENDS, pickle.ADDITEMS):
            self.emit(pickle.EMPTY_LIST, gives="holder")
        if code == pickle.SETITEMS:
            self.emit(pickle.EMPTY_DICT, gives="holder")
        self.emit(pickle.MARK, gives=None)
        for _ in range(2 * int(self.rng.integers(3))):
            self.plain_value()
        self.unwind(code, gives)

    def remember(self) -> None:
        if self.memo and self.rng.random() < 0.5:
            place = int(self.rng.integers(self.memo))
            ways = [
                (pickle.BINGET, bytes([place % 256])),
                (pickle.LONG_BINGET, struct.pack("<I", place)),
                (pickle.GET, f"{place}\n".encode()),
            ]
            code, argument = self.choose(ways)
            self.emit(code, gives="value", argument=argument)
            return
        self.need(1)
        ways = [
            (pickle.MEMOIZE, b""),
            (pickle.BINPUT, bytes([self.memo % 256])),
            (pickle.LONG_BINPUT, struct.pack("<I", self.memo)),
            (pickle.PUT, f"{self.memo}\n".encode()),
        ]
        code, argument = self.choose(ways)
        self.emit(code, argument=argument)
        self.memo += 1


def program(rng: Rng, mark: str, steps: int = 40) -> bytes:
    """A pickle of about so many steps, a third of them calls; some are wrong in a byte."""
    made = Program(rng, mark)
    for _ in range(steps):
        made.choose([made.call, made.call, made.plain, made.structure, made.gather, made.remember])()
    made.need(1)
    made.code += pickle.STOP
    return changed(bytes(made.code), rng) if rng.random() < 0.3 else bytes(made.code)


def changed(content: bytes, rng: Rng) -> bytes:
    """The content with some bytes changed, cut, doubled or moved."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(len(data) + 1))
        way = int(rng.integers(5))
        if way == 0 and place < len(data):
            data[place] = int(rng.integers(256))
        elif way == 1:
            del data[place : place + int(rng.integers(1, 9))]
        elif way == 2:
            data[place:place] = data[place : place + int(rng.integers(1, 40))]
        elif way == 3:
            data[place:place] = bytes(rng.integers(0, 256, int(rng.integers(1, 5)), dtype=np.uint8))
        elif way == 4 and rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def sound_files() -> dict[str, bytes]:
    """One file of each kind that holds a pickle."""
    torch.manual_seed(0)
    gru = torch.nn.GRU(2, 3)
    state = gru.state_dict()
    arrays = {"W": np.eye(3), "b": np.arange(3.0), "names": ["a", "b"], "tau": np.float64(2.0)}
    files = {f"plain {protocol}": pickle.dumps(arrays, protocol) for protocol in range(6)}
    files["tensors"] = pickle.dumps(state)
    files["module"] = pickle.dumps(gru)
    files["zip"] = saved({"state_dict": state, "epoch": 3})
    files["zip of a module"] = saved(torch.nn.Sequential(OrderedDict(rnn=gru)))
    files["old"] = saved({"state_dict": state}, _use_new_zipfile_serialization=False)
    files["objects"] = written(lambda out: np.savez(out, arrays=np.array(arrays, dtype=object)))
    files["object"] = written(lambda out: np.save(out, np.array(arrays, dtype=object), allow_pickle=True))
    files["agent"] = zipped({"data": json.dumps({}).encode(), "policy.pth": files["zip"]})
    return files


def written(write: Callable[[Any], Any]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def saved(content: Any, **options: Any) -> bytes:
    return written(lambda out: torch.save(content, out, **options))


def zipped(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def beside(content: bytes, rng: Rng, mark: str) -> bytes:
    """A sound zip of torch with one entry more in its dict: the list of what a hostile program leaves."""
    made = Program(rng, mark)
    for _ in range(20):
        made.choose([made.call, made.call, made.plain, made.structure, made.gather, made.remember])()
    key = pickle.BINUNICODE + struct.pack("<I", 8) + b"callback"
    more = key + pickle.MARK + bytes(made.code) + pickle.LIST + pickle.SETITEM + pickle.STOP
    entries = entries_of(content)
    return zipped({k: v[:-1] + more if k.endswith("data.pkl") else v for k, v in entries.items()})


def within(kind: str, pickled: bytes) -> bytes:
    """A pickle in the place that a kind of file has for one."""
    if kind == "zip":
        return zipped({"archive/data.pkl": pickled, "archive/byteorder": b"little", "archive/data/0": bytes(64)})
    if kind == "old":
        magic = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
        return b"".join(pickle.dumps(part, protocol=2) for part in magic) + pickled + pickle.dumps([], protocol=2)
    if kind == "object":
        out = io.BytesIO()
        np.lib.format.write_array_header_1_0(out, {"descr": "|O", "fortran_order": False, "shape": ()})
        return out.getvalue() + pickled
    return zipped({"policy.pth": within("zip", pickled)}) if kind == "agent" else pickled


KINDS = ("plain", "zip", "old", "object", "agent")


def hostile(rng: Rng, mark: Path, sound: dict[str, bytes]) -> bytes:
    """One file: a hostile program in some kind of file or beside sound weights, or a sound file changed at random."""
    if rng.random() < 0.2:
        return beside(sound["zip"], rng, str(mark))
    if rng.random() < 0.5:
        return within(KINDS[int(rng.integers(len(KINDS)))], program(rng, str(mark)))
    names = list(sound)
    name = names[int(rng.integers(len(names)))]
    if name.startswith("zip") and rng.random() < 0.7:
        return changed_entry(sound[name], rng)
    return changed(sound[name], rng)


def changed_entry(content: bytes, rng: Rng) -> bytes:
    """A zip with its pickle changed, and the checksums right again."""
    entries = entries_of(content)
    return zipped({name: changed(data, rng) if name.endswith("data.pkl") else data for name, data in entries.items()})


def entries_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}

"""A reader of pickles that runs nothing: every opcode of protocols 0 to 5, as Python's ``pickletools`` lists them.

Python's own unpickler imports what a pickle names and calls it. This one puts a ``Named`` in the place of every class
and function and a ``Made`` in the place of every call; only the functions of a given table, which are our own and make
arrays, tensors and plain containers, give values. Sizes are checked against the bytes that are there, and the number of
opcodes is bounded.
"""

from __future__ import annotations

import codecs
import pickle
from collections.abc import Callable
from struct import Struct
from typing import Any

from dynsys.models.loading.pickles.machine import MARK, Machine
from dynsys.models.loading.pickles.stand_ins import Made, Named
from dynsys.models.loading.values import MOST_STEPS, Unfit

LONGEST_INTEGER = 1024  # bytes; arithmetic on longer ones takes long

STOP = pickle.STOP[0]
BYTE, SHORT, INT, WORD, LONG = (Struct(kind) for kind in ("<B", "<H", "<i", "<I", "<Q"))

Operation = Callable[[Machine], None]


def unpickled(machine: Machine) -> Any:
    """The next pickle. Raises ValueError, IndexError, KeyError or the like where it is damaged, and Unfit."""
    machine.stack, machine.memo = [], {}
    allowance = machine.allowance
    data, operation = machine.data, OPERATIONS.get
    while allowance.steps > 0:
        allowance.steps -= 1
        if machine.position >= len(data):
            raise ValueError(f"it ends at byte {len(data)}, in the middle of a pickle")
        code = data[machine.position]
        machine.position += 1
        if code == STOP:
            return machine.pop()
        operation(code, unknown)(machine)
    raise Unfit(f"its pickle has more than {MOST_STEPS:,} steps", "save arrays, not lists of single numbers")


def dict_of(machine: Machine, values: list[Any]) -> dict[Any, Any]:
    entries: dict[Any, Any] = {}
    machine.put(entries, values[::2], values[1::2])
    return entries


def integer(text: bytes) -> int | bool:
    """Python 2 writes True as 01 and a long with an L at its end."""
    if text in (b"00", b"01"):
        return text == b"01"
    if len(text) > 2 * LONGEST_INTEGER:
        raise ValueError("it holds an integer of thousands of digits")
    return int(text.rstrip(b"L"))


def long_integer(machine: Machine, count: int) -> int:
    if not 0 <= count <= LONGEST_INTEGER:
        raise ValueError(f"it holds an integer of {count} bytes")
    return int.from_bytes(machine.take(count), "little", signed=True)


def old_text(line: bytes) -> str:
    """A quoted str of Python 2, text or bytes: every byte is one letter, so that the bytes can be had back."""
    text = line.strip()
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
        raise ValueError("a text of its pickle has no quotes")
    return codecs.escape_decode(text[1:-1])[0].decode("latin-1")


def named(machine: Machine, module: bytes, name: bytes) -> None:
    machine.push(Named(module.decode(), name.decode()))


def stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise ValueError("its pickle names a class by what is no text")
    machine.push(Named(module, name))


def reduce(machine: Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.push(machine.called(function, arguments))


def new_object(machine: Machine, with_words: bool = False) -> None:
    """An object of a class: what a constructor makes, not a function, so that no table is asked."""
    words = machine.pop() if with_words else {}
    arguments, kind = machine.pop(), machine.pop()
    machine.push(Made(kind, (arguments, words) if words else arguments))


def instance(machine: Machine) -> None:
    module, name = machine.line(), machine.line()
    machine.push(machine.called(Named(module.decode(), name.decode()), tuple(machine.gathered())))


def old_object(machine: Machine) -> None:
    kind, *arguments = machine.gathered()
    machine.push(machine.called(kind, tuple(arguments)))


def set_items(machine: Machine) -> None:
    values = machine.gathered()
    if len(values) % 2:
        raise ValueError("its pickle has a key without a value")
    machine.put(machine.top(), values[::2], values[1::2])


def set_item(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.put(machine.top(), [key], [value])


def append(machine: Machine) -> None:
    value = machine.pop()
    machine.add(machine.top(), [value])


def append_all(machine: Machine) -> None:
    values = machine.gathered()
    machine.add(machine.top(), values)


def tuple_of(machine: Machine, count: int) -> None:
    values = [machine.pop() for _ in range(count)]
    machine.push(tuple(reversed(values)))


def protocol(machine: Machine) -> None:
    version = machine.number(BYTE)
    if version > pickle.HIGHEST_PROTOCOL:
        raise ValueError(f"its pickle is of protocol {version}")


def no_buffer(machine: Machine) -> None:
    raise Unfit("its pickle keeps its arrays in other files (buffers out of band)", "save it without buffer_callback")


def unknown(machine: Machine) -> None:
    raise ValueError(f"byte {machine.position - 1} is no pickle opcode")


def constant(value: Any) -> Operation:
    return lambda machine: machine.stack.append(value)


def letters(kind: Struct) -> Operation:
    return lambda machine: machine.push(machine.take(machine.number(kind)).decode("utf-8", "surrogatepass"))


def plain_bytes(kind: Struct) -> Operation:
    return lambda machine: machine.push(machine.take(machine.number(kind)))


def old_letters(kind: Struct) -> Operation:
    """A str of Python 2, text or bytes: every byte is one letter, so that the bytes can be had back."""
    return lambda machine: machine.push(machine.take(machine.number(kind)).decode("latin-1"))


def extension(kind: Struct) -> Operation:
    """A name by its number in a registry of the program that wrote the file; the number is all that is known."""
    return lambda machine: machine.push(Named("copyreg", f"extension {machine.number(kind)}"))


BY_NAME: dict[bytes, Operation] = {
    pickle.PROTO: protocol,
    pickle.FRAME: lambda m: m.skip(8),  # how much to read at once
    pickle.NONE: constant(None),
    pickle.NEWTRUE: constant(True),
    pickle.NEWFALSE: constant(False),
    pickle.INT: lambda m: m.stack.append(integer(m.line())),
    pickle.LONG: lambda m: m.stack.append(integer(m.line())),
    pickle.BININT: lambda m: m.stack.append(m.number(INT)),
    pickle.BININT1: lambda m: m.stack.append(m.number(BYTE)),
    pickle.BININT2: lambda m: m.stack.append(m.number(SHORT)),
    pickle.LONG1: lambda m: m.stack.append(long_integer(m, m.number(BYTE))),
    pickle.LONG4: lambda m: m.stack.append(long_integer(m, m.number(INT))),
    pickle.FLOAT: lambda m: m.stack.append(float(m.line())),
    pickle.BINFLOAT: lambda m: m.stack.append(m.real()),
    pickle.STRING: lambda m: m.stack.append(old_text(m.line())),
    pickle.BINSTRING: old_letters(INT),
    pickle.SHORT_BINSTRING: old_letters(BYTE),
    pickle.BINBYTES: plain_bytes(WORD),
    pickle.SHORT_BINBYTES: plain_bytes(BYTE),
    pickle.BINBYTES8: plain_bytes(LONG),
    pickle.BYTEARRAY8: plain_bytes(LONG),
    pickle.NEXT_BUFFER: no_buffer,
    pickle.READONLY_BUFFER: lambda m: None,
    pickle.UNICODE: lambda m: m.stack.append(m.line().decode("raw-unicode-escape")),
    pickle.BINUNICODE: letters(WORD),
    pickle.SHORT_BINUNICODE: letters(BYTE),
    pickle.BINUNICODE8: letters(LONG),
    pickle.EMPTY_TUPLE: constant(()),
    pickle.TUPLE1: lambda m: tuple_of(m, 1),
    pickle.TUPLE2: lambda m: tuple_of(m, 2),
    pickle.TUPLE3: lambda m: tuple_of(m, 3),
    pickle.TUPLE: lambda m: m.stack.append(tuple(m.gathered())),
    pickle.EMPTY_LIST: lambda m: m.stack.append([]),
    pickle.LIST: lambda m: m.stack.append(m.gathered()),
    pickle.APPEND: append,
    pickle.APPENDS: append_all,
    pickle.EMPTY_DICT: lambda m: m.stack.append({}),
    pickle.DICT: lambda m: m.stack.append(dict_of(m, m.gathered())),
    pickle.SETITEM: set_item,
    pickle.SETITEMS: set_items,
    pickle.EMPTY_SET: lambda m: m.stack.append([]),  # a list is as good as a set, and needs no hash
    pickle.ADDITEMS: append_all,
    pickle.FROZENSET: lambda m: m.stack.append(m.gathered()),
    pickle.MARK: lambda m: m.stack.append(MARK),
    pickle.POP: lambda m: m.drop(),
    pickle.POP_MARK: lambda m: m.drop_gathered(),
    pickle.DUP: lambda m: m.stack.append(m.top()),
    pickle.GET: lambda m: m.stack.append(m.memo[integer(m.line())]),
    pickle.BINGET: lambda m: m.stack.append(m.memo[m.number(BYTE)]),
    pickle.LONG_BINGET: lambda m: m.stack.append(m.memo[m.number(WORD)]),
    pickle.PUT: lambda m: m.remember(integer(m.line())),
    pickle.BINPUT: lambda m: m.remember(m.number(BYTE)),
    pickle.LONG_BINPUT: lambda m: m.remember(m.number(WORD)),
    pickle.MEMOIZE: lambda m: m.remember(len(m.memo)),
    pickle.GLOBAL: lambda m: named(m, m.line(), m.line()),
    pickle.STACK_GLOBAL: stack_global,
    pickle.EXT1: extension(BYTE),
    pickle.EXT2: extension(SHORT),
    pickle.EXT4: extension(INT),
    pickle.REDUCE: reduce,
    pickle.BUILD: Machine.build,
    pickle.INST: instance,
    pickle.OBJ: old_object,
    pickle.NEWOBJ: new_object,
    pickle.NEWOBJ_EX: lambda m: new_object(m, with_words=True),
    pickle.PERSID: lambda m: m.stack.append(m.persistent(m.line().decode())),
    pickle.BINPERSID: lambda m: m.stack.append(m.persistent(m.pop())),
}
OPERATIONS = {code[0]: operation for code, operation in BY_NAME.items()}

"""The machine that a pickle is a program of: its bytes, its stack and its memo, with inert stand-ins for objects."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

from dynsys.models.loading.pickles.stand_ins import Filled, Made, Named
from dynsys.models.loading.values import Allowance, Lazy, Odd

PLAIN_KEY = str | int | float | bool | bytes | None | Named | Made | Lazy
SHORT_INTEGER = 2**60  # above it the integers that hash alike are easily found, which makes a dict slow

Known = Callable[..., Any]


class Mark:
    """The place on the stack from which a tuple, list or dict is gathered."""


MARK = Mark()
DOUBLE = Struct(">d")


class Machine:
    """The state of one reading of ``data``, from ``position`` on.

    ``known`` are the functions that give values, by the name that the pickle has for them; each takes the allowance
    and then the pickle's arguments. ``persistent`` gives the value of a persistent id, torch's name for a storage.
    ``filled`` gives what stands for an object once it has its state, where that is another thing than the stand-in.
    """

    def __init__(
        self,
        data: bytes,
        known: dict[str, Known],
        persistent: Callable[[Any], Any],
        allowance: Allowance,
        position: int = 0,
        filled: Callable[[Machine, Made], Any] | None = None,
    ) -> None:
        self.data, self.position = data, position
        self.known, self.persistent, self.allowance, self.filled = known, persistent, allowance, filled
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> bytes:
        begin, end = self.position, self.position + count
        if count < 0 or end > len(self.data):
            raise ValueError(f"it ends at byte {len(self.data)}, in the middle of a pickle")
        self.position = end
        return self.data[begin:end]

    def number(self, kind: Struct) -> int:
        (value,) = kind.unpack_from(self.data, self.position)
        self.position += kind.size
        return int(value)

    def real(self) -> float:
        (value,) = DOUBLE.unpack_from(self.data, self.position)
        self.position += 8
        return float(value)

    def skip(self, count: int) -> None:
        self.position += count

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise ValueError("a line of its pickle does not end")
        line = self.data[self.position : end]
        self.position = end + 1
        return line

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def top(self) -> Any:
        value = self.stack[-1]
        if value is MARK:
            raise ValueError("its pickle takes a mark for a value")
        return value

    def pop(self) -> Any:
        value = self.top()
        del self.stack[-1]
        return value

    def remember(self, place: int) -> None:
        self.memo[place] = self.top()

    def drop(self) -> None:
        """Take away the value on top, or a mark."""
        del self.stack[-1]

    def drop_gathered(self) -> None:
        self.gathered()

    def gathered(self) -> list[Any]:
        """What lies above the last mark, which is taken away with it."""
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is MARK:
                values = self.stack[i + 1 :]
                del self.stack[i:]
                return values
        raise ValueError("its pickle gathers values without a mark")

    def called(self, function: Any, arguments: Any) -> Any:
        """What a call gives: the value of a known function, a stand-in for every other."""
        known = self.known.get(function.path) if isinstance(function, Named) else None
        if known is None or not isinstance(arguments, tuple):
            return Made(function, arguments)
        try:
            return known(self.allowance, *arguments)
        except TypeError:
            return Odd(f"made by {function} from other things than it takes")

    def put(self, target: Any, keys: list[Any], values: list[Any]) -> None:
        if isinstance(target, Made):
            target.entries = target.entries or {}
        entries = target.entries if isinstance(target, Made) else target
        if not isinstance(entries, dict):
            raise ValueError("its pickle puts entries into what is no dict")
        for key, value in zip(keys, values, strict=True):
            entries[plain_key(key, self.allowance)] = value

    def add(self, target: Any, values: list[Any]) -> None:
        if isinstance(target, Made):
            target.items = target.items or []
        items = target.items if isinstance(target, Made) else target
        if not isinstance(items, list):
            raise ValueError("its pickle appends to what is no list")
        items.extend(values)

    def build(self) -> None:
        """The state of the object on top: kept beside a stand-in, the content of an array, nothing to a plain dict."""
        state, target = self.pop(), self.top()
        if isinstance(target, Filled):
            target.set_state(state)
        elif isinstance(target, Made):
            target.state = state
            if self.filled is not None:
                self.stack[-1] = self.filled(self, target)


def plain_key(key: Any, allowance: Allowance) -> Any:
    """A key that hashes quickly and in one step, whatever a pickle has for one: others are written out or kept apart.

    Nested tuples can take for ever to hash, and integers and tuples can be chosen to hash alike.
    """
    if isinstance(key, tuple) and len(key) <= 8 and all(isinstance(part, str | int | float | None) for part in key):
        text = ".".join(str(part) for part in key)
        allowance.take(len(text))
        return text
    if not isinstance(key, PLAIN_KEY):
        return Made(Named("builtins", type(key).__name__))
    return str(key) if isinstance(key, int) and abs(key) > SHORT_INTEGER else key

"""Named values out of nested content, with dotted names for what is nested.

``state_dict.rnn.weight_hh_l0`` is an entry of an entry of an entry; the entries of a list are counted from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from dynsys.models.loading.values import (
    DEEPEST,
    MOST,
    SINGLE,
    Allowance,
    Aside,
    Attributes,
    Lazy,
    ModuleState,
    Odd,
    Read,
    Unfit,
    is_array,
    is_beside,
)

MOST_SINGLE = 1000  # single values in one dict or list; where there are more they are data or a vocabulary, no settings
MOST_NUMBERS = 10_000_000  # in lists
LETTERS = 64  # of a name, and entries of a container, that count as one name more
COPIED = 8  # entries of an object that count so


def read_nested(
    content: Any, expand: Callable[[Any], Any] = lambda value: value, allowance: Allowance | None = None
) -> Read:
    """Flat names for nested mappings and lists; the one entry that holds all arrays is left out of their names.

    ``expand`` gives what stands for an object of another kind: a mapping, a list or a single value. ``allowance`` is
    what the arrays of the file may take that are made only now.
    """
    flat = Flattening(expand, allowance or Allowance(0))
    whole = flat.meant(content)
    if not isinstance(whole, Mapping | list | tuple):
        content = whole = {"array": content}
    flat.walk("", content, DEEPEST)
    container = flat.container(whole) if isinstance(whole, Mapping) else ""
    return Read(_without(container, flat.named), container)


class Flattening:
    """The walk through nested content, with what it has named and how much more it may name.

    One object can stand in many places: what it means is found once, and an array is made once.
    """

    def __init__(self, expand: Callable[[Any], Any], allowance: Allowance) -> None:
        self.expand, self.allowance = expand, allowance
        self.named: dict[str, Any] = {}
        self.left = MOST
        self.known: dict[int, tuple[Any, Any]] = {}  # by id: an object, kept so that no other gets its id; its meaning
        self.made: dict[int, Any] = {}  # by id of a lazy array
        self.counted: dict[int, int] = {}  # by id of a list: the numbers in it
        self.path: list[int] = []  # of the containers that the walk is in
        self.seen: set[int] = set()  # of the objects that it has been in

    def meant(self, value: Any) -> Any:
        """What stands for a value: a list of numbers is an array, an object its entries."""
        if value is None or isinstance(value, SINGLE):
            return value
        if id(value) not in self.known:
            meaning = self.expand(value)
            meaning = self._array(meaning) if isinstance(meaning, list | tuple) else meaning
            self.known[id(value)] = (value, meaning)
            if isinstance(meaning, Attributes | ModuleState):  # a copy of what may be the state of many objects
                self._spend(len(meaning) // COPIED)
        return self.known[id(value)][1]

    def _spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Unfit(f"it holds more than {MOST:,} values", "save the weights alone, as a state dict or arrays")

    def walk(self, name: str, value: Any, depth: int, aside: str = "") -> None:
        """Name all that is in ``value``, but not an optimiser's state; ``aside`` says why arrays are not read."""
        if isinstance(value, Aside):
            value, aside = value.value, aside or value.why
        key, value = id(value), self.meant(value)
        size = len(value) if isinstance(value, Mapping | list | tuple) else 0
        self._spend(1 + (len(name) + size) // LETTERS)
        if is_array(value) or isinstance(value, SINGLE):
            self._name(name, value, aside)
        elif isinstance(value, Mapping | list | tuple) and depth > 0 and key not in self.path:
            if isinstance(value, Attributes) and key in self.seen:
                return
            self.seen.add(key)
            self.path.append(key)
            for entry, inside in self._told(name, value):
                self.walk(f"{name}.{entry}" if name else str(entry), inside, depth - 1, aside)
            self.path.pop()

    def _told(self, name: str, value: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
        """The entries that are gone through: not an optimiser's state, and not the words of a vocabulary."""
        named = isinstance(value, Mapping)
        whole = not named or isinstance(value, ModuleState) or (name and not isinstance(value, Attributes))
        many = len(value) > MOST_SINGLE
        for entry, inside in value.items() if isinstance(value, Mapping) else enumerate(value):
            if inside is None or (many and isinstance(inside, SINGLE)):
                continue
            of_optimiser = isinstance(inside, dict) and "param_groups" in inside and "state" in inside
            if not of_optimiser and (whole or is_array(inside) or not is_beside(entry)):
                yield entry, inside

    def _name(self, name: str, value: Any, aside: str) -> None:
        if isinstance(value, complex):
            value = Odd("complex, not a real number")
        if is_array(value) and aside:
            value = Odd(aside)
        elif isinstance(value, Lazy):
            if id(value) not in self.made:
                self.made[id(value)] = value.array(self.allowance)
            value = self.made[id(value)]
        known = self.named.setdefault(name, value)
        if known is not value and is_array(known) and is_array(value) and not self._same(known, value):
            raise Unfit(f"two of its arrays are called {name}", "save it again with a name of its own for each")

    def _same(self, a: Any, b: Any) -> bool:
        if isinstance(a, Odd) or isinstance(b, Odd):
            return bool(a == b)
        self.allowance.take(a.nbytes)  # the comparing too
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"))

    def _array(self, value: list[Any] | tuple[Any, ...]) -> Any:
        """Nested lists of numbers as one array; others as they are, and plain lists of integers, which say sizes."""
        count = self._numbers(value, DEEPEST)
        if count == 0 or all(isinstance(entry, int) for entry in value):
            return value
        if count > MOST_NUMBERS:  # lists in lists, each of them many times
            raise Unfit(f"its lists hold {count:,} numbers", "save arrays instead of lists")
        self.allowance.take(8 * count)
        try:
            numbers = np.array(value)
        except (ValueError, OverflowError):  # rows of several lengths, or numbers too long
            return value
        return numbers if numbers.dtype.kind in "fiub" else value

    def _numbers(self, value: Any, depth: int) -> int:
        """How many numbers there are in nested lists; 0 where there is anything else. Each list is counted once."""
        if not isinstance(value, list | tuple):
            return int(isinstance(value, int | float | np.floating | np.integer | np.bool_))
        if id(value) not in self.counted:
            self.counted[id(value)] = 0  # of a list in itself
            counts = [self._numbers(entry, depth - 1) for entry in value] if depth > 0 else []
            self.counted[id(value)] = sum(counts) if all(counts) else 0
        return self.counted[id(value)]

    def container(self, content: Mapping[Any, Any]) -> str:
        """The dotted name of the one entry that holds all arrays, such as 'state_dict'; empty where there is none.

        Lists of numbers do not count: configurations and records have them.
        """
        if isinstance(content, Attributes | ModuleState) or self._holds_arrays(content):
            return ""
        inside = [str(key) for key, value in content.items() if not is_beside(key) and self._holds_arrays(value)]
        return inside[0] if len(inside) == 1 else ""

    def _holds_arrays(self, value: Any) -> bool:
        entries = self.meant(value)
        if not isinstance(entries, Mapping) or isinstance(entries, Attributes):
            return False
        return any(is_array(self.meant(entry)) for entry in entries.values() if not isinstance(entry, list | tuple))


def _without(container: str, named: dict[str, Any]) -> dict[str, Any]:
    """The values with the container left out of their names, except where another value has that name."""
    prefix = f"{container}."
    short = {key: key.removeprefix(prefix) if container else key for key in named}
    return {key if short[key] != key and short[key] in named else short[key]: value for key, value in named.items()}

"""Named values out of nested content: what a reader of files hands on, with dotted names for what is nested.

``state_dict.rnn.weight_hh_l0`` is an entry of an entry of an entry; the entries of a list are counted from 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# What trainers save beside the weights:
BESIDE = r"optim\w*|(lr_?)?sched\w*|callbacks?|loops|rng|random_state|amp|(grad_?)?scaler"
NOT_WEIGHTS = re.compile(rf"_?(\w+_)?({BESIDE})(_states?|_state_dicts?|_scaling_state|s)?$", re.IGNORECASE)
DEEPEST = 32  # levels of nesting
MOST = 200_000  # names; a file with more is a mistake or a trap
MOST_SINGLE = 1000  # single values in one dict or list; where there are more they are data or a vocabulary, no settings
MOST_NUMBERS = 10_000_000  # in lists
MOST_STEPS = 1_500_000  # opcodes of pickles: some seconds of work, and more than a network saved as text has
FREE = 2**28  # bytes of memory that the smallest file may take
OBJECTS = "of Python objects, which loading would have to run"


SINGLE = (str, int, float, np.generic, complex)


class Unfit(Exception):
    """A file that is not damaged and cannot be used: what is wrong with it and what to do, as CheckpointError has."""

    def __init__(self, wrong: str, remedy: str) -> None:
        self.wrong, self.remedy = wrong, remedy
        super().__init__(f"{wrong}; {remedy}")


class Allowance:
    """What reading a file may take, so that a small file cannot ask for all memory: bytes, and steps of a pickle."""

    def __init__(self, file_size: int) -> None:
        self.bytes = FREE + 8 * file_size  # float16 to float64, and a copy of it
        self.steps = MOST_STEPS

    def take(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            wrong = "its arrays are far larger than the file, as a file made to fill the memory has them"
            raise Unfit(wrong, "save the arrays themselves, not expanded views of them")


@dataclass(frozen=True)
class Odd:
    """In the place of an array that cannot be used: why, in words that follow 'its array W is'."""

    why: str


class Lazy:
    """An array that is made when it is asked for, so that what nobody reads costs nothing."""

    def array(self, allowance: Allowance) -> Any:
        """A NumPy array, or ``Odd``; raises ValueError where the file is damaged."""
        raise NotImplementedError


@dataclass(frozen=True)
class Aside:
    """A value that is no part of the weights: its arrays are told of as odd and not read."""

    value: Any
    why: str


class Attributes(dict[str, Any]):
    """What an object keeps, as ``expand`` gives it. Objects refer to each other, and each is gone through once."""


class ModuleState(dict[str, Any]):
    """What a module keeps, as ``expand`` gives it: all of it is part of the network, whatever it is called."""


@dataclass(frozen=True)
class Read:
    """What a reader found: arrays, single values (str, int, float, bool) and ``Odd`` by dotted names.

    ``container`` is the entry that held the arrays, which their names leave out.
    """

    values: dict[str, Any]
    container: str = ""


@dataclass(frozen=True)
class Format:
    """A kind of file: its name, what tells it (by its path and its first 512 bytes, none for a folder), and its reader.

    The reader takes the path and may raise anything for a file that is cut; CheckpointError and Unfit say what else
    is wrong with it.
    """

    name: str
    is_one: Callable[[Path, bytes], bool]
    read: Callable[[Path], Read]


def starts(*heads: bytes) -> Callable[[Path, bytes], bool]:
    return lambda path, head: head.startswith(heads)


def read_nested(
    content: Any, expand: Callable[[Any], Any] = lambda value: value, allowance: Allowance | None = None
) -> Read:
    """Flat names for nested mappings and lists; the one entry that holds all arrays is left out of their names.

    ``expand`` gives what stands for an object of another kind: a mapping, a list or a single value. ``allowance`` is
    what the arrays of the file may take that are made only now.
    """
    flat = Flattening(expand, allowance or Allowance(0))
    content = expand(content)
    if isinstance(content, list | tuple):
        content = flat.array(content)
    if not isinstance(content, Mapping | list | tuple):
        content = {"array": content}
    flat.walk("", content, DEEPEST)
    container = _container(content, expand) if isinstance(content, Mapping) else ""
    return Read(_without(container, flat.named), container)


class Flattening:
    """The walk through nested content, with what it has named and how much more it may name."""

    def __init__(self, expand: Callable[[Any], Any], allowance: Allowance) -> None:
        self.expand, self.allowance = expand, allowance
        self.named: dict[str, Any] = {}
        self.left = MOST
        self.counted: dict[int, int] = {}  # the numbers in each list
        self.path: list[int] = []  # of the containers that the walk is in
        self.seen: set[int] = set()

    def walk(self, name: str, value: Any, depth: int, aside: str = "") -> None:
        """Name all that is in ``value``, but not an optimiser's state; ``aside`` says why arrays are not read."""
        self.left -= 1 + len(name) // 64
        if self.left < 0:
            raise Unfit(f"it holds more than {MOST:,} values", "save the weights alone, as a state dict or arrays")
        if isinstance(value, Aside):
            value, aside = value.value, aside or value.why
        key = id(value)
        value = self.expand(value)
        if isinstance(value, list | tuple):
            value = self.array(value)
        if isinstance(value, Attributes):
            if key in self.seen:
                return
            self.seen.add(key)
        if is_array(value) or isinstance(value, SINGLE):
            self._name(name, value, aside)
        elif isinstance(value, Mapping | list | tuple) and depth > 0 and key not in self.path:
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
            value = value.array(self.allowance)
        known = self.named.setdefault(name, value)
        if known is not value and is_array(known) and is_array(value) and not _same(known, value):
            raise Unfit(f"two of its arrays are called {name}", "save it again with a name of its own for each")

    def array(self, value: list[Any] | tuple[Any, ...]) -> Any:
        """Nested lists of numbers as one array; others as they are, and plain lists of integers, which say sizes."""
        count = self._numbers(value, DEEPEST)
        if count == 0 or all(isinstance(entry, int) for entry in value):
            return value
        if count > MOST_NUMBERS:  # lists in lists, each of them many times
            raise Unfit(f"its lists hold {count:,} numbers", "save arrays instead of lists")
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


def is_beside(key: Any) -> bool:
    """Whether an entry of that name is a trainer's, such as an optimiser's state, and no part of the network."""
    return NOT_WEIGHTS.match(str(key)) is not None


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Lazy | Odd)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Odd) or isinstance(b, Odd):
        return bool(a == b)
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"))


def _container(content: Mapping[Any, Any], expand: Callable[[Any], Any]) -> str:
    """The dotted name of the one entry that holds all arrays, such as 'state_dict'; empty where there is none."""
    if isinstance(content, Attributes | ModuleState) or any(is_array(expand(value)) for value in content.values()):
        return ""
    inside = [
        str(key)
        for key, value in content.items()
        if not is_beside(key)
        and isinstance(entries := expand(value), Mapping)
        and not isinstance(entries, Attributes)
        and any(is_array(expand(entry)) for entry in entries.values())
    ]
    return inside[0] if len(inside) == 1 else ""


def _without(container: str, named: dict[str, Any]) -> dict[str, Any]:
    """The values with the container left out of their names, except where another value has that name."""
    prefix = f"{container}."
    short = {key: key.removeprefix(prefix) if container else key for key in named}
    return {key if short[key] != key and short[key] in named else short[key]: value for key, value in named.items()}

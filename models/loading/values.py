"""What readers of files hand on: arrays and single values by name, what cannot be used, and why a file is unfit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# What trainers save beside the weights:
BESIDE = r"optim\w*|(lr_?)?sched\w*|callbacks?|loops|rng|random_state|amp|(grad_?)?scaler"
NOT_WEIGHTS = re.compile(rf"_?(\w+_)?({BESIDE})(_states?|_state_dicts?|_scaling_state|s)?$", re.IGNORECASE)
DEEPEST = 32  # levels of nesting
MOST = 200_000  # names; a file with more is a mistake or a trap
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

    def __str__(self) -> str:
        return "an array"

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


def is_beside(key: Any) -> bool:
    """Whether an entry of that name is a trainer's, such as an optimiser's state, and no part of the network."""
    name = str(key)
    return len(name) < 100 and NOT_WEIGHTS.match(name) is not None  # the pattern takes long on longer ones


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Lazy | Odd)

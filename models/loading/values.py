"""Named values out of nested content: what a reader of files hands on, with dotted names for what is nested.

``state_dict.rnn.weight_hh_l0`` is an entry of an entry of an entry; the entries of a list are counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

NOT_WEIGHTS = ("optim", "lr_sched", "sched", "callback", "loops", "rng", "amp", "scaler")  # what trainers save beside
DEEPEST = 32  # levels of nesting
MOST = 1_000_000  # names; a file with more is a mistake or a trap
OBJECTS = "of Python objects, which loading would have to run"


@dataclass(frozen=True)
class Odd:
    """In the place of an array that cannot be used: why, in words that follow 'its array W is'."""

    why: str


@dataclass(frozen=True)
class Read:
    """What a reader found: arrays, single values (str, int, float, bool) and ``Odd`` by dotted names.

    ``container`` is the entry that held the arrays, which their names leave out.
    """

    values: dict[str, Any]
    container: str = ""


def read_nested(content: Any) -> Read:
    """Flat names for nested mappings and lists; the one entry that holds all arrays is left out of their names."""
    if not isinstance(content, Mapping):
        content = {"array": content} if _is_array(content) else dict(enumerate(content))
    container = _container(content)
    flat = dict(_flat("", content, DEEPEST, [MOST]))
    return Read({key.removeprefix(f"{container}.") if container else key: flat[key] for key in flat}, container)


def _flat(name: str, value: Any, depth: int, left: list[int]) -> Iterator[tuple[str, Any]]:
    """Arrays and single values by dotted names, out of mappings and lists, but not an optimiser's state."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"it holds more than {MOST:,} values")
    if _is_array(value) or isinstance(value, str | int | float | np.generic):
        yield name, value
    elif isinstance(value, list | tuple) and (numbers := _as_array(value)) is not None:
        yield name, numbers
    elif isinstance(value, Mapping | list | tuple) and depth > 0:
        for key, inside in value.items() if isinstance(value, Mapping) else enumerate(value):
            if name or _is_array(inside) or not str(key).lower().startswith(NOT_WEIGHTS):
                yield from _flat(f"{name}.{key}" if name else str(key), inside, depth - 1, left)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Odd)


def _as_array(value: list[Any] | tuple[Any, ...]) -> Any:
    """Nested lists of numbers as one array; None for others, and for plain lists of integers, which say sizes."""
    if not _all_numbers(value, DEEPEST) or (value and all(isinstance(entry, int) for entry in value)):
        return None
    try:
        numbers = np.array(value)
    except ValueError:  # rows of several lengths
        return None
    return numbers if numbers.dtype.kind in "fiub" and numbers.size else None


def _all_numbers(value: Any, depth: int) -> bool:
    if isinstance(value, list | tuple):
        return depth > 0 and len(value) > 0 and all(_all_numbers(entry, depth - 1) for entry in value)
    return isinstance(value, int | float | np.floating | np.integer | np.bool_)


def _container(content: Mapping[Any, Any]) -> str:
    """The dotted name of the one entry that holds all arrays, such as 'state_dict'; empty where there is none."""
    if any(_is_array(value) for value in content.values()):
        return ""
    inside = [
        str(key)
        for key, value in content.items()
        if isinstance(value, Mapping)
        and not str(key).lower().startswith(NOT_WEIGHTS)
        and any(_is_array(entry) for entry in value.values())
    ]
    return inside[0] if len(inside) == 1 else ""

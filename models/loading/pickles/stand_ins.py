"""Inert stand-ins for what a pickle names: they keep what was said of an object and do nothing.

A pickle builds objects by naming classes and functions and calling them. Here a name stays a text, and a call stays
the name with its arguments; neither is looked up, imported or run.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

LONGEST_NAME = 1000  # characters of a dotted name; more is a trap
OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg", "_codecs": "codecs"}  # Python 2's and C's names


class Named:
    """A class or function that the file names: ``torch.nn.modules.rnn.GRU``."""

    __slots__ = ("path",)

    def __init__(self, module: str, name: str) -> None:
        self.path = f"{OLD_MODULES.get(module, module)}.{name}"
        if len(self.path) > LONGEST_NAME:
            raise ValueError(f"it names a class of {len(self.path)} letters")

    def __str__(self) -> str:
        return self.path


def name_of(value: Any) -> str:
    """A class, function or text by its name. Other values are not written out, which could take for ever."""
    if isinstance(value, Named):
        return value.path
    return value[:LONGEST_NAME] if isinstance(value, str) else "without a name"


class Filled:
    """A value of ours that a pickle names first and fills later."""

    def set_state(self, state: Any) -> None:
        raise NotImplementedError


class Made:
    """An object that the file would make: of which class or by which function, from what, and what was put into it.

    ``state`` is what ``__setstate__`` or the object's ``__dict__`` would get, ``entries`` and ``items`` what a dict or
    a list would.
    """

    __slots__ = ("arguments", "by", "entries", "items", "state")

    def __init__(self, by: Any, arguments: Any = ()) -> None:
        self.by = by
        self.arguments = arguments
        self.state: Any = None
        self.entries: dict[Any, Any] | None = None
        self.items: list[Any] | None = None

    @property
    def path(self) -> str:
        """The name of the class, or of the function that would make it."""
        if isinstance(self.by, Named):
            return self.by.path
        # A class kept by its code is made by a call with (type, name, ...).
        made: Any = self.by.arguments if isinstance(self.by, Made) else ()
        named = isinstance(made, tuple) and len(made) > 1 and isinstance(made[1], str)
        return made[1][:LONGEST_NAME] if named else "an object"

    def __str__(self) -> str:
        return self.path

    def attributes(self) -> Mapping[Any, Any]:
        """The object's own ``__dict__`` and slots, as far as its state is such; empty otherwise. Nothing is copied."""
        parts = self.state if isinstance(self.state, tuple) and len(self.state) == 2 else (self.state,)
        return ChainMap(*(part for part in parts if isinstance(part, dict)))

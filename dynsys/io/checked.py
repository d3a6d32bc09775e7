"""What a file of ours has to hold, checked before anything is made of it: values by their annotations, arrays by
the names of their axes."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError

T = TypeVar("T")

WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)
KINDS = {"f": "f", "i": "iu", "b": "b", "s": "U"}  # of values, in the first word of a shape


@contextlib.contextmanager
def content_of(path: str | Path, what: str, remedy: str) -> Iterator[None]:
    """What goes wrong in the block is laid to the file, as CheckpointError: it is no whole ``what``."""
    try:
        yield
    except CheckpointError:
        raise
    except WRONG as error:
        wrong = f"it is no whole {what} of this version ({type(error).__name__}: {str(error)[:200]})"
        raise CheckpointError(path, wrong, remedy) from error


def checked(kind: type[T], value: Any, name: str = "its header") -> T:
    """The value of a JSON file as ``kind``: a plain type, a kind of string or an enum of
    strings, a union, a list, tuple, dict, TypedDict or a dataclass.

    Lists become tuples and objects dataclasses where these are asked for; raises ValueError where it cannot be.

    >>> checked(tuple[int, float], [1, 2])
    (1, 2.0)
    """
    found: T = _as(kind, value, name)
    return found


def _as(kind: Any, value: Any, name: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _any_of(inner, value, name)
    if origin is typing.Literal and value in inner:
        return value
    if origin is list and isinstance(value, list):
        return [_as(inner[0], item, name) for item in value]
    if origin is tuple and isinstance(value, list | tuple) and (inner[-1] is ... or len(inner) == len(value)):
        kinds = [inner[0]] * len(value) if inner[-1] is ... else inner
        return tuple(_as(one, item, name) for one, item in zip(kinds, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {_as(inner[0], key, name): _as(inner[1], item, f"{name}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return kind(**_fields(kind, value, name))  # type: ignore[operator]
    if typing.is_typeddict(kind) and isinstance(value, dict) and kind.__required_keys__ <= set(value):
        return {
            **value,
            **_fields(kind, {key: value[key] for key in typing.get_type_hints(kind) if key in value}, name),
        }
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind is int and type(value) is int and abs(value) < 2**63:
        return value
    if kind in (str, bool, types.NoneType) and type(value) is kind:
        return value
    if isinstance(kind, type) and issubclass(kind, str) and type(value) is str:
        return kind(value)
    raise ValueError(f"{name} is {str(value)[:60]!r}, which is no {getattr(kind, '__name__', kind)}")


def _any_of(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    for kind in kinds:
        with contextlib.suppress(ValueError):
            return _as(kind, value, name)
    raise ValueError(f"{name} is {str(value)[:60]!r}, which is none of {kinds}")


def _fields(kind: Any, values: dict[str, Any], name: str) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {key: _as(hints.get(key, Any), value, f"{name}.{key}") for key, value in values.items()}


def check_arrays(arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, str], alone: bool = False) -> dict[str, int]:
    """Sizes of the axes; raises ValueError unless every array is there and as ``shapes`` say, ``alone`` without others.

    A shape is the kind of values (f, i, b or s) and a name or a number for each axis: two axes of one name are equal.

    >>> import numpy as np
    >>> check_arrays({"x": np.zeros((2, 3)), "q": np.zeros(2)}, {"x": "f k n", "q": "f k"})
    {'k': 2, 'n': 3}
    """
    sizes: dict[str, int] = {}
    if alone and not set(arrays) <= set(shapes):
        raise ValueError(f"it holds {min(set(arrays) - set(shapes))}, which is no part of it")
    for key, shape in shapes.items():
        kind, *axes = shape.split()
        if key not in arrays:
            raise ValueError(f"there is no {key}")
        array = arrays[key]
        fits = array.ndim == len(axes) and array.dtype.kind in KINDS[kind]
        for axis, size in zip(axes, array.shape, strict=False):
            fits = fits and size == (int(axis) if axis.isdigit() else sizes.setdefault(axis, size))
        if not fits:
            raise ValueError(f"its {key} has shape {array.shape} and type {array.dtype}, not ({', '.join(axes)})")
    return sizes

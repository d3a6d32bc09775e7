"""A result on disk: the arrays of a dataclass are the tensors of one file, its other fields the header.

Each array's field names the kind of its numbers and its axes (``axes``), so that a file is checked whole when it is
read; what else there is, is checked by its annotation.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dynsys.io.checked import check_arrays, checked, content_of
from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays, check_exported, open_safetensors, read_tensors, write_tensors

NOT_SAVED = {"saved": False}  # a field that belongs to the process
ALL_OTHERS = {"rest": True}  # a field of all tensors whose names no other field has
ABSENT: Any = None  # the default of an array that may be missing
PARTS = {"parts": True}  # a list of dataclasses with arrays of their own


def axes(shape: str, nothing: Any = None, name: str | None = None, needed: bool = False) -> dict[str, Any]:
    """Metadata of an array's field: the kind of its values (f, i, b; c: complex, s: strings) and its axes.

    Where the array is not given each value is ``nothing``; ``name`` is what files call it. Files may lack what has a
    default, unless it is ``needed``.
    """
    return {"axes": shape, "nothing": nothing, "name": name, "needed": needed}


def said(kind: Any = None, name: str | None = None, needed: bool = False) -> dict[str, Any]:
    """Metadata of any other field: what it is checked by where its annotation is wider, and what files call it."""
    return {"kind": kind, "name": name, "needed": needed}


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """A dataclass that is saved and loaded whole.

    Subclasses name the ``schema`` of their files and, for errors, ``what`` such a file is and the ``remedy`` where it
    is none; ``check`` raises ValueError where its parts do not fit together.
    """

    schema: ClassVar[str]
    what: ClassVar[str]
    remedy: ClassVar[str]

    def __init_subclass__(cls, schema: str = "", what: str = "", remedy: str = "") -> None:
        if schema:
            cls.schema, cls.what, cls.remedy = schema, what, remedy

    def __post_init__(self) -> None:
        """What was not given says nothing: files of earlier versions lack it."""
        kind: Any = type(self)
        missing = {key: nothing for key, nothing in _absent(kind).items() if getattr(self, key) is None}
        if not missing:
            return
        sizes: dict[str, int] = {}
        for key, axes in _arrays(kind).items():
            if getattr(self, key) is not None:
                sizes |= dict(zip(axes.split()[1:], np.shape(getattr(self, key)), strict=False))
        for key, nothing in missing.items():
            shape = tuple(sizes.get(axis, 0) for axis in _arrays(kind)[key].split()[1:])
            object.__setattr__(self, key, np.full(shape, nothing))

    def save(self, path: str | Path) -> Path:
        """Write everything to one safetensors file; raises OutputError where it cannot be written."""
        tensors, header = _packed(self)
        return write_tensors(path, tensors, {"schema": self.schema, **header})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file of ``save``; raises CheckpointError where it is not one."""
        tensors, header = read_tensors(path, cls.schema)
        with content_of(path, cls.what, cls.remedy):
            found: Self = _unpacked(cls, tensors, header)
            if tensors:
                raise ValueError(f"it holds {min(tensors)}, which is no part of it")
            found.check()
        return found

    @classmethod
    def check_place(cls, path: str | Path) -> None:
        """Raise ValueError where a file of it, named by a user, would replace anything but another of its kind."""
        check_exported(path, ".safetensors", cls._is_one)

    @classmethod
    def _is_one(cls, path: Path) -> bool:
        try:
            return (open_safetensors(path)[1] or {}).get("schema") == cls.schema
        except CheckpointError:
            return False

    def check(self) -> None:
        """Raise ValueError where its parts do not fit together."""


@functools.cache
def _absent(cls: type[Any]) -> Mapping[str, Any]:
    """What each array that may be missing says where it is."""
    fields = dataclasses.fields(cls)
    return {field.name: field.metadata["nothing"] for field in fields if field.metadata.get("nothing") is not None}


@functools.cache
def _arrays(cls: type[Any]) -> Mapping[str, str]:
    """The kind and axes of every field that is an array."""
    return {field.name: field.metadata["axes"] for field in dataclasses.fields(cls) if "axes" in field.metadata}


def per(cls: Any, axis: str) -> tuple[str, ...]:
    """The arrays with a row for each of the things that an axis counts."""
    return tuple(name for name, shape in _arrays(cls).items() if shape.split()[1] == axis)


def _packed(record: Any) -> tuple[Arrays, dict[str, Any]]:
    """The tensors and the header that a file of it has."""
    tensors: Arrays = {}
    header: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        value, about = getattr(record, field.name), field.metadata
        name = about.get("name") or field.name
        if "rest" in about:
            tensors |= value
        elif "parts" in about:
            parts = [_packed(one) for one in value]
            tensors |= {f"{name}.{i}.{key}": array for i, (held, _) in enumerate(parts) for key, array in held.items()}
            header[name] = [words for _, words in parts]
        elif "axes" not in about:
            if about.get("saved", True):
                header[name] = _plain(value)
        elif about["axes"][0] == "s":
            header[name] = value.tolist()
        elif value is not None:
            tensors[name] = _storable(value)
    return tensors, header


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def _storable(values: NDArray[Any]) -> NDArray[Any]:
    """Safetensors has no complex128: a float64 view with a last axis of 2."""
    if np.iscomplexobj(values):
        return np.ascontiguousarray(values).view(np.float64).reshape(*values.shape, 2)
    return values


def _unpacked(cls: type, tensors: Arrays, header: Mapping[str, Any], within: str = "") -> Any:
    """What ``_packed`` made a file of; its tensors are taken out of ``tensors``."""
    values: dict[str, Any] = _arrays_of(cls, tensors, header, within)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        about = field.metadata
        name = about.get("name") or field.name
        if "axes" in about or not about.get("saved", True):
            continue
        if "parts" in about:
            (kind,) = typing.get_args(hints[field.name])
            told = checked(list[dict[str, Any]], header[name], name)
            values[field.name] = [_unpacked(kind, tensors, one, f"{name}.{i}.") for i, one in enumerate(told)]
        elif "rest" not in about and (name in header or not _may_lack(field)):
            values[field.name] = checked(about.get("kind") or hints[field.name], header[name], f"{within}{name}")
    rest = [field.name for field in dataclasses.fields(cls) if "rest" in field.metadata]
    for name in rest:
        values[name] = dict(tensors)
        tensors.clear()
    return cls(**values)


def _arrays_of(cls: type, tensors: Arrays, header: Mapping[str, Any], within: str) -> dict[str, Any]:
    """Its arrays by the names of their fields, all of them checked together."""
    found: dict[str, Any] = {}
    shapes: dict[str, str] = {}
    for field in dataclasses.fields(cls):
        name = field.metadata.get("name") or field.name
        there = header if field.metadata.get("axes", "")[:1] == "s" else tensors
        key = name if there is header else within + name
        if "axes" not in field.metadata or (key not in there and _may_lack(field)):
            continue
        kind, *names = field.metadata["axes"].split()
        if kind == "s":
            found[field.name] = np.array(checked(list[str], header[name], name), dtype=np.str_)
        elif key in tensors:
            found[field.name] = tensors.pop(key)
        shapes[field.name] = " ".join(["f", *names, "2"] if kind == "c" else [kind, *names])
    check_arrays(found, shapes)
    return {key: _restored(value, cls, key) for key, value in found.items()}


def _restored(values: NDArray[Any], cls: type, key: str) -> NDArray[Any]:
    is_complex = _arrays(cls)[key][0] == "c"
    return np.ascontiguousarray(values).view(np.complex128)[..., 0] if is_complex else values


def _may_lack(field: dataclasses.Field[Any]) -> bool:
    """Whether files may be without it."""
    has_none = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return not (has_none or field.metadata.get("needed"))

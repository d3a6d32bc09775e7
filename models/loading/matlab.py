"""What MATLAB saves: v5 files by scipy and v7.3 files (HDF5), with structs, cells, sparse matrices and text.

A field of a struct is addressed by dots, ``params.W``; an entry of a cell or of a struct array by its number from 1,
``layers.2.W``, as MATLAB counts. Functions and objects of MATLAB's classes (networks, tables, strings) are kept in a
form that only MATLAB reads: of those it is said what to save instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.models.loading.sizes import Room
from dynsys.models.loading.values import Odd, Read

OBJECT = "an object of MATLAB's class"
DEEPEST = 16  # levels of nesting; a file with more is a mistake or a trap
INSTEAD = {  # of the classes that people save
    "table": "save table2array(...) of it",
    "string": "save char(...) of it",
    "categorical": "save double(...) of it",
    "dlarray": "save extractdata(...) of it",
    "gpuArray": "save gather(...) of it",
}
OF_NETWORK = "save its matrices: L = net.Layers(2); W = L.InputWeights; R = L.RecurrentWeights; b = L.Bias; " + (
    "lstm.InputWeights = W; lstm.RecurrentWeights = R; lstm.Bias = b; save('weights.mat', 'lstm', '-v7')"
)


def read_mat(path: Path) -> Read:
    """The values of a v5 file by dotted names. Raises whatever scipy raises for a file that is cut."""
    from scipy.io import loadmat

    room = Room(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # objects without a name take each other's place
        for name, shape, _ in _announced(path):
            room.take(name, shape, 8)
        content = loadmat(path)
    values = {
        name: value
        for key in content
        if not key.startswith("__")
        for name, value in _from_struct(key, content[key], DEEPEST, room)
    }
    return Read(values)


def _announced(path: Path) -> list[tuple[str, tuple[int, ...], str]]:
    """The names, shapes and classes in the headers; none where scipy cannot tell the shape of an object."""
    from scipy.io import whosmat

    try:
        return whosmat(path)
    except TypeError:
        return []


def _from_struct(name: str, value: Any, depth: int, room: Room) -> Iterator[tuple[str, Any]]:
    from scipy.io.matlab import MatlabFunction, MatlabObject, MatlabOpaque

    if hasattr(value, "toarray"):
        room.take(name, value.shape, 8)
        yield name, value.toarray()
        return
    if isinstance(value, MatlabFunction):
        yield name, Odd("a function of MATLAB")
        return
    if isinstance(value, MatlabOpaque):
        own, _, kind = (_text(value[0][field]) for field in ("s0", "s1", "s2"))
        yield (own if name == "None" and own else name), _object(kind)
        return
    value = np.asarray(value)
    if isinstance(value, MatlabObject):
        yield name, _object(str(value.classname))
    elif value.dtype.kind == "U" and value.size == 1:
        yield name, str(value.item())
    elif depth > 0 and (value.dtype.names or value.dtype.kind == "O"):
        fields = value.dtype.names
        for i, entry in enumerate(value.T.ravel(), start=1):
            inside = name if value.size == 1 else f"{name}.{i}"
            if fields:
                for field in fields:
                    yield from _from_struct(f"{inside}.{field}", entry[field], depth - 1, room)
            else:
                yield from _from_struct(inside, entry, depth - 1, room)
    else:
        yield name, value


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _object(kind: str) -> Odd:
    """An object of MATLAB's class ``kind``, and what to save in its place."""
    network = kind.lower().endswith(("network", "layer", "layergraph", "net"))
    instead = OF_NETWORK if network else INSTEAD.get(kind, "save struct(...) of it, or its matrices")
    return Odd(f"{OBJECT} {kind}, which only MATLAB can read (in MATLAB {instead})")


def matlab_member(walk: Any, name: str, found: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """A group or dataset that MATLAB wrote into a v7.3 file, whose ``Members`` are walked through."""
    import h5py

    kind = _text(found.attrs.get("MATLAB_class", b""))
    if "MATLAB_sparse" in found.attrs:
        yield name, _sparse(walk, name, found)
    elif kind == "function_handle":
        yield name, Odd("a function of MATLAB")
    elif found.attrs.get("MATLAB_object_decode", 0) == 3:
        yield name, _object(kind)
    elif isinstance(found, h5py.Group):
        yield from walk.of(name, found, depth)
    elif isinstance(found, h5py.Dataset) and h5py.check_ref_dtype(found.dtype):
        yield from _referred(walk, name, found, kind, depth)
    elif isinstance(found, h5py.Dataset):
        yield name, _value(walk, name, found, kind)


def _referred(walk: Any, name: str, dataset: Any, kind: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The entries of a cell, or one field of the entries of a struct array, in the order of MATLAB's columns."""
    if "MATLAB_empty" in dataset.attrs or depth <= 0:
        return
    head, dot, field = name.rpartition(".")
    for i, reference in enumerate(walk.read(name, dataset).ravel(), start=1):
        of_many = f"{name}.{i}" if kind == "cell" else f"{head}{dot}{i}.{field}"
        inside = name if dataset.size == 1 else of_many
        if reference:
            yield from walk.member(inside, dataset.file[reference], depth - 1)


def _value(walk: Any, name: str, dataset: Any, kind: str) -> Any:
    """MATLAB stores columns first, so HDF5 shows its matrices turned; its text is numbers."""
    if "MATLAB_empty" in dataset.attrs:
        return "" if kind == "char" else np.zeros((0, 0))
    value = np.asarray(walk.read(name, dataset))
    if kind == "char":
        return "\n".join("".join(chr(code) for code in row) for row in np.atleast_2d(value.T))
    if value.dtype.names:
        return Odd("of complex numbers")
    return np.ascontiguousarray(value.T)


def _sparse(walk: Any, name: str, group: Any) -> Any:
    from scipy.sparse import csc_matrix

    columns, data, rows = (
        np.asarray(walk.read(name, group[key])) if key in group else np.zeros(0) for key in ("jc", "data", "ir")
    )
    shape = (int(group.attrs["MATLAB_sparse"]), len(columns) - 1)
    walk.room.take(name, shape, 8)
    return csc_matrix((data, rows.astype(np.int64), columns.astype(np.int64)), shape=shape).toarray()

"""What MATLAB saves, with structs, cells, sparse matrices and text; and its v7.3 files, which are HDF5.

A field of a struct is addressed by dots, ``params.W``; an entry of a cell or of a struct array by its number from 1,
``layers.2.W``, as MATLAB counts. Functions and objects of MATLAB's classes (networks, tables, strings) are kept in a
form that only MATLAB reads: of those it is said what to save instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dynsys.models.loading.values import Odd

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


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def matlab_object(kind: str) -> Odd:
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
        yield name, matlab_object(kind)
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
    starts, numbers, rows = (
        np.asarray(walk.read(name, group[key])) if key in group else np.zeros(0) for key in ("jc", "data", "ir")
    )
    shape = (int(group.attrs["MATLAB_sparse"]), len(starts) - 1)
    walk.room.take(name, shape, 8)
    return dense(shape, rows, starts, numbers)


def dense(shape: tuple[int, ...], rows: Any, starts: Any, numbers: Any) -> Any:
    """A sparse matrix kept by columns, of which k has the numbers from starts[k] to starts[k + 1], as an array."""
    height, width = shape
    if len(starts) != width + 1 or starts[-1:] > min(len(rows), len(numbers)):
        raise ValueError(f"a sparse matrix of shape {shape} with {len(rows)} rows and {len(numbers)} numbers")
    counts = np.diff(starts.astype(np.int64))
    used = int(counts.sum())
    places = rows[:used].astype(np.int64)
    if starts[:1] != 0 or (counts < 0).any() or (places < 0).any() or (places >= height).any():
        raise ValueError(f"a sparse matrix of shape {shape} with entries outside of it")
    matrix = np.zeros(shape)
    matrix[places, np.repeat(np.arange(width), counts)] = numbers[:used]
    return matrix

"""What MATLAB saves: v5 files by scipy, v7.3 files (HDF5) by h5py, with structs, cells and sparse matrices.

A field of a struct is addressed by dots, ``params.W``; an entry of a cell or of a struct array by its number from 1,
``layers.2.W``, as MATLAB counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.errors import CheckpointError
from dynsys.models.loading.values import Read

DEEPEST = 16  # levels of nesting; a file with more is a mistake or a trap


def read_mat(path: Path) -> Read:
    """The values of a v5 file by dotted names. Raises whatever scipy raises for a file that is cut."""
    from scipy.io import loadmat

    content = loadmat(path)
    values = {
        name: value
        for key in content
        if not key.startswith("__")
        for name, value in _from_struct(key, content[key], DEEPEST)
    }
    return Read(values)


def _from_struct(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if hasattr(value, "toarray"):
        yield name, value.toarray()
        return
    value = np.asarray(value)
    fields = value.dtype.names
    if depth > 0 and (fields or value.dtype.kind == "O"):
        for i, entry in enumerate(value.T.ravel(), start=1):
            inside = name if value.size == 1 else f"{name}.{i}"
            if fields:
                for field in fields:
                    yield from _from_struct(f"{inside}.{field}", entry[field], depth - 1)
            else:
                yield from _from_struct(inside, entry, depth - 1)
    else:
        yield name, value


def read_mat73(path: Path) -> Read:
    """The values of a v7.3 file by dotted names. Raises CheckpointError without h5py, its errors for a cut file."""
    try:
        import h5py
    except ImportError as error:
        remedy = "pip install 'dynsys-rnn[matlab73]', or save with -v7 in MATLAB"
        raise CheckpointError(path, "it is a MATLAB v7.3 file, which needs h5py", remedy) from error
    with h5py.File(path, "r") as file:
        return Read(dict(_from_group("", file, h5py, DEEPEST)))


def _from_group(name: str, group: Any, h5py: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if "MATLAB_sparse" in group.attrs:
        yield name, _sparse(group)
        return
    for key, value in group.items():
        inside = f"{name}.{key}" if name else key
        if isinstance(value, h5py.Dataset):
            yield inside, _from_hdf5(value)
        elif depth > 0 and not key.startswith("#"):  # '#refs#' holds what cells point at
            yield from _from_group(inside, value, h5py, depth - 1)


def _from_hdf5(dataset: Any) -> Any:
    """MATLAB stores columns first, so HDF5 shows its matrices transposed; its text is numbers."""
    value = np.asarray(dataset[()])
    if dataset.attrs.get("MATLAB_class") == b"char":
        return "".join(chr(code) for code in value.T.ravel())
    return np.ascontiguousarray(value.T)


def _sparse(group: Any) -> Any:
    from scipy.sparse import csc_matrix

    columns = np.asarray(group["jc"][()], dtype=np.int64)
    data = group["data"][()] if "data" in group else np.zeros(0)
    rows = group["ir"][()] if "ir" in group else np.zeros(0, dtype=np.int64)
    shape = (int(group.attrs["MATLAB_sparse"]), len(columns) - 1)
    return csc_matrix((data, rows, columns), shape=shape).toarray()

"""Sparse matrices of torch and of SciPy, made dense: values at places, or in rows or columns that are compressed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.models.loading.pickles.arrays import checked_sizes
from dynsys.models.loading.pickles.stand_ins import Made, name_of
from dynsys.models.loading.values import Allowance, Lazy, Odd

SCIPY = re.compile(r"scipy\.sparse\.(?:_?\w+\.)?(\w{3})_(?:matrix|array)$")  # scipy.sparse._csr.csr_matrix
PARTS = {"csr": ("indptr", "indices", "data"), "csc": ("indptr", "indices", "data"), "coo": ("row", "col", "data")}


@dataclass(eq=False)
class Sparse(Lazy):
    """A matrix that is zero except at some places: ``parts`` are the places, in its layout, and then the values."""

    layout: str
    parts: tuple[Any, ...]
    size: Any

    def array(self, allowance: Allowance) -> Any:
        size = checked_sizes(self.size)
        allowance.take(16 * math.prod(size))
        parts = [part.array(allowance) if isinstance(part, Lazy) else part for part in self.parts]
        if odd := next((part for part in parts if isinstance(part, Odd)), None):
            return odd
        if not all(isinstance(part, np.ndarray) for part in parts):
            return Odd("sparse in a way that is not known; save it dense")
        *places, values = parts
        indices = self._indices(places, len(size))
        if indices is None:
            return Odd(f"sparse in the layout {self.layout}; save it dense")
        if indices.ndim != 2 or len(indices) > len(size) or (indices.size and _outside(indices, size)):
            raise ValueError("a sparse matrix has places outside of its size")
        dense = np.zeros(size, dtype=values.dtype)
        np.add.at(dense, tuple(indices), values)  # a place that comes twice has the sum
        return dense

    def _indices(self, places: list[NDArray[Any]], axes: int) -> NDArray[Any] | None:
        """The places (axes, n) of all values; None for layouts that are not known."""
        if self.layout == "coo":
            return places[0] if len(places) == 1 else np.stack(places)
        if self.layout not in ("csr", "csc") or axes != 2:
            return None
        compressed, plain = places
        counts = np.diff(compressed)
        if compressed.ndim != 1 or (counts < 0).any() or counts.sum() != plain.size:
            raise ValueError("the rows of a sparse matrix do not hold as many values as it has")
        lines = np.repeat(np.arange(len(counts)), counts)
        return np.stack([lines, plain] if self.layout == "csr" else [plain, lines])


def _outside(indices: NDArray[Any], size: tuple[int, ...]) -> bool:
    return bool(indices.min() < 0 or (indices.max(axis=1) >= size[: len(indices)]).any())


def sparse_tensor(allowance: Allowance, layout: Any, data: Any, *rest: Any) -> Any:
    """torch's ``_rebuild_sparse_tensor``."""
    name = name_of(layout).removeprefix("torch.").removeprefix("sparse_")
    count = 2 if name == "coo" else 3
    if not isinstance(data, tuple) or len(data) <= count:
        return Odd("sparse in a way that is not known; save it dense")
    return Sparse(name, data[:count], data[count])


def sparse_matrix(made: Made) -> Lazy | Odd | None:
    """A matrix of SciPy out of its object; None for objects of other kinds."""
    match = SCIPY.match(made.path)
    if match is None:
        return None
    state = made.attributes()
    coordinates = state.get("coords")
    if isinstance(coordinates, tuple):  # coo from SciPy 1.13 on
        return Sparse("coo", (*coordinates, state.get("data")), state.get("_shape"))
    return _of_parts(match[1], state, state.get("_shape"))


def sparse_of_npz(entries: Mapping[str, Any]) -> Lazy | Odd | None:
    """A matrix that ``scipy.sparse.save_npz`` wrote; None for other entries."""
    layout, shape = (entries.get(name) for name in ("format", "shape"))
    if not isinstance(layout, np.ndarray) or layout.dtype.kind not in "SU" or not isinstance(shape, np.ndarray):
        return None
    name = layout.item().decode() if layout.dtype.kind == "S" else str(layout)
    return _of_parts(name, entries, shape.tolist())


def _of_parts(layout: str, state: Mapping[Any, Any], shape: Any) -> Lazy | Odd:
    names = PARTS.get(layout)
    if names is None or not all(name in state for name in names):
        return Odd(f"sparse in the layout {layout}; save it dense")
    return Sparse(layout, tuple(state[name] for name in names), shape)

"""NumPy's arrays as pickles have them: a dtype and a buffer, joined and checked without NumPy's own rebuilding."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from dynsys.models.loading.pickles.stand_ins import Filled, Named
from dynsys.models.loading.values import OBJECTS, Allowance, Lazy, Odd

PLAIN = re.compile(r"[biufcSUVmM]\d{1,9}$")  # a kind and bytes; for text, letters


class DType(Filled):
    """A dtype by its name, such as f8, and the byte order that its state tells."""

    def __init__(self, code: Any) -> None:
        self.brain = isinstance(code, Named) and code.path == "ml_dtypes.bfloat16"  # the upper half of a float32
        self.code = code if isinstance(code, str) else "u2" if self.brain else ""
        self.order, self.fields = "=", False

    def set_state(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 4:
            self.order = state[1] if state[1] in ("<", ">", "|", "=") else "="
            self.fields = state[3] is not None

    @property
    def of_objects(self) -> bool:
        return self.code[:1] == "O"

    def numpy(self) -> np.dtype[Any]:
        code = self.code.lstrip("<>=|")
        if not PLAIN.match(code):
            raise ValueError(f"it has an array of a type {self.code[:20]!r}")
        order = self.code[:1] if self.code[:1] in ("<", ">") else self.order
        return np.dtype(order + code)


class NumpyArray(Lazy, Filled):
    """An array that is named first and filled by its state: shape, dtype, order and bytes, or a list of objects."""

    def __init__(self, shape: Any = None, dtype: Any = None, fortran: bool = False, data: Any = None) -> None:
        self.shape, self.dtype, self.fortran, self.data = shape, dtype, fortran, data

    def set_state(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) in (4, 5):
            self.shape, self.dtype, self.fortran, self.data = state[-4:]

    @property
    def objects(self) -> list[Any] | None:
        """What an array of objects holds; None for numbers."""
        held = isinstance(self.dtype, DType) and self.dtype.of_objects and isinstance(self.data, list)
        return self.data if held else None

    def array(self, allowance: Allowance) -> Any:
        if not isinstance(self.dtype, DType):
            return Odd("of a kind of array that is not NumPy's own")
        if self.dtype.of_objects:
            return Odd(OBJECTS)
        if self.dtype.fields:
            return Odd("of named fields, not of real numbers")
        dtype, shape, data = self.dtype.numpy(), checked_sizes(self.shape), self.data
        if isinstance(data, str):  # Python 2's bytes
            data = data.encode("latin-1")
        if not isinstance(data, bytes) or math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"an array of shape {shape} has other bytes than that")
        array = np.frombuffer(data, dtype).reshape(shape, order="F" if self.fortran else "C")
        if self.dtype.brain:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def checked_sizes(sizes: Any) -> tuple[int, ...]:
    """Sizes, strides or places that a file gives: integers from 0 on, of as many axes as there can be."""
    if not isinstance(sizes, tuple | list) or len(sizes) > 32:
        raise ValueError("it has an array without a shape")
    if not all(isinstance(size, int) and 0 <= size < 2**48 for size in sizes):
        raise ValueError("it has an array of an impossible shape")
    return tuple(sizes)


def empty_array(allowance: Allowance, kind: Any = None, shape: Any = None, code: Any = None) -> Any:
    """``_reconstruct``: the array that a state is going to fill."""
    return NumpyArray()


def from_buffer(allowance: Allowance, data: Any, dtype: Any, shape: Any, order: Any = "C", *rest: Any) -> Any:
    """``_frombuffer``, of protocol 5; an order of axes, for those neither C nor Fortran, is not known."""
    return NumpyArray(shape, dtype, order == "F", data) if order in ("C", "F") else Odd("of axes in an unusual order")


def scalar(allowance: Allowance, dtype: Any, data: Any = b"") -> Any:
    """A number that NumPy keeps with its type; an object that it keeps so is the object."""
    if isinstance(dtype, DType) and dtype.of_objects:
        return data
    value = NumpyArray((), dtype, False, data).array(allowance)
    return value.item() if isinstance(value, np.ndarray) and value.dtype.kind in "biufcU" else value


def jax_array(allowance: Allowance, make: Any, arguments: Any, state: Any, *rest: Any) -> Any:
    """JAX's arrays keep the state of NumPy's."""
    array = NumpyArray()
    array.set_state(state)
    return array


CORES = ("numpy.core", "numpy._core")  # before and from NumPy 2 on
NUMPY: dict[str, Callable[..., Any]] = {
    "numpy.dtype": lambda allowance, code, *rest: DType(code),
    "numpy.ma.core._mareconstruct": lambda allowance, *rest: Odd("masked, of which every value may be none"),
    **{f"{core}.multiarray._reconstruct": empty_array for core in CORES},
    **{f"{core}.multiarray.scalar": scalar for core in CORES},
    **{f"{core}.numeric._frombuffer": from_buffer for core in CORES},
    "jax._src.array._reconstruct_array": jax_array,
    "jax._src.device_array.reconstruct_device_array": jax_array,
}

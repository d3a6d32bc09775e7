"""torch's tensors as its files have them: views of a storage, checked against its bytes before they are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dynsys.models.loading.pickles.arrays import NumpyArray, checked_sizes
from dynsys.models.loading.pickles.sparse import sparse_tensor
from dynsys.models.loading.pickles.stand_ins import Named, name_of
from dynsys.models.loading.values import Allowance, Lazy, Odd

NUMPY_CODES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",  # the upper half of a float32
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "?",
    "complex64": "c8",
    "complex128": "c16",
}
STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "Untyped": "uint8",
    "QInt8": "qint8",
    "QUInt8": "quint8",
    "QInt32": "qint32",
}
QUANTISED = "quantised, in codes; save the weights as they were before"
OTHER_SIZES = {"qint8": 1, "quint8": 1, "qint32": 4}  # in bytes, of types that are not read


def storage_type(kind: Any) -> str:
    """The dtype of a storage's class, ``torch.FloatStorage`` or that of a device; empty where it is not known."""
    name = kind.path.rpartition(".")[2] if isinstance(kind, Named) else ""
    return STORAGES.get(name.removesuffix("Storage"), "") if name.endswith("Storage") else ""


def item_size(dtype: str) -> int:
    if dtype in OTHER_SIZES:
        return OTHER_SIZES[dtype]
    if dtype not in NUMPY_CODES:
        raise ValueError(f"it has a storage of a type {dtype[:40]!r}")
    return np.dtype(NUMPY_CODES[dtype]).itemsize


@dataclass(eq=False)
class Storage(Lazy):
    """So many numbers of a type; ``read`` gives all their bytes."""

    dtype: str
    count: int
    read: Callable[[], Any]
    order: Literal["<", ">"] = "<"

    @cached_property
    def bytes(self) -> Any:
        """As many as it says that it has; raises ValueError where the file has fewer."""
        need, held = self.count * item_size(self.dtype), self.read()
        if len(held) < need:
            raise ValueError(f"a storage of {need} bytes has only {len(held)}")
        return held[:need]

    def array(self, allowance: Allowance) -> Any:
        return Tensor(self, 0, (self.count,), (1,)).array(allowance)

    def view(self, offset: int, count: int) -> Storage:
        """A part of it, as files before torch 0.4 have storages in storages."""
        size = item_size(self.dtype)
        if offset + count > self.count:
            raise ValueError("a storage in it lies outside of the one it belongs to")
        return Storage(self.dtype, count, lambda: self.bytes[offset * size : (offset + count) * size], self.order)


@dataclass(eq=False)
class Tensor(Lazy):
    """A strided view of a storage. ``dtype`` is its own where the storage is mere bytes."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str = ""

    def array(self, allowance: Allowance) -> Any:
        dtype = self.dtype or self.storage.dtype
        if dtype not in NUMPY_CODES:
            return Odd(QUANTISED if dtype.startswith("q") else f"of type {dtype[:40]}; save it as float32")
        if dtype.startswith("complex"):
            return Odd(f"of type {dtype}, not of real numbers")
        count = math.prod(self.size)
        allowance.take(8 * count)
        plain = np.dtype(NUMPY_CODES[dtype]).newbyteorder(self.storage.order)
        numbers = np.frombuffer(self.storage.bytes, plain)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.size, self.stride, strict=True))
        if count and last >= len(numbers):
            raise ValueError(f"a tensor of size {self.size} lies outside of its storage of {len(numbers)} numbers")
        if count == 0:
            return np.zeros(self.size)
        strides = [step * plain.itemsize for step in self.stride]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.size, strides, writeable=False)
        return _as_numbers(view, dtype)


def _as_numbers(view: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Of its own memory: floats in double precision, other numbers in their own type."""
    if dtype == "bfloat16":
        return (view.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return np.array(view, dtype=np.float64 if dtype.startswith("float") else view.dtype.newbyteorder("="), order="C")


def tensor(allowance: Allowance, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
    """``_rebuild_tensor`` and its later versions: what comes after the strides changes no numbers but those below."""
    if not isinstance(storage, Storage):
        return storage if isinstance(storage, Odd) else Odd("of a storage that is not in the file")
    (start,), sizes, strides = checked_sizes((offset,)), checked_sizes(size), checked_sizes(stride)
    if len(sizes) != len(strides):
        raise ValueError("a tensor has other strides than axes")
    if any(isinstance(more, dict) and more.get("neg") for more in rest):
        return Odd("kept with its sign turned; save tensor.resolve_neg()")
    return Tensor(storage, start, sizes, strides)


def typed_tensor(
    allowance: Allowance,
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    grad: Any,
    hooks: Any,
    dtype: Any,
    *rest: Any,
) -> Any:
    """``_rebuild_tensor_v3``: of types that have no storage of their own, over one of bytes."""
    made = tensor(allowance, storage, offset, size, stride, *rest)
    if isinstance(made, Tensor):
        made.dtype = name_of(dtype).removeprefix("torch.")
    return made


def from_numpy(allowance: Allowance, data: Any, *rest: Any) -> Any:
    return data if isinstance(data, NumpyArray | Lazy | Odd) else Odd("of a device that is not known")


def odd(why: str) -> Callable[..., Any]:
    return lambda allowance, *rest: Odd(why)


def first(allowance: Allowance, data: Any, *rest: Any) -> Any:
    """A parameter is its tensor."""
    return data


TORCH: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": tensor,
    "torch._utils._rebuild_tensor_v2": tensor,
    "torch._utils._rebuild_tensor_v3": typed_tensor,
    "torch._utils._rebuild_parameter": first,
    "torch._utils._rebuild_parameter_with_state": first,
    "torch._utils._rebuild_sparse_tensor": sparse_tensor,
    "torch._utils._rebuild_sparse_csr_tensor": sparse_tensor,
    "torch._utils._rebuild_qtensor": odd(QUANTISED),
    "torch._utils._rebuild_meta_tensor_no_storage": odd("on the meta device, without numbers"),
    "torch._utils._rebuild_wrapper_subclass": odd("a wrapper without numbers of its own"),
    "torch._utils._rebuild_nested_tensor": odd("nested, of several lengths"),
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": first,
    "torch._utils._rebuild_device_tensor_from_numpy": from_numpy,
    "torch._utils._rebuild_xla_tensor": from_numpy,
    "torch.nn.parameter.Parameter": first,
    "torch.nn.parameter.Buffer": first,
    "torch.autograd.variable.Variable": first,
    "torch.serialization._get_layout": lambda allowance, name, *rest: name_of(name),
    "torch.Size": lambda allowance, sizes=(), *rest: sizes,
}

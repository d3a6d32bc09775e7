"""ONNX: the arrays of a model's graph by their names, and its operators, read by the ``onnx`` package; nothing is run.

Operators are told as settings: ``node.3.op_type``, ``node.3.input.1``, ``node.3.attribute.hidden_size``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.values import MOST, Odd, Read

FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42"  # what can stand behind the version at the beginning of a model


def is_onnx(path: Path, head: bytes) -> bool:
    return len(head) > 3 and head[0] == 8 and 0 < head[1] < 32 and head[2] in FIELDS


def read_onnx(path: Path) -> Read:
    """The initializers, constants and operators of the graph. Raises CheckpointError where a weight lies elsewhere."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        remedy = "pip install 'dynsys-rnn[onnx]', or save the weights of the model that was exported"
        raise CheckpointError(path, "it is an ONNX file, which needs onnx", remedy) from error
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError as error:
        raise CheckpointError(path, f"it is cut or damaged ({error})", "copy or make it again") from error
    graph = model.graph
    if len(graph.initializer) + len(graph.node) > MOST:
        raise CheckpointError(path, f"its graph has more than {MOST:,} entries", "save the recurrent part alone")
    values: dict[str, Any] = {tensor.name: _array(path, tensor) for tensor in graph.initializer}
    for i, node in enumerate(graph.node):
        values |= _node(path, f"node.{i}", node, onnx)
    values |= {f"input.{i}": entry.name for i, entry in enumerate(graph.input)}
    values |= {f"output.{i}": entry.name for i, entry in enumerate(graph.output)}
    return Read(values)


def _node(path: Path, name: str, node: Any, onnx: Any) -> Iterator[tuple[str, Any]]:
    """What an operator is and does; a constant's value goes by the name of what it gives."""
    yield f"{name}.op_type", node.op_type
    yield f"{name}.domain", node.domain
    yield f"{name}.name", node.name
    for role, names in (("input", node.input), ("output", node.output)):
        yield from ((f"{name}.{role}.{i}", entry) for i, entry in enumerate(names))
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        key = f"{name}.attribute.{attribute.name}"
        if isinstance(value, onnx.TensorProto):
            yield (node.output[0] if node.op_type == "Constant" else key), _array(path, value)
        elif isinstance(value, list | tuple):
            yield from ((f"{key}.{i}", _single(entry)) for i, entry in enumerate(value))
        else:
            yield key, _single(value)


def _single(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str | int | float) else f"a {type(value).__name__}"


def _array(path: Path, tensor: Any) -> Any:
    """The array of a tensor, in the file or, as large ones are, in another file of its folder."""
    from onnx import TensorProto, helper, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:
        tensor.raw_data = _beside(path, tensor, helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
        tensor.data_location = TensorProto.DEFAULT
    if tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return Odd("of texts, or of no known type")
    value = np.asarray(numpy_helper.to_array(tensor))
    return value if value.dtype.kind in "fiubc" else value.astype(np.float64)  # bfloat16 and shorter


def _beside(path: Path, tensor: Any, itemsize: int) -> bytes:
    """The bytes of a tensor in another file, which has to lie inside the folder of the model, links followed."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    folder = path.resolve().parent
    file = (folder / where.get("location", "")).resolve()
    if not file.is_relative_to(folder):
        wrong = f"its {tensor.name} lies outside its folder, in {where.get('location')}"
        raise CheckpointError(path, wrong, "keep the model and its weights in one folder")
    if not file.is_file():
        wrong = f"its {tensor.name} lies in {file.name}, which is not there"
        raise CheckpointError(path, wrong, "copy that file beside it, or save the model in one file")
    offset, need = int(where.get("offset", 0)), math.prod(tensor.dims) * itemsize
    if offset < 0 or need < 0 or offset + need > file.stat().st_size:
        wrong = f"its {tensor.name} needs {need:,} bytes of {file.name}, which is shorter"
        raise CheckpointError(path, wrong, "copy or make it again")
    with open(file, "rb") as content:
        content.seek(offset)
        return content.read(need)

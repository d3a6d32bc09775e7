"""The recurrent operators of an ONNX graph: which of them hand h on to each other, and the products that read h."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.conventions.network import Array, Cell, Network, Readout
from dynsys.models.conventions.onnx.cells import cells_of
from dynsys.models.conventions.onnx.graph import KINDS, Graph, Node, direction_of
from dynsys.models.loading.choices import Choices
from dynsys.models.loading.contents import Contents

PASSIVE = {"Identity", "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Dropout", "Cast", "Gather", "Slice", "Flatten"}
UNROLLED = (
    "a recurrence that was written out in steps at export is lost: save the weights themselves, "
    "torch.save(model.state_dict(), path), or name its matrices with --form and --matrix"
)
KEEPS_STEPS = PASSIVE - {"Gather", "Slice", "Flatten"}


def onnx_networks(path: Path, contents: Contents, choices: Choices) -> list[Network]:
    """The recurrent operators of a graph; those that hand h on to each other are one network."""
    if contents.format != "onnx":
        return []
    graph = Graph(path, contents)
    layers = {node.name: (node, cells_of(graph, choices, node)) for node in graph.nodes if node.kind in KINDS}
    if not layers:
        kinds = ", ".join(dict.fromkeys(node.kind for node in graph.nodes)) or "none"
        wrong = f"its graph has no RNN, GRU or LSTM operator; its operators are {kinds}"
        raise CheckpointError(path, wrong, UNROLLED)
    above: dict[str, str] = {}
    for name, (node, cells) in layers.items():
        below, value = graph.giver(node.takes[0], KEEPS_STEPS)
        if below is not None and below.name in layers and below.name not in above and value == below.gives[0]:
            same_way = direction_of(below) == direction_of(node) != "bidirectional"
            if same_way and cells[0].stacks_on(layers[below.name][1][0]):
                above[below.name] = name
    networks = []
    for name in layers:
        if name not in above.values():
            chain = [name]
            while chain[-1] in above:
                chain.append(above[chain[-1]])
            networks.append(_network(graph, [layers[link] for link in chain]))
    return networks


def _network(graph: Graph, layers: list[tuple[Node, list[Cell]]]) -> Network:
    first, top = layers[0][0], layers[-1][0]
    cells, lines = tuple(cells[0] for _, cells in layers), []
    source, _ = graph.giver(first.takes[0], PASSIVE)
    if source is not None:
        lines.append(f"its input is what the operator {source.name} ({source.kind}) gives")
    if direction_of(first) == "reverse":
        lines.append("its time runs from the end of a sequence to its beginning")
    if direction_of(first) == "bidirectional":
        return Network("onnx", cells, layers[0][1][1], None, (), tuple(lines))
    return Network("onnx", cells, None, _readout(graph, top, cells[-1].units), (), tuple(lines))


def _readout(graph: Graph, node: Node, width: int) -> Readout | None:
    """The products with constants that read h of every step or of the last, one after the other."""
    heads, seen = [], set()
    for value in node.gives[:2]:
        for taker in graph.takers(value, PASSIVE) if value else ():
            if taker.name not in seen and (head := _head(graph, taker, width)) is not None:
                seen.add(taker.name)
                heads.append(head)
    if not heads:
        return None
    W, b = np.concatenate([head[0] for head in heads]), np.concatenate([head[1] for head in heads])
    return Readout(W, b, tuple(key for head in heads for key in head[2]), tuple(head[3] for head in heads))


def _head(graph: Graph, node: Node, width: int) -> tuple[Array, Array, list[str], str] | None:
    """W, b, keys, and what is said, of a MatMul with the Add behind it, or of a Gemm; None for any other operator."""
    factor = graph.constant(node.takes[1]) if node.kind in ("MatMul", "Gemm") and len(node.takes) > 1 else None
    if factor is None or factor[1].ndim != 2:
        return None
    attributes = node.attributes
    if any(attributes.get(name, usual) != usual for name, usual in (("alpha", 1.0), ("beta", 1.0), ("transA", 0))):
        return None
    W = factor[1] if attributes.get("transB") else factor[1].T
    if W.shape[1] != width:
        return None
    b, keys, last = np.zeros(len(W)), [factor[0]], node
    bias = graph.constant(node.takes[2]) if node.kind == "Gemm" and len(node.takes) > 2 else None
    if node.kind == "MatMul":
        bias, last = _added(graph, node, len(W))
    if bias is not None and bias[1].size == len(W):
        b, keys = bias[1].ravel(), [*keys, bias[0]]
    after = [taker.kind for taker in graph.takers(last.gives[0], PASSIVE)]
    said = f"readout: {node.kind} {node.name} ({width} to {len(W)})"
    return W, b, keys, said + (f", before {', '.join(after)}" if after else "")


def _added(graph: Graph, node: Node, rows: int) -> tuple[tuple[str, Array] | None, Node]:
    """The constant that is added to a product, and the operator that gives the sum."""
    takers = list(graph.takers(node.gives[0], set()))
    if len(takers) == 1 and takers[0].kind == "Add":
        for name in takers[0].takes:
            found = graph.constant(name)
            if found is not None and found[1].size == rows:
                return found, takers[0]
    return None, node

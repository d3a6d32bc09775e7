"""ONNX graphs with RNN, GRU and LSTM nodes, whose rows stand in ONNX's own orders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from door.drawing import draw
from door.equations import FUNCTIONS, Cell, lstm, onnx_gru, onnx_lstm, onnx_peephole_lstm, stacked
from door.layout import LINE, OPEN, REFUSED, Array, Network, enter, layout

Rng = np.random.Generator
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def weights(rng: Rng, op: str, n: int, m: int, directions: int = 1) -> tuple[Array, Array, Array]:
    k = GATES[op]
    shapes = ((directions, k * n, m), (directions, k * n, n), (directions, 2 * k * n))
    W, R, B = (1.4 * draw(rng, *shape) for shape in shapes)
    return tuple(a.astype(np.float32).astype(float) for a in (W, R, B))  # type: ignore[return-value]


def write(path: Path, nodes: Sequence[tuple[str, Sequence[Array], dict[str, Any]]], m: int, head: Any = None) -> None:
    """A graph whose every node reads the sequence of the one before; ``head`` is a (W, b) of a last MatMul and Add."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    initial, made, name = [], [], "x"
    for k, (op, arrays, attributes) in enumerate(nodes):
        names = ["W", "R", "B", "", "", "", "P"] if len(arrays) == 4 else ["W", "R", "B"]
        if op == "LSTM" or len(arrays) == 3:
            given = iter(arrays)
            inputs = [f"onnx::{op}_{k}{tail}" if tail else "" for tail in names]
            initial += [numpy_helper.from_array(next(given).astype(np.float32), key) for key in inputs if key]
        made.append(helper.make_node(op, [name, *inputs], [f"y{k}"], name=f"/rnn/{op}_{k}", **attributes))
        name = f"y{k}"
        if attributes.get("direction") == "bidirectional":
            continue
        # (time, 1, batch, n) -> (time, batch, n), as torch's export squeezes it
        initial.append(numpy_helper.from_array(np.array([1]), f"axis{k}"))
        made.append(helper.make_node("Squeeze", [name, f"axis{k}"], [f"s{k}"]))
        name = f"s{k}"
    if head is not None:
        initial += [numpy_helper.from_array(head[0].T.astype(np.float32), "fc.weight")]
        initial += [numpy_helper.from_array(head[1].astype(np.float32), "fc.bias")]
        made.append(helper.make_node("MatMul", [name, "fc.weight"], ["product"]))
        made.append(helper.make_node("Add", ["product", "fc.bias"], ["output"]))
        name = "output"
    graph = helper.make_graph(
        made,
        "main_graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["time", "batch", m])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["time", "batch", "width"])],
        initial,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def rnn(W: Array, R: Array, B: Array, f: str) -> Cell:
    n = len(R)
    return lambda u, s: (FUNCTIONS[f](W @ u + R @ s[0] + B[:n] + B[n:]),)


def cell(op: str, arrays: Sequence[Array], f: str = "tanh", **attributes: Any) -> Cell:
    W, R, B = (a[0] for a in arrays[:3])
    if op == "RNN":
        return rnn(W, R, B, f)
    return onnx_gru(W, R, B, attributes.get("linear_before_reset", 0)) if op == "GRU" else onnx_lstm(W, R, B)


def layers(op: str, count: int = 1, f: str = "tanh", named: str = "", head: bool = True, **attributes: Any) -> Any:
    def make(folder: Path, rng: Rng, n: int, m: int) -> Network:
        widths = [m] + [n] * (count - 1)
        drawn = [weights(rng, op, n, width) for width in widths]
        W, b = (draw(rng, *shape).astype(np.float32).astype(float) for shape in ((2, n), (2,)))
        given = {"hidden_size": n, **attributes, **({"activations": [named]} if named else {})}
        write(folder / "model.onnx", [(op, arrays, given) for arrays in drawn], m, (W, b) if head else None)
        parts = 2 if op == "LSTM" else 1
        step = stacked([cell(op, arrays, f, **attributes) for arrays in drawn], [n] * count, parts)
        top = slice((count - 1) * n, count * n)
        readout = (lambda x: W @ x[top] + b) if head else None
        return Network(folder / "model.onnx", step, parts * n * count, m, readout=readout)

    return make


for name, write_one in {
    "onnx_rnn": layers("RNN"),
    "onnx_rnn_relu": layers("RNN", f="relu", named="Relu"),
    "onnx_rnn_sigmoid": layers("RNN", f="logistic", named="Sigmoid"),
    "onnx_gru_reset_after": layers("GRU", linear_before_reset=1),
    "onnx_gru_reset_before": layers("GRU"),
    "onnx_lstm": layers("LSTM"),
    "onnx_lstm_of_two_layers": layers("LSTM", count=2),
    "onnx_gru_of_two_layers": layers("GRU", count=2, linear_before_reset=1, head=False),
}.items():
    enter(name, "onnx", OPEN, write_one, "onnx")


@layout("onnx", LINE, "onnx")
def onnx_bidirectional(folder: Path, rng: Rng, n: int, m: int) -> Network:
    arrays = weights(rng, "GRU", n, m, directions=2)
    given = {"hidden_size": n, "direction": "bidirectional", "linear_before_reset": 1}
    write(folder / "model.onnx", [("GRU", arrays, given)], m)
    W, R, B = (a[1] for a in arrays)
    step = stacked([onnx_gru(W, R, B, 1)], [n], 1)
    return Network(folder / "model.onnx", step, n, m, known={"direction": "backward"}, way_out="--direction")


@layout("onnx", OPEN, "onnx")
def onnx_lstm_with_peepholes(folder: Path, rng: Rng, n: int, m: int) -> Network:
    W, R, B = weights(rng, "LSTM", n, m)
    P = draw(rng, 1, 3 * n).astype(np.float32).astype(float)
    write(folder / "model.onnx", [("LSTM", (W, R, B, P), {"hidden_size": n})], m)
    step = stacked([onnx_peephole_lstm(W[0], R[0], B[0], P[0])], [n], 2)
    return Network(folder / "model.onnx", step, 2 * n, m, way_out="peephole(.|\n)*(wrap|dynsys.Map|--form|--matrix)")


@layout("onnx", REFUSED, "onnx")
def onnx_lstm_with_a_clip(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """clip bounds the sums before the functions: another network than the same weights without it."""
    write(folder / "model.onnx", [("LSTM", weights(rng, "LSTM", n, m), {"hidden_size": n, "clip": 0.5})], m)
    return Network(folder / "model.onnx", way_out="clip(.|\n)*(wrap|dynsys.Map|--form|--matrix|export)")


@layout("onnx", REFUSED, "onnx")
def onnx_lstm_with_coupled_gates(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """input_forget=1: i = 1 - f, whatever the rows of i hold."""
    write(folder / "model.onnx", [("LSTM", weights(rng, "LSTM", n, m), {"hidden_size": n, "input_forget": 1})], m)
    return Network(folder / "model.onnx", way_out="input_forget|coupled")


@layout("onnx", REFUSED, "onnx")
def onnx_rnn_of_a_leaky_relu(folder: Path, rng: Rng, n: int, m: int) -> Network:
    given = {"hidden_size": n, "activations": ["LeakyRelu"], "activation_alpha": [0.1]}
    arrays = weights(rng, "RNN", n, m)
    W, R, B = (a[0] for a in arrays)
    write(folder / "model.onnx", [("RNN", arrays, given)], m)

    def step(x: Array, u: Array) -> Array:
        s = W @ u + R @ x + B[:n] + B[n:]
        return np.where(s > 0, s, 0.1 * s)

    return Network(folder / "model.onnx", step, n, m, way_out="LeakyRelu")


@layout("onnx", REFUSED, "onnx")
def onnx_lstm_of_hard_sigmoids(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """HardSigmoid with its alpha of 0.2 and beta of 0.5 by default."""
    arrays = weights(rng, "LSTM", n, m)
    write(
        folder / "model.onnx", [("LSTM", arrays, {"hidden_size": n, "activations": ["HardSigmoid", "Tanh", "Tanh"]})], m
    )
    W, R, B = (a[0] for a in arrays)

    def gates(u: Array, h: Array) -> Sequence[Array]:
        i, o, forget, c = np.split(W @ u + R @ h + B[: 4 * n] + B[4 * n :], 4)
        return i, forget, c, o

    step = stacked([lstm(gates, FUNCTIONS["hard-sigmoid-0.2"])], [n], 2)
    return Network(folder / "model.onnx", step, 2 * n, m, way_out="HardSigmoid")


@layout("onnx", REFUSED, "onnx")
def onnx_with_a_function_between_layers(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A Relu on the output of the first layer: no stack."""
    import onnx
    from onnx import helper

    made = [("GRU", weights(rng, "GRU", n, width), {"hidden_size": n, "linear_before_reset": 1}) for width in (m, n)]
    write(folder / "model.onnx", made, m)
    model = onnx.load(folder / "model.onnx")
    second = next(node for node in model.graph.node if node.input[0] == "s0")
    second.input[0] = "rectified"
    at = list(model.graph.node).index(second)
    model.graph.node.insert(at, helper.make_node("Relu", ["s0"], ["rectified"]))
    onnx.save(model, folder / "model.onnx")
    return Network(folder / "model.onnx", way_out="--part|wrap|dynsys.Map")


@layout("onnx", REFUSED, "onnx")
def onnx_without_a_recurrent_node(folder: Path, rng: Rng, n: int, m: int) -> Network:
    write(folder / "model.onnx", [], m, (draw(rng, 2, m), draw(rng, 2)))
    return Network(folder / "model.onnx", way_out="RNN|GRU|LSTM|recurrent")


@layout("onnx", OPEN, "onnx")
def onnx_lstm_weights_in_constants(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Constant nodes instead of initializers."""
    import onnx
    from onnx import helper

    arrays = weights(rng, "LSTM", n, m)
    write(folder / "model.onnx", [("LSTM", arrays, {"hidden_size": n})], m)
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    del model.graph.initializer[:]
    onnx.save(model, folder / "model.onnx")
    step = stacked([cell("LSTM", arrays)], [n], 2)
    return Network(folder / "model.onnx", step, 2 * n, m)


@layout("onnx", REFUSED, "onnx")
def onnx_weights_that_nodes_compute(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """W stands turned among the initializers, and a Transpose turns it back."""
    import onnx
    from onnx import helper, numpy_helper

    arrays = weights(rng, "GRU", n, m)
    write(folder / "model.onnx", [("GRU", arrays, {"hidden_size": n, "linear_before_reset": 1})], m)
    model = onnx.load(folder / "model.onnx")
    W = next(tensor for tensor in model.graph.initializer if tensor.name == "onnx::GRU_0R")
    W.CopyFrom(numpy_helper.from_array(arrays[1].transpose(0, 2, 1).astype(np.float32), "kept"))
    model.graph.node.insert(0, helper.make_node("Transpose", ["kept"], ["onnx::GRU_0R"], perm=[0, 2, 1]))
    onnx.save(model, folder / "model.onnx")
    step = stacked([cell("GRU", arrays, linear_before_reset=1)], [n], 1)
    return Network(folder / "model.onnx", step, n, m, way_out="wrap|state_dict|export|dynsys.Map")


@layout("onnx", REFUSED, "onnx")
def onnx_of_two_parallel_nodes(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Both GRUs see the input, which is as wide as they are."""
    import onnx

    given = {"hidden_size": n, "linear_before_reset": 1}
    write(folder / "model.onnx", [("GRU", weights(rng, "GRU", n, n), given) for _ in range(2)], n)
    model = onnx.load(folder / "model.onnx")
    next(node for node in model.graph.node if node.input[0] == "s0").input[0] = "x"
    onnx.save(model, folder / "model.onnx")
    return Network(folder / "model.onnx", way_out="--part|wrap|dynsys.Map")

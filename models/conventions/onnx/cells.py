"""The RNN, GRU and LSTM operators of ONNX as layers in torch's terms (opset 14).

Weights act from the left and stack the gates z, r, h of a GRU and i, o, f, c of an LSTM; B is the input's bias and then
the recurrent one. A GRU resets before the product unless linear_before_reset is set.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.conventions.network import Array, Cell, in_our_order, settings_of
from dynsys.models.conventions.onnx.graph import KINDS, Graph, Node, direction_of
from dynsys.models.conventions.tree import entries
from dynsys.models.loading.choices import Choices, shown
from dynsys.models.loading.named.gates import CONVENTIONS
from dynsys.models.networks.recurrent import CELLS

ORDER = {"rnn": "", "gru": CONVENTIONS["onnx"].gru, "lstm": CONVENTIONS["onnx"].lstm}
USUAL = {"rnn": ("Tanh",), "gru": ("Sigmoid", "Tanh"), "lstm": ("Sigmoid", "Tanh", "Tanh")}
ATTRIBUTES = {"hidden_size", "direction", "activations", "activation_alpha", "activation_beta", "layout"}
ATTRIBUTES |= {"linear_before_reset", "input_forget", "clip"}
NUMBERS = {"hardsigmoid": (0.2, 0.5), "elu": (1.0,), "leakyrelu": (0.01,), "thresholdedrelu": (1.0,)}
NUMBERS |= {"affine": (1.0, 0.0), "scaledtanh": (1.0, 1.0)}  # alpha and beta, which those take in turn
FOLD = "simplify the model first, so that its weights are constants (onnxsim, or constant folding at export)"


def cells_of(graph: Graph, choices: Choices, node: Node) -> list[Cell]:
    """The cell of each direction; CheckpointError names an attribute that dynsys has no model for."""
    model, path = KINDS[node.kind], graph.path
    _check_attributes(path, node)
    found = {role: _weight(graph, node, k) for role, k in (("W", 1), ("R", 2), ("B", 3), ("P", 7))}
    keys = tuple(entry[0] for entry in found.values() if entry is not None)
    held = {role: None if entry is None else entry[1] for role, entry in found.items()}
    W, R, B, P = (held[role] for role in "WRBP")
    k, both = CELLS[model].gates, 2 if direction_of(node) == "bidirectional" else 1
    if W is None or R is None:
        raise CheckpointError(path, f"its {node.kind} {node.name} has no W or no R", "export the model again")
    n = R.shape[-1]
    fits = [R.shape == (both, k * n, n), W.ndim == 3 and W.shape[:2] == (both, k * n)]
    fits += [B is None or B.shape == (both, 2 * k * n), P is None or P.shape == (both, 3 * n)]
    if not all(fits):
        shapes = ", ".join(shown(key, graph.contents.arrays) for key in keys)
        wrong = f"the weights of its {node.kind} {node.name} do not fit each other: {shapes}"
        raise CheckpointError(path, wrong, "export the model again")
    functions = _activations(path, node, model, both)
    return [
        _cell(
            graph,
            choices,
            node,
            keys,
            (W[d], R[d], None if B is None else B[d], None if P is None else P[d]),
            functions[d],
            d,
        )
        for d in range(both)
    ]


def _check_attributes(path: Path, node: Node) -> None:
    said = {name for name in node.attributes if name not in ATTRIBUTES}
    said |= {name for name in ("clip", "input_forget") if node.attributes.get(name)}
    if said:
        wrong = f"its {node.kind} {node.name} has {', '.join(sorted(said))}, for which dynsys has no model"
        raise CheckpointError(path, wrong, "export it without, or step the module itself with dynsys.wrap")


def _weight(graph: Graph, node: Node, k: int) -> tuple[str, Array] | None:
    """The constant that an operator takes in the place k; None where it takes nothing there."""
    if len(node.takes) <= k or not node.takes[k]:
        return None
    found = graph.constant(node.takes[k])
    if found is None:
        raise CheckpointError(graph.path, f"the weights {node.takes[k]} of its {node.kind} are computed", FOLD)
    return found


def _cell(
    graph: Graph,
    choices: Choices,
    node: Node,
    keys: tuple[str, ...],
    weights: tuple[Array, Array, Array | None, Array | None],
    functions: dict[str, str],
    direction: int,
) -> Cell:
    (W, R, B, P), model = weights, KINDS[node.kind]
    order = ORDER[model]
    settings, _ = settings_of(graph.path, choices, node.name, model, dict(functions))
    held = {"weight_ih": in_our_order(W, order, model), "weight_hh": in_our_order(R, order, model)}
    if B is not None:
        ih, hh = np.split(B, 2)
        held |= {"bias_ih": in_our_order(ih, order, model), "bias_hh": in_our_order(hh, order, model)}
    lines = [f"onnx: gates in the order {', '.join(order)}"] if order else []
    if P is not None and P.any():
        i, o, f = np.split(P, 3)
        held["peephole"] = np.stack([i, f, o])
        model = "lstm-peephole"
    if model == "gru":
        after = bool(node.attributes.get("linear_before_reset", 0))
        settings |= {} if after else {"reset": "before"}
        lines.append(
            f"onnx, linear_before_reset={int(after)}: the reset gate acts {'after' if after else 'before'} the product"
        )
    initial, used = _initial(graph, node, model, R.shape[1], direction)
    return Cell(node.name, model, held, settings, (*keys, *used), initial, tuple(lines))


def _activations(path: Path, node: Node, model: str, both: int) -> list[dict[str, str]]:
    """Our names of the functions of each direction; alpha and beta go to those that take them, in turn."""
    usual = USUAL[model]
    said = [str(name) for name in entries(node.attributes.get("activations"))] or [*usual] * both
    alpha, beta = (list(entries(node.attributes.get(f"activation_{which}"))) for which in ("alpha", "beta"))
    known = []
    for name in said:
        defaults = NUMBERS.get(name.lower(), ())
        numbers = tuple(given.pop(0) if given else usual for given, usual in zip((alpha, beta), defaults, strict=False))
        known.append(_function(path, node, name, numbers))
    if len(known) != len(usual) * both:
        raise CheckpointError(path, f"its {node.kind} {node.name} names {len(said)} activations", "export it again")
    found = []
    for d in range(both):
        own = known[d * len(usual) : (d + 1) * len(usual)]
        if len(set(own[1:])) > 1:
            wrong = f"its {node.kind} {node.name} has {own[1]} for its candidate and {own[2]} for its output"
            raise CheckpointError(path, wrong, "dynsys has a model where both are the same; otherwise use dynsys.wrap")
        found.append({"activation": own[-1]} | ({"gate": own[0]} if len(own) > 1 else {}))
    return found


def _function(path: Path, node: Node, name: str, numbers: tuple[float, ...]) -> str:
    """Our name of a function with its alpha and beta; CheckpointError where dynsys has none for it."""
    known = {
        ("tanh", ()): "tanh",
        ("sigmoid", ()): "logistic",
        ("relu", ()): "relu",
        ("softplus", ()): "softplus",
        ("elu", (1.0,)): "elu",
        ("hardsigmoid", (0.2, 0.5)): "hard-sigmoid-0.2",
        ("hardsigmoid", (0.166667, 0.5)): "hard-sigmoid",
    }
    rounded = tuple(float(f"{number:.6g}") for number in numbers)
    if (name.lower(), rounded) not in known:
        shape = f"{name}{rounded or ''}"
        wrong = f"its {node.kind} {node.name} has the activation {shape}, for which dynsys has no model"
        raise CheckpointError(path, wrong, "step the module itself with dynsys.wrap or dynsys.Map")
    return known[name.lower(), rounded]


def _initial(graph: Graph, node: Node, model: str, n: int, direction: int) -> tuple[tuple[Array, ...], list[str]]:
    """The first h (and c) where the graph has them as constants that are the same for every sequence."""
    states, used = [], []
    for k in (5, 6)[: 2 if model.startswith("lstm") else 1]:
        found = graph.constant(node.takes[k]) if len(node.takes) > k and node.takes[k] else None
        if found is None or found[1].ndim != 3 or found[1].shape[-1] != n:
            return (), []
        by_direction = found[1] if not node.attributes.get("layout", 0) else found[1].swapaxes(0, 1)
        own = by_direction[direction]
        if not (own == own[0]).all():
            return (), []
        states.append(own[0])
        used.append(found[0])
    return tuple(states), used

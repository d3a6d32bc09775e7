"""flax's recurrent cells, by the names of their parameters: a kernel for each gate, which acts from the right.

LSTMCell and OptimizedLSTMCell have ii, if, ig, io and hi, hf, hg, ho with biases on the latter; GRUCell ir, iz, in with
biases, hr, hz, and hn with one of its own, and resets after the product; SimpleCell i and h. Cells of flax.nnx stack
the same gates in that order in dense_i and dense_h. Neither activation nor a residual is among the parameters.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dynsys.io.errors import CheckpointError, ignoring
from dynsys.io.files import Arrays
from dynsys.models.conventions.by_size import Linear, networks_by_size
from dynsys.models.conventions.network import Array, Cell, Network, in_our_order, settings_of
from dynsys.models.loading.choices import Choices, listed
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.named.gates import CONVENTIONS

GATED = {"lstm": CONVENTIONS["flax"].lstm, "gru": CONVENTIONS["flax"].gru}
STACKED = {1: "rnn", 3: "gru", 4: "lstm"}  # columns of dense_h over its rows
OPTIMISER = "opt_state"  # its moments have the names of the parameters
LAYOUTS = (  # what acts on the input, and what acts on h
    *(([f"i{gate}" for gate in gates], [f"h{gate}" for gate in gates]) for gates in GATED.values()),
    (["dense_i"], ["dense_h"]),
    (["i"], ["h"]),
)
MINIMAL = {"if", "in", "hf", "hn"}
ANOTHER = "step the module itself with dynsys.Map"


def flax_networks(path: Path, contents: Contents, choices: Choices) -> list[Network]:
    """The cells among the arrays, ``params.GRUCell_0.hn.kernel``, in the order of their numbers."""
    own = {key: array for key, array in contents.arrays.items() if OPTIMISER not in key.split(".")}
    modules = _modules(own)
    cells = [
        cell
        for name in sorted(modules, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)])
        if (cell := _cell(path, contents, choices, name, modules[name])) is not None
    ]
    used = {key for cell in cells for key in cell.keys}
    return networks_by_size("flax", own, cells, _dense(own, used))


def _modules(arrays: Arrays) -> dict[str, dict[str, dict[str, str]]]:
    """{cell: {its Dense: {"kernel" or "bias": key}}} for every key that ends so; nnx keeps a .value behind."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for key in arrays:
        parts = key.removesuffix(".value").split(".")
        if len(parts) >= 2 and parts[-1] in ("kernel", "bias"):
            gate = parts[-2].removesuffix("_")  # nnx: if_ is no word of Python
            found.setdefault(".".join(parts[:-2]), {}).setdefault(gate, {})[parts[-1]] = key
    return found


def _cell(path: Path, contents: Contents, choices: Choices, name: str, dense: dict[str, dict[str, str]]) -> Cell | None:
    """The cell whose Dense layers these are; None where they are no cell's."""
    if set(dense) == MINIMAL:
        raise CheckpointError(path, f"{name} is an MGUCell, for which dynsys has no model", ANOTHER)
    sides = next((sides for sides in LAYOUTS if set(sides[0] + sides[1]) <= set(dense)), None)
    model = None if sides is None else _model(contents.arrays, dense, sides)
    if sides is None or model is None:
        return None
    keys = tuple(key for side in sides for gate in side for key in dense[gate].values())
    inside = [key for key in contents.arrays if name and key.startswith(f"{name}.")] or [
        k for d in dense.values() for k in d.values()
    ]
    more = [key for key in inside if key not in keys and not choices.ignores(key)]
    if more:
        wrong = f"{name} has {', '.join(more)} beside the parameters of a cell of flax, so that its step is another"
        raise CheckpointError(path, wrong, f"{ANOTHER}, or {ignoring(more[0])} if it plays no part in it")
    held = _stacked(path, contents.arrays, name, model, [[dense[gate] for gate in side] for side in sides])
    settings, assumed = settings_of(path, choices, name, model, {})
    lines = ["flax: kernels act from the right, x K"]
    lines += ["flax: the reset gate acts after the product"] if model == "gru" else []
    if model == "rnn":
        assumed += ("its cell has residual=False, as the file does not say",)
    return Cell(name.removeprefix("params.") or "cell", model, held, settings, keys, said=tuple(lines), assumed=assumed)


def _model(arrays: Arrays, dense: dict[str, dict[str, str]], sides: tuple[list[str], list[str]]) -> str | None:
    """Which cell it is, by its gates, or where they are stacked by the columns over the rows of what acts on h."""
    own = next((model for model, gates in GATED.items() if len(gates) == len(sides[0])), None)
    kernel = arrays.get(dense[sides[1][0]].get("kernel", ""))
    if own is not None or kernel is None or kernel.ndim != 2 or not len(kernel):
        return own
    found = STACKED.get(kernel.shape[1] // len(kernel)) if kernel.shape[1] % len(kernel) == 0 else None
    return found if sides[0] == ["dense_i"] or found == "rnn" else None


def _stacked(path: Path, arrays: Arrays, name: str, model: str, sides: list[list[dict[str, str]]]) -> dict[str, Array]:
    """torch's weights and biases; a Dense without a bias counts as one of zeros."""
    try:
        n = arrays[sides[1][0]["kernel"]].shape[0]
        held = {}
        for side, role in zip(sides, ("ih", "hh"), strict=True):
            kernels = [np.asarray(arrays[gate["kernel"]], dtype=np.float64) for gate in side]
            biases = [
                np.asarray(arrays[gate["bias"]], dtype=np.float64).ravel() if "bias" in gate else np.zeros(k.shape[1])
                for gate, k in zip(side, kernels, strict=True)
            ]
            order = GATED.get(model, "")
            held[f"weight_{role}"] = in_our_order(np.concatenate(kernels, axis=1).T, order, model)
            held[f"bias_{role}"] = in_our_order(np.concatenate(biases), order, model)
        rows = {"rnn": 1, "gru": 3, "lstm": 4}[model] * n
        if held["weight_hh"].shape != (rows, n) or any(len(value) != rows for value in held.values()):
            raise ValueError(f"a recurrent weight of {held['weight_hh'].shape}")
    except (KeyError, ValueError, IndexError) as error:
        own = {key: arrays[key] for side in sides for gate in side for key in gate.values()}
        wrong = f"the kernels of {name} fit no cell of flax: {listed(own)}"
        raise CheckpointError(path, wrong, "save the parameters again") from error
    return held


def _dense(arrays: Arrays, used: set[str]) -> dict[str, Linear]:
    """The other Dense layers, by their names."""
    found = {}
    for key in arrays:
        above, _, last = key.removesuffix(".value").rpartition(".")
        kernel = arrays[key]
        if last != "kernel" or key in used or kernel.ndim != 2:
            continue
        bias = key.replace("kernel", "bias") if key.replace("kernel", "bias") in arrays else None
        b = None if bias is None else np.asarray(arrays[bias], dtype=np.float64).ravel()
        name = above.removeprefix("params.")
        found[name] = Linear(np.asarray(kernel, dtype=np.float64).T, b, (key, bias) if bias else (key,))
    return found

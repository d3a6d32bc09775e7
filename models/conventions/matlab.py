"""The layers of MATLAB's Deep Learning Toolbox, saved as plain matrices by the names of their properties.

InputWeights (k n, m), RecurrentWeights (k n, n) and Bias act from the left. They stack the gates i, f, g, o of an LSTM,
or r, z and the candidate of a GRU, as torch does. A GRU's ResetGateMode says where its reset gate acts; 6 n entries of
Bias are those of "recurrent-bias-after-multiplication". A bilstmLayer has 8 n rows: forward first, then backward.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError, ignoring
from dynsys.models.conventions.by_size import Linear, networks_by_size
from dynsys.models.conventions.network import Cell, Network, settings_of
from dynsys.models.loading.choices import Choices, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.formats.matlab import OBJECT

LAYER = ("InputWeights", "RecurrentWeights", "Bias")
STATES = ("HiddenState", "CellState")
BY_ROWS = {3: "gru", 4: "lstm", 8: "lstm"}
TWO_BIASES = "recurrent-bias-after-multiplication"
RESETS = {  # ResetGateMode: where the reset gate acts
    "after-multiplication": "after",
    "before-multiplication": "before",
    TWO_BIASES: "after",
}
FUNCTION = "ActivationFunction"
SIGMOIDS = {"hard-sigmoid": "hard-sigmoid-0.2"}  # MATLAB's is 0.2 x + 0.5 between -2.5 and 2.5
ALL_THREE = "save InputWeights, RecurrentWeights and Bias of one layer together"


def matlab_networks(path: Path, contents: Contents, choices: Choices) -> list[Network]:
    """The layers among the arrays, by their prefix: ``lstm.InputWeights`` or just ``InputWeights``."""
    objects = {key: why for key, why in contents.odd.items() if why.startswith(OBJECT)}
    if objects and not contents.arrays:
        key, why = next(iter(objects.items()))
        what, _, instead = why.partition(" (")
        raise CheckpointError(path, f"it holds nothing but {key}, {what}", instead.removesuffix(")"))
    prefixes = [key.removesuffix(LAYER[1]) for key in contents.arrays if _last(key) == LAYER[1]]
    layers = [_layer(path, contents, choices, prefix) for prefix in prefixes]
    both = [Network("matlab", (cell,), backward) for cell, backward in layers if backward is not None]
    plain = [cell for cell, backward in layers if backward is None]
    return both + networks_by_size("matlab", contents.arrays, plain, _fully_connected(contents))


def _fully_connected(contents: Contents) -> dict[str, Linear]:
    """The fullyConnectedLayers, by their names: Weights (outputs, inputs) and Bias."""
    found = {}
    for key, W in contents.arrays.items():
        bias = f"{key.removesuffix('Weights')}Bias"
        if _last(key) == "Weights" and W.ndim == 2:
            b = contents.arrays.get(bias)
            fits = b is not None and b.size == len(W)
            keys = (key, bias) if fits else (key,)
            found[key] = Linear(np.asarray(W, dtype=np.float64), np.ravel(b) if b is not None and fits else None, keys)
    return found


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _layer(path: Path, contents: Contents, choices: Choices, prefix: str) -> tuple[Cell, Cell | None]:
    """The cell under a prefix, and the backward half of a bilstmLayer."""
    arrays, name = contents.arrays, prefix.rstrip(".") or "layer"
    missing = [role for role in LAYER[:2] if f"{prefix}{role}" not in arrays]
    if missing:
        raise CheckpointError(path, f"it has RecurrentWeights of {name} without {missing[0]}", ALL_THREE)
    W, R = (np.asarray(arrays[f"{prefix}{role}"], dtype=np.float64) for role in LAYER[:2])
    n = R.shape[1] if R.ndim == 2 else 0
    k = len(R) // n if n and len(R) % n == 0 else 0
    if k not in BY_ROWS or W.ndim != 2 or len(W) != len(R):
        wrong = (
            f"{shown(f'{prefix}InputWeights', arrays)} and {shown(f'{prefix}RecurrentWeights', arrays)} fit no layer"
        )
        raise CheckpointError(path, wrong, "n units need 4 n rows (lstmLayer), 3 n (gruLayer) or 8 n (bilstmLayer)")
    inside = [key for key in arrays if prefix and key.startswith(prefix) and "." not in key.removeprefix(prefix)]
    inside = [key for key in inside if arrays[key].size > 1 and not choices.ignores(key)]
    unknown = [key for key in inside if not _is_known(_last(key))]
    if unknown:
        wrong = f"the layer {name} has {shown(unknown[0], arrays)}, which dynsys knows no part for"
        raise CheckpointError(
            path, wrong, f"it is no plain lstmLayer, gruLayer or bilstmLayer; {ignoring(unknown[0])} otherwise"
        )
    b = np.asarray(arrays.get(f"{prefix}Bias", np.zeros(k * n)), dtype=np.float64).ravel()
    if b.size not in (k * n, 2 * k * n)[: 1 + (k == 3)]:
        raise CheckpointError(
            path, f"{shown(f'{prefix}Bias', arrays)} does not fit {n} units", f"it needs {k * n} rows"
        )
    halves = [
        _cell(path, contents, choices, prefix, name, half)
        for half in zip(*(np.split(part, 2 if k == 8 else 1) for part in (W, R, b)), strict=True)
    ]
    return halves[0], halves[1] if k == 8 else None


def _is_known(name: str) -> bool:
    return name in LAYER + STATES or name.endswith("Factor")  # of learning rates


def _cell(path: Path, contents: Contents, choices: Choices, prefix: str, name: str, parts: tuple[Any, ...]) -> Cell:
    W, R, b = parts
    rows, n = R.shape
    model = BY_ROWS[rows // n]
    told = {
        "activation": _said(contents, f"{prefix}State{FUNCTION}"),
        "gate": _said(contents, f"{prefix}Gate{FUNCTION}"),
    }
    settings, assumed = settings_of(path, choices, name, model, told)
    lines = [f"matlab: rows are those of {'r, z and the candidate' if model == 'gru' else 'i, f, g, o'}"]
    two = b.size == 2 * rows
    held = {"weight_ih": W, "weight_hh": R, "bias_ih": b[:rows], "bias_hh": b[rows:] if two else np.zeros(rows)}
    if model == "gru":
        reset, more = _reset(path, name, _said(contents, f"{prefix}ResetGateMode"), two)
        settings |= {"reset": reset} if reset != "after" else {}
        lines.append(f"matlab, the reset gate acts {reset} the product")
        assumed += more
    states = [key for role in STATES if (key := f"{prefix}{role}") in contents.arrays]
    first = [np.asarray(contents.arrays[key], dtype=np.float64).ravel() for key in states]
    fits = [values.size for values in first] == [n] * (2 if model == "lstm" else 1)
    keys = [key for role in LAYER if (key := f"{prefix}{role}") in contents.arrays]
    lines += [f"initial state: {' and '.join(states)}"] if fits else []
    return Cell(
        name,
        model,
        held,
        settings,
        (*keys, *(states if fits else ())),
        tuple(first) if fits else (),
        tuple(lines),
        assumed,
    )


def _said(contents: Contents, key: str) -> str | None:
    value = contents.settings.get(key)
    return None if value is None else SIGMOIDS.get(str(value), str(value))


def _reset(path: Path, name: str, mode: str | None, two: bool) -> tuple[str, tuple[str, ...]]:
    """Where the reset gate acts; without ResetGateMode as the size of the bias says, or MATLAB's default."""
    if mode is None:
        silent = "" if two else "ResetGateMode is after-multiplication, MATLAB's default; save it beside the weights"
        return "after", (silent,) if silent else ()
    if mode not in RESETS or (mode == TWO_BIASES) != two:
        wrong = f"the layer {name} has ResetGateMode {mode} and a Bias of {6 if two else 3} n rows"
        raise CheckpointError(path, wrong, f"6 n rows are those of {TWO_BIASES}")
    return RESETS[mode], ()

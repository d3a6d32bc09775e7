"""Networks of audio tools in JSON: Neural Amp Modeler's .nam, and the layer lists that RTNeural reads.

A .nam of the architecture LSTM keeps one list of numbers: for each layer the matrix that acts on (input, h) with rows
i, f, g, o, its bias, and the first h and c; then the head's matrix and bias. RTNeural's layers keep Keras's weights.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.conventions.keras.cells import KINDS, ROLES, Told, cell_of
from dynsys.models.conventions.network import Array, Cell, Network, Readout
from dynsys.models.loading.choices import Choices
from dynsys.models.loading.contents import Contents

SIZES = ("num_layers", "input_size", "hidden_size")
OTHERS = ("WaveNet", "ConvNet", "Linear", "CatLSTM", "CatWaveNet")
RECURRENT = {kind.lower(): kind for kind in ("SimpleRNN", "GRU", "LSTM")}
DENSE = ("dense", "time-distributed-dense")


def nam_networks(path: Path, contents: Contents, choices: Choices) -> list[Network]:
    """The LSTM of a .nam file; CheckpointError for an architecture that has no state, or another number of weights."""
    kind, numbers = contents.settings.get("architecture"), contents.arrays.get("weights")
    if contents.format != "json" or kind not in ("LSTM", *OTHERS) or numbers is None or numbers.ndim != 1:
        return []
    if kind != "LSTM":
        wrong = f"it is a {kind} of Neural Amp Modeler, of whose networks dynsys reads the LSTM"
        raise CheckpointError(
            path, wrong, "the others compute from a stretch of the input and have no state of their own"
        )
    layers, inputs, n = (int(contents.settings.get(f"config.{size}", 0)) for size in SIZES)
    outputs = int(contents.settings.get("config.out_channels", 1))
    need = sum(4 * n * ((inputs if k == 0 else n) + n + 1) + 2 * n for k in range(layers)) + outputs * (n + 1)
    if min(layers, inputs, n, outputs) < 1 or numbers.size != need:
        said = ", ".join(f"{size} {contents.settings.get(f'config.{size}')}" for size in SIZES)
        wrong = f"it has {numbers.size} weights where an LSTM of {said} has {need}"
        raise CheckpointError(path, wrong, "it is damaged: export it again")
    choices.refuse(path, ("activation", "gate_activation"), "an LSTM of Neural Amp Modeler has its own")
    rest = _Numbers(np.asarray(numbers, dtype=np.float64))
    cells = [_nam_cell(rest, k, inputs if k == 0 else n, n) for k in range(layers)]
    W, b = rest.next(outputs, n), rest.next(outputs)
    readout = Readout(W, b, (), (f"readout: the head ({n} to {outputs})",))
    return [Network("nam", tuple(cells), None, readout)]


class _Numbers:
    """One list of numbers, cut into arrays from its beginning."""

    def __init__(self, numbers: Array) -> None:
        self._numbers, self._at = numbers, 0

    def next(self, *shape: int) -> Array:
        start, self._at = self._at, self._at + math.prod(shape)
        return self._numbers[start : self._at].reshape(shape)


def _nam_cell(rest: _Numbers, k: int, inputs: int, n: int) -> Cell:
    both, bias, h, c = rest.next(4 * n, inputs + n), rest.next(4 * n), rest.next(n), rest.next(n)
    held = {"weight_ih": both[:, :inputs], "weight_hh": both[:, inputs:], "bias_ih": bias, "bias_hh": np.zeros(4 * n)}
    said = "nam: one matrix acts on (input, h) with rows i, f, g, o; first h and c are in the file"
    return Cell(f"layer{k}", "lstm", held, {}, ("weights",), (h, c), (said,))


def rtneural_networks(path: Path, contents: Contents, choices: Choices) -> list[Network]:
    """The recurrent layers of a list of layers with types, shapes and weights."""
    count = 0
    while f"layers.{count}.type" in contents.settings:
        count += 1
    types = [str(contents.settings[f"layers.{k}.type"]) for k in range(count)]
    if not count or contents.format != "json":
        return []
    if not any(kind in RECURRENT for kind in types):
        wrong = f"its layers are {', '.join(types)}, none of them recurrent"
        raise CheckpointError(path, wrong, "dynsys analyses networks with a state")
    cells = {k: _rtneural_cell(path, contents, choices, k) for k, kind in enumerate(types) if kind in RECURRENT}
    networks: list[Network] = []
    for k, cell in cells.items():
        if k - 1 in cells and cell.stacks_on(cells[k - 1]):
            continue
        stack = [k]
        while stack[-1] + 1 in cells and cells[stack[-1] + 1].stacks_on(cells[stack[-1]]):
            stack.append(stack[-1] + 1)
        driven = (f"its input is what layer {k - 1} ({types[k - 1]}) gives",) if k else ()
        readout = _dense(contents, types, stack[-1] + 1, cells[stack[-1]].units)
        networks.append(Network("keras json", tuple(cells[i] for i in stack), None, readout, (), driven))
    return networks


def _parts(contents: Contents, k: int) -> tuple[list[Any], list[str]]:
    """The weights of a layer, which are one array where all are of one shape, and their keys."""
    key = f"layers.{k}.weights"
    if key in contents.arrays:
        return list(contents.arrays[key]), [key]
    keys = [found for i in range(4) if (found := f"{key}.{i}") in contents.arrays]
    return [contents.arrays[found] for found in keys], keys


def _rtneural_cell(path: Path, contents: Contents, choices: Choices, k: int) -> Cell:
    kind = RECURRENT[str(contents.settings[f"layers.{k}.type"])]
    parts, keys = _parts(contents, k)
    name = f"layer{k}"
    if not 2 <= len(parts) <= 3:
        wrong = f"its {name} ({kind}) has {len(parts)} arrays; it needs kernel, recurrent kernel and bias"
        raise CheckpointError(path, wrong, "export it again")
    activation = contents.settings.get(f"layers.{k}.activation") or None
    if activation not in (None, "tanh"):
        wrong = f"its {name} says {activation!r}, where RTNeural computes tanh and Keras what it says"
        raise CheckpointError(path, wrong, "open the file that Keras saved instead")
    arrays = {role: np.asarray(part) for role, part in zip(ROLES, parts, strict=False)}
    roles = {role: role for role in arrays}
    shape = [contents.settings.get(f"layers.{k}.shape.{axis}") for axis in range(4)]
    units = next((int(size) for size in reversed(shape) if size is not None), None)
    made = cell_of(path, choices, arrays, name, KINDS[kind], roles, Told(activation=activation, units=units))
    return Cell(name, made.model, made.arrays, made.settings, tuple(keys), (), made.said, made.assumed)


def _dense(contents: Contents, types: list[str], k: int, width: int) -> Readout | None:
    """The dense layer right above, as far as it is linear."""
    if k >= len(types) or types[k] not in DENSE:
        return None
    parts, keys = _parts(contents, k)
    if not parts or parts[0].shape[:1] != (width,):
        return None
    W = np.asarray(parts[0], dtype=np.float64).T
    b = np.asarray(parts[1], dtype=np.float64).ravel() if len(parts) > 1 else None
    f = contents.settings.get(f"layers.{k}.activation") or "linear"
    said = f"readout: layer{k} ({width} to {len(W)})" + ("" if f == "linear" else f", before its {f}")
    said += f", without {', '.join(types[k + 1 :])} after it" if types[k + 1 :] else ""
    return Readout(W, b, tuple(keys), (said,))

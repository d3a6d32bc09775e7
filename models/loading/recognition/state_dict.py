"""Recurrent networks in state dicts: torch's names and shapes tell the cell, its layers and their sizes.

torch.nn calls the weights of layer k ``weight_ih_lk``, ``weight_hh_lk``, ``bias_ih_lk``, ``bias_hh_lk``, with
``weight_hr_lk`` for a projection and ``_reverse`` at the end for the other direction; cells leave ``_lk`` out. The rows
of ``weight_hh`` over the units are the gates: 1 for an RNN, 3 for a GRU, 4 for an LSTM. Our own ``LSTMVariant`` adds
``peephole_lk`` and ``coupled_gates``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import Choices, line_of, shown
from dynsys.models.networks.lstm_variants import COUPLED
from dynsys.models.recurrent.base import Recurrent
from dynsys.models.registry import MODELS

NAME = re.compile(r"^(.*[._/])?(weight_(?:ih|hh|hr)|bias_(?:ih|hh)|peephole)(?:_l(\d+))?(_reverse)?$")
IN_PYTHON = "in Python, dynsys.wrap of the module itself steps any equation"


def _by_gates(of_torch: bool) -> dict[int, str]:
    """The kinds of cell by the rows of ``weight_hh`` over the units: torch's own, or those of ``LSTMVariant``."""
    kinds = [model.kind for model in MODELS.values() if issubclass(model.kind, Recurrent)]
    return {kind.gates: kind.name for kind in reversed(kinds) if bool(kind.modules) == of_torch}


CELLS, VARIANTS = _by_gates(of_torch=True), _by_gates(of_torch=False)


@dataclass
class Part:
    """One recurrent module of a state dict: for each direction and layer, torch's names and the keys of the file."""

    prefix: str
    keys: dict[str, list[dict[str, str]]] = field(default_factory=dict)  # "forward" or "backward" -> layers
    prefixes: tuple[str, ...] = ()  # of the modules that were put on top of each other, the lowest first

    @property
    def name(self) -> str:
        return "+".join(prefix.rstrip("._/") for prefix in self.own)

    @property
    def own(self) -> tuple[str, ...]:
        """The prefixes of its modules."""
        return self.prefixes or (self.prefix,)


@dataclass(frozen=True)
class Stack:
    """The layers of one direction of a part: the cell, and the sizes that its shapes give."""

    cell: str
    keys: list[dict[str, str]]
    units: tuple[int, ...]  # of each layer
    widths: tuple[int, ...]  # of what each layer hands on: the projection's if there is one
    n_input: int

    @property
    def layers(self) -> int:
        return len(self.keys)

    @property
    def width(self) -> int:
        """Of what the top layer hands on."""
        return self.widths[-1]

    @property
    def n_hidden(self) -> int:
        """State variables that are h."""
        return sum(self.widths)

    @property
    def n_cell(self) -> int:
        """State variables that are c."""
        return sum(self.units) if self.cell.startswith("lstm") else 0

    def __str__(self) -> str:
        layers = f"{self.layers} layers of " if self.layers > 1 else ""
        units = _count(self.units[0], "unit") if len(set(self.units)) == 1 else f"{_each(self.units)} units"
        projected = "" if self.widths == self.units else f" projected to {_each(sorted(set(self.widths)))}"
        return f"{MODELS[self.cell].kind.title}, {layers}{units}{projected}, {_count(self.n_input, 'input')}"


def _each(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}"


def find_parts(path: Path, arrays: Arrays) -> dict[str, Part]:
    """The recurrent modules among the arrays, by prefix, in the file's order."""
    parts: dict[str, Part] = {}
    for key in arrays:
        match = NAME.match(key)
        if match is None:
            continue
        prefix, name, layer, reverse = match[1] or "", match[2], int(match[3] or 0), match[4]
        layers = parts.setdefault(prefix, Part(prefix)).keys.setdefault("backward" if reverse else "forward", [])
        if layer > len(arrays):
            raise CheckpointError(path, f"its {key} says layer {layer}", "a network has its layers from 0 on")
        while len(layers) <= layer:
            layers.append({})
        layers[layer][name] = key
    return {
        prefix: part for prefix, part in parts.items() if any("weight_hh" in k for k in part.keys.get("forward", []))
    }


def read_stack(path: Path, arrays: Arrays, part: Part, layers: list[dict[str, str]], both: bool = False) -> Stack:
    """The cell and sizes of some layers, checked against each other; CheckpointError names what does not fit.

    ``both`` says that upper layers are driven by both directions.
    """
    if part.prefixes and len(layers) > 1:
        each = [read_stack(path, arrays, Part(part.prefix), [keys]) for keys in layers]
        sizes = tuple(s.units[0] for s in each), tuple(s.width for s in each)
        return Stack(each[0].cell, layers, *sizes, each[0].n_input)
    remedy = "the file is not a whole state dict of one torch module: save it again"
    for k, keys in enumerate(layers):
        for name in ("weight_ih", "weight_hh"):
            if name not in keys:
                raise CheckpointError(path, f"layer {k} of {part.name or 'the network'} has no {name}", remedy)
        for name, key in keys.items():
            if name.startswith("weight") and arrays[key].ndim != 2:
                if name == "weight_hh" and arrays[key].ndim == 1:
                    remedy = _of_a_vector(keys)
                if arrays[key].ndim == 3:
                    remedy = _of_several(arrays, keys)
                raise CheckpointError(path, f"{shown(key, arrays)} is not a matrix", remedy)
    hh = arrays[layers[0]["weight_hh"]]
    hr = layers[0].get("weight_hr")
    rows, width = hh.shape
    hidden = arrays[hr].shape[-1] if hr else width
    cell = CELLS.get(rows // hidden) if hidden and rows % hidden == 0 else None
    if cell is None or (hr and cell != "lstm"):
        wrong = f"{shown(layers[0]['weight_hh'], arrays)} fits no cell"
        legal = "rows over columns are 1 for an RNN, 3 for a GRU, 4 for an LSTM (4 hidden x projection with weight_hr)"
        raise CheckpointError(path, wrong, f"{legal}; {IN_PYTHON}")
    if f"{part.prefix}{COUPLED}" in arrays or any("peephole" in keys for keys in layers):
        cell = VARIANTS.get(rows // hidden, cell)
    n_input = arrays[layers[0]["weight_ih"]].shape[1]
    for k, keys in enumerate(layers):
        below = n_input if k == 0 else width * (2 if both else 1)
        legal_shapes = {
            "weight_ih": (rows, below),
            "weight_hh": (rows, width),
            "weight_hr": (width, hidden),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
            "peephole": (rows // hidden - 1, hidden),
        }
        for name, key in keys.items():
            flat = name.startswith("bias") and arrays[key].ndim == 2 and 1 in arrays[key].shape  # MATLAB's vectors
            if (arrays[key].shape if not flat else (arrays[key].size,)) != legal_shapes[name]:
                needs = f"layer {k} of a {MODELS[cell].kind.title} of {hidden} units needs {legal_shapes[name]}"
                raise CheckpointError(path, f"{shown(key, arrays)} does not fit: {needs}", remedy)
        if ("weight_hr" in keys) != (hr is not None):
            raise CheckpointError(path, f"only some layers of {part.name} have a projection", remedy)
    return Stack(cell, layers, (hidden,) * len(layers), (width,) * len(layers), n_input)


def _of_a_vector(keys: dict[str, str]) -> str:
    """What to say of units that each read themselves alone."""
    bias = " + ".join(keys[name] for name in ("bias_ih", "bias_hh") if name in keys)
    roles = {"recurrent": f"diag({keys['weight_hh']})", "input": keys["weight_ih"], **({"bias": bias} if bias else {})}
    return f"if it is an IndRNN, {line_of(roles, form='rnn')}; {IN_PYTHON}"


def _of_several(arrays: Arrays, keys: dict[str, str]) -> str:
    """What to say of the weights of several networks in one array: the first of them."""
    rows, n = arrays[keys["weight_hh"]].shape[-2:]
    roles = {"recurrent": keys["weight_hh"], "input": keys["weight_ih"]}
    roles |= {role: keys[name] for role, name in (("bias", "bias_ih"), ("recurrent_bias", "bias_hh")) if name in keys}
    if rows == n and "recurrent_bias" in roles:
        roles["bias"] = f"{roles['bias']}[0] + {roles.pop('recurrent_bias')}" if "bias" in roles else ""
    options = {1: {"form": "rnn"}, 3: {"form": "gru", "convention": "torch"}, 4: {"form": "lstm"}}.get(
        rows // n if n else 0
    )
    if options is None:
        return IN_PYTHON
    return f"if these are several networks, of the first {line_of({r: f'{k}[0]' for r, k in roles.items()}, **options)}"


def choose_direction(path: Path, part: Part, choices: Choices) -> str:
    """Which direction is meant; CheckpointError explains where that has to be said."""
    if "backward" not in part.keys:
        choices.refuse(path, ("direction",), f"{part.name or 'the network'} is not bidirectional")
        return "forward"
    if choices.direction is None:
        wrong = (
            f"{part.name or 'its network'} is bidirectional: one half reads the sequence from its end, so that the two "
            "have no common time and no common fixed points"
        )
        raise CheckpointError(path, wrong, "analyse one on its own: --direction forward, or --direction backward")
    return choices.direction

"""Keras's recurrent layers in a file of weights alone: told by names and shapes, and what they do not tell is assumed.

Keras 2 writes ``lstm/lstm_cell/recurrent_kernel:0``, later versions ``layers/lstm/cell/vars/1``. The columns of a
recurrent kernel over its rows are the gates, a bias of two rows is that of a GRU that resets after the product.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.conventions.by_size import Linear, networks_by_size
from dynsys.models.conventions.keras.cells import ROLES, SAVE_AGAIN, Told, Weights, cell_of
from dynsys.models.conventions.keras.own import kept_by_torch, own_equation
from dynsys.models.conventions.network import Cell, Network
from dynsys.models.loading.choices import Choices, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.recognition.state_dict import CELLS
from dynsys.models.registry import MODELS

OLD_GATES = "Keras before 2.3 had hard_sigmoid gates as its default: --gate-activation hard-sigmoid-0.2 for those"
NAMED = {"simple_rnn": "rnn", "gru": "gru", "lstm": "lstm"}


def networks_by_names(path: Path, contents: Contents, choices: Choices, weights: Weights) -> list[Network]:
    """The recurrent layers among the arrays; each is a network of its own."""
    groups = _groups(weights)
    places = sorted((p for p in groups if "recurrent_kernel" in groups[p]), key=lambda p: _place(contents, p))
    names = _names(places)
    halves: dict[str, dict[str, Cell]] = {}
    plain: list[Cell] = []
    for place in places:
        if _is_anothers(choices, names[place], groups[place]):
            continue
        for key in groups[place].values():
            weights.check(key)
        used = groups[place].values()
        others = [key for key in _beside(weights, place, places) if key not in used and not choices.ignores(key)]
        cell = _cell(path, contents, choices, names[place], groups[place], others)
        word = next((word for word in ("forward", "backward") if re.search(rf"(?:^|\.){word}_", place)), None)
        if word is None:
            plain.append(cell)
        else:
            outer = place.split(f"{word}_")[0].rstrip(".")
            halves.setdefault(_names([outer])[outer], {})[word] = replace(cell, name=_names([outer])[outer])
    both = [Network("keras", (half["forward"],), half["backward"]) for half in halves.values() if len(half) == 2]
    older = not weights.by_place and any(cell.model in ("gru", "lstm") for cell in plain)
    beside = _linear(contents, groups)
    return both + networks_by_size("keras", contents.arrays, plain, beside, (OLD_GATES,) if older else ())


def _groups(weights: Weights) -> dict[str, dict[str, str]]:
    """{where a layer's weights lie: {role: key}}, by either naming."""
    found: dict[str, dict[str, str]] = {}
    for name, key in weights.names():
        above, _, last = name.rpartition(".")
        if above.endswith(".vars") and last.isdigit() and "seed_generator" not in above:
            legal = ROLES if re.search(r"\.(?:cell|cells\.\w+)\.vars$", f".{above}") else ("kernel", "bias")
            role = legal[int(last)] if int(last) < len(legal) else last
            found.setdefault(above.removesuffix(".vars"), {})[role] = key
        elif last in ROLES:
            found.setdefault(above, {})[last] = key
    return found


def _beside(weights: Weights, place: str, places: list[str]) -> list[str]:
    """The arrays in a layer and what is inside it, without those of other layers in it."""
    layer = place.removesuffix(".cell")
    if not layer:  # of bare names, everything that is no layer's
        return [key for name, key in weights.names() if "." not in name]
    inner = tuple(f"{other}." for other in places if other != place and other.startswith(f"{layer}."))
    return [
        key
        for name, key in weights.names()
        if name.startswith(f"{layer}.") and "seed_generator" not in name and not name.startswith(inner)
    ]


def _place(contents: Contents, place: str) -> tuple[int, list[str | int]]:
    """First by Keras 2's own list of layers, then by the numbers in the names."""
    listed = {
        str(value): int(key.rpartition(".")[2])
        for key, value in contents.settings.items()
        if re.search(r"(?:^|\.)layer_names\.\d+$", key)
    }
    parts = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", place)]
    return listed.get(place.split(".")[0], len(listed)), parts


def _names(places: list[str]) -> dict[str, str]:
    """A short name for each place: without what all have, as long as that tells them apart."""
    short = {}
    for place in places:
        parts = [part for part in place.split(".") if part not in ("layers", "cell", "cells", "model")]
        short[place] = parts[0] if place.startswith("layers") and len(parts) == 1 else ".".join(dict.fromkeys(parts))
    first = {place: name.split(".")[0] for place, name in short.items()}
    return first if len(set(first.values())) == len(places) else short


def _cell(
    path: Path, contents: Contents, choices: Choices, name: str, roles: dict[str, str], others: list[str]
) -> Cell:
    recurrent = contents.arrays[roles["recurrent_kernel"]]
    others = [*others, *(key for role, key in roles.items() if role not in ROLES)]
    rows, columns = recurrent.shape if recurrent.ndim == 2 else (0, 0)
    model = CELLS.get(columns // rows) if rows and columns % rows == 0 else None
    said = next((kind for word, kind in NAMED.items() if re.search(rf"(?:^|[._]){word}(?:$|[._])", name)), model)
    if contents.format == "torch":
        raise CheckpointError(path, *kept_by_torch(contents, name, model, roles, others))
    if model is None or model != said or others or "kernel" not in roles or _is_a_users_own(roles["kernel"]):
        held = ", ".join(shown(key, contents.arrays) for key in dict.fromkeys([*roles.values(), *others]))
        wrong = f"its layer {name} holds {held}, which is no SimpleRNN, GRU or LSTM"
        own = own_equation(contents, {**roles, **dict(zip(others, others, strict=True))}, {})
        raise CheckpointError(
            path,
            wrong,
            f"if it is one, {SAVE_AGAIN}; {own}",
        )
    cell = cell_of(path, choices, contents.arrays, name, model, roles, Told())
    silent = f"{name} is a plain {MODELS[model].kind.title}, as its sizes fit; no name in the file says so"
    named = any(word in key for word, kind in NAMED.items() if kind == model for key in roles.values())
    return cell if named else replace(cell, assumed=(silent, *cell.assumed))


def _is_anothers(choices: Choices, name: str, roles: dict[str, str]) -> bool:
    """Whether it is a cell of the user's own class beside the one that was asked for."""
    asked = choices.part is not None and name not in choices.part.split("+")
    return asked and _is_a_users_own(roles.get("kernel", ""))


def _is_a_users_own(kernel: str) -> bool:
    """Whether the cell is of another class than Keras's own, which name theirs simple_rnn_cell, gru_cell and so on."""
    scope = re.search(r"([a-z0-9_]*_cell)(?:_\d+)?[./]kernel(?::0)?$", kernel)
    return scope is not None and not scope[1].endswith(tuple(f"{word}_cell" for word in NAMED))


def _linear(contents: Contents, groups: dict[str, dict[str, str]]) -> dict[str, Linear]:
    """The Dense layers, by short names."""
    dense = {place: roles for place, roles in groups.items() if set(roles) <= {"kernel", "bias"} and "kernel" in roles}
    found = {}
    for place, name in _names(list(dense)).items():
        roles = dense[place]
        if not all(key in contents.arrays for key in roles.values()):
            continue
        kernel = np.asarray(contents.arrays[roles["kernel"]], dtype=np.float64)
        bias = np.asarray(contents.arrays[roles["bias"]], dtype=np.float64).ravel() if "bias" in roles else None
        if kernel.ndim == 2 and (bias is None or len(bias) == kernel.shape[1]):
            found[name] = Linear(kernel.T, bias, tuple(roles.values()))
    return found

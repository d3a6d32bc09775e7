"""One recurrent layer of Keras in torch's terms: which arrays of the file are its weights, and what they mean.

Keras multiplies from the right, x K + h R + b. Its GRU stacks z, r, h; its LSTM i, f, c, o. A GRU with ``reset_after``
has two biases and resets as torch's does, one without resets h before the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError, ignoring
from dynsys.io.files import Arrays
from dynsys.models.conventions.network import Cell, in_our_order, settings_of
from dynsys.models.loading.choices import Choices, line_of, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.named.gates import CONVENTIONS
from dynsys.models.networks.recurrent import CELLS

KINDS = {"SimpleRNN": "rnn", "GRU": "gru", "LSTM": "lstm"}
KINDS |= {f"{name}Cell": model for name, model in KINDS.items()}
ROLES = ("kernel", "recurrent_kernel", "bias")
SIDES = {"recurrent": "recurrent_kernel", "input": "kernel"}
SAVE_AGAIN = "save the whole model again with model.save('x.keras')"
NOT_PLAIN = "its step is not that of a plain layer: take it yourself with dynsys.wrap"
HARD = {2: "hard-sigmoid-0.2", 3: "hard-sigmoid"}  # of a version: Keras 3 took over the hard sigmoid of others


class Weights:
    """The arrays of a file by Keras's own names, whichever version wrote them, and which of them were used."""

    def __init__(self, path: Path, contents: Contents, choices: Choices) -> None:
        self.path, self.arrays, self._odd, self._choices = path, contents.arrays, contents.odd, choices
        held = [*contents.arrays, *contents.odd]
        plain = {key.replace("\\", ".").replace("_layer_checkpoint_dependencies", "layers"): key for key in held}
        self.by_place = any(".vars." in f".{name}" for name in plain)  # model.weights.h5 of Keras 2.12 and later
        root = "model_weights." if any(name.startswith("model_weights.") for name in plain) else ""
        self._keys = {name.removeprefix(root).removesuffix(":0"): key for name, key in plain.items()}

    def check(self, key: str) -> None:
        """Raise CheckpointError where the array cannot be used."""
        if key in self._odd:
            raise CheckpointError(self.path, f"its array {key} is {self._odd[key]}", "save real numbers")

    def names(self) -> Iterator[tuple[str, str]]:
        """Every name without what all have in front, and its key in the file."""
        yield from self._keys.items()

    def under(self, place: str, scopes: tuple[str, ...]) -> dict[str, str]:
        """The arrays of a layer, {what is left of the name: key of the file}, without seeds of random numbers."""
        within = self._under(f"{place}.") if self.by_place else self._under(f"{scopes[0].replace('/', '.')}.")
        if not self.by_place and len(scopes) > 1:
            own = scopes[-1].replace("/", ".")
            within = {name: key for name, key in within.items() if f".{own}." in f".{name}"}
        return {name: key for name, key in within.items() if "seed_generator" not in name}

    def _under(self, prefix: str) -> dict[str, str]:
        return {name[len(prefix) :]: key for name, key in self._keys.items() if name.startswith(prefix)}

    def roles(self, found: Mapping[str, str], layer: str, legal: tuple[str, ...] = ROLES) -> dict[str, str]:
        """The keys of the ``legal`` roles, of which only a bias may be missing; raises CheckpointError for any array
        that is none of them, or is there twice."""
        roles: dict[str, str] = {}
        for name, key in sorted(found.items()):
            last = name.rpartition(".")[2]
            role = legal[int(last)] if last.isdigit() and int(last) < len(legal) else last
            if role not in legal and self._choices.ignores(key):
                continue
            self.check(key)
            if role not in legal or role in roles:
                wrong = f"the layer {layer} has {shown(key, self.arrays)}, which dynsys knows no part for"
                raise CheckpointError(self.path, wrong, f"{NOT_PLAIN}, or {ignoring(key)} if it plays no part in it")
            roles[role] = key
        missing = [role for role in legal if role not in roles and role != "bias"]
        if missing:
            wrong = f"the file has no {' and no '.join(missing)} of the layer {layer}"
            raise CheckpointError(self.path, wrong, SAVE_AGAIN)
        return roles


@dataclass(frozen=True)
class Told:
    """What a configuration says of a layer; ``version`` is that of Keras, None for each that it does not say."""

    activation: str | None = None
    gate: str | None = None
    reset_after: bool | None = None
    units: int | None = None
    version: int | None = None


def told_by(path: Path, name: str, config: Mapping[str, Any], version: int | None) -> Told:
    """The equation in a layer's configuration; raises CheckpointError for functions that are not Keras's own."""
    units, after = config.get("units"), config.get("reset_after")
    return Told(
        _function(path, name, config.get("activation"), version),
        _function(path, name, config.get("recurrent_activation"), version),
        None if after is None else bool(after),
        int(units) if isinstance(units, int | float) else None,
        version,
    )


def _function(path: Path, layer: str, said: Any, version: int | None) -> str | None:
    if isinstance(said, dict):
        kind = f"{said.get('class_name')} {said.get('config') or ''}".strip()
        wrong = f"its layer {layer} has an activation of its own, {kind}"
        raise CheckpointError(
            path, wrong, "dynsys has models for Keras's own by their names; otherwise use dynsys.wrap"
        )
    if said != "hard_sigmoid":
        return None if said is None else str(said)
    if version not in HARD:
        wrong = f"its layer {layer} has hard_sigmoid, which Keras 2 and Keras 3 compute differently"
        raise CheckpointError(path, wrong, f"the file does not say which of them it is from: {SAVE_AGAIN}")
    return HARD[version]


def cell_of(
    path: Path, choices: Choices, arrays: Arrays, name: str, model: str, roles: Mapping[str, str], told: Told
) -> Cell:
    """The layer of those arrays; raises CheckpointError where shapes or choices contradict it."""
    k = CELLS[model].gates
    K, R = (_matrix(path, arrays, roles[role], name) for role in ROLES[:2])
    n = len(R)
    units_fit = told.units in (None, n)
    if R.shape != (n, k * n) or K.shape[1] != k * n or not units_fit:
        named = f"{shown(roles['kernel'], arrays)} and {shown(roles['recurrent_kernel'], arrays)}"
        wrong = f"{named} do not fit the layer {name}: {told.units or n} units need (inputs, {k} n) and (n, {k} n)"
        said = {role: roles[key] for role, key in SIDES.items()} | ({"bias": roles["bias"]} if "bias" in roles else {})
        line = line_of(said, form=model, convention=None if model == "rnn" else "keras")
        raise CheckpointError(path, wrong, f"{SAVE_AGAIN}; if it is no file of Keras's, {line}")
    bias = np.asarray(arrays[roles["bias"]], dtype=np.float64) if "bias" in roles else None
    if bias is not None and bias.shape not in ((k * n,), (2, k * n))[: 1 + (model == "gru")]:
        wrong = f"{shown(roles['bias'], arrays)} is no bias of the layer {name}"
        raise CheckpointError(path, wrong, f"{n} units need ({k * n},){f' or (2, {k * n})' if model == 'gru' else ''}")
    reset, lines = _reset(path, choices, name, model, bias, told)
    order = {"gru": CONVENTIONS["keras"].gru, "lstm": CONVENTIONS["keras"].lstm}.get(model, "")
    held = {"weight_ih": in_our_order(K.T, order, model), "weight_hh": in_our_order(R.T, order, model)}
    if bias is not None:
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros(k * n)])
        held |= {"bias_ih": in_our_order(both[0], order, model), "bias_hh": in_our_order(both[1], order, model)}
    settings, silent = settings_of(path, choices, name, model, {"activation": told.activation, "gate": told.gate})
    if reset != "after":
        settings["reset"] = reset
    if told.gate in HARD.values():
        lines.append(f"the hard sigmoid is that of Keras {told.version}, {told.gate}")
    lines.append(f"kernels act from the right, x K + h R{f'; gates of Keras, {_letters(model)}' if order else ''}")
    keys = tuple(roles.values())
    return Cell(name, model, held, settings, keys, said=tuple(lines), assumed=silent)


def _letters(model: str) -> str:
    return "z, r, h" if model == "gru" else "i, f, c, o"


def _matrix(path: Path, arrays: Arrays, key: str, layer: str) -> Any:
    if arrays[key].ndim != 2:
        wrong = f"{shown(key, arrays)} of the layer {layer} is not a matrix"
        raise CheckpointError(path, wrong, "dynsys knows SimpleRNN, GRU and LSTM; otherwise use dynsys.wrap")
    return np.asarray(arrays[key], dtype=np.float64)


def _reset(path: Path, choices: Choices, name: str, model: str, bias: Any, told: Told) -> tuple[str, list[str]]:
    """Where the reset gate of a GRU acts: as configured, or as the shape of its bias tells, or as the user says."""
    if model != "gru":
        return "after", []
    by_shape = None if bias is None else bias.ndim == 2
    asked = {"keras": True, "keras reset_after=False": False}.get(choices.convention or "")
    said = [value for value in (told.reset_after, by_shape, asked) if value is not None]
    if len(set(said)) > 1:
        wrong = f"the layer {name} has reset_after={said[0]} and a bias or a --convention for the other"
        raise CheckpointError(path, wrong, "leave --convention out, or save the model again")
    if not said:
        wrong = f"the layer {name} has no bias, so that nothing tells whether its reset gate acts after the product"
        both = "--convention keras (reset_after=True, the default of TensorFlow 2 and Keras 3)"
        raise CheckpointError(path, wrong, f"say {both} or --convention 'keras reset_after=False'")
    where = "after the product, as torch's does" if said[0] else "before the product"
    lines = [f"keras, reset_after={said[0]}: the reset gate acts {where}"]
    return ("after" if said[0] else "before"), lines

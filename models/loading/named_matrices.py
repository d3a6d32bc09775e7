"""Networks whose matrices the user names: which key of the file is W, which B, and which equation they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.errors import CheckpointError
from dynsys.files import Arrays
from dynsys.models.loading.choices import Choices, Recognised, listed, shown, weights
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.ends import require

Array = NDArray[np.float64]

SCHEME = (
    "name its matrices: --matrix recurrent=KEY, and input, bias, readout, readout_bias, initial where there are such, "
    "with --form rnn, rate or activity (see 'dynsys info --help')"
)


def from_named(path: Path, contents: Contents, choices: Choices) -> Recognised:
    """The network of ``choices.form`` made of ``choices.matrices``; CheckpointError says which of them does not fit."""
    arrays, form = contents.arrays, choices.form
    named = {role: key for role, key in choices.matrices.items() if key}
    choices.refuse(path, ("part", "direction"), "its matrices are named one by one")
    if form is None or "recurrent" not in named:
        lacks = "--form" if form is None else "--matrix recurrent=KEY"
        raise CheckpointError(path, f"{lacks} was not given; it holds {listed(arrays)}", SCHEME)
    for role, text in named.items():
        for key in _keys(arrays, role, text):
            if key in contents.odd:
                raise CheckpointError(path, f"its array {key} is {contents.odd[key]}", "save real numbers")
            require(path, arrays, key, role)
    if form == "rnn":
        choices.refuse(path, ("tau",), "a map has no time constant")
    elif "initial" in named:
        raise CheckpointError(path, f"--matrix initial means nothing for the form {form}", "leave it out")
    n = _units(path, arrays, named["recurrent"])
    parts = {
        "W": _turned(path, arrays, named["recurrent"], choices),
        "B": _matrix(path, arrays, named, "input", (n, None), choices),
        "b": _vector(path, arrays, named, "bias", n),
        "W_out": _matrix(path, arrays, named, "readout", (None, n), choices),
        "initial": _vector(path, arrays, named, "initial", n),
    }
    W_out = parts["W_out"]
    if "readout_bias" in named and W_out is None:
        raise CheckpointError(path, "--matrix readout_bias was given without a readout", "name the readout too")
    parts["b_out"] = _vector(path, arrays, named, "readout_bias", 0 if W_out is None else len(W_out))
    held = {name: value for name, value in parts.items() if value is not None}
    settings: dict[str, Any]
    activation, assumed = _activation(contents, choices)
    if not choices.transposed:
        assumed += ("the matrices act from the left, W x; --transposed for x W, as TensorFlow and Keras keep them",)
    if form == "rnn":
        held, settings = _torch_names(held, n), {"nonlinearity": activation}
    else:
        tau, more = _tau(contents, choices)
        settings, assumed = {"activation": activation, "tau": tau}, assumed + more
    keys = {role: _keys(arrays, role, text) for role, text in named.items()}
    why = tuple(f"{role} is {' + '.join(shown(key, arrays) for key in found)}" for role, found in keys.items())
    unused = tuple(shown(key, arrays) for key in arrays if not any(key in found for found in keys.values()))
    return Recognised(form, held, settings, why, assumed, unused)


def _torch_names(held: Arrays, n: int) -> Arrays:
    """The names that torch gives the weights of an RNN of one layer."""
    names = {"W_out": "readout.weight", "b_out": "readout.bias", "initial": "initial_state"}
    cell = {
        "weight_hh_l0": held["W"],
        "weight_ih_l0": held.get("B", np.zeros((n, 0))),
        "bias_ih_l0": held.get("b", np.zeros(n)),
        "bias_hh_l0": np.zeros(n),
    }
    return cell | {theirs: held[ours] for ours, theirs in names.items() if ours in held}


def _units(path: Path, arrays: Arrays, key: str) -> int:
    W = arrays[key]
    if W.ndim != 2 or W.shape[0] != W.shape[1] or len(W) == 0:
        raise CheckpointError(path, f"{shown(key, arrays)} cannot be the recurrent matrix", "N units need (N, N)")
    return len(W)


def _turned(path: Path, arrays: Arrays, key: str, choices: Choices) -> Array:
    values = weights(path, arrays, key)
    return np.ascontiguousarray(values.T) if choices.transposed else values


def _matrix(
    path: Path, arrays: Arrays, named: dict[str, str], role: str, legal: tuple[int | None, int | None], choices: Choices
) -> Array | None:
    """A matrix (rows, columns) with None for any number; a vector counts as a single row or column."""
    if role not in named:
        return None
    key = named[role]
    values = _turned(path, arrays, key, choices)
    if values.ndim == 1:
        values = values[:, None] if legal[0] is not None else values[None, :]
    if values.ndim == 2 and all(want in (None, got) for want, got in zip(legal, values.shape, strict=True)):
        return values
    n = next(size for size in legal if size is not None)
    needs = tuple(reversed(legal)) if choices.transposed else legal
    text = "(" + ", ".join("any" if size is None else str(size) for size in needs) + ")"
    turn = "leave out --transposed" if choices.transposed else "give --transposed if the matrices act from the right"
    raise CheckpointError(path, f"{shown(key, arrays)} cannot be the {role} matrix", f"{n} units need {text}; {turn}")


def _keys(arrays: Arrays, role: str, text: str) -> list[str]:
    """The keys that a role was given; a bias may be a sum, like input.bias+recurrent.bias."""
    return text.split("+") if "bias" in role and text not in arrays else [text]


def _vector(path: Path, arrays: Arrays, named: dict[str, str], role: str, size: int) -> Array | None:
    """A vector of that size, whether it is kept as a row, a column or a plain one; a single number fits any size."""
    if role not in named:
        return None
    total = np.zeros(size)
    for key in _keys(arrays, role, named[role]):
        values = weights(path, arrays, key).ravel()
        if values.size not in (1, size):
            raise CheckpointError(path, f"{shown(key, arrays)} cannot be the {role}", f"it needs {size} values")
        total = total + values
    return total


def _activation(contents: Contents, choices: Choices) -> tuple[str, tuple[str, ...]]:
    if choices.activation is not None:
        return choices.activation, ()
    for name in ("activation", "nonlinearity"):
        for value in contents.said(name).values():
            return str(value), ()
    return "tanh", ("the activation is tanh (weights do not tell); --activation relu or logistic for another",)


def _tau(contents: Contents, choices: Choices) -> tuple[float, tuple[str, ...]]:
    if choices.tau is not None:
        return choices.tau, ()
    for value in contents.said("tau").values():
        return float(value), ()
    return 1.0, ("the time constant is 1; --tau for another, which changes times but no fixed point",)

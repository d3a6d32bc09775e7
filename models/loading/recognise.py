"""Which network is in a file of another tool, told from the names and shapes of its arrays.

Tried in turn: matrices that the user named; torch's recurrent modules; the names that our own networks give theirs.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.errors import CheckpointError
from dynsys.files import Arrays
from dynsys.models.loading.choices import Choices, Recognised, listed, shown, weights
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.ends import Initial, Readout, find_initial, find_readout
from dynsys.models.loading.named_matrices import SCHEME, from_named
from dynsys.models.loading.state_dict import (
    COUPLED,
    WORDS,
    Part,
    Stack,
    choose_direction,
    choose_part,
    find_parts,
    read_stack,
)
from dynsys.models.registry import MODELS

EQUATIONS = {
    "rnn": "h' = f(W_ih u + b_ih + W_hh h + b_hh)",
    "gru": "h' = (1 - z) n + z h, n = tanh(W_in u + b_in + r (W_hn h + b_hn)), z and r logistic",
    "lstm": "c' = f c + i g, h' = o tanh(c'), g = tanh(W_ig u + b_ig + W_hg h + b_hg), i, f and o logistic",
    "lstm-peephole": "as an lstm, with p_i c in i, p_f c in f and p_o c' in o",
    "lstm-coupled": "as an lstm with i = 1 - f, and p_f c in f and p_o c' in o where there are peepholes",
    "irnn": "h' = f(W_ih u + b_ih + W_hh h + b_hh)",
    "fast-weights": "h' = relu(LN(W h + C x + b + A h)), A' = lambda A + eta h h^T",
    "esn": "tau dx/dt = -x + W_r r(x) + W_fb z + B u, z = W_out r(x), r = f",
    "simple-rnn": "tau dx/dt = -x + W r(x), r = f",
    "rate": "tau dx/dt = -x + W r(x) + B u + b, z = W_out r(x) + b_out, r = f",
    "activity": "tau dr/dt = -r + f(W r + B u + b), z = W_out r + b_out",
}


def recognise(path: Path, contents: Contents, choices: Choices) -> Recognised:
    """The network that the arrays are, and why; CheckpointError lists what the file holds and says what to do."""
    choices = _within(contents.container, choices)
    if choices.form is not None or choices.matrices.get("recurrent"):
        return from_named(path, contents, choices)
    parts = find_parts(path, contents.arrays)
    if parts:
        return _torch_module(path, contents, parts, choices)
    return _by_our_names(path, contents, choices)


def _within(container: str, choices: Choices) -> Choices:
    """The choices with keys as ``contents`` has them, whether or not the user wrote the entry that holds them all."""
    if not container:
        return choices
    short = {role: key.replace(f"{container}.", "") for role, key in choices.matrices.items()}
    part = choices.part and choices.part.removeprefix(f"{container}.")
    return dataclasses.replace(choices, matrices=short, part=part)


def equation(model: str, settings: dict[str, Any]) -> str:
    """The equation of a model, with its own activation in the place of f."""
    text = EQUATIONS.get(model, "")
    f = settings.get("activation") or settings.get("nonlinearity")
    return text.replace("r = f", f"r = {f}").replace("= f(", f"= {f}(").replace("+ f(", f"+ {f}(") if f else text


def _by_our_names(path: Path, contents: Contents, choices: Choices) -> Recognised:
    held = set(contents.arrays) | set(contents.odd)
    ours = {name: model for name, model in MODELS.items() if model.weights and name not in WORDS}
    name = next((name for name, model in ours.items() if set(model.weights) <= held), None)
    if name is None:
        legal = "; ".join(f"{', '.join(model.weights)} for {name}" for name, model in ours.items())
        odd = "".join(f", {key} {kind}" for key, kind in contents.odd.items())
        square = [key for key, array in contents.arrays.items() if array.ndim == 2 and len(set(array.shape)) == 1]
        hint = f"; {' or '.join(square[:3])} could be the recurrent one" if square else ""
        raise CheckpointError(
            path,
            f"no known network: it holds {listed(contents.arrays)}{odd}",
            f"dynsys looks for torch's weight_ih_l0, weight_hh_l0 with any prefix, or for {legal}; "
            f"otherwise {SCHEME}{hint}",
        )
    model = ours[name]
    choices.refuse(path, ("part", "direction", "matrices", "transposed"), f"it is recognised as {name} by its names")
    for key in model.weights:
        if key in contents.odd:
            raise CheckpointError(path, f"its array {key} is {contents.odd[key]}", "save real numbers")
    settings = {key: value for key in ("tau", "activation") for value in list(contents.said(key).values())[:1]}
    settings |= {key: value for key, value in choices.given().items() if key in ("tau", "activation")}
    assumed = []
    if "activation" not in settings:
        assumed.append("the activation is tanh (the file does not say); --activation logistic for the other")
    used = (*model.weights, *contents.said("tau"))
    unused = tuple(shown(key, contents.arrays) for key in contents.arrays if key not in used)
    if unused and name == "simple-rnn":
        assumed.append(f"W is all there is to it, without an input, bias or readout; otherwise {SCHEME}")
    why = (f"by its arrays {', '.join(model.weights)}",)
    arrays = {key: contents.arrays[key] for key in model.weights}
    return Recognised(name, arrays, settings, why, tuple(assumed), unused)


def _torch_module(path: Path, contents: Contents, parts: dict[str, Part], choices: Choices) -> Recognised:
    arrays = contents.arrays
    part = choose_part(path, arrays, parts, choices.part)
    choices.refuse(path, ("transposed", "tau"), "it is recognised by torch's names")
    _check_roles(path, choices)
    direction = choose_direction(path, part, choices)
    both = "backward" in part.keys
    whole = read_stack(path, arrays, part, part.keys[direction], both)
    stack = Stack(whole.cell, whole.keys[:1], whole.hidden, whole.width, whole.n_input) if both else whole
    held, used, assumed = _cells(path, arrays, stack)
    recurrent = {key for p in parts.values() for layers in p.keys.values() for keys in layers for key in keys.values()}
    free = [key for key in arrays if key not in recurrent]
    readout: Readout | None = None
    initial: Initial | None = None
    if both:
        choices.refuse(path, ("matrices",), "of a bidirectional network one half is analysed, without a readout")
        assumed += _about_half(direction, whole)
    else:
        readout = find_readout(path, arrays, free, stack, part.prefix, choices)
        around = [key for key in free if readout is None or key not in (readout.weight, readout.bias)]
        initial = find_initial(path, arrays, around, stack, choices)
    if readout is not None:
        held |= _readout_arrays(path, arrays, readout)
        assumed += _about_readout(readout)
    elif choices.matrices.get("readout_bias"):
        raise CheckpointError(path, "--matrix readout_bias was given without a readout", "name the readout too")
    if initial is not None:
        held["initial_state"] = initial.state
        assumed += initial.assumed
    settings, about_f = _settings(path, contents, stack, choices)
    used += [key for key in (readout.weight, readout.bias) if key] if readout else []
    used += initial.keys if initial else ()
    used += [f"{part.prefix}{COUPLED}"]
    return Recognised(
        stack.cell,
        held,
        settings,
        (_why_cell(arrays, contents, part, stack), *(() if both else _why_ends(arrays, readout, initial))),
        (*about_f, *assumed),
        tuple(shown(key, arrays) for key in arrays if key not in used),
    )


def _check_roles(path: Path, choices: Choices) -> None:
    """Only what stands around torch's own weights can be named."""
    wrong = [role for role in choices.matrices if role not in ("readout", "readout_bias", "initial")]
    if wrong:
        because = f"--matrix {wrong[0]} means nothing for it: it is recognised by torch's names"
        raise CheckpointError(path, because, "name readout, readout_bias or initial, or all matrices with --form")


def _cells(path: Path, arrays: Arrays, stack: Stack) -> tuple[Arrays, list[str], list[str]]:
    """The weights of every layer by torch's names, the keys used, and what was assumed of them."""
    held: Arrays = {}
    used: list[str] = []
    assumed: list[str] = []
    for k, keys in enumerate(stack.keys):
        biases = [name for name in ("bias_ih", "bias_hh") if name in keys]
        for name, key in keys.items():
            values = weights(path, arrays, key)
            held[f"{name}_l{k}"] = values.ravel() if name.startswith("bias") else values
            used.append(key)
        for name in ("bias_ih", "bias_hh"):
            if name not in keys and any("bias_ih" in k or "bias_hh" in k for k in stack.keys):
                held[f"{name}_l{k}"] = np.zeros(len(arrays[keys["weight_hh"]]))
                assumed.append(f"{name}_l{k} is zero, as the file has {' and '.join(biases) or 'no bias there'} only")
    return held, used, assumed


def _about_half(direction: str, whole: Stack) -> list[str]:
    lines = [f"the {direction} direction alone is analysed, without the readout, which reads both"]
    if whole.layers > 1:
        lines.append("only its first layer is, since the layers above are driven by both directions")
    if direction == "backward":
        lines.append("its time runs from the end of a sequence to its beginning")
    return lines


def _about_readout(readout: Readout) -> list[str]:
    lines = []
    if readout.others:
        lines.append(f"the readout is {readout.weight}, not {', '.join(readout.others)}; --matrix readout=KEY")
    if readout.after:
        lines.append(f"the readout is {readout.weight} alone, without {', '.join(readout.after)} after it")
    return lines


def _readout_arrays(path: Path, arrays: Arrays, readout: Readout) -> Arrays:
    W = weights(path, arrays, readout.weight)
    b = np.zeros(len(W)) if readout.bias is None else weights(path, arrays, readout.bias).ravel()
    return {"readout.weight": W, "readout.bias": b}


def _settings(path: Path, contents: Contents, stack: Stack, choices: Choices) -> tuple[dict[str, Any], list[str]]:
    """The nonlinearity of a vanilla RNN, and the line that says where it was only assumed."""
    if stack.cell != "rnn":
        choices.refuse(path, ("activation",), f"a {WORDS[stack.cell]} has its own")
        return {}, []
    legal = ("tanh", "relu")
    if choices.activation is not None:
        if choices.activation not in legal:
            wrong = f"activation is {choices.activation!r}"
            raise CheckpointError(path, wrong, f"a vanilla RNN of torch knows {' and '.join(legal)}")
        return {"nonlinearity": choices.activation}, []
    for name in ("nonlinearity", "activation"):
        for value in contents.said(name).values():
            if value in legal:
                return {"nonlinearity": value}, []
    return {"nonlinearity": "tanh"}, ["the activation is tanh (weights do not tell); --activation relu for the other"]


def _why_cell(arrays: Arrays, contents: Contents, part: Part, stack: Stack) -> str:
    key = stack.keys[0]["weight_hh"]
    rows = f"rows over units are {len(arrays[key]) // stack.hidden}"
    prefix = f", under the prefix {part.prefix}" if part.prefix else ""
    inside = f", in the entry {contents.container}" if contents.container else ""
    return f"{stack}: {shown(key, arrays)}, whose {rows}{prefix}{inside}"


def _why_ends(arrays: Arrays, readout: Readout | None, initial: Initial | None) -> list[str]:
    lines = []
    if readout is not None:
        bias = f" and {shown(readout.bias, arrays)}" if readout.bias else ", without a bias"
        lines.append(f"readout: {shown(readout.weight, arrays)}{bias}")
    else:
        lines.append("no readout: no matrix that is left reads the hidden state")
    if initial is not None:
        lines.append(f"initial state: {' and '.join(shown(key, arrays) for key in initial.keys)}")
    return lines

"""A recurrent network of torch's names: its cells, its readout, its first state, and whether that is all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError, ignoring, printable
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import Choices, Recognised, shown, weights
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.arrays import (
    about_code,
    called_initial,
    holder_of,
    refuse_hooks,
    refuse_unexplained,
)
from dynsys.models.loading.evidence.beside import (
    about_loop_and_readout,
    is_stepped_by_hand,
    refuse_quantised,
    refuse_turned,
)
from dynsys.models.loading.evidence.closed_loops import about_loops, refuse_fed_back
from dynsys.models.loading.evidence.configured import about_the_output_and_noise
from dynsys.models.loading.evidence.stated import one_activation
from dynsys.models.loading.named.matrices import Named
from dynsys.models.loading.recognition.chains import about_layers, choose_part
from dynsys.models.loading.recognition.ends import Initial, Readout, find_initial, find_readout
from dynsys.models.loading.recognition.state_dict import Part, Stack, choose_direction, read_stack
from dynsys.models.networks.lstm_variants import COUPLED
from dynsys.models.registry import MODELS


def torch_module(path: Path, contents: Contents, parts: dict[str, Part], choices: Choices) -> Recognised:
    """The network of one of the ``parts``; CheckpointError for what is no network of torch's, with the way out."""
    contents = _turned(contents) if choices.transposed else contents
    arrays = contents.arrays
    part = choose_part(path, arrays, parts, choices.part)
    options = ("tau", "alpha", "convention", "gates", "gate_activation")
    choices.refuse(path, options, "it is recognised by torch's names; --form with --matrix says another equation")
    direction = choose_direction(path, part, choices)
    both = "backward" in part.keys
    whole = _read(path, contents, part, direction, choices.transposed)
    stack = Stack(whole.cell, whole.keys[:1], whole.units[:1], whole.widths[:1], whole.n_input) if both else whole
    cell = whole.keys[0]
    recurrent = _recurrent(part, parts)
    refuse_quantised(path, arrays, (key for keys in stack.keys for key in keys.values()))
    free = [key for key in arrays if key not in recurrent]
    refuse_turned(path, arrays, cell, (key for key in free if not choices.ignores(key)))
    named = Named(path, contents, choices)
    readout: Readout | None = None
    elsewhere: tuple[str, ...] = ()
    initial: Initial | None = None
    if both:
        choices.refuse(path, ("matrices",), "of a bidirectional network one half is analysed, without a readout")
    else:
        alone = all(p in part.own or holder_of(p) != holder_of(part.prefix) for p in parts)
        readout, elsewhere = find_readout(path, arrays, free, stack, part.prefix, named, alone=alone)
        named.used.clear()
        initial = find_initial(path, arrays, [k for k in free if not readout or k not in readout.keys], stack, named)
    if readout is None and choices.matrices.get("readout_bias"):
        raise CheckpointError(path, "--matrix readout_bias was given without a readout", "name the readout too")
    ends = {key for end in (readout, initial) if end is not None for key in end.keys}
    explained = recurrent | ends | _around(arrays, free, readout) | _readouts_of_both(arrays, free, stack, both)
    for prefix, keys, n in _modules(part, stack):
        refuse_unexplained(path, contents, choices, prefix, keys, explained, n, stack.cell)
        refuse_hooks(path, contents, choices, prefix)
    refuse_fed_back(path, contents, choices, part.prefix, stack, readout)
    held, used, assumed = _cells(path, arrays, stack)
    aside = about_the_output_and_noise(contents, choices, part.prefix)
    said = about_code(contents, part.prefix, readout.keys[:1] if readout else ())
    by_hand = () if said else cell.values()
    width = None if readout is None else stack.width
    holder = holder_of(part.prefix)
    assumed += [*said, *aside, *about_loop_and_readout(arrays, free, part.name, by_hand, holder, width)]
    assumed += about_loops(arrays, free, holder, stack, readout) if is_stepped_by_hand(by_hand) else []
    settings, about_f, why_f = _settings(path, contents, part, stack, choices)
    assumed = [
        *about_f,
        *about_layers(part),
        *assumed,
        *(_about_half(direction, whole) if both else _about_readout(readout, elsewhere)),
    ]
    if readout is not None:
        b = np.zeros(len(readout.W)) if readout.b is None else readout.b
        held |= {"readout.weight": readout.W, "readout.bias": b}
    if initial is not None:
        held["initial_state"] = initial.state
        assumed += initial.assumed
    known = {*used, *ends, *(f"{prefix}{COUPLED}" for prefix in part.own)}
    unused = tuple(shown(key, arrays) for key in arrays if key not in known)
    unused += tuple(f"{key} ({why})" for key, why in contents.odd.items())
    why = (_why_cell(arrays, contents, part, stack), *why_f, *(() if both else _why_ends(readout, initial)))
    return Recognised(stack.cell, held, settings, why, tuple(assumed), unused)


def _recurrent(part: Part, parts: dict[str, Part]) -> set[str]:
    """The keys of the part and of those beside it; what has torch's names within a part is none of its own."""
    inside = tuple(prefix for prefix in part.own if prefix)
    beside = [part, *(p for p in parts.values() if p is not part and not p.prefix.startswith(inside))]
    keys = {key for p in beside for layers in p.keys.values() for names in layers for key in names.values()}
    return keys | {f"{p.prefix}{COUPLED}" for p in beside}


def _around(arrays: Arrays, free: list[str], readout: Readout | None) -> set[str]:
    """What is of the readout's own layer, or behind it."""
    if readout is None or not readout.keys:
        return set()
    after = set(readout.after)
    return {key for key in free if _beside(key, readout.keys[0])} | after | _biases(after)


def _read(path: Path, contents: Contents, part: Part, direction: str, turned: bool) -> Stack:
    """The cell and sizes of the part; where they fit once all matrices are turned (turned back, where the choices have
    ``turned`` them), CheckpointError says so."""
    layers, both = part.keys[direction], "backward" in part.keys
    try:
        return read_stack(path, contents.arrays, part, layers, both)
    except CheckpointError as error:
        try:
            read_stack(path, _turned(contents).arrays, part, layers, both)
        except CheckpointError:
            raise error from None
        remedy = "its matrices act from the right, x W: --transposed turns them all, with gates in torch's order"
        if turned:
            remedy = "--transposed means nothing for it: its matrices act from the left, as torch's do; leave it out"
        raise CheckpointError(path, error.wrong, remedy) from error


def _turned(contents: Contents) -> Contents:
    """The same with every matrix turned, but first states."""
    arrays = {k: v.T if v.ndim == 2 and not called_initial(k) else v for k, v in contents.arrays.items()}
    return dataclasses.replace(contents, arrays=arrays)


def _modules(part: Part, stack: Stack) -> Iterator[tuple[str, dict[str, str], int]]:
    """Of each module of the part its prefix, the keys of its lowest layer and the width of its h."""
    for prefix in part.own:
        k = next((k for k, keys in enumerate(stack.keys) if keys["weight_hh"].startswith(prefix)), 0)
        yield prefix, stack.keys[k], stack.widths[k]


def _beside(key: str, weight: str) -> bool:
    """Whether a key is of the same layer as the readout's weight."""
    owner = weight.rpartition(".")[0]
    return bool(owner) and key.rpartition(".")[0] == owner


def _biases(keys: set[str]) -> set[str]:
    return {key.removesuffix("weight") + "bias" for key in keys if key.endswith("weight")}


def _readouts_of_both(arrays: Arrays, free: list[str], stack: Stack, both: bool) -> set[str]:
    """Of a bidirectional network, the layers that read h of both directions, and their biases."""
    wide = {k for k in free if both and arrays[k].ndim == 2 and arrays[k].shape[1] == 2 * stack.width}
    return wide | _biases(wide)


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


def _about_readout(readout: Readout | None, elsewhere: tuple[str, ...]) -> list[str]:
    if readout is None:
        if not elsewhere:
            return []
        keys = ", ".join(printable(key) for key in elsewhere[:3])
        return [
            f"there is no readout, as {keys} stands in another module or beside several recurrent parts; "
            f"--matrix readout={printable(elsewhere[0])} if it reads this part"
        ]
    lines = []
    if readout.others:
        best = readout.keys[0]
        lines.append(f"the readout is {best}, not {', '.join(readout.others)}; --matrix readout=KEY")
    if readout.after:
        best = readout.keys[0]
        lines.append(f"the readout is {best} alone, without {', '.join(readout.after)} after it")
    return lines


def _settings(
    path: Path, contents: Contents, part: Part, stack: Stack, choices: Choices
) -> tuple[dict[str, Any], list[str], list[str]]:
    """The nonlinearity of a vanilla RNN, the line that says where it was only assumed, and why it was not.

    A gated cell of torch has tanh; a configuration that says another shows that it is no cell of torch.
    """
    stated = one_activation(contents, choices, path, part.prefix) if choices.activation is None else None
    if stack.cell != "rnn":
        choices.refuse(
            path, ("activation",), f"a {MODELS[stack.cell].kind.title} of torch has its own; --form says another"
        )
        if stated is not None and stated[0] != "tanh":
            key = printable(stated[1])
            wrong = f"its configuration says {key} = {contents.settings[stated[1]]}, and torch's cell has tanh"
            form = "gru" if stack.cell == "gru" else "lstm"
            remedy = (
                f"{ignoring(key)} if that is of another layer; else --form {form} --activation {stated[0]} "
                "with --matrix"
            )
            raise CheckpointError(path, wrong, remedy)
        return {}, [], []
    if choices.activation is not None:
        return {"nonlinearity": choices.activation}, [], []
    if stated is not None:
        return {"nonlinearity": stated[0]}, [], [f"f is {stated[0]}: the file says {printable(stated[1])}"]
    assumed = "the activation is tanh (weights do not tell); --activation relu for the other"
    return {"nonlinearity": "tanh"}, [assumed], []


def _why_cell(arrays: Arrays, contents: Contents, part: Part, stack: Stack) -> str:
    key = stack.keys[0]["weight_hh"]
    rows = f"rows over units are {len(arrays[key]) // stack.units[0]}"
    under = " then ".join(printable(prefix) for prefix in part.own if prefix)
    prefix = f", under the prefix {under}" if under else ""
    inside = f", in the entry {printable(contents.container)}" if contents.container else ""
    gates = {"gru": ", torch's GRU: reset after the product", "lstm": ", torch's LSTM"}.get(stack.cell, "")
    return f"{stack}: {shown(key, arrays)}, whose {rows}{prefix}{inside}{gates}"


def _why_ends(readout: Readout | None, initial: Initial | None) -> list[str]:
    lines = []
    if readout is not None:
        lines.append(f"readout: {readout.told}")
    else:
        lines.append("no readout: no matrix that is left reads the hidden state")
    if initial is not None:
        lines.append(f"initial state: {initial.told}")
    return lines

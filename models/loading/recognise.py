"""Which network is in a file of another tool, told from the names and shapes of its arrays and from its configuration.

Tried in turn: matrices that the user named; the recurrent layers of tools that say themselves what they are; torch's
recurrent modules; the names that our own networks give theirs.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.errors import CheckpointError, printable
from dynsys.files import Arrays
from dynsys.models.conventions.layers import recognise_layers
from dynsys.models.loading.beside import about_loop_and_readout, refuse_quantised, refuse_turned
from dynsys.models.loading.choices import Choices, Recognised, listed, shown, weights
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.effective import effective
from dynsys.models.loading.ends import Initial, Readout, find_initial, find_readout
from dynsys.models.loading.evidence import about_code, holder_of, refuse_hooks, refuse_unexplained
from dynsys.models.loading.forms import from_named
from dynsys.models.loading.hints import hint
from dynsys.models.loading.named import Named
from dynsys.models.loading.replay import replayed
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
from dynsys.models.loading.stated import one_activation
from dynsys.models.registry import MODELS
from dynsys.system import System

AROUND = ("readout", "readout_bias", "initial")  # what can be named around a cell with torch's names

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
    "leaky": "x' = (1 - a) x + a f(W x + B u + b), z = W_out x + b_out",
    "leaky-rate": "x' = (1 - a) x + a (W r(x) + B u + b), z = W_out r(x) + b_out, r = f",
    "plrnn": "z' = A z + W relu(z) + h + C u, or A z + W_1 relu(W_2 z + h_2) + h_1 + C u",
}
OF_TANH = ("rnn", "esn", "simple-rnn", "rate", "activity", "leaky", "leaky-rate")  # unless the settings say another
RESET_BEFORE = "h' = (1 - z) n + z h, n = tanh(W_in u + b_in + W_hn (r h) + b_hn), z and r logistic"


def equation(model: str, settings: dict[str, Any]) -> str:
    """The equation of a model, with its own activation in the place of f, and of a gated one in that of its own."""
    text = RESET_BEFORE if model == "gru" and settings.get("reset") == "before" else EQUATIONS.get(model, "")
    f = settings.get("activation") or settings.get("nonlinearity") or ("tanh" if model in OF_TANH else None)
    if not f:
        return text.replace("logistic", str(settings["gate"])) if "gate" in settings else text
    if model in ("gru", "lstm", "lstm-peephole", "lstm-coupled"):
        return text.replace("tanh(", f"{f}(").replace("logistic", str(settings.get("gate", "logistic")))
    a = settings.get("alpha")
    text = text.replace("(1 - a)", f"{1 - a:g}").replace("+ a ", f"+ {a:g} ") if isinstance(a, float) else text
    return text.replace("r = f", f"r = {f}").replace("= f(", f"= {f}(").replace(" f(", f" {f}(")


def recognise(path: Path, contents: Contents, choices: Choices) -> Recognised:
    """The network that the arrays are, and why; CheckpointError lists what the file holds and says what to do."""
    choices = _within(contents.container, choices)
    if choices.replay is not None:
        return replayed(path, contents, choices)
    if choices.form is not None or any(role not in AROUND for role in choices.matrices):
        return from_named(path, contents, choices)
    layers = recognise_layers(path, contents, choices)
    if layers is not None:
        return layers
    whole = effective(contents.arrays)
    contents = dataclasses.replace(contents, arrays=whole.arrays)
    parts = find_parts(path, contents.arrays)
    if parts:
        found = _torch_module(path, contents, parts, choices)
        made = tuple(f"{key} is made of {words}" for key, (_, words) in whole.made.items())
        return dataclasses.replace(found, why=(*found.why, *made))
    return _by_our_names(path, contents, choices)


def system_of(path: Path, found: Recognised) -> System:
    """The system of a network that was recognised; raises CheckpointError where its arrays make none."""
    make = MODELS[found.model].from_arrays
    assert make is not None
    try:
        return make(found.arrays, found.settings, None)
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(path, str(error), "say what is what with --form and --matrix") from error


def _within(container: str, choices: Choices) -> Choices:
    """The choices with keys as ``contents`` has them, whether or not the user wrote the entry that holds them all."""
    if not container:
        return choices
    short = {role: text.replace(f"{container}.", "") for role, text in choices.matrices.items()}
    part = choices.part and choices.part.removeprefix(f"{container}.")
    ignore = (*choices.ignore, *(key.removeprefix(f"{container}.") for key in choices.ignore))
    alpha, tau = (v.replace(f"{container}.", "") if isinstance(v, str) else v for v in (choices.alpha, choices.tau))
    ignore = tuple(dict.fromkeys(ignore))
    return dataclasses.replace(choices, matrices=short, part=part, ignore=ignore, alpha=alpha, tau=tau)


def _by_our_names(path: Path, contents: Contents, choices: Choices) -> Recognised:
    held = set(contents.arrays) | set(contents.odd)
    ours = {name: model for name, model in MODELS.items() if model.weights and name not in WORDS}
    name = next((name for name, model in ours.items() if set(model.weights) <= held), None)
    model = None if name is None else ours[name]
    left = [key for key in contents.arrays if model and not _explains(model.weights, key, choices)]
    if model is None or name is None or left:
        odd = "".join(f", {printable(key)} {kind}" for key, kind in list(contents.odd.items())[:10])
        what = f"no {name}, whose names it has, but more" if left else "no known network"
        wrong = f"{what}: it holds {listed(contents.arrays)}{odd}"
        makes = left and _can_be_made(model, contents)
        aside = f"; if it is, with the rest put aside, {' '.join(f'--ignore {k}' for k in left)}" if makes else ""
        raise CheckpointError(path, wrong, hint(path, contents, choices) + aside)
    because = f"it is recognised as {name} by its names"
    options = ("part", "direction", "matrices", "transposed", "alpha", "convention", "gates", "gate_activation")
    choices.refuse(path, options, because)
    for key in model.weights:
        if key in contents.odd:
            raise CheckpointError(path, f"its array {key} is {contents.odd[key]}", "save real numbers")
    settings: dict[str, Any] = {}
    assumed, why = [], [f"by its arrays {', '.join(model.weights)}"]
    stated = one_activation(contents, choices, path)
    if choices.activation is not None:
        settings["activation"] = choices.activation
    elif stated is not None:
        settings["activation"] = stated[0]
        why.append(f"f is {stated[0]}: the file says {printable(stated[1])}")
    else:
        assumed.append("the activation is tanh (the file does not say); --activation logistic for another")
    tau = choices.tau if choices.tau is not None else next(iter(contents.said("tau").values()), None)
    if tau is not None:
        settings["tau"] = _number(path, contents, tau)
    arrays = {key: contents.arrays[key] for key in model.weights}
    unused = tuple(shown(k, contents.arrays) for k in contents.arrays if k not in model.weights and not _is_tau(k))
    return Recognised(name, arrays, settings, tuple(why), tuple(assumed), unused)


def _can_be_made(model: Any, contents: Contents) -> bool:
    try:
        model.from_arrays({key: contents.arrays[key] for key in model.weights}, {}, None)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError):
        return False
    return True


def _explains(names: tuple[str, ...], key: str, choices: Choices) -> bool:
    return key in names or _is_tau(key) or choices.ignores(key)


def _is_tau(key: str) -> bool:
    return key.rpartition(".")[2] == "tau"


def _number(path: Path, contents: Contents, value: Any) -> float:
    try:
        return float(contents.arrays[value].item() if isinstance(value, str) else value)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(path, f"its tau is {value!r}", "give --tau as a number") from error


def _torch_module(path: Path, contents: Contents, parts: dict[str, Part], choices: Choices) -> Recognised:
    arrays = contents.arrays
    part = choose_part(path, arrays, parts, choices.part)
    options = ("transposed", "tau", "alpha", "convention", "gates", "gate_activation")
    choices.refuse(path, options, "it is recognised by torch's names; --form with --matrix says another equation")
    direction = choose_direction(path, part, choices)
    both = "backward" in part.keys
    whole = read_stack(path, arrays, part, part.keys[direction], both)
    stack = Stack(whole.cell, whole.keys[:1], whole.hidden, whole.width, whole.n_input) if both else whole
    cell = whole.keys[0]
    beside = [p for p in parts.values() if p is part or not part.prefix or not p.prefix.startswith(part.prefix)]
    recurrent = {key for p in beside for layers in p.keys.values() for keys in layers for key in keys.values()}
    recurrent |= {f"{p.prefix}{COUPLED}" for p in beside}
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
        alone = sum(holder_of(p) == holder_of(part.prefix) for p in parts) == 1
        readout, elsewhere = find_readout(path, arrays, free, stack, part.prefix, named, alone=alone)
        named.used.clear()
        initial = find_initial(path, arrays, [k for k in free if not readout or k not in readout.keys], stack, named)
    if readout is None and choices.matrices.get("readout_bias"):
        raise CheckpointError(path, "--matrix readout_bias was given without a readout", "name the readout too")
    ends = {key for end in (readout, initial) if end is not None for key in end.keys}
    heads = {key for key in free if readout and _beside(key, readout.keys[0] if readout.keys else "")}
    after = set(readout.after) if readout else set()
    explained = recurrent | ends | heads | after | _biases(after) | _readouts_of_both(arrays, free, stack, both)
    refuse_unexplained(path, contents, choices, part.prefix, cell, explained, stack.width)
    refuse_hooks(path, contents, choices, part.prefix)
    held, used, assumed = _cells(path, arrays, stack)
    said = about_code(contents, part.prefix, readout.keys[:1] if readout else ())
    by_hand = () if said else cell.values()
    width = None if readout is None else stack.width
    assumed += [*said, *about_loop_and_readout(arrays, free, part.name, by_hand, holder_of(part.prefix), width)]
    settings, about_f, why_f = _settings(path, contents, part, stack, choices)
    assumed = [*about_f, *assumed, *(_about_half(direction, whole) if both else _about_readout(readout, elsewhere))]
    if readout is not None:
        b = np.zeros(len(readout.W)) if readout.b is None else readout.b
        held |= {"readout.weight": readout.W, "readout.bias": b}
    if initial is not None:
        held["initial_state"] = initial.state
        assumed += initial.assumed
    known = {*used, *ends, f"{part.prefix}{COUPLED}"}
    unused = tuple(shown(key, arrays) for key in arrays if key not in known)
    unused += tuple(f"{key} ({why})" for key, why in contents.odd.items())
    why = (_why_cell(arrays, contents, part, stack), *why_f, *(() if both else _why_ends(readout, initial)))
    return Recognised(stack.cell, held, settings, why, tuple(assumed), unused)


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
        choices.refuse(path, ("activation",), f"a {WORDS[stack.cell]} of torch has its own; --form says another")
        if stated is not None and stated[0] != "tanh":
            key = printable(stated[1])
            wrong = f"its configuration says {key} = {contents.settings[stated[1]]}, and torch's cell has tanh"
            form = "gru" if stack.cell == "gru" else "lstm"
            remedy = (
                f"--ignore {key} if that is of another layer; else --form {form} --activation {stated[0]} with --matrix"
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
    rows = f"rows over units are {len(arrays[key]) // stack.hidden}"
    prefix = f", under the prefix {printable(part.prefix)}" if part.prefix else ""
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

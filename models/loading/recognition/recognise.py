"""Which network is in a file of another tool, told from the names and shapes of its arrays and from its configuration.

Tried in turn: matrices that the user named; the recurrent layers of tools that say themselves what they are; torch's
recurrent modules; the names that our own networks give theirs, ``W_r``, ``W_fb``, ``W_out`` and ``B``.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dynsys.io.errors import CheckpointError, ignoring, printable
from dynsys.models.conventions.layers import recognise_layers
from dynsys.models.loading.choices import Choices, Recognised, listed, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.stated import one_activation
from dynsys.models.loading.named.forms import from_named
from dynsys.models.loading.named.replay import replayed
from dynsys.models.loading.recognition.effective import effective
from dynsys.models.loading.recognition.equations import equation
from dynsys.models.loading.recognition.hints import hint
from dynsys.models.loading.recognition.state_dict import find_parts
from dynsys.models.loading.recognition.torch_module import torch_module
from dynsys.models.registry import MODELS

AROUND = ("readout", "readout_bias", "initial")  # what can be named around a cell with torch's names


def recognise(path: Path, contents: Contents, choices: Choices) -> Recognised:
    """The network that the arrays are, and why; CheckpointError lists what the file holds and says what to do."""
    choices = _within(contents.container, choices)
    if choices.replay is not None:
        return replayed(path, contents, choices, recognise)
    if choices.form is not None or any(role not in AROUND for role in choices.matrices):
        return from_named(path, contents, choices)
    layers = recognise_layers(path, contents, choices)
    if layers is not None:
        return layers
    whole = effective(contents.arrays)
    contents = dataclasses.replace(contents, arrays=whole.arrays)
    parts = find_parts(path, contents.arrays)
    if parts:
        found = torch_module(path, contents, parts, choices)
        made = tuple(f"{key} is made of {words}" for key, (_, words) in whole.made.items())
        return dataclasses.replace(found, why=(*found.why, *made))
    return by_our_names(path, contents, choices)


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


def by_our_names(path: Path, contents: Contents, choices: Choices) -> Recognised:
    held = set(contents.arrays) | set(contents.odd)
    ours = {name: model for name, model in MODELS.items() if model.kind.told_by}
    name = next((name for name, model in ours.items() if set(model.kind.told_by) <= held), None)
    model = None if name is None else ours[name]
    left = [key for key in contents.arrays if model and not _explains(model.kind.told_by, key, choices)]
    if model is None or name is None or left:
        odd = "".join(f", {printable(key)} {kind}" for key, kind in list(contents.odd.items())[:10])
        what = f"no {name}, whose names it has, but more" if left else "no known network"
        wrong = f"{what}: it holds {listed(contents.arrays)}{odd}"
        makes = left and _can_be_made(model, contents)
        aside = f"; if it is, with the rest put aside, {ignoring(*left)}" if makes else ""
        raise CheckpointError(path, wrong, hint(path, contents, choices) + aside)
    because = f"it is recognised as {name} by its names"
    options = ("part", "direction", "matrices", "transposed", "alpha", "convention", "gates", "gate_activation")
    choices.refuse(path, options, because)
    for key in model.kind.told_by:
        if key in contents.odd:
            raise CheckpointError(path, f"its array {key} is {contents.odd[key]}", "save real numbers")
    settings: dict[str, Any] = {}
    assumed, why = [], [f"by its arrays {', '.join(model.kind.told_by)}"]
    stated = one_activation(contents, choices, path)
    if choices.activation is not None:
        settings["activation"] = choices.activation
    elif stated is not None:
        settings["activation"] = stated[0]
        why.append(f"f is {stated[0]}: the file says {printable(stated[1])}")
    else:
        assumed.append("the activation is tanh (the file does not say); --activation logistic for another")
    if name == "simple-rnn":  # of which the file holds nothing but a matrix
        assumed.append(f"the equation is {equation(name, settings)}; --form with --matrix recurrent=W for another")
    tau = choices.tau if choices.tau is not None else next(iter(contents.said("tau").values()), None)
    if tau is not None:
        settings["tau"] = _number(path, contents, tau)
    arrays = {key: contents.arrays[key] for key in model.kind.told_by}
    unused = tuple(shown(k, contents.arrays) for k in contents.arrays if k not in model.kind.told_by and not _is_tau(k))
    return Recognised(name, arrays, settings, tuple(why), tuple(assumed), unused)


def _can_be_made(model: Any, contents: Contents) -> bool:
    try:
        model.from_arrays({key: contents.arrays[key] for key in model.kind.told_by}, {}, None)
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

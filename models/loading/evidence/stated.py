"""What a file's own configuration says of the equation: its activation, its leak, its time constant."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError, ignoring, printable
from dynsys.models.activations import activation_named
from dynsys.models.loading.choices import Choices
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.named.matrices import Array, Named

F_WORDS = {"activation", "nonlinearity", "nonlin", "act", "phi", "transfer", "actfn", "activations", "linearity"}
NOT_OF_THE_STATE = {"output", "out", "readout", "final", "head", "gate", "recurrent", "decoder", "encoder", "last"}
GENERAL = {
    "config",
    "cfg",
    "conf",
    "configuration",
    "hyper",
    "hyperparameters",
    "parameters",
    "hparams",
    "params",
    "args",
}
GENERAL |= {"arguments", "kwargs", "options", "opts", "opt", "settings", "model", "net", "network", "architecture"}
GENERAL |= {"rnn", "gru", "lstm", "elman", "cell", "recurrent", "reservoir", "init", "experiment", "metadata", "data"}
SAYS_NOTHING = {
    "rate",
    "value",
    "val",
    "init",
    "initial",
    "factor",
    "constant",
    "enabled",
    "enable",
    "use",
    "type",
    "mode",
}
SAYS_NOTHING |= {"std", "level", "strength", "prob", "p", "scale", "on", "active"}
VALUE = {"value", "val", "init", "initial"}
ALPHAS = ("alpha", "leak", "leak_rate", "leaking_rate", "leaky_rate", "leakage", "leakiness", "update_rate")
TAUS = ("tau", "time_constant", "tau_m", "tau_mem", "tau_rec")
NONE_SAID = {"", "none", "null", "default"}
NAMED = {
    "relu",
    "tanh",
    "sigmoid",
    "logistic",
    "softplus",
    "linear",
    "identity",
    "elu",
    "erf",
    "retanh",
}  # by ``f`` alone


def words_of(key: str) -> set[str]:
    """The words of a key, whatever stands between them, in lower case."""
    parts = re.split(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])", key)
    return {part.lower() for part in parts if part}


def said_words(key: str) -> set[str]:
    """The words of a setting's last name, and of the one before where that says nothing itself, as in leak.rate."""
    *owners, last = re.sub(r":\d+$", "", key).split(".")  # Keras's kernel:0
    own = words_of(last)
    return own | words_of(owners[-1]) if own <= SAYS_NOTHING and owners else own


def as_number(value: Any) -> float | None:
    """A number, also one that is kept as a text; None for others."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def is_called(key: str, names: Iterable[str]) -> bool:
    """Whether the words of a setting in their order are one of the names: leakingRate and leaking.rate are
    ``leaking_rate``, and alpha.value is ``alpha``."""
    *owners, last = re.sub(r":\d+$", "", key).split(".")
    parts = [owners[-1], last] if words_of(last) <= SAYS_NOTHING and owners else [last]
    words = [w.lower() for part in parts for w in re.split(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])", part) if w]
    return "_".join(word for word in words if word not in VALUE) in names


def activations_stated(contents: Contents, choices: Choices, prefix: str = "") -> dict[str, str]:
    """The settings that name the f of the recurrent part: {dotted name: value as the file has it}.

    Those of other modules of the file are none; those under the part's own prefix come before all others.
    """
    found = {
        key: str(value)
        for key, value in contents.settings.items()
        if isinstance(value, str)
        and not key.endswith(("__class__", "__hooks__"))
        and F_WORDS & words_of(key.rpartition(".")[2])
        and not NOT_OF_THE_STATE & words_of(key.rpartition(".")[2])
        and value.strip().lower() not in NONE_SAID
        and not choices.ignores(key)
        and not of_another_module(contents, key, prefix)
    }
    for key, value in _otherwise_said(contents).items():
        if not choices.ignores(key) and not of_another_module(contents, key, prefix):
            found[key] = value
    own = {key: value for key, value in found.items() if prefix and key.startswith(prefix)}
    return own or found


def _otherwise_said(contents: Contents) -> dict[str, str]:
    """f as a module in a configuration, ``activation=nn.ReLU()``, as torch's RNN_RELU, or as ``use_relu=True``."""
    found = {}
    for key, value in contents.settings.items():
        base = key.removesuffix(".__class__")
        owner, _, last = base.rpartition(".")
        words = words_of(last)
        if base != key:
            of_a_module = f"{owner}.training" in contents.settings or not owner
            if words & F_WORDS and not words & NOT_OF_THE_STATE and not of_a_module:
                found[key] = str(value).rpartition(".")[2]
        elif value in ("RNN_TANH", "RNN_RELU"):  # all that older modules of torch say
            found[key] = str(value).removeprefix("RNN_").lower()
        elif last == "f" and isinstance(value, str) and value.lower() in NAMED:
            found[key] = value
        elif value is True and len(words - {"use", "is", "with"}) == 1 and words & {"relu", "softplus", "sigmoid"}:
            found[key] = next(iter(words & {"relu", "softplus", "sigmoid"}))
    return {key: value for key, value in found.items() if value.lower() not in NONE_SAID}


def of_another_module(contents: Contents, key: str, prefix: str) -> bool:
    """Whether the setting stands in a module with arrays that is not the one, nor around the one, with the prefix."""
    owner = key.rpartition(".")[0]
    if not owner or f"{prefix}.".startswith(f"{owner}."):
        return False
    return any(name.startswith(f"{owner}.") for name in contents.arrays)


def one_activation(contents: Contents, choices: Choices, path: Any, prefix: str = "") -> tuple[str, str] | None:
    """The activation that the configuration states, by our name, and where; None where it says nothing.

    Raises CheckpointError for one that is not known, and for several that differ.
    """
    stated = activations_stated(contents, choices, prefix)
    elsewhere = [key for key in stated if not _is_general(key, prefix)]
    if elsewhere:
        key = printable(elsewhere[0])
        wrong = f"nothing tells whether its {key} = {stated[elsewhere[0]]!r} is the f of the recurrent part"
        raise CheckpointError(path, wrong, f"say f with --activation, or {ignoring(key)} if it is not")
    known: dict[str, str] = {}
    for key, value in stated.items():
        try:
            known[key] = activation_named(value)
        except ValueError as error:
            wrong = f"its {printable(key)} is {value!r}, which dynsys does not know as an activation"
            remedy = f"say f with --activation, or {ignoring(key)} if that is not the f of the network"
            raise CheckpointError(path, wrong, remedy) from error
    if len(set(known.values())) > 1:
        said = ", ".join(f"{printable(key)} = {value}" for key, value in stated.items())
        raise CheckpointError(path, f"its configuration states several activations: {said}", "say f with --activation")
    return next(((name, key) for key, name in known.items()), None)


def _is_general(key: str, prefix: str) -> bool:
    """Whether a setting is of the whole network or of the part with the prefix, and not of a component beside it."""
    owner = key.removesuffix(".__class__").rpartition(".")[0]
    words = words_of(owner)
    return words <= GENERAL | words_of(prefix) or (bool(prefix) and key.startswith(prefix))


def _common_owner(keys: Iterable[str]) -> str:
    """The prefix of the entry, or struct, that holds all of these arrays."""
    owners = [key.split(".")[:-1] for key in keys]
    shared = list(itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*owners, strict=False)))
    return "".join(f"{parts[0]}." for parts in shared)


def stated_activation(named: Named) -> tuple[str, list[str]]:
    """f of matrices that were named: what the user says, else what the file states, else tanh, which is assumed."""
    if named.choices.activation is not None:
        return named.choices.activation, []
    found = one_activation(named.contents, named.choices, named.path, _common_owner(named.used))
    if found is not None:
        named.why.append(f"f is {found[0]}: the file says {printable(found[1])}")
        return found[0], []
    return "tanh", [
        "the activation is tanh (weights do not tell); --activation relu, logistic, softplus ... for another"
    ]


def stated_number(named: Named, option: str, names: Iterable[str], n: int) -> tuple[float | Array | None, list[str]]:
    """tau or alpha: what the user says, else what the file states, by one of ``names``; and what to say of that."""
    said = named.per_unit(option, n, None)
    if said is not None:
        return said, []
    contents = named.contents
    for key, array in contents.arrays.items():
        if is_called(key, names) and array.size in (1, n) and not named.choices.ignores(key):
            named.used.append(key)
            named.why.append(f"{option} is the file's {printable(key)} {tuple(array.shape)}")
            value = np.asarray(array, dtype=np.float64).ravel()
            return (float(value[0]) if value.size == 1 else value), []
    for key, text in contents.settings.items():
        setting = as_number(text)
        if setting is not None and is_called(key, names) and not named.choices.ignores(key):
            named.why.append(f"{option} is {setting:g}: the file says {printable(key)}")
            return setting, []
    return None, []

"""What a file's configuration says of the step that none of its arrays shows: a leak, Dale's law, a residual, feedback.

A layer norm without a scale, a zoneout, h that is clipped or the output that is fed back have no arrays of their own.
So a setting is evidence as an array is, where its name consists of words for such a thing and of nothing else, and its
value is neither no nor none. Noise acts in training alone: it is told, and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dynsys.io.errors import printable
from dynsys.models.loading.choices import Choices
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.beside import NORMS
from dynsys.models.loading.evidence.stated import GENERAL, as_number, of_another_module, said_words, words_of

LEAKS = {"alpha", "tau", "taus", "leak", "leaky", "leakage", "leaking", "leakiness", "decay", "dt", "timeconstant"}
SIGNS = {"sign", "signs", "dale", "dales", "polarity"}
OF_A_LEAK_ALONE = {
    "leak",
    "leaky",
    "leakage",
    "leaking",
    "leakiness",
}  # the others mean many things beside a gated cell
OF_TRAINING = {"weight", "lr", "learning", "l1", "l2", "loss", "reg", "penalty", "dropout", "ema", "momentum", "prior"}
TRAINERS = {"optimizer", "optimiser", "optim", "scheduler", "loss", "criterion", "data", "dataset", "trainer", "train"}

NORMED = NORMS - {"gamma", "beta"}
AROUND_H = {"residual", "residuals", "skip", "highway", "zoneout", "peephole", "peepholes", "plasticity", "hebbian"}
AROUND_H |= {"coupled", "cifg"}
FED_BACK = {"feedback", "autoregressive"}
CUT_OFF = {"clip", "clipped", "clipping", "clamp", "clamped"}
H = {"hidden", "state", "states", "h", "cell", "activity", "rates", "recurrent", "rec"}
FILL = H | {"use", "with", "is", "has", "enable", "enabled", "do", "apply", "flag", "fl", "connection", "connections"}
FILL |= {"type", "mode", "rnn", "gru", "lstm", "layer", "hh", "to", "prob", "p", "rate", "value", "strength", "gain"}
FILL |= {"input", "forget", "gate", "gates"}
NORMALISED = {"normalization", "normalisation", "normalizer", "normalize"}  # of data as well: the text tells
NO = {"", "none", "null", "false", "no", "off", "0", "identity"}
NORMS_SAID = {"layer", "batch", "group", "rms", "layernorm", "batchnorm", "ln", "bn", "true", "yes"}

KIND_OF_CELL = {
    "cell",
    "rnn",
    "type",
    "model",
    "arch",
    "architecture",
    "unit",
    "net",
    "network",
    "name",
    "kind",
    "class",
}
OTHER_CELLS = "leaky ctrnn layernorm lnlstm lngru residual indrnn indygru janet peephole zoneout antisymmetric cornn"
OTHER_CELLS += (
    " plastic hebbian lowrank eirnn ugrnn clockwork fastgrnn minimalrnn minimalgru convgru convlstm reservoir"
)
OTHER_CELLS += " liquid spiking nbrc highway multiplicative mlstm mgru continuoustime eicell dale"
OTHER_WORDS = {"mgu", "cfn", "lmu", "sru", "ei", "ltc", "cfc", "esn", "lif", "brc", "ln", "rate"}
EXCITATORY = {"ei", "exc", "excitatory", "inh", "inhibitory"}
CONFIGURATION = {"config", "cfg", "hparams", "hyper", "args", "settings", "params", "options"}
GATED = ("gru", "lstm")
OF_THE_OUTPUT = {"model_data.skip": "model_data.unit_type"}  # GuitarML's, which adds the input to what is read out


def of_the_step(contents: Contents, choices: Choices, prefix: str, cell: str) -> list[str]:
    """The settings that show another step than that of torch's ``cell`` ("rnn", "gru", "lstm") under the prefix."""
    listed = [
        key
        for key, array in contents.arrays.items()
        if array.ndim == 1 and array.size > 1 and cell == "rnn" and not choices.ignores(key)
        if words_of(key.rpartition(".")[0]) & CONFIGURATION and called_a_leak(said_words(key) - {"decay", "dt"})
    ]
    said = [
        key
        for key, value in contents.settings.items()
        if key not in contents.arrays
        and not choices.ignores(key)
        and not of_another_module(contents, key, prefix)
        and not words_of(key.rpartition(".")[0]) & TRAINERS
        and not _is_of_the_output(contents, key)
        and (_is_leak(key, value, cell) or _changes_h(contents, key, value) or _names_another(key, value, cell))
    ]
    return listed + ([key for key in said if not key.endswith("__class__")] or said)  # a class by its name alone


def more_than_plain(config: Mapping[str, Any], cell: str) -> list[str]:
    """Of one layer's own configuration what a plain cell has no place for."""
    plain = Contents({})
    return [key for key, value in config.items() if _is_leak(key, value, cell) or _changes_h(plain, key, value)]


def about_the_output_and_noise(contents: Contents, choices: Choices, prefix: str) -> list[str]:
    """What a configuration says that acts on no step: noise, and an input that is added to the output."""
    lines = []
    for key, value in contents.settings.items():
        if (
            key in contents.arrays
            or choices.ignores(key)
            or of_another_module(contents, key, prefix)
            or not _is_on(value)
        ):
            continue
        if _is_of_the_output(contents, key):
            lines.append(f"the output is read from h alone, without the input that {key} = {value} adds to it")
        elif "decay" in said_words(key) and not said_words(key) & OF_TRAINING and as_number(value) not in (None, 1):
            lines.append(f"{printable(key)} = {value} is of training, and no leak of h")
        elif "noise" in said_words(key) and not isinstance(value, str) and not words_of(key) & TRAINERS:
            lines.append(f"noise is left out ({printable(key)} = {value})")
    return lines


def _is_of_the_output(contents: Contents, key: str) -> bool:
    return key in OF_THE_OUTPUT and OF_THE_OUTPUT[key] in contents.settings


def called_a_leak(words: Iterable[str]) -> bool:
    """Whether words say a leak or a time constant."""
    words = set(words)
    return (
        bool(words & LEAKS)
        or {"delta", "t"} <= words
        or {"update", "rate"} <= words
        or ("time" in words and bool(words & {"constant", "const"}))
    )


def _is_leak(key: str, value: Any, cell: str) -> bool:
    """A leak other than none and 1, a time constant, or Dale's law; beside a gated cell only what can be no other."""
    words = said_words(key)
    if words & OF_TRAINING:
        return False
    if cell == "rnn" and (words & SIGNS or words & EXCITATORY or {"e", "prop"} <= words):
        return _is_on(value)
    named = called_a_leak(words - {"decay"}) if cell == "rnn" else bool(words & OF_A_LEAK_ALONE)
    if value is True:
        return bool(words & OF_A_LEAK_ALONE)
    return named and as_number(value) not in (None, 0, 1)


def _is_on(value: Any) -> bool:
    return value.strip().lower() not in NO if isinstance(value, str) else isinstance(value, int | float) and bool(value)


def _changes_h(contents: Contents, key: str, value: Any) -> bool:
    """A residual, a norm, feedback, a zoneout or a clipped h, by a name of nothing but such words; a thing that an
    array of the file bears in its name is shown by that."""
    words = said_words(key)
    told = words - FILL
    if words & NORMALISED and isinstance(value, str):
        told = {"norm"}
    held = {word for name in contents.arrays for word in words_of(name)}
    if not _is_on(value) or not told or told & held:
        return False
    if told <= NORMED:
        shown = isinstance(value, str) and not words_of(value) & NORMS_SAID
        return not shown and not held & NORMED
    if isinstance(value, str) and not words_of(value) <= NORMS_SAID | {"add", "sum"}:
        return False
    return told <= AROUND_H or told - {"output", "out"} <= FED_BACK or (told <= CUT_OFF and bool(words & H))


def _names_another(key: str, value: Any, cell: str) -> bool:
    """A text that names the kind of the cell, and another than torch's that the weights look like."""
    owner, _, last = key.rpartition(".")
    if not isinstance(value, str) or not words_of(last) <= KIND_OF_CELL or not words_of(owner) <= GENERAL:
        return False
    letters = re.sub(r"[^a-z0-9]", "", value.lower())
    if words_of(value) & OTHER_WORDS or any(word in letters for word in OTHER_CELLS.split()):
        return True
    said = set(re.findall(r"gru|lstm", letters))
    return len(said) == 1 and cell not in said

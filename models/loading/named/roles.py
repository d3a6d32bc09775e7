"""Which array of a file is the recurrent matrix, the input, the readout or a bias, as far as names and shapes tell."""

from __future__ import annotations

import re

import numpy as np

from dynsys.io.errors import printable
from dynsys.io.files import Arrays
from dynsys.models.loading.evidence.configured import SIGNS
from dynsys.models.loading.evidence.remedies import MASKS, RAW
from dynsys.models.loading.evidence.stated import words_of

RECURRENT_WORDS = {"rec", "wrec", "recurrent", "hh", "whh", "w", "j", "h2h", "wr", "res", "reservoir", "lateral", "wh"}
RECURRENT_WORDS |= {"rr", "wrr", "kernelh", "rnn", "recurrentkernel", "recurrentweights", "hiddentohidden"}
INPUT_WORDS = {
    "in",
    "win",
    "wi",
    "input",
    "ih",
    "wih",
    "i2h",
    "input2h",
    "x2h",
    "wx",
    "wu",
    "wxh",
    "xh",
    "inp",
    "b",
    "u",
    "ir",
    "wir",
}
READOUT_WORDS = {
    "out",
    "wout",
    "wo",
    "readout",
    "fc",
    "ho",
    "h2o",
    "who",
    "output",
    "head",
    "decoder",
    "wy",
    "why",
    "v",
    "ro",
    "wro",
}
BIAS_WORDS = {"bias", "b", "brec", "bh", "bhh", "bih", "bx", "bin", "offset"}
READOUT_BIAS_WORDS = {"bout", "bo", "by"}


def roles_by_name(arrays: Arrays) -> dict[str, str]:
    """Which array is what, as far as names and shapes tell; empty without one recurrent matrix."""
    square = [key for key in arrays if is_recurrent(arrays, key)]
    clear = [key for key in square if name_words(key) & RECURRENT_WORDS] or square
    if len(clear) != 1:
        return {}
    recurrent, n = clear[0], len(arrays[clear[0]])
    others = [key for key in arrays if key != recurrent and arrays[key].dtype.kind in "fiub"]
    roles = {"recurrent": recurrent}
    of_size = [key for key in others if arrays[key].ndim <= 2 and n in arrays[key].shape]
    feedback = [
        k
        for k in of_size
        if name_words(k) & {"fb", "wfb", "feedback", "back", "wback"} and not _plain_vector(arrays, k)
    ]
    called = INPUT_WORDS | ({"w"} if name_words(recurrent) & {"u"} else set())  # W u + U h, as gates are written
    inputs = [k for k in of_size if name_words(k) & called and not _plain_vector(arrays, k) and k not in feedback]
    columns = [k for k in inputs if max(arrays[k].shape) == arrays[k].size and name_words(k) & BIAS_WORDS]
    if 0 < len(columns) < len(inputs):  # b of shape (n, 1) is a bias where another reads the inputs
        inputs = [k for k in inputs if k not in columns]
    else:
        columns = []
    readouts = [k for k in of_size if name_words(k) & READOUT_WORDS and not _plain_vector(arrays, k)]
    for role, keys in (("input", inputs), ("readout", readouts), ("feedback", feedback)):
        if len(keys) == 1:
            roles[role] = keys[0]
    biases = columns + [
        k
        for k in of_size
        if _plain_vector(arrays, k) and name_words(k) & BIAS_WORDS and not name_words(k) & READOUT_WORDS
    ]
    if biases:
        roles["bias"] = "+".join(biases)
    if "readout" in roles:
        W_out = arrays[roles["readout"]]
        size = W_out.size // n
        of_readout = [
            k
            for k in others
            if arrays[k].size == size
            and k != roles["readout"]
            and (
                name_words(k) & READOUT_BIAS_WORDS or (name_words(k) & READOUT_WORDS and name_words(k) & {"b", "bias"})
            )
        ]
        if len(of_readout) == 1:
            roles["readout_bias"] = of_readout[0]
    return {role: printable(text) for role, text in roles.items()}


def is_recurrent(arrays: Arrays, key: str) -> bool:
    """Square, no mask, no signs, no readout and no identity."""
    W, words = arrays[key], name_words(key)
    if (
        not re.search(r"[^\W\d]", key)
        or not is_matrix(arrays, key)
        or W.shape[0] != W.shape[1]
        or W.dtype.kind not in "fiu"
    ):
        return False
    if words & (MASKS | SIGNS | READOUT_WORDS) or words_of(key) & (RAW - {"g", "v"}):
        return False
    if bool(np.isin(W, (0, 1)).all()) and not words & RECURRENT_WORDS:
        return False
    return not (words & INPUT_WORDS - {"u"} and not words & RECURRENT_WORDS)


def is_matrix(arrays: Arrays, key: str) -> bool:
    return arrays[key].ndim == 2 and min(arrays[key].shape) > 1


def name_words(key: str) -> set[str]:
    """The words of what an array belongs to: its own name, or that of its layer where it is called weight or bias."""
    parts = [part for part in re.split(r"[./]", key) if part and not part.isdigit()]
    named = [part for part in parts if part.split(":")[0] not in ("weight", "kernel")]
    last = (named or parts or [key])[-1]
    if last == "bias" and len(named) > 1:
        last = f"{named[-2]}_bias"
    if len(named) > 1 and named[-2] in ("bias", "biases"):
        last = f"{last}_bias"
    return words_of(last) | {re.sub(r"[^a-z0-9]", "", last.lower())}


def _plain_vector(arrays: Arrays, key: str) -> bool:
    return max(arrays[key].shape, default=1) == arrays[key].size and bool(
        name_words(key) & (BIAS_WORDS - {"b"}) or arrays[key].ndim == 1
    )

"""What to say of a file that is no known network: a line of options that opens it, or none.

Roles are guessed from names and shapes, and a line is printed only where the network that it says can be made. The
equation is in no file; where nothing in the file speaks for one, the line is for the first that can be and names the
others.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dynsys.io.errors import CheckpointError, printable
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import Choices, line_of, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.arrays import called_initial
from dynsys.models.loading.evidence.remedies import masked
from dynsys.models.loading.evidence.stated import ALPHAS, TAUS, is_called, words_of
from dynsys.models.loading.named.roles import BIAS_WORDS, READOUT_WORDS, name_words, roles_by_name
from dynsys.models.loading.recognition.effective import effective
from dynsys.models.loading.recognition.layout_lines import (
    BESIDE,
    Line,
    concatenated,
    gated,
    low_rank,
    piecewise_linear,
    stacked,
)

SCHEME = (
    "name its matrices, --matrix recurrent=KEY and input, bias, readout, readout_bias, initial where there are such, "
    "and its equation, --form rnn, rate, activity, leaky, leaky-rate, gru, lstm, esn, low-rank or plrnn "
    "(see 'dynsys info --help'); in Python, dynsys.wrap steps any module"
)
NO_MATRIX = (
    "none of that is a matrix, so that it holds no recurrent weights; give the file that holds them, or wrap a module "
    "in Python: dynsys.wrap"
)
OF_CONFIGURATION = {"cfg", "config", "hparams", "hyper", "args", "settings"}
ELSEWHERE = {"rng", "random", "generator", "results", "records", "fps", "noise", "sigma"}  # of runs and their chance
COUNTS = {"n", "units", "hidden", "size", "inputs", "outputs"}
GAINS = ("g", "gain")


def hint(path: Path, contents: Contents, choices: Choices) -> str:
    """What to do with a file in which no network was recognised."""
    contents = dataclasses.replace(contents, arrays=effective(contents.arrays).arrays)
    if not any(array.ndim >= 2 and min(array.shape) >= 2 for array in contents.arrays.values()):
        return NO_MATRIX
    guesses = _lines(contents)
    lines, more = [line for line in guesses if _opens(path, contents, line)], ""
    if not lines:  # what the file says of f may be what keeps it back
        lines = [line for line in guesses if _opens(path, contents, line, activation="tanh")]
        more = " --activation F, as what the file says of it is not known"
    if lines:
        said = [f"{words}, {line_of(m, **options)}{more}" for words, m, options in lines]
        return f"{SCHEME}; {'; or '.join(said)}"
    return SCHEME


def _opens(path: Path, contents: Contents, line: Line, **more: str) -> bool:
    """Whether the network that the line says can be made, and uses every array that could be a part of it."""
    from dynsys.models.loading.named.forms import from_named

    _, matrices, options = line
    try:
        found = from_named(path, contents, Choices(matrices=matrices, **options, **more))  # type: ignore[arg-type]
    except (CheckpointError, ValueError):
        return False
    left = [key for key in contents.arrays if shown(key, contents.arrays) in found.unused]
    return all(_is_beside(contents.arrays, key) for key in left)


def _is_beside(arrays: Arrays, key: str) -> bool:
    """What may be left out of an equation: recordings, first states, readouts, factors of 1, and a gain, as there is
    a line with it."""
    gain = arrays[key].size == 1 and name_words(key) & set(GAINS)
    if words_of(key) & ELSEWHERE or (arrays[key].size == 1 and name_words(key) & COUNTS):
        return True
    if name_words(key) & BIAS_WORDS and not arrays[key].any():
        return True
    is_switch = arrays[key].size == 1 and arrays[key].dtype.kind in "bu"
    if is_switch or _is_configured(arrays, key):
        return True
    return bool(name_words(key) & (BESIDE | READOUT_WORDS) or called_initial(key) or (arrays[key] == 1).all() or gain)


def _is_configured(arrays: Arrays, key: str) -> bool:
    """A list of numbers in a configuration."""
    return arrays[key].ndim < 2 and bool(words_of(key.rpartition(".")[0]) & OF_CONFIGURATION)


def _lines(contents: Contents) -> list[Line]:
    arrays = contents.arrays
    for guess in (gated, stacked, low_rank, piecewise_linear, concatenated):
        found = guess(arrays)
        if found:
            return found
    return [
        (" and ".join(filter(None, (supposed, words))) if supposed else words, {**roles, **changed}, options)
        for roles, supposed, changed in _masked_roles(arrays)
        for words, _, options in [*_forms(contents, roles)]
    ]


def _masked_roles(arrays: Arrays) -> list[tuple[dict[str, str], str, dict[str, str]]]:
    """The roles, and what masks and signs make of the recurrent matrix, with what that supposes."""
    roles = roles_by_name(arrays)
    if "recurrent" not in roles:
        return []
    W = roles["recurrent"]
    others = [key for key in arrays if key != W]
    readings = masked(W, others, arrays, len(arrays[W]))
    found = [(roles, f"if {words}", {"recurrent": printable(text)}) for words, text in readings] or [(roles, "", {})]
    gain = next((k for k in others if arrays[k].size == 1 and k.rpartition(".")[2] in GAINS), None)
    if gain is not None:
        scaled = [(r, s, {"recurrent": f"{printable(gain)} * ({c.get('recurrent', W)})"}) for r, s, c in found]
        found += [(r, f"{s or 'if'} and {gain} is not in it yet".replace("if and", "if"), c) for r, s, c in scaled]
    return found


def _forms(contents: Contents, roles: dict[str, str]) -> list[Line]:
    """The equations that the file speaks for, else the first that can be."""
    arrays = contents.arrays
    leak = next((k for k in arrays if is_called(k, ALPHAS)), None)
    named_leak = leak or next((k for k in contents.settings if is_called(k, ALPHAS)), None)
    if "feedback" in roles:
        return [("if it is an echo state network", roles, {"form": "esn"})]
    if named_leak is not None:
        alpha = {} if leak is None else {"alpha": leak}
        return _leaky_lines(roles, alpha)
    tau = next((k for k in arrays if is_called(k, TAUS)), None)
    dt = next((k for k in arrays if is_called(k, ("dt",))), None)
    if tau is not None:
        flows = [
            ("if it is tau dx/dt = -x + W f(x) + ...", roles, {"form": "rate", "tau": tau}),
            ("if it is tau dr/dt = -r + f(W r + ...)", roles, {"form": "activity", "tau": tau}),
        ]
        return [*([] if dt is None else _leaky_lines(roles, {"alpha": f"{dt} / {tau}"})), *flows]
    others = (
        "rate (tau dx/dt = -x + W f(x) + ...), activity (tau dr/dt = -r + f(W r + ...)), leaky or leaky-rate with a"
    )
    return [(f"if it is x' = f(W x + ...), or with --form {others}", roles, {"form": "rnn"})]


def _leaky_lines(roles: dict[str, str], alpha: dict[str, str]) -> list[Line]:
    return [
        ("if it is x' = (1 - a) x + a f(W x + ...)", roles, {"form": "leaky", **alpha}),
        ("if it is x' = (1 - a) x + a (W f(x) + ...)", roles, {"form": "leaky-rate", **alpha}),
    ]


def guessed_roles(contents: Contents) -> dict[str, str]:
    """Which array is what, {role: expression}, as far as names and shapes tell; empty without a recurrent matrix.

    The layers of torch's names count as the matrices that they are.
    """
    arrays = effective(contents.arrays).arrays
    return {} if gated(arrays) else roles_by_name(arrays)

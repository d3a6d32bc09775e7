"""What to say of a file that is no known network: a line of options that opens it, or none.

Roles are guessed from names and shapes, and a line is printed only where the network that it says can be made. The
equation is in no file; where nothing in the file speaks for one, the line is for the first that can be and names the
others.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dynsys.errors import CheckpointError, printable
from dynsys.files import Arrays
from dynsys.models.loading.choices import GATES, Choices, line_of, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.effective import effective
from dynsys.models.loading.evidence import MASKS, RAW, SIGNS, called_initial, masked
from dynsys.models.loading.stated import words_of

SCHEME = (
    "name its matrices, --matrix recurrent=KEY and input, bias, readout, readout_bias, initial where there are such, "
    "and its equation, --form rnn, rate, activity, leaky, leaky-rate, gru, lstm, esn, low-rank or plrnn "
    "(see 'dynsys info --help'); in Python, dynsys.wrap steps any module"
)
RECURRENT_WORDS = {"rec", "wrec", "recurrent", "hh", "whh", "w", "j", "h2h", "wr", "res", "reservoir", "lateral", "wh"}
INPUT_WORDS = {"in", "win", "wi", "input", "ih", "wih", "i2h", "input2h", "x2h", "wx", "wu", "wxh", "xh", "inp", "b"}
READOUT_WORDS = {"out", "wout", "wo", "readout", "fc", "ho", "h2o", "who", "output", "head", "decoder", "wy", "why"}
BIAS_WORDS = {"bias", "b", "brec", "bh", "bhh", "bih", "bx", "bin", "offset"}
READOUT_BIAS_WORDS = {"bout", "bo", "by"}
BESIDE = {"dt", "seed", "epoch", "epochs", "step", "steps", "iteration", "loss", "losses", "lr", "ratio", "accuracy"}
BESIDE |= {"states", "trajectories", "trials", "history", "covariance", "cov", "inputs", "targets", "outputs", "times"}
BESIDE |= {"hprev", "prev", "sequence", "state"}  # what a run left behind
BESIDE |= {"activity", "recording", "eigenvalues", "pca", "grad", "i2o"}  # what is no part of an equation
OF_CONFIGURATION = {"cfg", "config", "hparams", "hyper", "args", "settings"}
GAINS = ("g", "gain")
OF_LEAK = ("alpha", "leak", "leak_rate", "leaking_rate")


def hint(path: Path, contents: Contents, choices: Choices) -> str:
    """What to do with a file in which no network was recognised."""
    contents = dataclasses.replace(contents, arrays=effective(contents.arrays).arrays)
    guesses = _lines(contents)
    lines, more = [line for line in guesses if _opens(path, contents, line)], ""
    if not lines:  # what the file says of f may be what keeps it back
        lines = [line for line in guesses if _opens(path, contents, line, activation="tanh")]
        more = " --activation F, as what the file says of it is not known"
    if lines:
        said = [f"{words}, {line_of(m, **options)}{more}" for words, m, options in lines]
        return f"{SCHEME}; {'; or '.join(said)}"
    return SCHEME


def guessed_roles(contents: Contents) -> dict[str, str]:
    """Which array is what, {role: expression}, as far as names and shapes tell; empty without a recurrent matrix.

    The layers of torch's names count as the matrices that they are.
    """
    arrays = effective(contents.arrays).arrays
    return {} if _gated(arrays) else _roles(arrays)


Line = tuple[str, dict[str, str], dict[str, str]]  # under which condition, the matrices, the other options


def _opens(path: Path, contents: Contents, line: Line, **more: str) -> bool:
    """Whether the network that the line says can be made, and uses every array that could be a part of it."""
    from dynsys.models.loading.forms import from_named

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
    gain = arrays[key].size == 1 and _last(key) & set(GAINS)
    if words_of(key) & {"rng", "random", "generator"}:  # the state of a generator of random numbers
        return True
    if _last(key) & BIAS_WORDS and not arrays[key].any():
        return True
    is_switch = arrays[key].size == 1 and arrays[key].dtype.kind in "bu"
    if is_switch or _is_configured(arrays, key):
        return True
    return bool(_last(key) & (BESIDE | READOUT_WORDS) or called_initial(key) or (arrays[key] == 1).all() or gain)


def _is_configured(arrays: Arrays, key: str) -> bool:
    """A list of numbers in a configuration."""
    return arrays[key].ndim < 2 and bool(words_of(key.rpartition(".")[0]) & OF_CONFIGURATION)


def _lines(contents: Contents) -> list[Line]:
    arrays = contents.arrays
    for guess in (_gated, _stacked, _low_rank, _piecewise_linear, _concatenated):
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
    roles = _roles(arrays)
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
    leak = next((k for k in arrays if k.rpartition(".")[2].lower() in OF_LEAK), None)
    named_leak = leak or next((k for k in contents.settings if k.rpartition(".")[2].lower() in OF_LEAK), None)
    if "feedback" in roles:
        return [("if it is an echo state network", roles, {"form": "esn"})]
    if named_leak is not None:
        alpha = {} if leak is None else {"alpha": leak}
        return [
            ("if it is x' = (1 - a) x + a f(W x + ...)", roles, {"form": "leaky", **alpha}),
            ("if it is x' = (1 - a) x + a (W f(x) + ...)", roles, {"form": "leaky-rate", **alpha}),
        ]
    others = (
        "rate (tau dx/dt = -x + W f(x) + ...), activity (tau dr/dt = -r + f(W r + ...)), leaky or leaky-rate with a"
    )
    return [(f"if it is x' = f(W x + ...), or with --form {others}", roles, {"form": "rnn"})]


def _is_matrix(arrays: Arrays, key: str) -> bool:
    return arrays[key].ndim == 2 and min(arrays[key].shape) > 1


def _last(key: str) -> set[str]:
    """The words of what an array belongs to: its own name, or that of its layer where it is called weight or bias."""
    parts = [part for part in re.split(r"[./]", key) if part and not part.isdigit()]
    named = [part for part in parts if part.split(":")[0] not in ("weight", "kernel")]
    last = (named or parts or [key])[-1]
    if last == "bias" and len(named) > 1:
        last = f"{named[-2]}_bias"
    return words_of(last) | {re.sub(r"[^a-z0-9]", "", last.lower())}


def _is_recurrent(arrays: Arrays, key: str) -> bool:
    """Square, no mask, no signs, no readout and no identity."""
    W, words = arrays[key], _last(key)
    if (
        not re.search(r"[^\W\d]", key)
        or not _is_matrix(arrays, key)
        or W.shape[0] != W.shape[1]
        or W.dtype.kind not in "fiu"
    ):
        return False
    if words & (MASKS | SIGNS | READOUT_WORDS) or words_of(key) & (RAW - {"g", "v"}):
        return False
    if bool(np.isin(W, (0, 1)).all()) and not words & RECURRENT_WORDS:
        return False
    return not (words & INPUT_WORDS - {"w"} and not words & RECURRENT_WORDS)


def _roles(arrays: Arrays) -> dict[str, str]:
    """Which array is what, as far as names and shapes tell; empty without one recurrent matrix."""
    square = [key for key in arrays if _is_recurrent(arrays, key)]
    clear = [key for key in square if _last(key) & RECURRENT_WORDS] or square
    if len(clear) != 1:
        return {}
    recurrent, n = clear[0], len(arrays[clear[0]])
    others = [key for key in arrays if key != recurrent and arrays[key].dtype.kind in "fiub"]
    roles = {"recurrent": recurrent}
    of_size = [key for key in others if arrays[key].ndim <= 2 and n in arrays[key].shape]
    feedback = [
        k for k in of_size if _last(k) & {"fb", "wfb", "feedback", "back", "wback"} and not _plain_vector(arrays, k)
    ]
    inputs = [k for k in of_size if _last(k) & INPUT_WORDS and not _plain_vector(arrays, k) and k not in feedback]
    readouts = [k for k in of_size if _last(k) & READOUT_WORDS and not _plain_vector(arrays, k)]
    for role, keys in (("input", inputs), ("readout", readouts), ("feedback", feedback)):
        if len(keys) == 1:
            roles[role] = keys[0]
    biases = [k for k in of_size if _plain_vector(arrays, k) and _last(k) & BIAS_WORDS and not _last(k) & READOUT_WORDS]
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
            and (_last(k) & READOUT_BIAS_WORDS or (_last(k) & READOUT_WORDS and _last(k) & {"b", "bias"}))
        ]
        if len(of_readout) == 1:
            roles["readout_bias"] = of_readout[0]
    return {role: printable(text) for role, text in roles.items()}


def _plain_vector(arrays: Arrays, key: str) -> bool:
    return max(arrays[key].shape, default=1) == arrays[key].size and bool(
        _last(key) & (BIAS_WORDS - {"b"}) or arrays[key].ndim == 1
    )


def _gated(arrays: Arrays) -> list[Line]:
    """A matrix for each gate: groups of square matrices whose names differ in the letter of a gate alone."""
    square = [k for k in arrays if _is_matrix(arrays, k) and arrays[k].shape[0] == arrays[k].shape[1]]
    for form, letters in (("lstm", {"i": "i", "f": "f", "o": "o", "g": "g", "c": "g"}), ("gru", _GRU_LETTERS)):
        group = _by_letter(square, letters, GATES[form])
        if group is None:
            continue
        n = len(arrays[group[GATES[form][0]]])
        roles = {f"recurrent_{gate}": key for gate, key in group.items()}
        rest = [k for k in arrays if k not in group.values()]
        matrices = [k for k in rest if arrays[k].ndim == 2 and n in arrays[k].shape and 1 not in arrays[k].shape]
        inputs = _by_letter(matrices, letters, GATES[form])
        biases = _by_letter([k for k in rest if arrays[k].size == n], letters, GATES[form])
        roles |= {f"input_{gate}": key for gate, key in (inputs or {}).items()}
        roles |= {f"bias_{gate}": key for gate, key in (biases or {}).items()}
        if form == "lstm":
            return [("if it is an LSTM", roles, {"form": form})]
        renews = {role: f"-{text}" if role.endswith("_z") else text for role, text in roles.items()}
        after, before = {"form": form, "convention": "torch"}, {"form": form, "convention": "onnx"}
        return [
            ("if it is a GRU, h' = (1 - z) n + z h, that resets after the product", roles, after),
            ("if before it", roles, before),
            ("if it is h' = z n + (1 - z) h and resets after the product", renews, after),
            ("if before it", renews, before),
        ]
    return []


def _stacked(arrays: Arrays) -> list[Line]:
    """All gates in one matrix, three or four times as long as wide, with an input matrix as long, and a bias."""
    weights = [k for k in arrays if _is_matrix(arrays, k) and not _last(k) & BESIDE]  # three times as long by chance
    tall = {k: max(arrays[k].shape) // min(arrays[k].shape) for k in weights}
    fits = [k for k, ratio in tall.items() if ratio in (3, 4) and max(arrays[k].shape) == ratio * min(arrays[k].shape)]
    clear = [k for k in fits if _last(k) & RECURRENT_WORDS and not _last(k) & INPUT_WORDS] or fits
    if len(clear) != 1:
        return []
    recurrent, rows = clear[0], max(arrays[clear[0]].shape)
    rest = [k for k in arrays if k != recurrent and rows in arrays[k].shape and _is_matrix(arrays, k)]
    inputs = [k for k in rest if _last(k) & INPUT_WORDS] or rest
    biases = [k for k in arrays if k not in (recurrent, *rest) and arrays[k].size in (rows, 2 * rows)]
    if len(inputs) != 1 or len(biases) > 1:
        return []
    roles = {"recurrent": recurrent, "input": inputs[0]} | ({"bias": biases[0]} if biases else {})
    if tall[recurrent] == 4:
        return [
            ("if it is an LSTM with its gates in the order i, f, g, o (--gates for another)", roles, {"form": "lstm"})
        ]
    return [
        (
            "if it is a GRU with its gates in the order r, z, n (--gates for another) that resets after the product",
            roles,
            {"form": "gru", "convention": "torch"},
        ),
        ("if it resets before it", roles, {"form": "gru", "convention": "onnx", "gates": "rzn"}),
    ]


_GRU_LETTERS = {"r": "r", "z": "z", "n": "n", "h": "n", "c": "n"}


def _by_letter(keys: Iterable[str], letters: dict[str, str], gates: str) -> dict[str, str] | None:
    """{gate: key} of keys that are alike but for one letter, a gate's; None unless there is one such group."""
    groups: dict[str, dict[str, str]] = {}
    for key in keys:
        for at, letter in enumerate(key):
            gate = letters.get(letter.lower())
            word = re.match(r"[A-Za-z]", key[at + 1 : at + 2]) and re.match(r"[a-z]", key[at - 1 : at])
            if gate is not None and not word:
                groups.setdefault(f"{key[:at]}*{key[at + 1 :]}", {})[gate] = key
    whole = [group for group in groups.values() if sorted(group) == sorted(gates)]
    return whole[0] if len(whole) == 1 else None


def _concatenated(arrays: Arrays) -> list[Line]:
    """One layer that acts on [u; h], (n, m + n), as in many networks written by hand; the other order is named too."""
    wide = [k for k, W in arrays.items() if _is_matrix(arrays, k) and W.shape[1] > W.shape[0]]
    named = [
        k for k in wide if _last(k) & (RECURRENT_WORDS | INPUT_WORDS | {"affine"}) and not _last(k) & READOUT_WORDS
    ]
    if len(named) != 1 or _roles(arrays):
        return []
    W, (n, both) = named[0], arrays[named[0]].shape
    m = both - n
    key = printable(W)
    bias = re.sub(r"weight$", "bias", W)
    b = {"bias": printable(bias)} if bias != W and bias in arrays else {}
    rnn = {"form": "rnn"}
    return [
        (f"if it is h' = f(W [u; h] + b) with {m} inputs, then h", _split(key, f":, {m}:", f":, :{m}") | b, rnn),
        ("if h comes first", _split(key, f":, :{n}", f":, {n}:") | b, rnn),
    ]


def _split(key: str, recurrent: str, inputs: str) -> dict[str, str]:
    return {"recurrent": f"{key}[{recurrent}]", "input": f"{key}[{inputs}]"}


def _low_rank(arrays: Arrays) -> list[Line]:
    """Two tall matrices called m and n, and no recurrent one."""
    if "m" not in arrays or "n" not in arrays or arrays["m"].shape != arrays["n"].shape:
        return []
    m = arrays["m"]
    N = max(m.shape, default=0)
    if m.ndim > 2 or N < 2 or any(_is_recurrent(arrays, k) and _last(k) & RECURRENT_WORDS for k in arrays):
        return []
    roles = {"m": "m", "n": "n"}
    for role, words in (("input", INPUT_WORDS), ("readout", READOUT_WORDS)):
        keys = [k for k in arrays if _last(k) & words and N in arrays[k].shape and arrays[k].ndim == 2]
        if len(keys) == 1:
            roles[role] = keys[0]
    roles |= _scaled(arrays, roles, N)
    lines: list[Line] = [("if it is tau dx/dt = -x + m n^T f(x) / N + ...", roles, {"form": "low-rank"})]
    if "readout" in roles:
        divided = {**roles, "readout": f"({roles['readout']}) / {N}"}
        lines.append(("if its readout is divided by N as well", divided, {"form": "low-rank"}))
    return lines


def _scaled(arrays: Arrays, roles: dict[str, str], N: int) -> dict[str, str]:
    """Inputs wi and readouts wo with a factor for each of them, si and so, which stand beside them."""
    found = {}
    for role, scale in (("input", "si"), ("readout", "so")):
        key = roles.get(role, "")
        others = [size for size in arrays[key].shape if size != N] if key in arrays else []
        if scale in arrays and len(others) == 1 and arrays[scale].shape == (others[0],):
            turned = f"{key}.T" if (arrays[key].shape[0] == N) == (role == "readout") else key
            found[role] = f"{turned} @ diag({scale})" if role == "input" else f"diag({scale}) @ {turned}"
    return found


def _piecewise_linear(arrays: Arrays) -> list[Line]:
    """A, W and h, or A, W1, W2, h1 and h2, as PLRNNs call them, under any prefix."""
    prefixes = [key[:-1] for key in arrays if re.search(r"(^|[./])A$", key)]
    for prefix, names in itertools.product(prefixes, (("A", "W1", "W2", "h1", "h2"), ("A", "W", "h"))):
        if all(prefix + name in arrays for name in names):
            roles = {name: printable(prefix + name) for name in names}
            roles |= {"input": printable(f"{prefix}C")} if f"{prefix}C" in arrays else {}
            return [("if it is a piecewise linear RNN", roles, {"form": "plrnn"})]
    return []

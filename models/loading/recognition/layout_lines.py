"""Files whose layout tells their equation: gates by their letters or stacked, low rank, PLRNNs, one layer on [u; h].

Each function gives the lines that open such a file, none where the file is not of its layout.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from dynsys.io.errors import printable
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import GATES
from dynsys.models.loading.named.roles import (
    INPUT_WORDS,
    READOUT_WORDS,
    RECURRENT_WORDS,
    is_matrix,
    is_recurrent,
    name_words,
    roles_by_name,
)

Line = tuple[str, dict[str, str], dict[str, str]]  # under which condition, the matrices, the other options
BESIDE = {"dt", "seed", "epoch", "epochs", "step", "steps", "iteration", "loss", "losses", "lr", "ratio", "accuracy"}
BESIDE |= {"states", "trajectories", "trials", "history", "covariance", "cov", "inputs", "targets", "outputs", "times"}
BESIDE |= {"hprev", "prev", "sequence", "state"}  # what a run left behind
BESIDE |= {"activity", "recording", "eigenvalues", "pca", "grad", "i2o"}  # what is no part of an equation
GRU_LETTERS = {"r": "r", "z": "z", "n": "n", "h": "n", "c": "n"}


def gated(arrays: Arrays) -> list[Line]:
    """A matrix for each gate: groups of square matrices whose names differ in the letter of a gate alone."""
    square = [k for k in arrays if is_matrix(arrays, k) and arrays[k].shape[0] == arrays[k].shape[1]]
    for form, letters in (("lstm", {"i": "i", "f": "f", "o": "o", "g": "g", "c": "g"}), ("gru", GRU_LETTERS)):
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


def stacked(arrays: Arrays) -> list[Line]:
    """All gates in one matrix, three or four times as long as wide, with an input matrix as long, and a bias."""
    weights = [
        k for k in arrays if is_matrix(arrays, k) and not name_words(k) & BESIDE
    ]  # three times as long by chance
    tall = {k: max(arrays[k].shape) // min(arrays[k].shape) for k in weights}
    fits = [k for k, ratio in tall.items() if ratio in (3, 4) and max(arrays[k].shape) == ratio * min(arrays[k].shape)]
    clear = [k for k in fits if name_words(k) & RECURRENT_WORDS and not name_words(k) & INPUT_WORDS] or fits
    if len(clear) != 1:
        return []
    recurrent, rows = clear[0], max(arrays[clear[0]].shape)
    rest = [k for k in arrays if k != recurrent and rows in arrays[k].shape and is_matrix(arrays, k)]
    inputs = [k for k in rest if name_words(k) & INPUT_WORDS] or rest
    biases = [k for k in arrays if k not in (recurrent, *rest) and arrays[k].size in (rows, 2 * rows)]
    if len(inputs) != 1 or len(biases) > 1 or _is_plain(recurrent, inputs[0], arrays):
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


def _is_plain(recurrent: str, inputs: str, arrays: Arrays) -> bool:
    """Whether the stacked matrices could as well be one of N x N and one of as many inputs, or outputs, as a third or a
    fourth of N: the square one is then the recurrent one, unless their names say otherwise."""
    rows = max(arrays[recurrent].shape)
    if not any(W.shape == (rows, rows) for W in arrays.values()):
        return False
    named = name_words(recurrent) & RECURRENT_WORDS and not name_words(recurrent) & INPUT_WORDS
    return not (named and arrays[inputs].shape == (rows, rows) and name_words(inputs) & INPUT_WORDS)


def concatenated(arrays: Arrays) -> list[Line]:
    """One layer that acts on [u; h], (n, m + n), as in many networks written by hand; the other order is named too."""
    wide = [k for k, W in arrays.items() if is_matrix(arrays, k) and W.shape[1] > W.shape[0]]
    named = [
        k
        for k in wide
        if name_words(k) & (RECURRENT_WORDS | INPUT_WORDS | {"affine"}) and not name_words(k) & READOUT_WORDS
    ]
    if len(named) != 1 or roles_by_name(arrays):
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


def low_rank(arrays: Arrays) -> list[Line]:
    """Two tall matrices called m and n, and no recurrent one."""
    if "m" not in arrays or "n" not in arrays or arrays["m"].shape != arrays["n"].shape:
        return []
    m = arrays["m"]
    N = max(m.shape, default=0)
    if m.ndim > 2 or N < 2 or any(is_recurrent(arrays, k) and name_words(k) & RECURRENT_WORDS for k in arrays):
        return []
    roles = {"m": "m", "n": "n"}
    for role, words in (("input", INPUT_WORDS), ("readout", READOUT_WORDS)):
        keys = [k for k in arrays if name_words(k) & words and N in arrays[k].shape and arrays[k].ndim == 2]
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


def piecewise_linear(arrays: Arrays) -> list[Line]:
    """A, W and h, or A, W1, W2, h1 and h2, as PLRNNs call them, under any prefix."""
    prefixes = [key[:-1] for key in arrays if re.search(r"(^|[./])A$", key)]
    for prefix, names in itertools.product(prefixes, (("A", "W1", "W2", "h1", "h2"), ("A", "W", "h"))):
        if all(prefix + name in arrays for name in names):
            roles = {name: printable(prefix + name) for name in names}
            roles |= {"input": printable(f"{prefix}C")} if f"{prefix}C" in arrays else {}
            return [("if it is a piecewise linear RNN", roles, {"form": "plrnn"})]
    return []

"""What to say of a file that shows more than torch's cell: the line that opens what it may be, or --ignore."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import ignoring, printable
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import line_of
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.configured import SIGNS, called_a_leak
from dynsys.models.loading.evidence.stated import said_words, words_of

MASKS = {"mask", "masks", "connectivity", "sparsity", "adjacency", "conn"}
RAW = {"raw", "orig", "g", "v", "original", "original0", "original1", "parametrizations"}
TIMES = {"tau", "taus", "timeconstant", "constant", "const"}


def way_out(contents: Contents, cell: dict[str, str], keys: list[str]) -> str:
    """The line that opens the network where its equation can be guessed from names; else the two honest ways."""
    arrays = contents.arrays
    free = [key for key in keys if key not in cell.values()]
    ignored = f"if they play no part in the step, {_ignored(free)}" if free else "the other bias is missing"
    guess = _guessed(contents, cell, free)
    if guess:
        return f"{guess}; {ignored}"
    python = "in Python, dynsys.wrap of the module itself steps any equation"
    raw = [key for key in keys if words_of(key) & RAW and key in arrays]
    if raw:
        return f"{printable(raw[0])} belongs to a rule that dynsys does not know: {python}; {ignored}"
    return f"{python}, and --form with --matrix says one that dynsys knows; {ignored}"


def _ignored(keys: list[str]) -> str:
    return ignoring(*keys[:12]) + (" ..." if len(keys) > 12 else "")


def _guessed(contents: Contents, cell: dict[str, str], keys: list[str]) -> str:
    """The options for a leak, a mask, signs or a lone bias beside a vanilla cell, and for a gated cell's lone bias."""
    arrays = contents.arrays
    W = arrays[cell["weight_hh"]]
    gates = len(W) // W.shape[1]
    form = {1: "rnn", 3: "gru", 4: "lstm"}.get(gates)
    n = W.shape[1]
    words = {key: said_words(key) for key in keys}
    lone = [k for k in keys if words[k] & {"bias", "b"} and k in arrays and arrays[k].size in (len(W), 2 * len(W))]
    leaks = [k for k in keys if called_a_leak(words[k])]
    masks = [k for k in keys if words[k] & (MASKS | SIGNS) and k in arrays]
    if len(leaks) > 1 and not _step_and_time(leaks):
        return ""
    deep = any(re.search(r"weight_hh_l[1-9]", key) for key in arrays)
    if deep or form is None or set(keys) - set(lone) - set(leaks) - set(masks) or len(lone) > 1:
        return ""
    if masks and form != "rnn":
        return ""
    readings = [("", cell["weight_hh"])]
    if masks:
        readings = masked(cell["weight_hh"], masks, arrays, n) if len(masks) < 3 else []
    biases = [cell[name] for name in ("bias_ih", "bias_hh") if name in cell]
    roles = {"recurrent": cell["weight_hh"], "input": cell["weight_ih"]}
    if form == "rnn":
        roles |= {"bias": "+".join([*biases, *lone])} if biases or lone else {}
        said = [of_vanilla(contents, {**roles, "recurrent": text}, leaks, words) for words, text in readings]
        return "; ".join(line for line in said if line)
    if leaks:
        return ""
    roles |= {"bias": lone[0]} if lone and not biases else {}
    roles |= {r: cell[name] for r, name in (("bias", "bias_ih"), ("recurrent_bias", "bias_hh")) if name in cell}
    if lone and biases:
        return ""
    if form == "lstm":
        return f"if it is an LSTM with this bias, {line_of(roles, form=form)}"
    before = line_of(roles, form=form, convention="onnx", gates="rzn")
    after = line_of(roles, form=form, convention="torch")
    return f"if it resets before the product, {before}; if after it, {after}"


def of_vanilla(
    contents: Contents, roles: dict[str, str], leaks: list[str], supposed: str, activation: str | None = None
) -> str:
    """A leak in (0, 1] is that of a step; a greater one a time constant, and with a step dt the leak is dt / tau."""

    def line(form: str, **leak: float | str) -> str:
        return line_of(roles, form=form, activation=activation, **leak)

    condition = f"if {supposed}" if supposed else "if so"
    if not leaks:
        return f"{condition}, {line('rnn')}"
    both = _step_and_time(leaks)
    told: float | str = _ratio(contents, *both) if both else leaks[0]
    if not both and contents.settings.get(leaks[0]) is True:  # a leak, of a size that is not said
        return ""
    if not both:
        key, value = leaks[0], _values(contents, leaks[0])
        told = key if key in contents.arrays else float(value)
        if said_words(key) & TIMES or float(value.max()) > 1:
            flow = f"if it is the flow tau dr/dt = -r + f(W r + ...), {line('activity', tau=told)}"
            return f"{flow}; if it is x' = (1 - a) x + a f(W x + ...), {line('leaky')} and --alpha, which is dt / tau"
        if float(value.min()) <= 0 or said_words(key) & {"dt", "decay"}:
            return ""
    inside, outside = line("leaky", alpha=told), line("leaky-rate", alpha=told)
    return f"if it is x' = (1 - a) x + a f(W x + ...), {inside}; if W f(x) is inside, {outside}"


def _values(contents: Contents, key: str) -> NDArray[np.float64]:
    return np.asarray(contents.arrays[key] if key in contents.arrays else contents.settings[key], dtype=np.float64)


def _step_and_time(leaks: list[str]) -> tuple[str, str] | None:
    """The keys of a step of time and of a time constant, where the leak is said by the two."""
    steps = [k for k in leaks if "dt" in said_words(k) or {"delta", "t"} <= said_words(k)]
    times = [k for k in leaks if k not in steps and called_a_leak(said_words(k) & TIMES | said_words(k) & {"time"})]
    return (steps[0], times[0]) if len(leaks) == 2 and steps and times else None


def _ratio(contents: Contents, step: str, time: str) -> float | str:
    """dt / tau: a number, or where the file has one of them as an array, an expression."""
    if step not in contents.arrays and time not in contents.arrays:
        return float(_values(contents, step) / _values(contents, time))
    told = [key if key in contents.arrays else f"{float(_values(contents, key)):g}" for key in (step, time)]
    return " / ".join(told)


def masked(recurrent: str, keys: Iterable[str], arrays: Arrays, n: int) -> list[tuple[str, str]]:
    """The expressions of a recurrent matrix under a mask and with Dale's signs, each with what it supposes.

    Signs act on what a unit sends, the columns; whether weights are kept positive by absolute values or by a ReLU
    before that, nothing tells. Empty without a mask and signs.
    """
    mask = next(
        (k for k in keys if said_words(k) & MASKS and not said_words(k) & SIGNS and arrays[k].shape == (n, n)), None
    )
    sign = next((k for k in keys if said_words(k) & SIGNS and arrays[k].size in (n, n * n)), None)
    text = f"{recurrent} * {mask}" if mask else recurrent
    if sign is None:
        return [("they mask it", text)] if mask else []
    signs = sign if arrays[sign].size == n * n and n > 1 else f"diag({sign})"
    under = "under the mask " if mask else ""
    return [
        (f"weights {under}are positive by their absolute values", f"abs({text}) @ {signs}"),
        (f"they are by a ReLU {under}".strip(), f"relu({text}) @ {signs}"),
    ]


def with_masks(recurrent: str, suspects: list[str], arrays: Arrays, n: int) -> str:
    """What to say of masks, signs and leaks: the expression that has them, where there can be one, or --ignore."""
    ignored = f"if they play no part, {_ignored(suspects)}"
    leaks = [k for k in suspects if called_a_leak(said_words(k))]
    lines = masked(recurrent, suspects, arrays, n) if recurrent else []
    if leaks and not lines:
        return f"a leaky network is --form leaky --alpha {printable(leaks[0])}; {ignored}"
    said = [f"if {words}, --matrix recurrent='{printable(text)}'" for words, text in lines]
    return "; ".join([*said, ignored])

"""What a file holds beside a network that was recognised, and whether it shows that the network is another one.

A cell whose weights bear torch's names need not compute what torch computes: a layer norm, a leak, a mask, the signs of
Dale's law or a lone bias beside them are parts of another equation. So a recognised cell has to explain every array
under its prefix, and of the arrays around it those that could act on its state. What plays no part is said with
``--ignore``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dynsys.errors import CheckpointError, printable
from dynsys.files import Arrays
from dynsys.models.loading.beside import NORMS, in_the_loop, is_stepped_by_hand
from dynsys.models.loading.choices import Choices, line_of, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.stated import of_another_module, words_of

LEAKS = {"alpha", "tau", "taus", "leak", "leaky", "leakage", "leaking", "decay", "dt", "timeconstant"}
MASKS = {"mask", "masks", "connectivity", "sparsity", "adjacency", "conn"}
SIGNS = {"sign", "signs", "dale", "dales", "polarity"}
EVIDENCE = NORMS | LEAKS | MASKS | SIGNS
RAW = {"raw", "orig", "g", "v", "original", "original0", "original1", "parametrizations"}
INITIAL_WORDS = {"init", "initial", "h0", "c0", "x0", "r0", "hx", "cx", "first", "start"}
STATE_WORDS = {"h", "hidden", "hiddens", "state", "states", "c", "cell", "cells", "learned", "0", "1xd"}
COUNTERS = ("num_batches_tracked",)


def refuse_unexplained(
    path: Path,
    contents: Contents,
    choices: Choices,
    prefix: str,
    cell: dict[str, str],
    explained: Iterable[str],
    n: int,
) -> None:
    """Raise CheckpointError for arrays that a torch cell under ``prefix``, of n units, leaves without a part to play.

    ``cell`` gives its keys by torch's names, and ``explained`` all keys that play a part somewhere.
    """
    arrays, known = contents.arrays, set(explained)
    free = [k for k in arrays if k not in known and not choices.ignores(k) and not k.endswith(COUNTERS)]
    free = [k for k in free if not words_of(k.rpartition(".")[2]) & {"unused"}]
    holder = holder_of(prefix)
    own = [k for k in free if k.startswith(prefix)]
    own += [k for k in free if k not in own and (_acts_on_state(k, arrays, holder, n) or _is_added(k, holder))]
    if is_stepped_by_hand(cell.values()):
        own += [k for k in in_the_loop(arrays, free, prefix, holder, n) if k not in own]
    if ("bias_ih" in cell) != ("bias_hh" in cell):  # torch's cells have both or none
        own.append(cell.get("bias_ih") or cell["bias_hh"])
    odd = [k for k in contents.odd if _is_odd_evidence(k, prefix) and not choices.ignores(k)]
    settings = [] if own or odd else _settings_of_a_leak(contents, choices, prefix, cell)
    if own or odd or settings:
        found = ", ".join([*(shown(k, arrays) for k in own), *(f"{printable(k)} ({contents.odd[k]})" for k in odd)])
        found = found or ", ".join(f"{printable(k)} = {contents.settings[k]}" for k in settings)
        name = prefix.rstrip("._/") or "the network"
        wrong = f"{name} has torch's names, but torch's cell has no place for {found}: it computes something else"
        raise CheckpointError(path, wrong, _way_out(contents, cell, own or odd or settings))


def refuse_hooks(path: Path, contents: Contents, choices: Choices, prefix: str) -> None:
    """Raise CheckpointError where a whole module was saved with hooks on its cell that torch does not know itself.

    A hook is code, which is never run, and it may change what goes into the cell or comes out of it.
    """
    key = f"{prefix}__hooks__"
    hooks = [hook for hook in str(contents.settings.get(key, "")).split("; ") if hook]
    strange = [hook for hook in hooks if not hook.startswith("torch.nn.utils.")]
    if strange and not choices.ignores(key):
        wrong = (
            f"{prefix.rstrip('._/') or 'the network'} has hooks, {printable(', '.join(strange))}, that can change it"
        )
        remedy = f"in Python, dynsys.wrap of the module runs them; if they change nothing, --ignore {printable(key)}"
        raise CheckpointError(path, wrong, remedy)


def about_code(contents: Contents, prefix: str, readout: Iterable[str]) -> list[str]:
    """What a whole module says of code that is not run: classes of the user's own, and hooks on its readout."""
    lines = []
    cell, holder = contents.settings.get(f"{prefix}__class__"), contents.settings.get(f"{holder_of(prefix)}__class__")
    if cell is not None and not str(cell).startswith("torch."):
        lines.append(f"{printable(str(cell))} computes what torch's cell of these names does, as its code is not run")
    elif holder is not None and not str(holder).startswith("torch.") and prefix:
        lines.append(f"{printable(str(holder))} hands h on from step to step as it is, as its code is not run")
    for weight in readout:
        hooks = contents.settings.get(f"{weight.rpartition('.')[0]}.__hooks__")
        if hooks is not None:
            lines.append(f"the hooks of the readout, {printable(str(hooks))}, change nothing, as they are not run")
    return lines


def refuse_unexplained_beside(path: Path, contents: Contents, choices: Choices, used: Iterable[str], n: int) -> None:
    """The same for matrices that were named one by one: a mask, signs or a leak that were not named are missed.

    Raises CheckpointError where an array that could act on the n units of the state is called so.
    """
    known = set(used)
    left = [k for k in contents.arrays if k not in known and not choices.ignores(k)]
    suspects = [
        k
        for k in left
        if _called(k) & (MASKS | SIGNS) and n in contents.arrays[k].shape and not bool((contents.arrays[k] == 1).all())
    ]
    if choices.form in ("rnn", "gru", "lstm", "plrnn"):
        suspects += [
            k
            for k in left
            if _called(k) & (LEAKS - {"dt", "decay"}) and contents.arrays[k].size in (1, n) and k not in suspects
        ]
    if suspects:
        found = ", ".join(shown(key, contents.arrays) for key in suspects)
        recurrent = choices.matrices.get("recurrent", "")
        wrong = f"the matrices that were named leave out {found}, which may be part of them"
        raise CheckpointError(path, wrong, _with_masks(recurrent, suspects, contents.arrays, n))


def _with_masks(recurrent: str, suspects: list[str], arrays: Arrays, n: int) -> str:
    """What to say of masks, signs and leaks: the expression that has them, where there can be one, or --ignore."""
    ignored = f"if they play no part, {_ignored(suspects)}"
    leaks = [k for k in suspects if _called(k) & LEAKS]
    lines = masked(recurrent, suspects, arrays, n) if recurrent else []
    if leaks and not lines:
        return f"a leaky network is --form leaky --alpha {printable(leaks[0])}; {ignored}"
    said = [f"if {words}, --matrix recurrent='{printable(text)}'" for words, text in lines]
    return "; ".join([*said, ignored])


def masked(recurrent: str, keys: Iterable[str], arrays: Arrays, n: int) -> list[tuple[str, str]]:
    """The expressions of a recurrent matrix under a mask and with Dale's signs, each with what it supposes.

    Signs act on what a unit sends, the columns; whether weights are kept positive by absolute values or by a ReLU
    before that, nothing tells. Empty without a mask and signs.
    """
    mask = next((k for k in keys if _called(k) & MASKS and not _called(k) & SIGNS and arrays[k].shape == (n, n)), None)
    sign = next((k for k in keys if _called(k) & SIGNS and arrays[k].size in (n, n * n)), None)
    text = f"{recurrent} * {mask}" if mask else recurrent
    if sign is None:
        return [("they mask it", text)] if mask else []
    signs = sign if arrays[sign].size == n * n and n > 1 else f"diag({sign})"
    under = "under the mask " if mask else ""
    return [
        (f"weights {under}are positive by their absolute values", f"abs({text}) @ {signs}"),
        (f"they are by a ReLU {under}".strip(), f"relu({text}) @ {signs}"),
    ]


def called_initial(key: str) -> bool:
    """Whether an array is called as first states are."""
    last = re.split("[./]", key)[-1]
    lower = {word.lower() for word in re.split(r"[_\s]|(?<=[a-z])(?=[A-Z])", last) if word}
    return bool(lower & INITIAL_WORDS) or lower <= STATE_WORDS


def holder_of(prefix: str) -> str:
    """The prefix of the module that holds the one with this prefix; torch.compile and DataParallel hold none."""
    own = re.sub(r"(?:(?:^|[./])(?:_orig_mod|module))+$", "", prefix.rstrip("._/"))
    return re.sub(r"[^./]*$", "", own)


def _called(key: str) -> set[str]:
    return words_of(key.rpartition(".")[2])


def _could_act(arrays: Arrays, key: str, n: int) -> bool:
    return n in arrays[key].shape or arrays[key].size in (1, n)


def _is_odd_evidence(key: str, prefix: str) -> bool:
    """Whether an array that cannot be used is the cell's own, or a mask, signs or a leak of a module around it."""
    owner, dot, _ = key.rpartition(".")
    around = holder_of(prefix).startswith(f"{owner}{dot}")
    return bool(prefix) and (key.startswith(prefix) or (around and bool(_called(key) & EVIDENCE)))


def _acts_on_state(key: str, arrays: Arrays, holder: str, n: int) -> bool:
    """Whether an array of the holder's own, or of a module around it, could stand in the step.

    Evidence are its name, or, of the holder's own parameters, a shape of as many entries as there are units.
    """
    owner, dot, _ = key.rpartition(".")
    around = holder.startswith(f"{owner}{dot}") if owner else True
    if not around or arrays[key].dtype.kind not in "fiub":
        return False
    if _called(key) & EVIDENCE:
        return _could_act(arrays, key, n)
    of_the_state = [size for size in arrays[key].shape if size > 1]
    return f"{owner}{dot}" == holder and bool(of_the_state) and all(size == n for size in of_the_state)


def _is_added(key: str, holder: str) -> bool:
    """A factor of low rank that is added to a weight (LoRA)."""
    return key.startswith(holder) and "lora" in words_of(key)


def _settings_of_a_leak(contents: Contents, choices: Choices, prefix: str, cell: dict[str, str]) -> list[str]:
    """A leak that the configuration states beside a vanilla RNN, other than 1, or that it follows Dale's law."""
    W = contents.arrays.get(cell.get("weight_hh", ""), None)
    if W is None or W.ndim != 2 or len(W) != W.shape[1]:
        return []
    return [
        key
        for key, value in contents.settings.items()
        if isinstance(value, int | float)
        and (_called(key) & SIGNS if value is True else _called(key) & (LEAKS - {"decay"}))
        and not of_another_module(contents, key, prefix)
        and not _called(key) & {"weight", "lr", "learning", "rate", "l2", "l1"}
        and (value is True or value not in (0, 1))
        and not choices.ignores(key)
        and key not in contents.arrays
    ]


def _way_out(contents: Contents, cell: dict[str, str], keys: list[str]) -> str:
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
    return " ".join(f"--ignore {printable(key)}" for key in keys[:12]) + (" ..." if len(keys) > 12 else "")


def _guessed(contents: Contents, cell: dict[str, str], keys: list[str]) -> str:
    """The options for a leak, a mask, signs or a lone bias beside a vanilla cell, and for a gated cell's lone bias."""
    arrays = contents.arrays
    W = arrays[cell["weight_hh"]]
    gates = len(W) // W.shape[1]
    form = {1: "rnn", 3: "gru", 4: "lstm"}.get(gates)
    n = W.shape[1]
    words = {key: words_of(key.rpartition(".")[2]) for key in keys}
    lone = [k for k in keys if words[k] & {"bias", "b"} and k in arrays and arrays[k].size in (len(W), 2 * len(W))]
    leaks = [k for k in keys if words[k] & LEAKS]
    masks = [k for k in keys if words[k] & (MASKS | SIGNS) and k in arrays]
    deep = any(re.search(r"weight_hh_l[1-9]", key) for key in arrays)
    if deep or form is None or set(keys) - set(lone) - set(leaks) - set(masks) or len(lone) > 1 or len(leaks) > 1:
        return ""
    readings = [("", cell["weight_hh"])]
    if masks:
        readings = masked(cell["weight_hh"], masks, arrays, n) if form == "rnn" and len(masks) < 3 else []
    biases = [cell[name] for name in ("bias_ih", "bias_hh") if name in cell]
    roles = {"recurrent": cell["weight_hh"], "input": cell["weight_ih"]}
    if form == "rnn":
        roles |= {"bias": "+".join([*biases, *lone])} if biases or lone else {}
        said = [_of_vanilla(contents, {**roles, "recurrent": text}, leaks, words) for words, text in readings]
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


def _of_vanilla(contents: Contents, roles: dict[str, str], leaks: list[str], supposed: str) -> str:
    """A leak in (0, 1] is that of a step; a greater one a time constant."""
    condition = f"if {supposed}" if supposed else "if so"
    if not leaks:
        return f"{condition}, {line_of(roles, form='rnn')}"
    key = leaks[0]
    held = contents.arrays[key] if key in contents.arrays else contents.settings[key]
    value = np.asarray(held, dtype=np.float64)
    told = key if key in contents.arrays else float(value)
    if words_of(key) & {"tau", "taus", "timeconstant"} or float(value.max()) > 1:
        flow = f"if it is the flow tau dr/dt = -r + f(W r + ...), {line_of(roles, form='activity', tau=told)}"
        step = line_of(roles, form="leaky")
        return f"{flow}; if it is x' = (1 - a) x + a f(W x + ...), {step} and --alpha, which is dt / tau"
    if float(value.min()) <= 0 or words_of(key) & {"dt", "decay"}:
        return ""
    return f"if it is x' = (1 - a) x + a f(W x + ...), {line_of(roles, form='leaky', alpha=told)}"

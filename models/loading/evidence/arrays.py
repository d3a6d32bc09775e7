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

from dynsys.io.errors import CheckpointError, ignoring, printable
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import Choices, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.beside import NORMS, in_the_loop, is_stepped_by_hand
from dynsys.models.loading.evidence.configured import LEAKS, SIGNS, of_the_step
from dynsys.models.loading.evidence.remedies import MASKS, way_out, with_masks
from dynsys.models.loading.evidence.stated import words_of

EVIDENCE = NORMS | LEAKS | MASKS | SIGNS
INITIAL_WORDS = {"init", "initial", "h0", "c0", "x0", "r0", "hx", "cx", "first", "start"}
STATE_WORDS = {"h", "hidden", "hiddens", "state", "states", "c", "cell", "cells", "learned", "0", "1xd"}
PARAMETRIZED = re.compile(r"^.*?parametrizations\.[^.]+\.")  # what torch makes one weight of
COUNTERS = ("num_batches_tracked",)


def refuse_unexplained(
    path: Path,
    contents: Contents,
    choices: Choices,
    prefix: str,
    cell: dict[str, str],
    explained: Iterable[str],
    n: int,
    kind: str,
) -> None:
    """Raise CheckpointError for arrays that a torch cell under ``prefix``, of n units, leaves without a part to play.

    ``cell`` gives its keys by torch's names, ``kind`` is "rnn", "gru" or "lstm", and ``explained`` are all keys that
    play a part somewhere.
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
    settings = [] if own or odd else of_the_step(contents, choices, prefix, kind)
    if own or odd or settings:
        found = ", ".join([*(shown(k, arrays) for k in own), *(f"{printable(k)} ({contents.odd[k]})" for k in odd)])
        found = found or ", ".join(_said(contents, key) for key in settings)
        name = prefix.rstrip("._/") or "the network"
        wrong = f"{name} has torch's names, but torch's cell has no place for {found}: it computes something else"
        raise CheckpointError(path, wrong, way_out(contents, cell, own or odd or settings))


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
        remedy = f"in Python, dynsys.wrap of the module runs them; if they change nothing, {ignoring(key)}"
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
    owners = {owner[0] for owner in map(PARAMETRIZED.match, known) if owner}
    parts = [k for k in left if (owner := PARAMETRIZED.match(k)) and owner[0] in owners]
    if parts:
        found = ", ".join(shown(key, contents.arrays) for key in parts)
        wrong = f"a parametrization makes the weight of what was named and of {found} together"
        remedy = "save the weight itself, as module.weight_hh_l0 gives it, or dynsys.wrap the module"
        raise CheckpointError(path, wrong, f"{remedy}; if they play no part, {ignoring(*parts)}")
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
        raise CheckpointError(path, wrong, with_masks(recurrent, suspects, contents.arrays, n))


def called_initial(key: str) -> bool:
    """Whether an array is called as first states are."""
    last = re.split("[./]", key)[-1]
    lower = {word.lower() for word in re.split(r"[_\s]|(?<=[a-z])(?=[A-Z])", last) if word}
    return bool(lower & INITIAL_WORDS) or lower <= STATE_WORDS


def holder_of(prefix: str) -> str:
    """The prefix of the module that holds the one with this prefix; torch.compile and DataParallel hold none."""
    own = re.sub(r"(?:(?:^|[./])(?:_orig_mod|module))+$", "", prefix.rstrip("._/"))
    return re.sub(r"[^./]*$", "", own)


def _said(contents: Contents, key: str) -> str:
    return shown(key, contents.arrays) if key in contents.arrays else f"{printable(key)} = {contents.settings[key]}"


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

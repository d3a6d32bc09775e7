"""Where a recurrent module of a state dict begins and ends: its learned initial state, and its linear readout.

Neither has a name of torch's own, so shapes say what can be one, and names which of several it is. A readout stands in
the module that holds the recurrent part, or below it, unless the user names another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import shown, weights
from dynsys.models.loading.evidence.arrays import called_initial, holder_of
from dynsys.models.loading.named.matrices import Named
from dynsys.models.loading.recognition.state_dict import Stack

READOUT_WORDS = {"readout", "out", "output", "outputs", "wout", "decoder", "head", "classifier", "predictor"}
READOUT_WORDS |= {"linear", "lin", "fc", "dense", "proj", "projection", "h2o", "ho"}
OTHER_WORDS = {"init", "initial", "h0", "c0", "x0", "embedding", "embed", "emb", "input", "inp", "encoder"}
OTHER_WORDS |= {"enc", "in_proj_weight"}
ATTENTION = {"attention", "attn", "mha", "query", "key", "value"}  # its matrices are as wide as a readout
OTHER_WORDS |= ATTENTION
CELL_WORDS = {"c", "c0", "cell", "cells", "cx"}
LEARNED_BESIDE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "weight_g", "weight_v")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Readout:
    """z = W h + b with W (n_output, width): the keys it was made of, and how it is spoken of; the other arrays that
    could have been it, and the later layers of the same module, which are no part of it."""

    W: Array
    b: Array | None
    keys: tuple[str, ...]
    told: str
    others: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def find_readout(
    path: Path, arrays: Arrays, free: list[str], stack: Stack, prefix: str, named: Named, *, alone: bool
) -> tuple[Readout | None, tuple[str, ...]]:
    """The linear layer that reads h, and the keys of those that could but stand elsewhere; None where there is none.

    It reads the top layer's h, or by its width, where nothing fits that, h of every layer or the whole state. Where the
    part is not ``alone`` in the module that holds it, which of them a readout reads is not told.
    """
    widths = (stack.width, stack.n_hidden, stack.n_hidden + stack.n_cell)
    if "readout" in named.choices.matrices:
        return (_named_readout(named, widths) if "readout" in named else None), ()
    for width in widths:
        fits = [key for key in free if _can_read(arrays, key, width)]
        if fits:
            break
    holder = holder_of(prefix)
    here = [key for key in fits if key.startswith(holder) and (alone or key.startswith(prefix))]
    elsewhere = tuple(key for key in fits if key not in here and _called_readout(key))
    if not here:
        return None, elsewhere
    ranks = {key: _rank(arrays, key, prefix) for key in here}
    best = min(here, key=lambda key: ranks[key])
    module = _module(best)
    after = tuple(key for key in free if key != best and arrays[key].ndim == 2 and module and _module(key) == module)
    others = tuple(key for key in here if key not in (best, *after) and ranks[key][0] == ranks[best][0])
    bias = _bias_key(arrays, best)
    bias = bias if bias in free else None
    W = weights(path, arrays, best)
    b = None if bias is None else weights(path, arrays, bias).ravel()
    if "readout_bias" in named.choices.matrices:
        b, bias = (named.vector("readout_bias", len(W)), None) if "readout_bias" in named else (None, None)
    keys = tuple(key for key in (best, bias) if key)
    told = shown(best, arrays) + (
        f" and {shown(bias, arrays)}" if bias else "" if b is not None else ", without a bias"
    )
    return Readout(W, b, keys, told, others, after), ()


def _named_readout(named: Named, widths: tuple[int, ...]) -> Readout:
    given = named.value("readout")
    width = next((w for w in widths if given.ndim == 2 and given.shape[1] == w), None)
    width = width or next((w for w in widths if w in given.shape or given.shape == (w,)), None)
    if width is None:
        wrong = f"{named.shown('readout', given)} cannot be the readout"
        legal = " or ".join(str(w) for w in dict.fromkeys(widths))
        raise CheckpointError(named.path, wrong, f"it needs (n_output, width) with a width of {legal}")
    W = named.matrix("readout", (None, width))
    keys = tuple(named.used)
    arrays = named.contents.arrays
    told, b = named.shown("readout", given), None
    if "readout_bias" in named:
        b = named.vector("readout_bias", len(W))
    elif "readout_bias" not in named.choices.matrices and named.texts["readout"] in arrays:
        bias = _bias_key(arrays, named.texts["readout"])
        if bias is not None:
            b, keys, told = (
                weights(named.path, arrays, bias).ravel(),
                (*keys, bias),
                f"{told} and {shown(bias, arrays)}",
            )
    return Readout(W, b, keys, told)


def _module(key: str) -> str | None:
    """What the layers of one nn.Sequential have in common: the key with their number left out; None for others."""
    module, numbered = re.subn(r"\.\d+\.", ".", key)
    return module if numbered else None


def _can_read(arrays: Arrays, key: str, width: int) -> bool:
    if arrays[key].ndim != 2 or arrays[key].shape[1] != width or _words(key) & (ATTENTION - {"key", "value"}):
        return False
    return _called_readout(key) or (key.endswith("weight") and not OTHER_WORDS & _words(_owner(key)))


def _owner(key: str) -> str:
    """What a weight belongs to: the last part of its key that is neither a number nor 'weight'."""
    parts = [part for part in re.split("[./]", key) if not part.isdigit() and part != "weight"]
    return parts[-1] if parts else key


def _called_readout(key: str) -> bool:
    owner = _owner(key)
    return "w_out" in owner.lower() or (bool(READOUT_WORDS & _words(owner)) and not OTHER_WORDS & _words(owner))


def _rank(arrays: Arrays, key: str, prefix: str) -> tuple[bool, int, bool]:
    """Least is best: a name that readouts have, then nearness to the recurrent module, then a bias."""
    near = 0
    for ours, theirs in zip(prefix.split("."), key.split("."), strict=False):
        if ours != theirs:
            break
        near += 1
    return not _called_readout(key), -near, _bias_key(arrays, key) is None


def _bias_key(arrays: Arrays, weight: str) -> str | None:
    """The key that a bias of ``weight`` would have, where such an array is there and as long as it has rows."""
    for old, new in (("weight", "bias"), ("W", "b"), ("w", "b")):
        head, found, tail = weight.rpartition(old)
        key = head + new + tail
        if found and key in arrays and arrays[key].size == max(arrays[key].shape, default=0) == len(arrays[weight]):
            return key
    return None


@dataclass(frozen=True)
class Initial:
    """A learned initial state (n_state,), the keys it was made of, and what had to be assumed for it."""

    state: Array
    keys: tuple[str, ...]
    told: str
    assumed: tuple[str, ...] = ()


def find_initial(path: Path, arrays: Arrays, free: list[str], stack: Stack, named: Named) -> Initial | None:
    """The initial state among the arrays that nothing else uses: h of every layer, then c of every layer.

    It has to be called so: by its size alone it could as well be the signs of the units, or a norm's scale.
    """
    n_state = stack.n_hidden + stack.n_cell
    if "initial" in named.choices.matrices:
        return _named_initial(named, n_state) if "initial" in named else None
    loose = [key for key in free if 1 <= arrays[key].ndim <= 3 and not key.endswith(LEARNED_BESIDE)]
    loose = [key for key in loose if called_initial(key)]
    whole = [key for key in loose if arrays[key].size == n_state and len(arrays[key]) in (1, 2, stack.layers, n_state)]
    if stack.n_cell == 0:
        return _initial(path, arrays, whole[:1])
    h = [key for key in loose if _is_state(arrays, key, stack.n_hidden, stack) and not CELL_WORDS & _words(key)]
    c = [key for key in loose if _is_state(arrays, key, stack.n_cell, stack) and CELL_WORDS & _words(key)]
    if h and c:
        return _initial(path, arrays, [h[0], c[0]])
    if whole:
        return _initial(path, arrays, whole[:1])
    if h:
        assumed = f"the initial cell state is zero, as only {h[0]} was found (--matrix initial=KEY names both in one)"
        state = np.concatenate([weights(path, arrays, h[0]).ravel(), np.zeros(stack.n_cell)])
        return Initial(state, (h[0],), shown(h[0], arrays), (assumed,))
    return None


def _named_initial(named: Named, n_state: int) -> Initial:
    value = named.value("initial")
    if value.size != n_state:
        wrong = f"{named.shown('initial', value)} cannot be the initial state"
        raise CheckpointError(named.path, wrong, f"the network has {n_state} state variables")
    return Initial(value.ravel(), tuple(named.used), named.shown("initial", value))


def _is_state(arrays: Arrays, key: str, size: int, stack: Stack) -> bool:
    return arrays[key].size == size and arrays[key].shape[0] in (1, stack.layers, size)


def _initial(path: Path, arrays: Arrays, keys: list[str]) -> Initial | None:
    if not keys:
        return None
    state = np.concatenate([weights(path, arrays, key).ravel() for key in keys])
    return Initial(state, tuple(keys), " and ".join(shown(key, arrays) for key in keys))


def _words(key: str) -> set[str]:
    return set(re.split(r"[./_\s]|(?<=[a-z])(?=[A-Z])", key)) | set(re.split(r"[./_\s]", key.lower()))

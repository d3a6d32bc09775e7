"""Where a recurrent module of a state dict begins and ends: its learned initial state, and its linear readout.

Neither has a name of torch's own, so shapes say what can be one, and names which of several it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsys.errors import CheckpointError
from dynsys.files import Arrays
from dynsys.models.loading.choices import Choices, listed, shown, weights
from dynsys.models.loading.state_dict import Stack

READOUT_WORDS = {"readout", "out", "output", "outputs", "wout", "decoder", "head", "classifier", "predictor"}
READOUT_WORDS |= {"linear", "lin", "fc", "dense", "proj", "projection", "h2o", "ho"}
OTHER_WORDS = {"init", "initial", "h0", "c0", "x0", "embedding", "embed", "emb", "input", "inp", "encoder"}
OTHER_WORDS |= {"attention", "attn", "query", "key", "value"}  # matrices as wide as a readout that are none
INITIAL_WORDS = {"init", "initial", "h0", "c0", "x0", "h", "hidden", "hiddens", "state", "states", "start"}
CELL_WORDS = {"c", "c0", "cell", "cells", "cx"}
LEARNED_BESIDE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "weight_g", "weight_v")


@dataclass(frozen=True)
class Readout:
    """z = W h + b with W (n_output, width): its keys in the file, the other arrays that could have been it, and the
    later layers of the same module, which are no part of it."""

    weight: str
    bias: str | None
    others: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def find_readout(
    path: Path, arrays: Arrays, free: list[str], stack: Stack, prefix: str, choices: Choices
) -> Readout | None:
    """The linear layer that reads h; None where there is none, or none is wanted (an empty key).

    It reads the top layer's h, or by its width, where nothing fits that, h of every layer or the whole state.
    """
    widths = (stack.width, stack.n_hidden, stack.n_hidden + stack.n_cell)
    named = choices.matrices.get("readout")
    if named is not None:
        if not named:
            return None
        require(path, arrays, named, "readout")
        if arrays[named].ndim != 2 or arrays[named].shape[1] not in widths:
            wrong = f"{shown(named, arrays)} cannot be the readout"
            legal = " or ".join(str(width) for width in dict.fromkeys(widths))
            raise CheckpointError(path, wrong, f"it needs (n_output, width) with a width of {legal}")
        return Readout(named, _bias_of(path, arrays, free, named, choices))
    candidates = ([key for key in free if _can_read(arrays, key, width)] for width in widths)
    fits = next((keys for keys in candidates if keys), [])
    if not fits:
        return None
    ranks = {key: _rank(arrays, key, prefix) for key in fits}
    best = min(fits, key=lambda key: ranks[key])
    module = _module(best)
    after = tuple(key for key in free if key != best and arrays[key].ndim == 2 and module and _module(key) == module)
    others = tuple(key for key in fits if key not in (best, *after) and ranks[key][0] == ranks[best][0])
    return Readout(best, _bias_of(path, arrays, free, best, choices), others, after)


def _module(key: str) -> str | None:
    """What the layers of one nn.Sequential have in common: the key with their number left out; None for others."""
    module, numbered = re.subn(r"\.\d+\.", ".", key)
    return module if numbered else None


def _can_read(arrays: Arrays, key: str, width: int) -> bool:
    if arrays[key].ndim != 2 or arrays[key].shape[1] != width:
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


def _bias_of(path: Path, arrays: Arrays, free: list[str], weight: str, choices: Choices) -> str | None:
    named = choices.matrices.get("readout_bias")
    if named is None:
        key = _bias_key(arrays, weight)
        return key if key in free else None
    if not named:
        return None
    require(path, arrays, named, "readout_bias")
    if arrays[named].size != len(arrays[weight]):
        wrong = f"{shown(named, arrays)} cannot be the bias of {shown(weight, arrays)}"
        raise CheckpointError(path, wrong, f"it needs {len(arrays[weight])} values")
    return named


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

    state: NDArray[np.float64]
    keys: tuple[str, ...]
    assumed: tuple[str, ...] = ()


def find_initial(path: Path, arrays: Arrays, free: list[str], stack: Stack, choices: Choices) -> Initial | None:
    """The initial state among the arrays that nothing else uses: h of every layer, then c of every layer.

    Its size alone would take a normalisation's scale for it, so that arrays called 'weight' or 'bias' are left out.
    """
    n_state = stack.n_hidden + stack.n_cell
    named = choices.matrices.get("initial")
    if named is not None:
        if not named:
            return None
        require(path, arrays, named, "initial")
        if arrays[named].size != n_state:
            wrong = f"{shown(named, arrays)} cannot be the initial state"
            raise CheckpointError(path, wrong, f"the network has {n_state} state variables")
        return Initial(weights(path, arrays, named).ravel(), (named,))
    loose = [key for key in free if 1 <= arrays[key].ndim <= 3 and not key.endswith(LEARNED_BESIDE)]
    loose.sort(key=lambda key: not (INITIAL_WORDS | CELL_WORDS) & _words(key))  # those called so first
    whole = [key for key in loose if arrays[key].size == n_state and len(arrays[key]) in (1, 2, stack.layers, n_state)]
    if stack.n_cell == 0:
        return _initial(path, arrays, whole[:1], n_state)
    h = [key for key in loose if _is_state(arrays, key, stack.n_hidden, stack) and not CELL_WORDS & _words(key)]
    c = [key for key in loose if _is_state(arrays, key, stack.n_cell, stack) and CELL_WORDS & _words(key)]
    if h and c:
        return _initial(path, arrays, [h[0], c[0]], n_state)
    if whole:
        return _initial(path, arrays, whole[:1], n_state)
    if h:
        assumed = f"the initial cell state is zero, as only {h[0]} was found (--matrix initial=KEY names both in one)"
        state = np.concatenate([weights(path, arrays, h[0]).ravel(), np.zeros(stack.n_cell)])
        return Initial(state, (h[0],), (assumed,))
    return None


def _is_state(arrays: Arrays, key: str, size: int, stack: Stack) -> bool:
    return arrays[key].size == size and arrays[key].shape[0] in (1, stack.layers, size)


def _initial(path: Path, arrays: Arrays, keys: list[str], n_state: int) -> Initial | None:
    if not keys:
        return None
    told = tuple(
        f"{key} is the initial state, by its size alone; --matrix initial= for none"
        for key in keys
        if not (INITIAL_WORDS | CELL_WORDS) & _words(key)
    )
    return Initial(np.concatenate([weights(path, arrays, key).ravel() for key in keys]), tuple(keys), told)


def _words(key: str) -> set[str]:
    return set(re.split(r"[./_\s]|(?<=[a-z])(?=[A-Z])", key)) | set(re.split(r"[./_\s]", key.lower()))


def require(path: Path, arrays: Arrays, key: str, role: str) -> None:
    """Raise CheckpointError where there is no array of that key."""
    if key not in arrays:
        raise CheckpointError(path, f"it has no array {key!r} for --matrix {role}={key}", f"it holds {listed(arrays)}")

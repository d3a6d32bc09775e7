"""Weights that a file keeps in parts, put together as torch computes them before each step.

Of each rule the arrays are known by torch's own names, so that nothing has to be guessed:

    weight_norm     W_g, W_v                    W = g v / |v|, by rows (Salimans & Kingma 2016)
    spectral_norm   W_orig, W_u, W_v            W = W_orig / (u . W_orig v) (Miyato et al. 2018), u and v as saved
    pruning         W_orig, W_mask              W = W_orig * W_mask
    WeightDrop      W_raw                       W = W_raw, since no weight is dropped in evaluation (Merity et al. 2018)

and the first two as parametrizations (``parametrizations.W.original0``). Every other parametrization is left as it is,
for ``evidence`` to name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynsys.io.files import Arrays

PARALLEL = 0.99  # cosine of u and W^T v from which spectral_norm was along the columns


@dataclass(frozen=True)
class Effective:
    """The arrays of a file with the composed ones in the place of their parts; ``made`` says of each what it is made
    of: {key: (keys of its parts, the rule in words)}."""

    arrays: Arrays
    made: dict[str, tuple[tuple[str, ...], str]]


@dataclass(frozen=True)
class _Rule:
    """``parts`` are the ends of the keys; ``compose`` and ``fits``, which tells by shapes, take their arrays."""

    parts: tuple[str, ...]
    words: str
    compose: Callable[..., Any]
    fits: Callable[..., bool]


def _weight_norm(g: Any, v: Any) -> Any:
    """g has one entry for each row (dim 0, torch's default), for each column, or one for the whole matrix."""
    kept = [axis for axis, size in enumerate(g.shape) if size > 1] or ([0] if g.ndim == v.ndim else [])
    axis = tuple(a for a in range(v.ndim) if a not in kept)
    return g * v / np.sqrt((v * v).sum(axis, keepdims=True))


def _is_weight_norm(g: Any, v: Any) -> bool:
    kept = [(size, whole) for size, whole in zip(g.shape, v.shape, strict=False) if size > 1]
    return g.size == 1 or (g.ndim == v.ndim and len(kept) == 1 and kept[0][0] == kept[0][1])


def _spectral_norm(W: Any, u: Any, v: Any) -> Any:
    """u is as long as the rows are many (dim 0, torch's default), or as the columns are (dim 1).

    Of a square matrix the last power iteration tells which: it left u parallel to W v, or to W^T v. It is the default
    where it is neither, as before the first iteration.
    """
    u, v = u.ravel(), v.ravel()
    if (u.size, v.size) == W.shape == W.shape[::-1]:
        along_rows, along_columns = ((u @ side @ v) / np.linalg.norm(side @ v) for side in (W, W.T))
        turned = along_columns > max(along_rows, PARALLEL)
    else:
        turned = u.size != len(W)
    matrix = W.T if turned else W
    return W / (u @ matrix @ v)


def _is_spectral_norm(W: Any, u: Any, v: Any) -> bool:
    return W.ndim == 2 and (u.size, v.size) in (W.shape, W.shape[::-1])


def _pruned(W: Any, mask: Any) -> Any:
    return W * mask


def _is_pruned(W: Any, mask: Any) -> bool:
    return W.shape == mask.shape and bool(np.isin(mask, (0, 1)).all())


def _kept_whole(W: Any) -> Any:
    return W


def _always(W: Any) -> bool:
    return True


RULES = (
    _Rule(("_orig", "_u", "_v"), "spectral norm: {0} / (u . {0} v)", _spectral_norm, _is_spectral_norm),
    _Rule(("_g", "_v"), "weight norm: {0} {1} / |{1}|", _weight_norm, _is_weight_norm),
    _Rule(("_orig", "_mask"), "pruned: {0} * {1}", _pruned, _is_pruned),
    _Rule(("_raw",), "WeightDrop in evaluation: {0}", _kept_whole, _always),
)
PARAMETRIZED = (
    _Rule((".original", ".0._u", ".0._v"), "spectral norm: {0} / (u . {0} v)", _spectral_norm, _is_spectral_norm),
    _Rule((".original0", ".original1"), "weight norm: {0} {1} / |{1}|", _weight_norm, _is_weight_norm),
)
RECURRENT = re.compile(r"(?:^|[._/])(?:weight_(?:ih|hh|hr)|bias_(?:ih|hh))(?:_l\d+)?(?:_reverse)?$")


def effective(arrays: Arrays) -> Effective:
    """The arrays as the network uses them; parts that do not fit each other stay as they are."""
    held, made = dict(arrays), {}
    for key in arrays:
        for plain, rule in _candidates(key, arrays):
            parts = tuple(key.removesuffix(rule.parts[0]) + end for end in rule.parts)
            if not all(part in held for part in parts):
                continue
            given = [np.asarray(held[part], dtype=np.float64) for part in parts]
            if not rule.fits(*given):
                continue
            place = _where_its_module_is(plain, held) if rule.compose is _kept_whole else plain
            for part in parts:
                held.pop(part)
            with np.errstate(all="ignore"):  # a zero norm gives NaN, which is refused by the weight's name
                held[place] = rule.compose(*given)
            made[place] = (parts, rule.words.format(*parts))
            break
    return Effective(held, made)


def _candidates(key: str, arrays: Arrays) -> list[tuple[str, _Rule]]:
    """The plain name that the key is the first part of, and by which rule."""
    found = []
    for rule in RULES:
        plain = key.removesuffix(rule.parts[0])
        if plain != key and (rule.parts != ("_raw",) or RECURRENT.search(plain)):
            found.append((plain, rule))
    match = re.match(r"^(.*?)parametrizations\.([^.]+)(\.original0?)$", key)
    if match:
        alone = not any(k.startswith(f"{match[1]}parametrizations.{match[2]}.1.") for k in arrays)
        found += [(match[1] + match[2], rule) for rule in PARAMETRIZED if rule.parts[0] == match[3] and alone]
    return found


def _where_its_module_is(plain: str, arrays: Arrays) -> str:
    """WeightDrop keeps the raw weight beside the module that it wraps, under whose name it is used."""
    owner, dot, name = plain.rpartition(".")
    if any(k.startswith(f"{owner}{dot}weight_ih") for k in arrays):
        return plain
    inner = {k.rpartition(".")[0] for k in arrays if k.startswith(f"{owner}{dot}") and ".weight_ih" in f".{k}"}
    inside = [place for place in inner if place.count(".") == owner.count(".") + (1 if owner else 0)]
    return f"{inside[0]}.{name}" if len(inside) == 1 else plain

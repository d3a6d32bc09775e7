"""Patterns, and what a unit makes of its net input.

A bipolar pattern has the components -1 and 1, a binary one 0 and 1; they are the rows of a matrix. In the cue of a
bipolar net a 0 is a missing component, one of the wrong sign a mistake. A unit gives 1 above its threshold and the low
value (-1 or 0) below it. At the threshold itself there are two rules: ``zero`` gives 0, ``keep`` what the unit was. A
unit is at its threshold where its net input is 0 up to the rounding of its sum (``net_inputs``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TIES = ("zero", "keep")


def checked_rows(values: Any, name: str) -> Array:
    """Finite numbers in rows (P, n), as float64; ValueError where they are not."""
    rows = _numbers(values, name)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"{name} has shape {rows.shape}; {_form(name)}")
    return _finite(rows, name)


def checked_patterns(S: Any, name: str = "S", binary: bool | None = None) -> Array:
    """Patterns (P, n) as float64, all of them bipolar or all binary; one pattern (n,) is P = 1.

    ``binary`` says which of the two they have to be. Raises ValueError.
    """
    patterns = _numbers(S, name)
    patterns = patterns[None] if patterns.ndim == 1 else patterns
    if patterns.ndim != 2 or patterns.size == 0:
        raise ValueError(f"{name} has shape {np.shape(S)}; {_form(name)}")
    found = np.unique(patterns)
    legal = [(0.0, 1.0), (-1.0, 1.0)] if binary is None else [(0.0, 1.0) if binary else (-1.0, 1.0)]
    if not any(set(found) <= set(pair) for pair in legal):
        shown = ", ".join(f"{value:g}" for value in found[:5]) + (", ..." if len(found) > 5 else "")
        pairs = " or ".join(f"{low:g} and {high:g}" for low, high in legal)
        more = {True: "; binary=False is for -1 and 1", False: "; binary=True is for 0 and 1", None: " alone"}[binary]
        raise ValueError(f"the patterns {name} hold {shown}; patterns of this net hold {pairs}{more}")
    return patterns


def _form(name: str) -> str:
    return f"give {name} as (P, n), a pattern in each row, with at least one pattern of at least one component"


def _numbers(values: Any, name: str) -> Array:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not numbers in rows of one length; {_form(name)}") from None


def _finite(x: Array, name: str) -> Array:
    if not np.isfinite(x).all():
        raise ValueError(
            f"{name} holds {int((~np.isfinite(x)).sum())} values that are NaN or infinite; a missing component is a 0"
        )
    return x


def are_binary(patterns: Array) -> bool:
    """Whether they hold a 0, and so are not bipolar."""
    return bool((patterns == 0).any())


def checked_matrix(W: Any, name: str = "W") -> Array:
    """A finite square matrix."""
    W = np.array(W, dtype=np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or len(W) == 0:
        raise ValueError(f"{name} has shape {W.shape}; a net of n units needs (n, n), n >= 1")
    return _finite(W, name)


def checked_states(x: Any, n: int, name: str = "x") -> Array:
    """States or cues (..., n) of finite numbers."""
    x = _numbers(x, name)
    if x.ndim == 0 or x.shape[-1] != n:
        raise ValueError(f"{name} has shape {x.shape}; this net needs ({n},), or a row of {n} for each state")
    return _finite(x, name)


def checked_vector(x: Any, n: int, name: str = "x", within: tuple[float, float] | None = None) -> Array:
    """A state or cue (n,) of finite numbers, none outside ``within``."""
    x = checked_states(x, n, name)
    if x.ndim != 1:
        raise ValueError(f"{name} has shape {x.shape}; this net takes one at a time, ({n},)")
    if within is not None and not ((x >= within[0]) & (x <= within[1])).all():
        worst = x[np.argmax(np.abs(x - np.clip(x, *within)))]
        raise ValueError(f"{name} holds {worst:g}; its components lie between {within[0]:g} and {within[1]:g}")
    return x


def checked_ties(ties: str) -> str:
    if ties not in TIES:
        raise ValueError(f"ties is {ties!r}; a unit at its threshold follows the rule {' or '.join(TIES)}")
    return ties


def net_inputs(y: Array, W: Array, held: Array | float = 0.0) -> Array:
    """y W + held of states (n,) or (B, n); 0 where it is within the rounding of its sum: a unit is at its threshold.

    Weights such as 1/3 are themselves rounded, so a sum that is 0 comes out as some last bits of its largest term.
    """
    net = np.asarray(y @ W + held)
    net[np.abs(net) <= rounding(y, W, held)] = 0.0
    return net


def rounding(y: Array, W: Array, held: Array | float = 0.0) -> Array:
    """How far from the true sum y W + held may be, of n terms in any order, with W rounded."""
    size = np.abs(y) @ np.abs(W) + np.abs(held)
    return np.asarray((len(W) + 4) * np.finfo(np.float64).eps * size)


def output(net: Array, before: Array | float, low: float) -> Array:
    """1 where net > 0, ``low`` where net < 0, and ``before`` where it is neither; of any shape."""
    return np.where(net > 0, 1.0, np.where(net < 0, low, before))


def bipolar(patterns: Array) -> Array:
    """Binary patterns as bipolar ones, 2 s - 1."""
    return 2 * patterns - 1


def overlaps(S: Array, y: Array) -> Array:
    """S y / n: 1 where y is a bipolar pattern, -1 where it is the negative of one; (P,) or (B, P)."""
    return np.asarray(y @ S.T / S.shape[1], dtype=np.float64)


def hamming(a: Array, b: Array) -> NDArray[np.int64]:
    """In how many components two patterns differ."""
    return np.asarray((a != b).sum(axis=-1))


def random_patterns(P: int, n: int, rng: np.random.Generator) -> Array:
    """P bipolar patterns of n independent components, each sign as likely as the other."""
    return np.asarray(rng.integers(0, 2, (P, n)) * 2.0 - 1)


def disturbed(s: Any, rng: np.random.Generator, *, mistakes: int = 0, missing: int = 0) -> Array:
    """A bipolar pattern with so many components of the wrong sign, and so many others set to 0."""
    cue = checked_patterns(s, "s", binary=False)[0]
    if mistakes < 0 or missing < 0 or mistakes + missing > len(cue):
        raise ValueError(f"mistakes is {mistakes} and missing {missing}; the pattern has {len(cue)} components")
    chosen = rng.permutation(len(cue))
    cue[chosen[:mistakes]] *= -1
    cue[chosen[mistakes : mistakes + missing]] = 0
    return cue

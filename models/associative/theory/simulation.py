"""Recall in large nets of Hebb's rule, by their overlaps: W is never built.

The net input of unit i is sum_p s_i(p) M_p - P y_i, with M_p = s(p) . y the overlaps and the diagonal taken off. A flip
changes the P overlaps and no more. One unit changes at a time, in random order among those that are to change; the
fields are whole numbers and exact, so a net input of 0 is one, and keeps its unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.models.associative.learning import hopfield_projection, storkey
from dynsys.models.associative.patterns import Array

BLOCK = 64  # units whose fields are brought up to date together after each flip among them
SWEEPS = 2000  # no run seen took more than 100; a cap that is met is reported, as it would fake a capacity
EXACT = 2**24  # up to which float32 holds every whole number

Floats = NDArray[Any]  # float32 where that holds every sum exactly, else float64


@dataclass(frozen=True)
class Trial:
    """One recall: the share of units that would change at once in the cue, of wrong ones at the end, and the work."""

    first: float
    error: float
    flips: int
    sweeps: int
    settled: bool

    @property
    def overlap(self) -> float:
        """m = 1 - 2 error."""
        return 1 - 2 * self.error


def random_units(n: int, P: int, rng: np.random.Generator) -> Floats:
    """Random patterns, units by patterns (n, P), in a precision that keeps their sums exact."""
    bits = np.unpackbits(rng.integers(0, 256, -(-n * P // 8), dtype=np.uint8), count=n * P)
    units: Floats = bits.astype(np.float32 if n * P < EXACT else np.float64).reshape(n, P)
    np.multiply(units, 2, out=units)
    np.subtract(units, 1, out=units)
    return units


def relax(U: Floats, y: Floats, rng: np.random.Generator, limit: int = SWEEPS) -> tuple[int, int, bool]:
    """Let y (n,) settle in the net that stores the columns of U (n, P), in place; flips, sweeps, whether it did."""
    P, flips = U.shape[1], 0
    M = y @ U
    for sweep in range(limit):
        unstable = np.flatnonzero(y * (U @ M) < P)
        if len(unstable) == 0:
            return flips, sweep, True
        turn = rng.permutation(unstable)
        for begin in range(0, len(turn), BLOCK):
            flips += _block(U, y, M, turn[begin : begin + BLOCK])
    return flips, limit, False


def _block(U: Floats, y: Floats, M: Floats, units: NDArray[np.int64]) -> int:
    """One turn for each of these units; y and the overlaps M are changed. How many flipped."""
    rows, state, P = U[units], y[units], U.shape[1]
    aligned = state * (rows @ M)
    flips = k = 0
    while len(wrong := np.flatnonzero(aligned[k:] < P)):
        k += int(wrong[0])
        state[k] = -state[k]
        change = (2 * state[k]) * rows[k]
        M += change
        aligned += state * (rows @ change)
        k, flips = k + 1, flips + 1
    y[units] = state
    return flips


def hebb_trial(n: int, P: int, rng: np.random.Generator, mistakes: int = 0) -> Trial:
    """Recall of one of P random patterns of n units from itself, or with so many of its units wrong.

    By the symmetry of the draw the pattern is all ones.
    """
    U = random_units(n, P, rng)
    U[:, 0] = 1
    y = _cue(n, mistakes, rng).astype(U.dtype)
    first = float(np.mean(y * (U @ (y @ U)) < P))
    flips, sweeps, settled = relax(U, y, rng)
    return Trial(first, float(np.mean(y < 0)), flips, sweeps, settled)


def _cue(n: int, mistakes: int, rng: np.random.Generator) -> Array:
    y = np.ones(n)
    y[rng.permutation(n)[:mistakes]] = -1
    return y


def pair_trial(n: int, P: int, rng: np.random.Generator, mistakes: int = 0, ratio: float = 1.0) -> Trial:
    """Recall in a BAM with layers of n and ratio n units, from the x of a pair with so many units wrong, y unknown.

    The error is that of the first layer; ``flips`` counts changed units of both, ``sweeps`` passes there and back.
    """
    m = round(ratio * n)
    U, V = random_units(n, P, rng), random_units(m, P, rng)
    U[:, 0] = V[:, 0] = 1
    x, y = _cue(n, mistakes, rng).astype(U.dtype), np.zeros(m, dtype=V.dtype)
    first, flips = 0.0, 0
    for sweep in range(SWEEPS):
        y, changed = _answered(V @ (x @ U), y)
        x, back = _answered(U @ (y @ V), x)
        first = float(np.mean(x < 0)) if sweep == 0 else first
        flips += changed + back
        if back == 0:  # then y, which was made of this x, stays too
            return Trial(first, float(np.mean(x < 0)), flips, sweep + 1, True)
    return Trial(first, float(np.mean(x < 0)), flips, SWEEPS, False)


def _answered(net: Floats, before: Floats) -> tuple[Floats, int]:
    after = np.where(net == 0, before, np.sign(net)).astype(before.dtype)
    return after, int(np.count_nonzero(after != before))


def _of_weights(learn: Callable[[Array], Array]) -> Callable[..., Trial]:
    """The trial of a rule whose W has no short form: W is built."""

    def trial(n: int, P: int, rng: np.random.Generator, mistakes: int = 0) -> Trial:
        S = np.asarray(random_units(n, P, rng), dtype=np.float64).T.copy()
        S[0] = 1
        W, y = learn(S), _cue(n, mistakes, rng)
        aligned = y * (W @ y)
        slack = 1e-12 * np.abs(W).sum(axis=1).max()  # of rounding, flip after flip, below which a net input is 0
        first, flips = float(np.mean(aligned < -slack)), 0
        while True:
            unstable = np.flatnonzero(aligned < -slack)
            if len(unstable) == 0 or flips >= SWEEPS * n:
                return Trial(first, float(np.mean(y < 0)), flips, 0, len(unstable) == 0)
            u = rng.choice(unstable)
            y[u] = -y[u]
            aligned[u] = -aligned[u]
            aligned += 2 * y * W[:, u] * y[u]  # of unit u itself nothing, as W has no diagonal
            flips += 1

    return trial


TRIALS: dict[str, Callable[..., Trial]] = {  # a recall of a random pattern, by the net and its rule
    "hebb": hebb_trial,
    "bidirectional": pair_trial,
    "pseudo-inverse": _of_weights(hopfield_projection),
    "storkey": _of_weights(storkey),
}

"""States to start a search from, out of files of recorded trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import listed, shown
from dynsys.models.loading.tables import INPUTS, TEXT, lines_of, recorded_arrays
from dynsys.systems.system import System
from dynsys.trajectories.simulate import states_at

Array = NDArray[np.float64]

HIDDEN = ("hidden", "hiddens", "h", "states", "state", "x", "hidden_states", "activity", "activities", "rates")
CELL = ("cell", "cells", "c", "cell_states", "cell_state")


def states_from_file(path: str | Path, system: System, keys: list[str] | None = None) -> Array:
    """The states (k, n_state) in a file of trajectories, trials x time x units or time x units.

    ``keys`` names the arrays that make up the state, in the system's order (an LSTM's is h, then c). Otherwise those
    are taken that are called so, ``hidden`` and ``cell`` among them, and else the only array as wide as the state.
    States with NaN, the padding of short trials, are left out. Raises CheckpointError, which names the shapes, where
    no array fits.
    """
    return np.concatenate(runs_from_file(path, system, keys))


def runs_from_file(path: str | Path, system: System, keys: list[str] | None = None) -> list[Array]:
    """The same trial by trial, each (T_i, n_state), those of NaN alone left out."""
    return [run for run in trials_from_file(path, system, keys) if len(run)]


def trials_from_file(path: str | Path, system: System, keys: list[str] | None = None) -> list[Array]:
    """Every trial of the file, those of NaN alone with no state, so that they can be told by their number."""
    path = Path(path)
    arrays = recorded_arrays(path)
    chosen = _chosen(path, arrays, system.n_state) if keys is None else _named(path, arrays, keys, system.n_state)
    states = np.concatenate([np.asarray(arrays[key], dtype=np.float64) for key in chosen], axis=-1)
    trials = states.reshape(-1, *states.shape[-2:])
    runs = [trial[np.isfinite(trial).all(axis=1)] for trial in trials]
    if not any(map(len, runs)):
        raise CheckpointError(path, f"{' and '.join(chosen)} hold no state without NaN", "record the network again")
    return runs


def conditions_from_file(named: str, path: str | Path, n: int) -> list[Any]:
    """The condition of each of the n trials in the file of trajectories ``path``: a number or a row of its array of
    that name, or of the only array of another file, or a word in each line of a text file.

    Raises CheckpointError where there is neither, or not one for each trial.
    """
    path, other = Path(path), Path(named)
    arrays = recorded_arrays(path)
    if named in arrays:
        path, values = path, _each(arrays[named], n)
    elif not other.is_file():
        legal = f"name an array of {n} numbers, or a file with a condition in each line"
        raise CheckpointError(
            path, f"it has no array {named!r}, and there is no such file", f"it holds {listed(arrays)}: {legal}"
        )
    elif other.suffix.lower() in TEXT:
        path, values = other, lines_of(other)
    else:
        held = recorded_arrays(other)
        if len(held) != 1:
            raise CheckpointError(
                other, f"it holds {listed(held)}", "give a file with one array, a number for each trial"
            )
        path, values = other, _each(next(iter(held.values())), n)
    if len(values) != n:
        raise CheckpointError(path, f"it has {len(values)} conditions for {n} trials", "give one for each trial")
    return values


def _each(array: Any, n: int) -> list[Any]:
    """The conditions in an array: numbers, or of n rows of several numbers these together."""
    values = np.asarray(array)
    if values.ndim == 2 and len(values) == n and values.shape[1] > 1:
        return [" ".join(f"{value:g}" for value in row) for row in (values + 0.0).tolist()]
    return values.ravel().tolist()


def starts_from_file(
    path: str | Path, system: System, n: int, *, noise: float = 0.5, seed: int = 0, keys: list[str] | None = None
) -> Array:
    """n states (n, n_state) of the file, drawn evenly, each with Gaussian noise of standard deviation ``noise``.

    No state is drawn twice while there are enough. Noise of 0.5 in units of the state is what Sussillo & Barak (2013)
    and the tools after them use, to reach saddles beside the trajectories. Raises ValueError for n below 1 and for
    negative noise, and CheckpointError as ``states_from_file`` does.
    """
    return noisy_starts(runs_from_file(path, system, keys), n, noise=noise, seed=seed)


def inputs_from_file(path: str | Path, n_input: int) -> Array:
    """One sequence of inputs (T, n_input) in a file: the array called inputs, or u, or the only one of that width, time
    x width or 1 x time x width. Raises CheckpointError where there is none or many.
    """
    u, name = _inputs(Path(path), n_input)
    if u.ndim == 3 and len(u) == 1:
        u = u[0]
    if u.ndim != 2:
        raise CheckpointError(path, f"{name} holds many trials", "cut out one of them, time x width")
    return u


def trial_from_file(
    path: str | Path, system: System, trial: int = 0, keys: list[str] | None = None
) -> tuple[Array, Array]:
    """The states (T, n_state) and inputs (T, n_input) of one trial of a file, counted from 0, as far as its states are
    recorded. Raises CheckpointError where it has no such trial, and where states and inputs are not of as many steps.
    """
    states = trials_from_file(path, system, keys)
    u, name = _inputs(Path(path), system.n_input, but=(*HIDDEN, *CELL, *(keys or ())))
    u = u.reshape(-1, *u.shape[-2:])
    if not 0 <= trial < len(states):
        raise CheckpointError(path, f"it has no trial {trial}", f"its trials are 0 to {len(states) - 1}")
    if len(u) != len(states):
        raise CheckpointError(path, f"{name} are of {len(u)} trials and the states of {len(states)}", "give as many")
    x, u = states[trial], u[trial]
    if not len(x):
        raise CheckpointError(path, f"trial {trial} holds no state without NaN", "name another trial")
    if len(u) < len(x):
        raise CheckpointError(
            path, f"{name} are of {len(u)} steps and the states of {len(x)}", "give an input for each recorded state"
        )
    return x, u[: len(x)]


def _inputs(path: Path, n_input: int, but: Sequence[str] = ()) -> tuple[Array, str]:
    """The array of a file that holds inputs, and its name and shape; none of those called as in ``but``."""
    arrays = recorded_arrays(path)
    wide = {
        key: np.atleast_2d(value)
        for key, value in arrays.items()
        if np.ndim(value) and np.shape(value)[-1] == n_input and key.lower().rpartition(".")[2] not in but
    }
    named = [key for key in wide if key.lower().rpartition(".")[2] in INPUTS]
    keys = named or list(wide)
    if len(keys) != 1:
        wanted = f"{len(keys)} arrays of it may be the inputs" if keys else "no array of it holds the inputs"
        raise CheckpointError(path, f"{wanted}: {listed(arrays)}", f"give one called inputs, time x {n_input}")
    u = np.asarray(wide[keys[0]], dtype=np.float64)
    return u, shown(keys[0], wide)


def noisy_starts(runs: list[Array], n: int, *, noise: float = 0.5, seed: int = 0) -> Array:
    """The same of trajectories (T_i, n_state) that are at hand."""
    if n < 1:
        raise ValueError(f"n is {n}; a search needs at least 1 start")
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise is {noise}; a standard deviation is 0 or more")
    drawn = states_at(torch.as_tensor(np.concatenate(runs)), n, seed).numpy()
    return np.asarray(drawn + noise * np.random.default_rng(seed).standard_normal(drawn.shape))


def _named(path: Path, arrays: Arrays, keys: list[str], n_state: int) -> list[str]:
    for key in keys:
        if key not in arrays:
            raise CheckpointError(path, f"it has no array {key!r}", f"it holds {listed(arrays)}")
    if not _fit(arrays, keys, n_state):
        raise _misfit(path, arrays, keys, n_state)
    return keys


def _chosen(path: Path, arrays: Arrays, n_state: int) -> list[str]:
    lower = {key.lower().rpartition(".")[2]: key for key in arrays}
    hidden = [lower[name] for name in HIDDEN if name in lower]
    cell = [lower[name] for name in CELL if name in lower]
    named = [[h] for h in hidden] + [[h, c] for h in hidden for c in cell]
    by_name = [keys for keys in named if _fit(arrays, keys, n_state)]
    if by_name:
        return by_name[0]
    by_shape = [key for key in arrays if _fit(arrays, [key], n_state)]
    if len(by_shape) == 1:
        return by_shape
    if by_shape:
        several = ", ".join(shown(key, arrays) for key in by_shape)
        raise CheckpointError(path, f"its arrays {several} could all be the states", "name one with --states KEY")
    raise _misfit(path, arrays, list(arrays), n_state)


def _fit(arrays: Arrays, keys: list[str], n_state: int) -> bool:
    """Whether the arrays, side by side, are states: as many rows each, and together as wide as the state."""
    parts = [arrays[key] for key in keys]
    if any(part.ndim not in (2, 3) for part in parts) or len({part.shape[:-1] for part in parts}) != 1:
        return False
    return sum(part.shape[-1] for part in parts) == n_state


def _misfit(path: Path, arrays: Arrays, keys: list[str], n_state: int) -> CheckpointError:
    held = listed({key: arrays[key] for key in keys})
    legal = (
        f"give trials x time x units, or time x units of one trial: the network has {n_state} state variables, so the "
        f"last axis has to be {n_state} wide, or several arrays to be"
    )
    return CheckpointError(path, f"no states of this network in {held}", f"{legal} together, as --states hidden,cell")

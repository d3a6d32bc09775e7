"""Proof by replay: which of the possible readings of a file reproduces a recorded trial.

A trial is inputs, and the states or outputs that the network gave. Every reading of the file, by the activations,
sides, gate orders, places of the reset gate, leaks and masks that are possible, is run on it: one step from each
recorded state where the whole state was recorded, else from the network's first state on. One reading that comes within
``CLOSE`` is the network; with none, or with two that differ elsewhere, nothing is proved.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.choices import Choices, Recognised, line_of, listed
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.made import system_of
from dynsys.models.loading.named.readings import readings
from dynsys.models.loading.tables import CELLS, INPUTS, OUTPUTS, STATES, recorded_arrays
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

CLOSE = 1e-5  # of a step, relative to 1 + |state|: single precision, in which most trials are recorded, is 1e-7
FEW = 25  # steps that are run freely: later ones of a chaotic network differ by the rounding of the recording alone
MOST = 4000  # readings that are tried
SAME = 1e-12  # two readings whose steps differ by no more are one network
Recognise = Callable[[Path, Contents, Choices], Recognised]


@dataclass(frozen=True)
class Trial:
    """What was recorded: inputs (B, T, m), and states (B, T, n) or outputs (B, T, o), or both."""

    inputs: Array | None
    states: Array | None
    cells: Array | None
    outputs: Array | None

    @property
    def shape(self) -> tuple[int, ...]:
        return next(a for a in (self.states, self.outputs) if a is not None).shape


def read_trial(path: str | Path) -> Trial:
    """A trial out of a file of recorded arrays. Raises CheckpointError where it holds no states and no outputs."""
    path = Path(path)
    arrays = recorded_arrays(path)
    lower = {key.lower().rpartition(".")[2]: key for key in arrays}

    def named(names: tuple[str, ...]) -> Array | None:
        key = next((lower[name] for name in names if name in lower), None)
        return None if key is None else _batched(np.asarray(arrays[key], dtype=np.float64))

    trial = Trial(named(INPUTS), named(STATES), named(CELLS), named(OUTPUTS))
    if trial.states is None and trial.outputs is None:
        wanted = "inputs with states or outputs, (time, width) or (trials, time, width)"
        raise CheckpointError(path, f"it holds no trial: {listed(arrays)}", f"a trial has {wanted}, by these names")
    return trial


def _batched(values: Array) -> Array:
    values = values[:, None] if values.ndim == 1 else values
    return values[None] if values.ndim == 2 else values


@dataclass(frozen=True)
class _Tried:
    """A reading, the choices that say it, and how far it is from the trial."""

    found: Recognised
    choices: Choices
    system: System
    off: float


def replayed(path: Path, contents: Contents, choices: Choices, recognise: Recognise) -> Recognised:
    """The one reading that reproduces the trial of ``choices.replay``; CheckpointError where there is none, or two.

    Each is opened by ``recognise``, as it would be if the user had said it.
    """
    trial_path = Path(str(choices.replay))
    trial = read_trial(trial_path)
    tried = list(_tried(path, contents, dataclasses.replace(choices, replay=None), trial, recognise))
    if not tried:
        wrong = f"no reading of it has the sizes of the trial in {trial_path}"
        raise CheckpointError(path, wrong, "say its form and matrices, and what the trial lacks to be replayed")
    tried.sort(key=lambda one: one.off)
    best = tried[0]
    if not best.off < CLOSE:
        near = f"the nearest, {_said(best.choices)}, is off by {best.off:.1e}"
        wrong = f"none of {len(tried)} readings reproduces {trial_path}: {near}"
        raise CheckpointError(path, wrong, "say with --form and --matrix what it is, or wrap the module")
    fits = [best]
    for one in tried[1:]:
        if one.off < CLOSE and not any(_same(one.system, other.system) for other in fits):
            fits.append(one)
    if len(fits) > 1:
        names = "; ".join(f"{_said(one.choices)} (off by {one.off:.1e})" for one in fits[:4])
        wrong = f"{len(fits)} readings reproduce {trial_path}: {names}"
        raise CheckpointError(path, wrong, "take a trial in which they differ, or say one of them")
    told = f"replay: of {len(tried)} readings {_said(best.choices)} alone reproduces {trial_path}, to {best.off:.1e}"
    kept = [line for line in best.found.assumed if "activation" not in line and "acts from the left" not in line]
    why = (*best.found.why, told)
    chosen = _with_less_ignored(path, contents, best, choices.ignore, recognise)
    return dataclasses.replace(best.found, why=why, assumed=tuple(kept), choices=chosen.given())


def _with_less_ignored(
    path: Path, contents: Contents, best: _Tried, ignore: tuple[str, ...], recognise: Recognise
) -> Choices:
    """The choices of the reading without the --ignore that let every reading be tried, where it opens without."""
    chosen = dataclasses.replace(best.choices, ignore=ignore)
    try:
        recognise(path, contents, chosen)
    except (CheckpointError, ValueError):
        return best.choices
    return chosen


def _said(choices: Choices) -> str:
    given = choices.given()
    for name in ("ignore", "part"):
        given.pop(name, None)
    return line_of(given.pop("matrices", {}), **given) or "the file as it is"


def _tried(path: Path, contents: Contents, choices: Choices, trial: Trial, recognise: Recognise) -> Iterator[_Tried]:
    """Every reading that can be made and has the sizes of the trial."""
    for reading in itertools.islice(readings(contents, choices), MOST):
        try:
            found = recognise(path, contents, reading)
            system = system_of(path, found)
        except (CheckpointError, ValueError):
            continue
        off = _distance(system, trial)
        if off is not None:
            yield _Tried(found, reading, system, off)


def _distance(system: System, trial: Trial) -> float | None:
    """The largest difference between the trial and the system, relative to 1 + |value|; None where sizes differ."""
    if system.kind != Kind.MAP or (trial.inputs is not None and trial.inputs.shape[2] != system.n_input):
        return None
    T = trial.shape[1]
    if trial.inputs is None and system.n_input:
        return None
    u = np.zeros((trial.shape[0], T, 0)) if trial.inputs is None else trial.inputs
    whole = _whole_states(system, trial)
    if whole is not None:
        return min(off for shift in (0, 1) if (off := _one_step(system, whole, u, shift)) is not None)
    return _free_run(system, trial, u)


def _whole_states(system: System, trial: Trial) -> Array | None:
    parts = [part for part in (trial.states, trial.cells) if part is not None]
    for held in (parts[:1], parts):
        if held and len({p.shape[:2] for p in held}) == 1 and sum(p.shape[2] for p in held) == system.n_state:
            return np.concatenate(held, axis=2)
    return None


def _one_step(system: System, states: Array, u: Array, shift: int) -> float | None:
    """Each recorded state against the step from the one before; ``shift`` 0: states[t] is after u[t]."""
    T = min(states.shape[1], u.shape[1] + 1)
    before, after = states[:, : T - 1], states[:, 1:T]
    inputs = u[:, 1:T] if shift == 0 else u[:, : T - 1]
    steps = min(before.shape[1], inputs.shape[1])
    if steps < 1:
        return float("inf")
    rows = len(states) * steps
    x, v, expected = (torch.tensor(a[:, :steps].reshape(rows, a.shape[2])) for a in (before, inputs, after))
    keep = torch.isfinite(x).all(1) & torch.isfinite(v).all(1) & torch.isfinite(expected).all(1)
    if not bool(keep.any()):
        return float("inf")
    with torch.no_grad():
        new = x[keep] + system.velocity(x[keep], v[keep])
    return float(((new - expected[keep]).abs() / (1 + expected[keep].abs())).max().nan_to_num(nan=float("inf")))


def _free_run(system: System, trial: Trial, u: Array) -> float | None:
    """From the network's first state on: its outputs, or the part of its state that was recorded."""
    first = getattr(system, "initial_state", None)
    x = torch.zeros(system.n_state, dtype=torch.float64) if first is None else first
    x = x.expand(len(u), -1)
    recorded = trial.outputs if trial.outputs is not None else trial.states
    assert recorded is not None
    seen: list[Array] = []
    with torch.no_grad():
        for t in range(min(FEW, u.shape[1])):
            x = x + system.velocity(x, torch.tensor(u[:, t]))
            seen.append((system.readout(x) if trial.outputs is not None else x).numpy())
    got = np.stack(seen, axis=1)
    if trial.outputs is None:
        got = got[:, :, : recorded.shape[2]]
    if got.shape[2] != recorded.shape[2] or got.shape[0] != recorded.shape[0]:
        return None
    offs = []
    for shift in (0, 1):
        expected = recorded[:, shift : shift + got.shape[1]]
        run = got[:, : expected.shape[1]]
        if expected.shape[1]:
            gap = np.abs(run - expected) / (1 + np.abs(expected))
            offs.append(float(np.nan_to_num(gap, nan=np.inf).max()))
    return min(offs, default=float("inf"))


def _same(a: System, b: System) -> bool:
    """Whether two readings are one network: their steps agree at states and inputs of every size."""
    if (a.n_state, a.n_input, a.kind) != (b.n_state, b.n_input, b.kind):
        return False
    draw = torch.Generator().manual_seed(0)
    scales = torch.tensor([0.1, 1.0, 4.0], dtype=torch.float64).repeat_interleave(8)[:, None]
    x = scales * torch.randn(24, a.n_state, generator=draw, dtype=torch.float64)
    u = scales * torch.randn(24, a.n_input, generator=draw, dtype=torch.float64)
    with torch.no_grad():
        apart = (a.velocity(x, u) - b.velocity(x, u)).abs() / (1 + a.velocity(x, u).abs())
    return bool(apart.max() < SAME) if apart.numel() else True

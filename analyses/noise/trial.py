"""One trial of a noise study: one network, one draw of the noise, all levels."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.analyses.flipflop_memories import memories, named
from dynsys.analyses.noise.mistakes import Triples, mistakes
from dynsys.analyses.noise.networks import Held, PointsFile
from dynsys.continuation.persistence import Survival, survival
from dynsys.continuation.track import Fate
from dynsys.io.provenance import File
from dynsys.models.driven.noisy_runs import AnyNoise, InputNoise, StateNoise, WeightNoise, noisy_outputs
from dynsys.models.driven.perturbation import draw_noise, perturbed, weights_chosen, weights_of
from dynsys.models.driven.protocol import Drive, drive_of
from dynsys.models.loading.checkpoint import load
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.numerics.threads import alone
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import System

Array = NDArray[np.float64]

ON = ("weights", "state", "input")
POINTS = ("all", "memories", "none")
DIGITS = 5  # of what is written of each point
DRIVE, NOISE = 0, 1  # what a seed is for


@dataclass(frozen=True)
class Trial:
    """Which network, which noise and at which levels, from which seed: what makes it this trial and no other.

    ``network`` is a file with the ``loading`` choices of ``dynsys.load``, a system held, or the name of a model.
    ``points`` are the file of its fixed points that are followed, or None.
    """

    network: File | Held | str
    number: int
    seed: int
    on: str
    weights: tuple[str, ...]
    levels: tuple[float, ...]
    steps: int
    points: PointsFile | None = None
    loading: tuple[tuple[str, Any], ...] = ()


def noise_trial(arguments: dict[str, Any], seed: int) -> dict[str, Any]:
    """``measures`` by name with a value for each level, ``noiseless`` the same without noise, ``survival`` or None, and
    ``mistakes`` without noise and at each level, None without a task.

    The seed that a sweep gives is not used: networks that are compared have to meet the same noise.
    """
    trial = Trial(**arguments)
    system = _loaded(trial.network, tuple(map(tuple, trial.loading)))
    with alone():
        noise = _noise(trial, system)
        drive = drive_of(system, trial.steps, [trial.seed, trial.number, DRIVE])
        scores, confused = judged(system, drive, noise, (0.0, *trial.levels))
    followed = None
    if trial.points is not None and isinstance(noise, WeightNoise):
        followed = _survival(trial, system, noise)
    return {
        "noiseless": {name: values[0] for name, values in scores.items()},
        "measures": {name: values[1:] for name, values in scores.items()},
        "survival": followed,
        "mistakes": confused,
    }


def measured(
    system: System, drive: Drive, noise: AnyNoise, levels: Sequence[float], dtype: torch.dtype | None = None
) -> dict[str, list[float | None]]:
    """What the task scores at each level; without a task, the ``mse`` to the run at the first level.

    None stands for a run that left the finite numbers.
    """
    return judged(system, drive, noise, levels, dtype)[0]


def judged(
    system: System, drive: Drive, noise: AnyNoise, levels: Sequence[float], dtype: torch.dtype | None = None
) -> tuple[dict[str, list[float | None]], list[Triples] | None]:
    """As ``measured``, and at each level which memory was given for which, None without a task."""
    if drive.trial is None:
        return {"mse": _deviation(system, drive, noise, levels, dtype)}, None
    output = torch.cat(list(noisy_outputs(system, drive, noise, levels, dtype))).double().numpy()  # (T, levels, O)
    runs = [output[drive.unjudged :, k] for k in range(len(levels))]
    scores = [drive.trial.score(run) for run in runs]
    told = {name: [_number(score[name]) for score in scores] for name in scores[0]}
    return told, [mistakes(drive.trial, run) for run in runs]


def _deviation(
    system: System, drive: Drive, noise: AnyNoise, levels: Sequence[float], dtype: torch.dtype | None
) -> list[float | None]:
    total, count = torch.zeros(len(levels), dtype=torch.float64), 0
    for block in noisy_outputs(system, drive, noise, levels, dtype):
        total += (block - block[:, :1]).double().square().mean(dim=2).sum(dim=0)
        count += len(block)
    return [_number(value) for value in (total / count).tolist()]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _noise(trial: Trial, system: System) -> AnyNoise:
    seed = (trial.seed, trial.number, NOISE)
    if trial.on == "weights":
        names = weights_chosen(system, trial.weights)
        return WeightNoise(draw_noise(weights_of(system), names, seed))
    return StateNoise(seed) if trial.on == "state" else InputNoise(seed)


def _survival(trial: Trial, system: System, noise: WeightNoise) -> dict[str, Any]:
    assert trial.points is not None
    points, which = FixedPoints.load(trial.points.path, find_system=False), trial.points.which
    found = survival(
        points,
        system,
        lambda level: perturbed(system, noise.matrices, level),
        trial.levels,
        which=which,
        stability=which,
        memories=memories(points).numbers if isinstance(getattr(system, "task", None), FlipFlop) else None,
    )
    return {**_told(found), "named": _named(points, found.points[found.was_memory], system)}


def _named(points: FixedPoints, numbers: NDArray[np.int64], system: System) -> list[dict[str, Any]]:
    """Which memories they are: the number among the points, the bits of a flip-flop, the readout."""
    flipflop = isinstance(getattr(system, "task", None), FlipFlop)
    readouts = points.readouts[numbers]
    bits = [named(np.where(row > 0, 1, -1)) if flipflop else None for row in readouts]
    told = zip(numbers, bits, _rounded(readouts), strict=True)
    return [{"number": int(number), "bits": word, "readout": readout} for number, word, readout in told]


def _told(found: Survival) -> dict[str, Any]:
    """How many there are (``of``), counts per level, ``unknown`` ones too, ``first_loss`` (the levels between which),
    and of each memory drift and prediction (L, k), ``lost_between`` and ``lost_at``."""
    memories = found.was_memory
    low, high = found.first_loss
    unknown = found.unknown.sum(axis=1).tolist()
    return {
        "of": {"exist": len(found.points), "same_stability": len(found.points), "memories": int(memories.sum())},
        **found.counts(),
        "unknown": {
            "exist": unknown,
            "same_stability": unknown,
            "memories": found.unknown[:, memories].sum(axis=1).tolist(),
        },
        **_losses(found),
        "first_loss": [low, _number(high)],
        "drift": _rounded(found.drift[:, memories]),
        "predicted": _rounded(found.predicted[:, memories]),
        "fate": {word: int((found.fate == word).sum()) for word in np.unique(found.fate)},
    }


def _losses(found: Survival) -> dict[str, Any]:
    """Of each memory the levels ``lost_between`` (k, 2), and the one it is ``lost_at`` (k,) where it ends by that.

    A memory may be there and be none any more, unstable or read out with other signs: then the level is not known.
    """
    between = [dataclasses.replace(found, was_memory=one).first_loss for one in _each(found.was_memory)]
    ends = np.where(found.fate == Fate.UNKNOWN, np.nan, found.lost_at)[found.was_memory]
    return {
        "lost_between": [[low, _number(high)] for low, high in between],
        "lost_at": [_number(at) if low <= at <= high else None for at, (low, high) in zip(ends, between, strict=True)],
    }


def _each(chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) to (k, n): every one of the k chosen alone."""
    rows: NDArray[np.bool_] = np.eye(len(chosen), dtype=np.bool_)[chosen]
    return rows


def _rounded(values: Array) -> list[list[float | None]]:
    return [[float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in row] for row in values]


@functools.lru_cache(maxsize=4)
def _read(network: File | str, loading: tuple[tuple[str, Any], ...]) -> System:
    path = network.path if isinstance(network, File) else network
    return load(path, **{name: dict(value) if name == "matrices" else value for name, value in loading})


def _loaded(network: File | Held | str, loading: tuple[tuple[str, Any], ...]) -> System:
    return network.system if isinstance(network, Held) else _read(network, loading)

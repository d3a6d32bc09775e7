"""A training run on disk: snapshots as they come, then the checkpoint and the curves of Jang's figure 5."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.io.checked import content_of
from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays, check_writable
from dynsys.io.provenance import differing, of_arrays
from dynsys.io.record import ALL_OTHERS, Record
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.loading.run_folder import FILE_NAME, check_room_for_network
from dynsys.models.loading.snapshot import FOLDER as SNAPSHOTS
from dynsys.models.loading.snapshot import Snapshot
from dynsys.models.rate.echo_state import EchoStateNetwork
from dynsys.models.training.backprop import AFRESH, STATE
from dynsys.models.training.by_force.recipes import Recipe, Trained, train_esn
from dynsys.numerics.deadline import ENDLESS, Deadline

Array = NDArray[np.float64]

CURVES = "training.safetensors"
CURVE_POINTS = 600  # the MSE and |W_out| are means over this many stretches of the run
SHOWN = 2000  # steps of the test run that are kept, from its beginning, and of the training, up to its end


@dataclass(frozen=True, eq=False)
class Curves(Record, schema="dynsys.training_curves/1", what="record of a training", remedy=AFRESH):
    """What a training recorded, by name."""

    arrays: Arrays = field(metadata=ALL_OTHERS)


@dataclass(frozen=True, eq=False)
class Unfinished(Record, schema="dynsys.force_state/1", what="state of a training", remedy=AFRESH):
    """What the next step of a FORCE training depends on."""

    settings: dict[str, Any]
    arrays: Arrays = field(metadata=ALL_OTHERS)


def run_training(
    recipe: Recipe[Any],
    folder: str | Path,
    on_progress: Callable[[int, int], None] | None = None,
    start: EchoStateNetwork | None = None,
    noted: dict[str, Any] | None = None,
    deadline: Deadline = ENDLESS,
) -> Trained:
    """Train by the recipe and write checkpoint, curves and snapshots into ``folder``.

    What else the checkpoint has to say, as of the network it was trained from (``start``), is ``noted`` there. When the
    time of ``deadline`` is over the network is written as it is, and beside it what the same call goes on from.
    The folder is tried before the training begins, so that no run is lost to a place that cannot be written. Raises
    OutputError, CheckpointError where another training was left unfinished there, and FloatingPointError when the
    weights diverge.
    """
    folder = Path(folder)
    check_room_for_network(folder)
    check_writable(folder)
    same = {"recipe": recipe.describe(), **(noted or {}), "start": None if start is None else of_arrays(start.arrays())}
    begun = _left_unfinished(folder / STATE, same)
    if begun is None:
        forget_snapshots(folder)

    def keep(step: int, W_out: Array) -> None:
        write_snapshot(folder, step, {"W_out": W_out})

    with contextlib.nullcontext() if begun is None else content_of(folder / STATE, "state of a training", AFRESH):
        trained = train_esn(recipe, keep, on_progress, start, deadline, begun)
    recorded = {"metrics": trained.metrics, "recipe": recipe.describe(), "learned": trained.learned}
    about = {**recorded, **(noted or {}), **({} if trained.cut is None else {"cut": trained.cut.to_json()})}
    if trained.cut is not None:
        Unfinished(same, trained.record.unfinished).save(folder / STATE)
    save_checkpoint(folder / FILE_NAME, trained.network, about)
    Curves(curves(trained)).save(folder / CURVES)
    if trained.cut is None:
        (folder / STATE).unlink(missing_ok=True)
    return trained


def _left_unfinished(path: Path, same: dict[str, Any]) -> Arrays | None:
    """What an earlier call left there, whose time was over; raises CheckpointError where that was another training."""
    if not path.is_file():
        return None
    found = Unfinished.load(path)
    if differing(found.settings, same):
        raise CheckpointError(path, "it is the state of a training with other settings", AFRESH)
    return found.arrays


def write_snapshot(folder: Path, step: int, arrays: Arrays) -> None:
    """What had been learned after so many steps, as ``snapshots/step_*.safetensors`` in the folder of a run."""
    name = f"step_{step:08d}.safetensors"
    Snapshot(step, arrays).save(folder / SNAPSHOTS / name)


def forget_snapshots(folder: Path) -> None:
    """Remove those of an earlier training, which would be taken for some of the one that begins."""
    for path in (folder / SNAPSHOTS).glob("step_*.safetensors"):
        path.unlink()


def curves(trained: Trained) -> Arrays:
    """step, mse (S,) and weight_norm (S, O) over training; train_step (T,), train_input, train_output and train_target
    (T, bits) of its end; test_input, test_output and test_target (T, bits)."""
    record = trained.record
    test = {"input": trained.test.inputs, "output": trained.test_output, "target": trained.test.target}
    steps = len(record.output)
    step, mse = in_stretches(((record.output - trained.target) ** 2).mean(axis=1))
    return {
        "step": step,
        "mse": mse,
        "weight_norm": in_stretches(record.weight_norm)[1],
        "train_step": np.arange(max(0, steps - SHOWN), steps),
        "train_input": trained.inputs[-SHOWN:],
        "train_output": record.output[-SHOWN:],
        "train_target": trained.target[-SHOWN:],
        **{f"test_{name}": values.reshape(-1, values.shape[-1])[:SHOWN] for name, values in test.items()},
    }


def in_stretches(values: Array) -> tuple[NDArray[np.int64], Array]:
    """The ends (S,) of stretches of the steps, and the means (S, ...) over them of values (T, ...)."""
    edges = np.unique(np.linspace(0, len(values), min(CURVE_POINTS, len(values)) + 1).astype(int))
    return edges[1:], np.add.reduceat(values, edges[:-1]) / np.diff(edges).reshape(-1, *(1,) * (values.ndim - 1))


def read_curves(folder: str | Path) -> dict[str, Any]:
    """The curves of a run, as ``dynsys.plots.training_curves`` takes them; raises CheckpointError."""
    return Curves.load(Path(folder) / CURVES).arrays

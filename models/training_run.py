"""A training run on disk: snapshots as they come, then the checkpoint and the curves of the seed's figure 5."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.files import Arrays, check_writable, read_tensors, write_tensors
from dynsys.models.echo_state import EchoStateNetwork
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.loading.run_folder import FILE_NAME, check_room_for_network
from dynsys.models.recipe import Recipe, Trained, train_flipflop

Array = NDArray[np.float64]

CURVES_SCHEMA = "dynsys.training_curves/1"
SNAPSHOT_SCHEMA = "dynsys.snapshot/1"
CURVES = "training.safetensors"
SNAPSHOTS = "snapshots"
CURVE_POINTS = 600  # the MSE and |W_out| are means over this many stretches of the run
SHOWN = 2000  # steps of the test run that are kept, from its beginning, and of the training, up to its end


def run_training(
    recipe: Recipe,
    folder: str | Path,
    on_progress: Callable[[int, int], None] | None = None,
    start: EchoStateNetwork | None = None,
    noted: dict[str, Any] | None = None,
) -> Trained:
    """Train by the recipe and write checkpoint, curves and snapshots into ``folder``.

    What else the checkpoint has to say, as of the network it was trained from (``start``), is ``noted`` there.
    The folder is tried before the training begins, so that no run is lost to a place that cannot be written. Raises
    OutputError, and FloatingPointError when the weights diverge.
    """
    folder = Path(folder)
    check_room_for_network(folder)
    check_writable(folder)
    forget_snapshots(folder)

    def keep(step: int, W_out: Array) -> None:
        write_snapshot(folder, step, {"W_out": W_out})

    trained = train_flipflop(recipe, keep, on_progress, start)
    recorded = {"metrics": trained.metrics, "recipe": recipe.describe(), "learned": trained.learned}
    about = {**recorded, **(noted or {})}
    save_checkpoint(folder / FILE_NAME, trained.network, about)
    write_tensors(folder / CURVES, curves(trained), {"schema": CURVES_SCHEMA})
    return trained


def write_snapshot(folder: Path, step: int, arrays: Arrays) -> None:
    """What had been learned after so many steps, as ``snapshots/step_*.safetensors`` in the folder of a run."""
    name = f"step_{step:08d}.safetensors"
    write_tensors(folder / SNAPSHOTS / name, arrays, {"schema": SNAPSHOT_SCHEMA, "step": step})


def forget_snapshots(folder: Path) -> None:
    """Remove those of an earlier training, which would be taken for some of the one that begins."""
    for path in (folder / SNAPSHOTS).glob("step_*.safetensors"):
        path.unlink()


def curves(trained: Trained) -> Arrays:
    """step, mse (S,) and weight_norm (S, O) over training; train_step (T,), train_input, train_output and train_target
    (T, bits) of its end; test_input, test_output and test_target (T, bits)."""
    record, test = trained.record, trained.test
    steps = len(record.output)
    edges = np.unique(np.linspace(0, steps, min(CURVE_POINTS, steps) + 1).astype(int))
    mse = ((record.output - trained.target) ** 2).mean(axis=1)
    lengths = np.diff(edges)
    return {
        "step": edges[1:],
        "mse": np.add.reduceat(mse, edges[:-1]) / lengths,
        "weight_norm": np.add.reduceat(record.weight_norm, edges[:-1]) / lengths[:, None],
        "train_step": np.arange(max(0, steps - SHOWN), steps),
        "train_input": trained.inputs[-SHOWN:],
        "train_output": record.output[-SHOWN:],
        "train_target": trained.target[-SHOWN:],
        "test_input": test.inputs[:SHOWN],
        "test_output": trained.test_output[:SHOWN],
        "test_target": test.target[:SHOWN],
    }


def read_curves(folder: str | Path) -> dict[str, Any]:
    """The curves of a run, as ``dynsys.plots.training_curves`` takes them; raises CheckpointError."""
    return read_tensors(Path(folder) / CURVES, CURVES_SCHEMA)[0]

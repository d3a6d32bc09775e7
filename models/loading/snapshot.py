"""One snapshot of a training: the weights that had been learned by then, put into the network that the training ends
with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays, open_safetensors
from dynsys.io.record import ALL_OTHERS, Record
from dynsys.models.loading.run_folder import FILE_NAME

FOLDER = "snapshots"  # in that of the run


@dataclass(frozen=True, eq=False)
class Snapshot(Record, schema="dynsys.snapshot/1", what="snapshot", remedy="train again"):
    """What had been learned after so many steps, as it is written."""

    step: int
    arrays: Arrays = field(metadata=ALL_OTHERS)


def is_snapshot(path: Path) -> bool:
    """Whether a safetensors file says so; raises CheckpointError where it is damaged."""
    header = open_safetensors(path)[1]
    return header is not None and header.get("schema") == Snapshot.schema


def checkpoint_of(path: Path) -> Path:
    """The checkpoint of the run that a snapshot is in; raises CheckpointError where it is not there."""
    checkpoint = path.resolve().parent.parent / FILE_NAME
    if not checkpoint.is_file():
        raise CheckpointError(
            path,
            f"it is a snapshot of a training, and there is no {FILE_NAME} of that training at {checkpoint}",
            f"give a snapshot where the training wrote it, in RUN/{FOLDER}",
        )
    return checkpoint


def read_snapshot(path: Path, of_checkpoint: Arrays) -> tuple[int, Arrays]:
    """The step and what had been learned; raises CheckpointError unless it fits the checkpoint's arrays."""
    snapshot = Snapshot.load(path)
    step, arrays = snapshot.step, snapshot.arrays
    for key, value in arrays.items():
        legal = of_checkpoint[key].shape if key in of_checkpoint else None
        if value.shape != legal:
            wrong = f"its {key} has shape {value.shape}, that of the run's checkpoint {legal or 'does not exist'}"
            raise CheckpointError(path, wrong, "the folder holds snapshots of another run: train into another folder")
        if not np.isfinite(value).all():
            raise CheckpointError(path, f"its {key} holds values that are NaN or infinite", "train again")
    if not arrays:
        raise CheckpointError(path, "it holds no weights", "train again")
    return step, arrays

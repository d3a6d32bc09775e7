"""One training of a study, in a folder of its own: what it came to, or that it diverged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynsys.models.training.backprop import STATE, TrainingDiverged
from dynsys.models.training.learners import learner
from dynsys.models.training.learning import OnProgress
from dynsys.numerics.deadline import CutShort, Deadline
from dynsys.sweep import Row


def trained_row(
    task: str,
    model: str,
    folder: Path,
    choices: Mapping[str, Any],
    on_progress: OnProgress | None = None,
    seconds: float | Deadline | None = None,
) -> Row:
    """Train, or go on where it was broken off: the metrics, ``validation_error``, ``steps`` and CPU ``seconds``.

    ``enough`` is the validation error at which such a training ends. The seconds of one that was broken off are None.
    Where it diverged the row has ``diverged`` alone. Raises CutShort where its own ``seconds`` are over before.
    """
    resumed, began = (folder / STATE).is_file(), time.process_time()
    try:
        learned = learner(task, model)(folder, on_progress=on_progress, seconds=seconds, **choices)
    except TrainingDiverged as error:
        return {"diverged": str(error)}
    if learned.cut is not None:
        raise CutShort(learned.cut)
    took = None if resumed else time.process_time() - began
    validated = {"validation_error": learned.validation_error, "enough": learned.enough, "steps": learned.steps}
    return {**validated, **learned.metrics, "seconds": took}

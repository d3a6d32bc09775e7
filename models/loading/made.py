"""The system that a network's arrays and settings make."""

from __future__ import annotations

from pathlib import Path

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.choices import Recognised
from dynsys.models.registry import MODELS
from dynsys.systems.system import System


def system_of(path: Path, found: Recognised) -> System:
    """The system of a network that was recognised; raises CheckpointError where its arrays make none."""
    make = MODELS[found.model].from_arrays
    assert make is not None
    try:
        return make(found.arrays, found.settings, None)
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(path, str(error), "say what is what with --form and --matrix") from error

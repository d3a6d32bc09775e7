"""Named arrays as NumPy and safetensors keep them: .npz, .npy, .safetensors. None of them needs code to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dynsys.errors import CheckpointError
from dynsys.models.loading.values import OBJECTS, Odd, Read


def read_npz(path: Path) -> Read:
    with np.load(path, allow_pickle=False) as archive:
        return Read({key: _of_archive(archive, key) for key in archive.files})


def _of_archive(archive: Any, key: str) -> Any:
    try:
        return archive[key]
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise
        return Odd(OBJECTS)


def read_npy(path: Path) -> Read:
    """One array without a name; it is called ``array``, as a tensor saved alone is."""
    try:
        return Read({"array": np.load(path, allow_pickle=False)})
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise CheckpointError(path, f"it is {OBJECTS}", "save an array of real numbers") from error
        raise


def read_safetensors(path: Path) -> Read:
    """By torch, since NumPy knows no bfloat16."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    return Read({key: (t if t.is_complex() else t.double()).numpy() for key, t in tensors.items()})

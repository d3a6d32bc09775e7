"""Files of torch: what torch.save wrote, as named arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.errors import CheckpointError
from dynsys.models.loading.values import Read, read_nested


def read_torch(path: Path) -> Read:
    import torch

    content = _load_torch(path)
    if not isinstance(content, Mapping | torch.Tensor):
        wrong = f"it holds a {type(content).__name__}, not a state dict"
        raise CheckpointError(path, wrong, "save torch.save(model.state_dict(), path)")
    try:
        return read_nested(_plain(content, 16))
    except (TypeError, RuntimeError, NotImplementedError) as error:
        wrong = f"one of its tensors holds no plain numbers ({str(error).splitlines()[0]})"
        raise CheckpointError(path, wrong, "save dense tensors of real numbers") from error


def _plain(value: Any, depth: int) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return _plain_tensor(value)
    if isinstance(value, Mapping):
        return {key: _plain(inside, depth - 1) for key, inside in value.items()} if depth > 0 else {}
    if isinstance(value, list | tuple):
        return [_plain(inside, depth - 1) for inside in value] if depth > 0 else []
    return value


def _plain_tensor(value: Any) -> Any:
    """As NumPy, which knows no bfloat16."""
    dense = value.detach().to_dense().cpu()
    return dense.numpy() if dense.is_complex() else dense.double().numpy()


def _load_torch(path: Path) -> Any:
    import pickle

    import torch

    state_dict = "save torch.save(model.state_dict(), path) where it was made"
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_plain_numpy()):
            warnings.simplefilter("ignore", UserWarning)  # torch's hint to use torch.jit.load, which runs code
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        names = _unsafe_globals(path)
        if names:
            raise CheckpointError(path, f"it would have to run code to load: {', '.join(names)}", state_dict) from error
        raise
    except Exception as error:  # torch's unpickler lets every error of a cut file through as it comes
        if "TorchScript" in str(error):
            raise CheckpointError(path, "it is a TorchScript program, not weights", state_dict) from error
        raise


def _plain_numpy() -> list[Any]:
    """What a pickle of NumPy numbers and arrays calls, none of which runs code: trainers keep their best loss so."""
    multiarray = getattr(np, "_core", None) or np.core
    made = {"scalar": multiarray.multiarray.scalar, "_reconstruct": multiarray.multiarray._reconstruct}
    called = [(make, f"numpy.{core}.multiarray.{name}") for name, make in made.items() for core in ("core", "_core")]
    return [*called, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bhilqBHILQefdU"}]


def _unsafe_globals(path: Path) -> list[str]:
    import torch

    try:
        with torch.serialization.safe_globals(_plain_numpy()):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # a broken pickle can fail in any way here; then it is damaged, not malicious
        return []

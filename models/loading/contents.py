"""Named arrays out of other tools' files: .npz, .npy, .mat (v5, and v7.3 with h5py), .pt/.pth, foreign .safetensors.

The kind is told by the first bytes, not by the name. Nothing in a file is ever executed. What is nested gets dotted
names: ``state_dict.rnn.weight_hh_l0``, ``params.W``.
"""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.errors import CheckpointError
from dynsys.files import Arrays, first_bytes

SETTINGS: dict[str, Callable[[Any], Any]] = {"tau": float, "activation": str, "nonlinearity": str}  # not weights
NOT_WEIGHTS = ("optim", "lr_sched", "sched", "callback", "loops", "rng", "amp", "scaler")  # what trainers save beside
DEEPEST = 16  # levels of nesting
OBJECTS = "of Python objects, which loading would have to run"


@dataclass(frozen=True)
class Contents:
    """What a file of another tool holds: arrays of real numbers, single values that are settings, and the rest.

    ``odd`` says of each array that cannot be used what it is. ``container`` is the entry of the file that held the
    arrays ('state_dict' in many checkpoints); their names leave it out.
    """

    arrays: Arrays
    settings: dict[str, Any] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    container: str = ""


def read_arrays(path: Path) -> Contents:
    """Everything in the file that is an array or one of ``SETTINGS``; raises CheckpointError where it is damaged."""
    values = _reader(path)(path)
    container = values.pop("", "")
    arrays: Arrays = {}
    settings: dict[str, Any] = {}
    odd: dict[str, str] = {}
    for key, value in values.items():
        array, last = np.asarray(value), key.rpartition(".")[2]
        if last in SETTINGS and (array.size == 1 or key == last):
            settings.setdefault(last, _setting(path, last, array))
        elif array.dtype.kind in "fiub":
            arrays[key] = array
        else:
            odd[key] = OBJECTS if array.dtype.kind == "O" else f"of type {array.dtype}, not of real numbers"
    return Contents(arrays, settings, odd, str(container))


def _setting(path: Path, key: str, array: Any) -> Any:
    try:
        return SETTINGS[key](array.item())
    except (ValueError, TypeError) as error:
        raise CheckpointError(path, f"its {key} is not a single value", "mend it") from error


def _reader(path: Path) -> Callable[[Path], dict[str, Any]]:
    head = first_bytes(path)
    if head.startswith(b"PK"):
        return _read_npz if _holds_npy(path) else _read_torch
    if head.startswith(b"\x93NUMPY"):
        return _read_npy
    if head.startswith(b"\x80"):
        return _read_torch
    if head.startswith(b"MATLAB 5"):
        return _read_mat
    if head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        return _read_mat73
    if head[8:9] == b"{":
        return _read_safetensors
    known = "safetensors, .npz, .npy, .mat and .pt/.pth"
    raise CheckpointError(path, f"its first bytes {head[:8]!r} are of no format that dynsys reads", f"it reads {known}")


def _holds_npy(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: _of_archive(archive, key) for key in archive.files}
    except (ValueError, zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _of_archive(archive: Any, key: str) -> Any:
    try:
        return archive[key]
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise
        return np.array(None, dtype=object)  # told apart by its type; the objects themselves are never loaded


def _read_npy(path: Path) -> dict[str, Any]:
    """One array without a name; it is called ``array``, as a tensor saved alone is."""
    try:
        return {"array": np.load(path, allow_pickle=False)}
    except (ValueError, OSError, EOFError) as error:
        if "pickle" in str(error).lower():
            raise CheckpointError(path, f"it is {OBJECTS}", "save an array of real numbers") from error
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> dict[str, Any]:
    import torch

    content = _load_torch(path)
    if isinstance(content, torch.Tensor):
        content = {"array": content}
    if not isinstance(content, Mapping):
        wrong = f"it holds a {type(content).__name__}, not a state dict"
        raise CheckpointError(path, wrong, "save torch.save(model.state_dict(), path)")
    try:
        flat = dict(_flat("", content, DEEPEST))
    except (TypeError, RuntimeError, NotImplementedError) as error:
        wrong = f"one of its tensors holds no plain numbers ({str(error).splitlines()[0]})"
        raise CheckpointError(path, wrong, "save dense tensors of real numbers") from error
    container = _container(content)
    return {key.removeprefix(f"{container}."): value for key, value in flat.items()} | {"": container}


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
        raise _damaged(path, error) from error
    except Exception as error:  # torch's unpickler lets every error of a cut file through as it comes
        if "TorchScript" in str(error):
            raise CheckpointError(path, "it is a TorchScript program, not weights", state_dict) from error
        raise _damaged(path, error) from error


def _plain_numpy() -> list[Any]:
    """What a pickle of NumPy numbers and arrays calls, none of which runs code: trainers keep their best loss so."""
    multiarray = getattr(np, "_core", None) or np.core
    made = {"scalar": multiarray.multiarray.scalar, "_reconstruct": multiarray.multiarray._reconstruct}
    called = [(make, f"numpy.{core}.multiarray.{name}") for name, make in made.items() for core in ("core", "_core")]
    return [*called, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bhilqBHILQefdU"}]


def _flat(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Tensors, arrays and settings by dotted names, out of mappings and lists, but not an optimiser's state."""
    import torch

    if isinstance(value, torch.Tensor):
        yield name, _plain_tensor(value)
    elif isinstance(value, np.ndarray) and value.ndim:
        yield name, value
    elif isinstance(value, Mapping | list | tuple):
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inside in entries if depth > 0 else ():
            if name or isinstance(inside, torch.Tensor | np.ndarray) or not str(key).lower().startswith(NOT_WEIGHTS):
                yield from _flat(f"{name}.{key}" if name else str(key), inside, depth - 1)
    elif name.rpartition(".")[2] in SETTINGS and isinstance(value, str | int | float | np.generic):
        yield name, value


def _container(content: Mapping[Any, Any]) -> str:
    """The dotted name of the one entry that holds all tensors, such as 'state_dict'; empty where there is none."""
    import torch

    if any(isinstance(value, torch.Tensor) for value in content.values()):
        return ""
    inside = [
        str(key)
        for key, value in content.items()
        if isinstance(value, Mapping)
        and not str(key).lower().startswith(NOT_WEIGHTS)
        and any(isinstance(entry, torch.Tensor) for entry in value.values())
    ]
    return inside[0] if len(inside) == 1 else ""


def _plain_tensor(value: Any) -> Any:
    """As NumPy, which knows no bfloat16."""
    dense = value.detach().to_dense().cpu()
    return dense.numpy() if dense.is_complex() else dense.double().numpy()


def _unsafe_globals(path: Path) -> list[str]:
    import torch

    try:
        with torch.serialization.safe_globals(_plain_numpy()):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # a broken pickle can fail in any way here; then it is damaged, not malicious
        return []


def _read_mat(path: Path) -> dict[str, Any]:
    from dynsys.models.loading.matlab import read_mat

    try:
        return read_mat(path)
    except Exception as error:  # scipy raises many kinds for a cut file
        raise _damaged(path, error) from error


def _read_mat73(path: Path) -> dict[str, Any]:
    from dynsys.models.loading.matlab import read_mat73

    try:
        return read_mat73(path)
    except ImportError as error:
        remedy = "pip install 'dynsys-rnn[matlab73]', or save with -v7 in MATLAB"
        raise CheckpointError(path, "it is a MATLAB v7.3 file, which needs h5py", remedy) from error
    except Exception as error:  # h5py gives None for a group that is cut, and much else
        raise _damaged(path, error) from error


def _read_safetensors(path: Path) -> dict[str, Any]:
    """By torch, since NumPy knows no bfloat16."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: _plain_tensor(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, ValueError, TypeError, OSError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    if "weights_only" in reason:  # torch's advice to load unsafely helps nobody
        reason = "torch finds no tensors in it"
    return CheckpointError(path, f"it is cut or damaged ({reason})", "copy or make it again")

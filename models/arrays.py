"""Named arrays out of other tools' files: .npz, .mat (v5, and v7.3 with h5py), .pt/.pth, foreign .safetensors.

The kind is told by the first bytes, not by the name. Nothing in a file is ever executed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.errors import CheckpointError
from dynsys.files import Arrays, first_bytes

SETTINGS: dict[str, Callable[[Any], Any]] = {"tau": float, "activation": str}  # scalars that are not weights


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays in the file and those of ``SETTINGS`` found beside them; raises CheckpointError."""
    values = _reader(path)(path)
    try:
        settings = {key: make(np.asarray(values.pop(key)).item()) for key, make in SETTINGS.items() if key in values}
    except (ValueError, TypeError) as error:
        raise CheckpointError(path, f"one of {', '.join(SETTINGS)} is not a single value", "mend it") from error
    arrays = {key: np.asarray(value) for key, value in values.items()}
    odd = {key: value.dtype for key, value in arrays.items() if value.dtype.kind not in "fiub"}
    if odd:
        key, dtype = next(iter(odd.items()))
        raise CheckpointError(path, f"its array {key} is of type {dtype}, not of real numbers", "save real numbers")
    return arrays, settings


def _reader(path: Path) -> Callable[[Path], dict[str, Any]]:
    head = first_bytes(path)
    if head.startswith(b"PK"):
        return _read_npz if _holds_npy(path) else _read_torch
    if head.startswith(b"\x80"):
        return _read_torch
    if head.startswith(b"MATLAB 5"):
        return _read_mat
    if head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        return _read_mat73
    if head[8:9] == b"{":
        return _read_safetensors
    known = "safetensors, .npz, .mat and .pt/.pth"
    raise CheckpointError(path, f"its first bytes {head[:8]!r} are of no format that dynsys reads", f"it reads {known}")


def _holds_npy(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise _damaged(path, error) from error


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except ValueError as error:
        if "pickle" in str(error).lower():
            wrong = "it holds Python objects, which loading would have to run"
            raise CheckpointError(path, wrong, "save plain arrays: np.savez(path, W_r=W_r, ...)") from error
        raise _damaged(path, error) from error
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> dict[str, Any]:
    import pickle

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        names = _unsafe_globals(path)
        if names:
            wrong = f"it would have to run code to load: {', '.join(names)}"
            raise CheckpointError(path, wrong, "save torch.save(model.state_dict(), path) where it was made") from error
        raise _damaged(path, error) from error
    except Exception as error:  # torch's unpickler lets every error of a cut file through as it comes
        raise _damaged(path, error) from error
    if not isinstance(content, dict):
        wrong = f"it holds a {type(content).__name__}, not a state dict"
        raise CheckpointError(path, wrong, "save torch.save(model.state_dict(), path)")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    scalars = {key: content[key] for key in SETTINGS if key in content}
    try:
        return {key: _plain_tensor(value) for key, value in tensors.items()} | scalars
    except (TypeError, RuntimeError, NotImplementedError) as error:
        wrong = f"one of its tensors holds no plain numbers ({str(error).splitlines()[0]})"
        raise CheckpointError(path, wrong, "save dense tensors of real numbers") from error


def _plain_tensor(value: Any) -> Any:
    """As NumPy, which knows no bfloat16."""
    dense = value.detach().to_dense().cpu()
    return dense.numpy() if dense.is_complex() else dense.double().numpy()


def _unsafe_globals(path: Path) -> list[str]:
    import torch

    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # a broken pickle can fail in any way here; then it is damaged, not malicious
        return []


def _read_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except Exception as error:  # scipy raises many kinds for a cut file
        raise _damaged(path, error) from error
    return {key: _plain(value) for key, value in content.items() if not key.startswith("__")}


def _plain(value: Any) -> Any:
    """A 1 x 1 MATLAB array as the scalar it is, text as text."""
    value = np.asarray(value)
    return value.reshape(-1)[0] if value.size == 1 and (value.dtype.kind == "U" or value.shape == (1, 1)) else value


def _read_mat73(path: Path) -> dict[str, Any]:
    try:
        import h5py
    except ImportError as error:
        remedy = "pip install 'dynsys-rnn[matlab73]', or save with -v7 in MATLAB"
        raise CheckpointError(path, "it is a MATLAB v7.3 file, which needs h5py", remedy) from error
    try:
        with h5py.File(path, "r") as file:
            sets = {key: value for key, value in file.items() if isinstance(value, h5py.Dataset)}
            return {key: _from_hdf5(value) for key, value in sets.items()}
    except (OSError, KeyError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _from_hdf5(dataset: Any) -> Any:
    """MATLAB stores columns first, so HDF5 shows its matrices transposed; its text is numbers."""
    value = np.asarray(dataset[()])
    if dataset.attrs.get("MATLAB_class") == b"char":
        return "".join(chr(code) for code in value.T.ravel())
    return _plain(np.ascontiguousarray(value.T))


def _read_safetensors(path: Path) -> dict[str, Any]:
    from dynsys.files import open_safetensors

    return dict(open_safetensors(path)[0])


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    return CheckpointError(path, f"it is cut or damaged ({reason})", "copy or make it again")

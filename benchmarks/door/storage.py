"""The same numbers stored otherwise: views, strides, column-major order, byte orders, half precision, old versions."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from torch import nn

from door.drawing import array, drawn, state
from door.hdf5_files import rates
from door.layout import LINE, OPEN, Network, Write, enter, layout
from door.matrices import rate_said
from door.torch_files import Rng, of

ROLES = {"recurrent": "W_rec", "input": "W_in", "bias": "b_rec"}


def turned(w: torch.Tensor) -> torch.Tensor:
    return w.T if w.ndim == 2 else w


def views(legacy: bool) -> Write:
    """Tensors that are slices and turned views of one storage."""

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        gru = drawn(nn.GRU(m, n), rng)
        weights = gru.state_dict()
        flat = torch.cat([torch.zeros(5).double()] + [turned(w).reshape(-1) for w in weights.values()])
        kept, at = {}, 5
        for key, w in weights.items():
            kept[f"rnn.{key}"] = turned(flat[at : at + w.numel()].reshape(turned(w).shape))
            at += w.numel()
        torch.save(kept, folder / "m.pt", _use_new_zipfile_serialization=not legacy)
        return of(folder / "m.pt", gru, m)

    return write


enter("torch_views_of_one_storage", "storage", OPEN, views(legacy=False))
enter("torch_views_of_one_storage_old_format", "storage", OPEN, views(legacy=True))


@layout("storage", OPEN)
def torch_brain_floats(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(nn.GRU(m, n), rng).bfloat16()
    torch.save({"model": state(gru, "rnn."), "hyper_parameters": {"f": len}}, folder / "m.pt")
    return of(folder / "m.pt", gru, m)


@layout("storage", OPEN)
def safetensors_of_brain_floats(folder: Path, rng: Rng, n: int, m: int) -> Network:
    from safetensors.torch import save_file

    gru = drawn(nn.GRU(m, n), rng).bfloat16()
    save_file(state(gru, "rnn."), folder / "m.safetensors")
    return of(folder / "m.safetensors", gru, m)


def written(name: str, write_arrays: Any, prefix: str = "") -> Write:
    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        a = rates(rng, n, m)
        write_arrays(folder / name, a)
        return rate_said(folder / name, a, ROLES, prefix)

    return write


def column_major(a: dict[str, Any]) -> dict[str, Any]:
    return {key: np.asfortranarray(value) for key, value in a.items()}


def big_endian(a: dict[str, Any]) -> dict[str, Any]:
    return {key: value.astype(">f8") for key, value in a.items()}


def sliced(a: dict[str, Any]) -> dict[str, Any]:
    """Views that step backwards through a larger array."""
    return {key: np.repeat(value[::-1], 2, axis=0)[::-2] for key, value in a.items()}


def dump(path: Path, a: dict[str, Any]) -> None:
    path.write_bytes(pickle.dumps(a, protocol=4))


for name, change in {"column_major": column_major, "big_endian": big_endian, "sliced": sliced}.items():
    enter(f"pickle_{name}", "storage", LINE, written("w.pkl", lambda path, a, change=change: dump(path, change(a))))
    enter(f"npz_{name}", "storage", LINE, written("w.npz", lambda path, a, change=change: np.savez(path, **change(a))))


@layout("storage", LINE)
def mat_of_version_4(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = rates(rng, n, m)
    scipy.io.savemat(folder / "net.mat", {**a, "b_rec": a["b_rec"][:, None]}, format="4")
    return rate_said(folder / "net.mat", a, ROLES)


@layout("storage", OPEN)
def npz_of_torch_names_in_single_precision(folder: Path, rng: Rng, n: int, m: int) -> Network:
    lstm = drawn(nn.LSTM(m, n), rng).float()
    np.savez_compressed(folder / "w.npz", **{k: array(v).astype(np.float32) for k, v in lstm.state_dict().items()})
    return of(folder / "w.npz", lstm, m)


@layout("storage", LINE)
def pickle_of_matrices_and_masked_arrays(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """np.matrix and np.ma, which are subclasses of ndarray."""
    a = rates(rng, n, m)
    kept = {
        "W_rec": np.matrix(a["W_rec"]),
        "W_in": a["W_in"],
        "b_rec": a["b_rec"],
        "note": np.ma.masked_array([1.0], [True]),
    }
    dump(folder / "w.pkl", kept)
    return rate_said(folder / "w.pkl", a, ROLES)

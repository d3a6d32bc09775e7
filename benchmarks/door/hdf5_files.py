"""HDF5 by MATLAB (column-major, so that every matrix lies turned in the file, marked MATLAB_class) and by Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from door.drawing import array, draw, drawn
from door.equations import FUNCTIONS, rate
from door.layout import LINE, OPEN, REFUSED, Network, layout
from door.torch_files import Rng, of

HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan 01 10:00:00 2024 HDF5 schema 1.00 ."


def write_matlab(path: Path, tree: dict[str, Any]) -> None:
    """A v7.3 file: nested dicts are structs, lists are cells, strings are char arrays of uint16."""
    import h5py

    def put(group: Any, key: str, value: Any) -> None:
        if isinstance(value, dict):
            inner = group.create_group(key)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            for name, item in value.items():
                put(inner, name, item)
        elif isinstance(value, list):
            cells = np.empty((len(value), 1), dtype=h5py.ref_dtype)
            for k, item in enumerate(value):
                put(file.require_group("#refs#"), f"{key}{k}", item)
                cells[k, 0] = file[f"#refs#/{key}{k}"].ref
            group.create_dataset(key, data=cells, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
        elif isinstance(value, str):
            made = group.create_dataset(key, data=np.array([[ord(c)] for c in value], dtype=np.uint16))
            made.attrs["MATLAB_class"], made.attrs["MATLAB_int_decode"] = np.bytes_("char"), np.int32(2)
        else:
            made = group.create_dataset(key, data=np.atleast_2d(np.asarray(value, dtype=float)).T)
            made.attrs["MATLAB_class"] = np.bytes_("double")

    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in tree.items():
            put(file, key, value)
    with open(path, "r+b") as raw:
        raw.write(HEADER.ljust(116) + b"\0" * 8 + b"\x00\x02IM")


def write_python(path: Path, arrays: dict[str, Any]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            file[key.replace(".", "/")] = value


def by_names_of_dynsys(folder: Path, rng: Rng, n: int, name: str, write: Any) -> Network:
    """W alone: dx/dt = -x + W tanh(x)."""
    W = draw(rng, n, n, gain=1.5)
    write(folder / name, {"W": W})
    return Network(folder / name, rate(1.0, W, np.zeros((n, 0)), np.zeros(n)), n, 0, flow=True)


@layout("hdf5", OPEN, "h5py")
def hdf5_of_python_w(folder: Path, rng: Rng, n: int, m: int) -> Network:
    return by_names_of_dynsys(folder, rng, n, "W.h5", write_python)


@layout("hdf5", OPEN, "h5py")
def hdf5_of_matlab_w(folder: Path, rng: Rng, n: int, m: int) -> Network:
    return by_names_of_dynsys(folder, rng, n, "W.mat", write_matlab)


@layout("hdf5", OPEN, "h5py")
def hdf5_of_python_with_torch_names(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(torch.nn.GRU(m, n), rng)
    write_python(folder / "gru.h5", {f"encoder.{k}": array(v) for k, v in gru.state_dict().items()})
    return of(folder / "gru.h5", gru, m)


@layout("hdf5", OPEN, "h5py")
def hdf5_of_matlab_with_torch_names(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Vectors lie as columns there."""
    gru = drawn(torch.nn.GRU(m, n), rng)
    tree = {k: array(v) if v.ndim == 2 else array(v)[:, None] for k, v in gru.state_dict().items()}
    write_matlab(folder / "gru.mat", {"net": tree})
    return of(folder / "gru.mat", gru, m)


def rates(rng: Rng, n: int, m: int) -> dict[str, Any]:
    return {"W_rec": draw(rng, n, n, gain=1.5), "W_in": draw(rng, n, m), "b_rec": draw(rng, n)}


def rate_network(path: Path, a: dict[str, Any], prefix: str = "") -> Network:
    n, m = a["W_in"].shape
    step = rate(1.0, a["W_rec"], a["W_in"], a["b_rec"], FUNCTIONS["relu"])
    known = {"form": "rate", "activation": "relu"}
    roles = {"recurrent": "W_rec", "input": "W_in", "bias": "b_rec"}
    said = {**known, "matrices": {role: prefix + key for role, key in roles.items()}}
    return Network(path, step, n, m, flow=True, known=known, said=said)


@layout("hdf5", LINE, "h5py")
def hdf5_of_python_rates(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = rates(rng, n, m)
    write_python(folder / "net.h5", a)
    return rate_network(folder / "net.h5", a)


@layout("hdf5", LINE, "h5py")
def hdf5_of_python_called_mat(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """h5py wrote it, whatever its ending says."""
    a = rates(rng, n, m)
    write_python(folder / "net.mat", a)
    return rate_network(folder / "net.mat", a)


@layout("hdf5", LINE, "h5py")
def hdf5_of_matlab_struct(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = rates(rng, n, m)
    write_matlab(folder / "net.mat", {"params": {**a, "b_rec": a["b_rec"][:, None]}, "note": "trained on task 3"})
    return rate_network(folder / "net.mat", a, "params.")


@layout("hdf5", LINE, "h5py")
def hdf5_of_matlab_with_a_function_handle(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """The handle cannot be read; the matrices beside it can."""
    import h5py

    a = rates(rng, n, m)
    write_matlab(folder / "net.mat", {**a, "b_rec": a["b_rec"][:, None]})
    with h5py.File(folder / "net.mat", "r+") as file:
        handle = file.create_group("f")
        handle.attrs["MATLAB_class"], handle.attrs["MATLAB_object_decode"] = np.bytes_("function_handle"), np.int32(1)
        handle["function_handle"] = np.array([[ord(c)] for c in "@(x)max(x,0)"], dtype=np.uint16)
    return rate_network(folder / "net.mat", a)


@layout("hdf5", REFUSED, "h5py")
def hdf5_of_matlab_network_object(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A SeriesNetwork: opaque, behind a reference into the subsystem."""
    import h5py

    write_matlab(folder / "net.mat", {"info": "x"})
    with h5py.File(folder / "net.mat", "r+") as file:
        made = file.create_dataset("net", data=np.array([[3707764736, 2, 1, 1, 1, 1]], dtype=np.uint32))
        made.attrs["MATLAB_class"], made.attrs["MATLAB_object_decode"] = np.bytes_("SeriesNetwork"), np.int32(3)
        del file["info"]
        file.create_group("#subsystem#")["MCOS"] = np.zeros((1, 4), dtype=np.uint64)
    return Network(folder / "net.mat", way_out=r"(?i)object.*(save|struct|matri)")

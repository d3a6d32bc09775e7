"""MATLAB's .mat of version 5: matrices, structs, cells, and an object of a class, which cannot be read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse

from door.drawing import draw
from door.equations import activity, alone, gru_reset_before, leaky, lstm, rate, torch_gru
from door.hdf5_files import rates
from door.layout import LINE, REFUSED, SAID, Network, layout
from door.torch_files import Rng


@layout("matlab", LINE)
def mat_struct(folder: Path, rng: Rng, n: int, m: int) -> Network:
    J, B = draw(rng, n, n, gain=1.5), draw(rng, n, m)
    scipy.io.savemat(folder / "net.mat", {"params": {"J": J, "B": B, "dt": 0.1, "g": 1.5}})
    known = {"form": "rate", "tau": 10.0}
    said = {**known, "matrices": {"recurrent": "params.J", "input": "params.B"}}
    return Network(folder / "net.mat", rate(10.0, J, B, np.zeros(n)), n, m, flow=True, known=known, said=said)


@layout("matlab", SAID)
def mat_cells(folder: Path, rng: Rng, n: int, m: int) -> Network:
    W, B, b = draw(rng, n, n), draw(rng, n, m), draw(rng, n)
    cells = np.empty((1, 3), dtype=object)
    cells[0, :] = [B, W, b[:, None]]
    scipy.io.savemat(folder / "net.mat", {"layers": cells})
    said = {"form": "activity", "matrices": {"recurrent": "layers.2", "input": "layers.1", "bias": "layers.3"}}
    step = activity(1.0, W, B, b)
    return Network(folder / "net.mat", step, n, m, flow=True, known={"form": "activity"}, said=said)


@layout("matlab", LINE)
def mat_plain_rates(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = rates(rng, n, m)
    scipy.io.savemat(folder / "net.mat", {**a, "b_rec": a["b_rec"][:, None], "name": "net 7"})
    matrices = {"recurrent": "W_rec", "input": "W_in", "bias": "b_rec"}
    step = rate(1.0, a["W_rec"], a["W_in"], a["b_rec"])
    known = {"form": "rate"}
    return Network(folder / "net.mat", step, n, m, flow=True, known=known, said={**known, "matrices": matrices})


@layout("matlab", LINE)
def mat_lstm_gate_by_gate(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Wi, Ui, bi and so on for i, f, o, g."""
    a: dict[str, Any] = {"W" + g: draw(rng, n, m) for g in "ifog"}
    a |= {"U" + g: draw(rng, n, n, gain=1.5) for g in "ifog"} | {"b" + g: draw(rng, n, 1) for g in "ifog"}
    scipy.io.savemat(folder / "lstm.mat", a)
    cell = lstm(lambda u, h: [a["W" + g] @ u + a["U" + g] @ h + a["b" + g][:, 0] for g in "ifgo"])
    named = {"input": "W", "recurrent": "U", "bias": "b"}
    matrices = {f"{role}_{g}": key + g for role, key in named.items() for g in "ifgo"}
    said = {"form": "lstm", "matrices": matrices}
    return Network(folder / "lstm.mat", alone(cell, n, 2), 2 * n, m, known={"form": "lstm"}, said=said)


@layout("matlab", LINE)
def mat_gru_gate_by_gate(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Reset before the product, and z keeps h, which no name tells: the owner says the convention."""
    a: dict[str, Any] = {"W" + g: draw(rng, n, m) for g in "zrh"}
    a |= {"U" + g: draw(rng, n, n, gain=1.5) for g in "zrh"} | {"b" + g: draw(rng, n, 1) for g in "zrh"}
    scipy.io.savemat(folder / "gru.mat", a)
    W, U, b = (np.concatenate([a[k + g] for g in "rzh"]) for k in "WUb")
    step = alone(gru_reset_before(W, U, b[:, 0], keeps=True), n)
    named = {"input": "W", "recurrent": "U", "bias": "b"}
    ours = {"r": "r", "z": "z", "n": "h"}
    matrices = {f"{role}_{g}": key + ours[g] for role, key in named.items() for g in "rzn"}
    known = {"form": "gru", "convention": "keras reset_after=False"}
    return Network(folder / "gru.mat", step, n, m, known=known, said={**known, "matrices": matrices})


@layout("matlab", LINE)
def mat_lstm_toolbox_struct(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """An lstmLayer's InputWeights (4n, m), RecurrentWeights (4n, n), Bias, in the order i, f, g, o."""
    W, R, b = draw(rng, 4 * n, m), draw(rng, 4 * n, n), draw(rng, 4 * n, 1)
    lstm_layer = {"InputWeights": W, "RecurrentWeights": R, "Bias": b}
    scipy.io.savemat(folder / "lstm.mat", {"layer": lstm_layer})
    cell = lstm(lambda u, h: np.split(W @ u + R @ h + b[:, 0], 4))
    known = {"form": "lstm", "convention": "matlab"}
    matrices = {"input": "layer.InputWeights", "recurrent": "layer.RecurrentWeights", "bias": "layer.Bias"}
    said = {**known, "matrices": matrices}
    return Network(folder / "lstm.mat", alone(cell, n, 2), 2 * n, m, known=known, said=said)


@layout("matlab", LINE)
def mat_gru_toolbox_struct(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A gruLayer's: r, z, candidate; by default it resets after the product, and has one bias."""
    W, R, b = draw(rng, 3 * n, m), draw(rng, 3 * n, n), draw(rng, 3 * n, 1)
    scipy.io.savemat(folder / "gru.mat", {"layer": {"InputWeights": W, "RecurrentWeights": R, "Bias": b}})
    step = alone(torch_gru(W, R, b[:, 0], np.zeros(3 * n)), n)
    known = {"form": "gru", "convention": "matlab"}
    matrices = {"input": "layer.InputWeights", "recurrent": "layer.RecurrentWeights", "bias": "layer.Bias"}
    return Network(folder / "gru.mat", step, n, m, known=known, said={**known, "matrices": matrices})


def element(kind: int, content: bytes) -> bytes:
    """A data element of the file format: type, length, content padded to 8 bytes."""
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def opaque_object() -> bytes:
    """mxOPAQUE_CLASS (17): flags, name, "MCOS", the class's name, and a reference of uint32 into the subsystem."""
    about = element(6, struct.pack("<II", 13, 0)) + element(5, struct.pack("<ii", 6, 1)) + element(1, b"")
    reference = element(14, about + element(6, struct.pack("<6I", 0xDD000000, 2, 1, 1, 1, 1)))
    opaque = element(6, struct.pack("<II", 17, 0)) + element(1, b"net") + element(1, b"MCOS")
    opaque += element(1, b"SeriesNetwork") + reference
    return element(14, opaque)


@layout("matlab", LINE)
def mat_object_beside_matrices(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """The object cannot be read; the matrices can."""
    a = rates(rng, n, m)
    scipy.io.savemat(folder / "net.mat", {**a, "b_rec": a["b_rec"][:, None]})
    with open(folder / "net.mat", "ab") as file:
        file.write(opaque_object())
    matrices = {"recurrent": "W_rec", "input": "W_in", "bias": "b_rec"}
    step, known = rate(1.0, a["W_rec"], a["W_in"], a["b_rec"]), {"form": "rate"}
    return Network(folder / "net.mat", step, n, m, flow=True, known=known, said={**known, "matrices": matrices})


@layout("matlab", REFUSED)
def mat_sparse_reservoir(folder: Path, rng: Rng, n: int, m: int) -> Network:
    W, B = draw(rng, n, n) * (rng.random((n, n)) < 0.4), draw(rng, n, m)
    scipy.io.savemat(folder / "esn.mat", {"W": scipy.sparse.csc_matrix(W), "Win": B})
    known = {"form": "esn", "alpha": 0.3}
    step = leaky(0.3, W, B, np.zeros(n))
    return Network(folder / "esn.mat", step, n, m, known=known, way_out="(?i)sparse|--matrix")


@layout("matlab", REFUSED)
def mat_network_object(folder: Path, rng: Rng, n: int, m: int) -> Network:
    header = b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Mon Jan 01 10:00:00 2024".ljust(116) + b"\0" * 8
    (folder / "net.mat").write_bytes(header + b"\x00\x01IM" + opaque_object())
    return Network(folder / "net.mat", way_out=r"(?i)object.*(save|struct|matri)")

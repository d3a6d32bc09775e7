"""Files of every format with bytes changed, cut out and put in: each opens or is refused in one line, at once."""

import contextlib
import random

import numpy as np
import pytest
from scipy.io import savemat

import dynsys
from dynsys import CheckpointError
from dynsys.models.loading.contents import read_arrays
from dynsys.models.loading.formats import text_heaps

W = np.random.default_rng(0).normal(size=(4, 4))


def npy(path):
    np.save(path.with_suffix(".npy"), W)
    path.with_suffix(".npy").rename(path)


def npz(path):
    np.savez_compressed(path.with_suffix(".npz"), W=W, B=W[:, :2])
    path.with_suffix(".npz").rename(path)


def mat(path):
    cell = np.empty((1, 2), dtype=object)
    cell[0, :] = W, "two"
    savemat(path, {"W": W, "net": {"layers": cell, "f": "tanh"}}, appendmat=False)


def mat_compressed(path):
    savemat(path, {"W": W, "B": W[:, :2]}, appendmat=False, do_compression=True)


def json(path):
    path.write_text('{"state_dict": {"W": [[0.5, 1e3], [-2, 7]]}, "about": {"f": "tanh", "n": [1, 2, null]}}')


def flax(path):
    msgpack = pytest.importorskip("msgpack")
    array = msgpack.ExtType(1, msgpack.packb((W.shape, W.dtype.name, W.tobytes()), use_bin_type=True))
    path.write_bytes(msgpack.packb({"params": {"h": {"kernel": array}}, "step": 3}))


def onnx(path):
    pytest.importorskip("onnx")
    from test_formats_onnx import one, weights

    one(path, "GRU", weights("GRU", 2, 3, 1))


def changed(content, rng):
    """The bytes with a few of them changed, some cut out, or others put in."""
    made = bytearray(content)
    kind = rng.choice(("change", "change", "cut", "insert", "end"))
    for _ in range(rng.choice((1, 2, 8))):
        at = rng.randrange(len(made))
        if kind == "change":
            made[at] = rng.choice((0, 255, rng.randrange(256), made[at] ^ (1 << rng.randrange(8))))
        elif kind == "cut":
            del made[at : at + rng.randrange(1, 30)]
        elif kind == "insert":
            made[at:at] = rng.randbytes(rng.randrange(1, 12))
        else:
            del made[at:]
        made = made or bytearray(b"?")
    return bytes(made)


@pytest.mark.parametrize("write", [npy, npz, mat, mat_compressed, json, flax, onnx])
def test_a_damaged_file_opens_or_is_refused_in_one_line(tmp_path, write):
    write(tmp_path / "whole")
    content, rng = (tmp_path / "whole").read_bytes(), random.Random(write.__name__)
    assert read_arrays(tmp_path / "whole").arrays
    refused = []
    for _ in range(150):
        (tmp_path / "damaged").write_bytes(changed(content, rng))
        try:
            read_arrays(tmp_path / "damaged")
        except CheckpointError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert not [line for line in refused if "\n" in line]


def with_text(path):
    """An HDF5 file with a text, which is kept in a heap, and weights that look like the beginning of one."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.attrs["about"] = "a text of some letters"
        file["W"] = np.frombuffer(b"GCOL" + b"\xff" * 60, dtype=np.float32).reshape(4, 4)
        file["V"] = np.ones((4, 4))
    return path.read_bytes()


def test_weights_that_look_like_a_heap_of_texts_are_weights(tmp_path):
    with_text(tmp_path / "w.h5")
    system = dynsys.load(tmp_path / "w.h5", form="rnn", matrices={"recurrent": "V"})
    assert system.n_state == 4


@pytest.mark.parametrize(("place", "value"), [(16, 0), (24, 255), (8, 7)])
def test_a_damaged_heap_of_texts_keeps_no_one_waiting(tmp_path, monkeypatch, place, value):
    """The C library of HDF5 goes round in some of them for ever."""
    monkeypatch.setattr(text_heaps, "LONGEST", 1.0)
    content = bytearray(with_text(tmp_path / "w.h5"))
    heap = content.index(b"GCOL\x01")  # with the version of its layout
    content[heap + place] = value
    (tmp_path / "w.h5").write_bytes(content)
    assert not text_heaps.are_sound(bytes(content))
    with contextlib.suppress(CheckpointError):  # what is damaged may be read by nobody
        dynsys.load(tmp_path / "w.h5", form="rnn", matrices={"recurrent": "V"})

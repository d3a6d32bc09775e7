"""HDF5: who wrote a matrix decides how it lies, nothing outside the file is read, and nothing larger than the file."""

import sys

import h5py
import numpy as np
import pytest

from dynsys import CheckpointError, load
from dynsys.models.loading.contents import read_arrays

W = np.random.default_rng(0).normal(size=(4, 4))
B = np.random.default_rng(1).normal(size=(4, 3))


def test_what_python_wrote_is_not_turned(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["W"], file["inside/B"] = W, B
    contents = read_arrays(tmp_path / "net.h5")
    assert contents.format == "hdf5"
    assert np.array_equal(contents.arrays["W"], W)
    assert np.array_equal(contents.arrays["inside.B"], B)


@pytest.mark.parametrize("block", [True, False])
def test_what_matlab_wrote_is_turned_whether_its_block_or_its_class_says_so(tmp_path, block):
    with h5py.File(tmp_path / "net", "w", userblock_size=512 if block else 0) as file:
        for name, value in {"W": W, "B": B}.items():
            file[name] = value.T
            if not block:
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
        file["plain"] = B
    if block:
        with open(tmp_path / "net", "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file")
    arrays = read_arrays(tmp_path / "net").arrays
    assert np.array_equal(arrays["W"], W)
    assert np.array_equal(arrays["B"], B)
    assert np.array_equal(arrays["plain"], B.T if block else B)


def test_attributes_and_texts_are_settings_and_json_is_told_entry_by_entry(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["W"] = W
        file["about/cell"] = "leaky"
        file["about/count"] = 7
        file["about"].attrs["tau"] = 0.5
        file.attrs["names"] = [b"one", b"two"]
        file.attrs["config"] = b'{"activation": "relu", "layers": [{"units": 4}]}'
        file.attrs["model_config"] = '{"class_name": "Mine"}'
    told = {
        "about.cell": "leaky",
        "about.count": 7,
        "about.tau": 0.5,
        "names.0": "one",
        "names.1": "two",
        "config.activation": "relu",
        "config.layers.0.units": 4,
        "class_name": "Mine",
    }
    assert read_arrays(tmp_path / "net.h5").settings == told


def test_links_out_of_the_file_and_arrays_kept_outside_are_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["W"] = W
    (tmp_path / "raw").write_bytes(W.tobytes())
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["inside/W"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "W")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("inside/W", (4, 4), dtype="f8", external=[(str(tmp_path / "raw"), 0, 128)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((4, 4), dtype="f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "W", (4, 4))
        file.create_virtual_dataset("inside/W", layout)
    for name, what in (("link", "a link into another file"), ("raw", "kept outside"), ("virtual", "kept outside")):
        with pytest.raises(CheckpointError, match=f"its inside.W is {what}.*; save the arrays themselves in one file"):
            read_arrays(tmp_path / f"{name}.h5")


def test_links_inside_the_file_are_told_and_circles_are_walked_once(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["a/W"] = W
        file["b"] = h5py.SoftLink("/a/W")
        file["a/again"] = file["a"]
        file["a/top"] = file["/"]
    contents = read_arrays(tmp_path / "net.h5")
    assert list(contents.arrays) == ["a.W"]
    assert contents.odd == {"b": "a link to /a/W, which is not followed"}


def test_an_array_larger_than_the_file_can_hold_is_not_given_the_memory(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset("W", (10**6, 10**5), dtype="f8", chunks=(100, 100), compression="gzip")
    with pytest.raises(CheckpointError, match="W is said to hold 800,000,000,000 bytes, more than a file of"):
        load(tmp_path / "net.h5")
    with h5py.File(tmp_path / "sparse.mat", "w", userblock_size=512) as file:
        group = file.create_group("S")
        group.attrs["MATLAB_sparse"], group.attrs["MATLAB_class"] = np.uint64(10**6), np.bytes_("double")
        group["jc"] = np.zeros(10**5, dtype="u8")
    with pytest.raises(CheckpointError, match="S is said to hold"):
        load(tmp_path / "sparse.mat")


def test_many_arrays_may_not_take_more_together_than_one(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        for k in range(40):
            file.create_dataset(f"W{k}", (2000, 2000), dtype="f8", chunks=(100, 100), compression="gzip")
    with pytest.raises(CheckpointError, match="more than a file of"):
        load(tmp_path / "net.h5")


def test_a_block_of_a_user_before_the_file_changes_nothing(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w", userblock_size=2048) as file:
        file["B"] = B
    assert np.array_equal(read_arrays(tmp_path / "net.h5").arrays["B"], B)


def test_compressed_arrays_and_unusual_types_are_read_or_named(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset("zeros", data=np.zeros((500, 500)), compression="gzip")
        file["half"], file["flags"] = W.astype("f2"), W > 0
        file["complex"] = W + 1j
        file["nothing"] = h5py.Empty("f8")
        file["record"] = np.zeros(3, dtype=[("a", "f8"), ("b", "i4")])
    contents = read_arrays(tmp_path / "net.h5")
    assert set(contents.arrays) == {"zeros", "half", "flags"}
    assert set(contents.odd) == {"complex", "nothing", "record"}


def test_without_h5py_it_is_said_what_to_install(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["W"] = W
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CheckpointError, match=r"needs h5py; pip install 'dynsys-rnn\[hdf5\]'"):
        load(tmp_path / "net.h5")

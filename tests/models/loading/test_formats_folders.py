"""NumPy's files and folders of them: headers that ask for more than there is, names, links that are not followed."""

import io
import struct
import zipfile

import numpy as np
import pytest
import torch
from foreign import off_by
from safetensors.numpy import save_file

from dynsys import CheckpointError, load
from dynsys.models.loading.contents import read_arrays
from dynsys.models.loading.sizes import FLOOR, Room


def header(shape, dtype="<f8", version=(1, 0)):
    """The beginning of a .npy file that announces an array of that shape."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text.encode()


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_a_header_that_asks_for_745_gib_is_not_given_them(tmp_path, version):
    content = header((10**5, 10**6), version=version) + bytes(800)
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W.npy", content)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(CheckpointError, match="is said to hold 800,000,000,000 bytes, more than a file of"):
            load(tmp_path / name)


def test_a_zip_that_unpacks_to_more_than_deflate_can_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(10**6))
    with zipfile.ZipFile(tmp_path / "honest.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W.npy", buffer.getvalue())
    assert read_arrays(tmp_path / "honest.npz").arrays["W"].size == 10**6
    room = Room(tmp_path / "honest.npz")
    room.take("W", (FLOOR // 8,), 8)
    with pytest.raises(CheckpointError, match="V is said to hold"):
        room.take("V", (room.size * 1100 // 8 + 1,), 8)


def test_other_files_in_a_zip_of_arrays_are_told_and_left(tmp_path):
    np.savez(tmp_path / "x.npz", W=np.eye(2))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("readme.txt", "nothing")
    contents = read_arrays(tmp_path / "x.npz")
    assert list(contents.arrays) == ["W"]
    assert contents.odd == {"readme.txt": "no array but another file"}


def test_a_folder_of_npy_files_is_a_state_dict_by_its_names(tmp_path):
    torch.manual_seed(0)
    module = torch.nn.RNN(3, 4).double()
    (tmp_path / "rec").mkdir()
    for key, value in module.state_dict().items():
        np.save(tmp_path / "rec" / f"{key}.npy", value.numpy())
    (tmp_path / "notes.txt").write_text("trained yesterday")
    assert set(read_arrays(tmp_path).arrays) == {f"rec.{key}" for key in module.state_dict()}

    def step(s, x):
        p = {key: value.numpy() for key, value in module.state_dict().items()}
        return (np.tanh(p["weight_ih_l0"] @ x + p["bias_ih_l0"] + p["weight_hh_l0"] @ s[0] + p["bias_hh_l0"]),)

    assert off_by(load(tmp_path), [step], [4]) < 1e-12


def test_links_in_a_folder_are_not_followed(tmp_path):
    np.save(tmp_path / "secret.npy", np.eye(2))
    folder = tmp_path / "net"
    folder.mkdir()
    np.save(folder / "W.npy", np.eye(3))
    (folder / "V.npy").symlink_to(tmp_path / "secret.npy")
    (folder / "up").symlink_to(tmp_path)
    assert list(read_arrays(folder).arrays) == ["W"]


def test_objects_in_a_folder_are_told_and_too_many_files_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "W.npy", np.eye(3))
    np.save(tmp_path / "log.npy", np.array([{}], dtype=object), allow_pickle=True)
    contents = read_arrays(tmp_path)
    assert list(contents.arrays) == ["W"]
    assert contents.odd["log"].startswith("of Python objects")
    monkeypatch.setattr("dynsys.models.loading.formats.folders.MOST", 1)
    with pytest.raises(CheckpointError, match=r"it holds more than 1 .npy files; name a folder inside"):
        read_arrays(tmp_path)


def test_a_folder_with_one_safetensors_file_is_that_file_and_several_are_named(tmp_path):
    save_file({"W": np.eye(3)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert list(read_arrays(tmp_path).arrays) == ["W"]
    save_file({"W": np.eye(3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"2 .safetensors files: model.safetensors, other.safetensors; name one"):
        load(tmp_path)

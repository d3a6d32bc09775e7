"""Files: written whole or not at all, round trips, and one clear error for every kind of broken file."""

import json
import os
import pickle
import resource
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dynsys
from dynsys.io.errors import CheckpointError, OutputError
from dynsys.io.files import read_tensors, write_bytes, write_tensors
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop

SCHEMA = "dynsys.test/1"


@pytest.fixture
def network():
    return EchoStateNetwork.random(EchoStateConfig(units=12), FlipFlop())


@pytest.fixture
def checkpoint(tmp_path, network):
    return save_checkpoint(tmp_path / "checkpoint.safetensors", network)


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-1e3, 1e3)), st.booleans())
def test_tensors_come_back_bit_for_bit_in_any_memory_order(tmp_path_factory, values, transposed):
    path = tmp_path_factory.mktemp("t") / "x.safetensors"
    given = values.T if transposed else values
    write_tensors(path, {"x": given}, {"schema": SCHEMA})
    back, header = read_tensors(path, SCHEMA)
    np.testing.assert_array_equal(back["x"], given)
    assert header["schema"] == SCHEMA


def test_checkpoint_round_trip_keeps_weights_task_and_settings(tmp_path, network):
    back = dynsys.load(save_checkpoint(tmp_path / "c.safetensors", network))
    for key in ("W_r", "W_fb", "W_out", "B"):
        assert torch.equal(getattr(back, key), getattr(network, key))
    assert (back.task, back.time_constant, back.activation) == (network.task, 10.0, "tanh")


def test_a_flipped_bit_is_noticed(checkpoint):
    content = bytearray(checkpoint.read_bytes())
    content[-5] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match="checksum"):
        dynsys.load(checkpoint)


BROKEN = {
    "empty": (b"", "empty"),
    "html": (b"<!DOCTYPE html><html>404</html>", "HTML page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "noise": (bytes(range(200, 250)) * 4, "no format that dynsys reads"),
    "cut zip": (b"PK\x03\x04" + b"\0" * 40, "cut or damaged"),
    "cut pickle": (b"\x80\x02}q\x00X", "cut or damaged"),
    "cut mat": (b"MATLAB 5.0 MAT-file" + b" " * 120, "cut or damaged"),
    "cut mat 7.3": (b"MATLAB 7.3 MAT-file" + b" " * 600, "cut or damaged"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_every_broken_file_is_one_clear_error(tmp_path, kind):
    content, says = BROKEN[kind]
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=says) as caught:
        dynsys.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def write_as(kind, path):
    """The weights of a GRU in a file of some kind."""
    import h5py
    from safetensors.torch import save_file

    weights = torch.nn.GRU(2, 3).state_dict()
    if kind == "pt":
        torch.save({"state_dict": weights}, path)
    elif kind == "npz":
        np.savez_compressed(path, **{key: value.numpy() for key, value in weights.items()})
    elif kind == "safetensors":
        save_file(weights, path)
    else:
        with h5py.File(path, "w") as file:
            for key, value in weights.items():
                file[f"net/{key}"] = value.numpy().T
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["pt", "npz", "safetensors", "h5"])
def test_a_file_with_some_bytes_wrong_is_read_or_is_one_clear_error(tmp_path, kind):
    whole, rng = write_as(kind, tmp_path / f"whole.{kind}"), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        content = bytearray(whole)
        for place in rng.integers(len(content), size=4):
            content[place] = rng.integers(256)
        (tmp_path / "garbled").write_bytes(content)
        try:
            dynsys.load(tmp_path / "garbled")
        except CheckpointError:
            refused += 1
    assert refused


def test_an_array_of_objects_beside_the_weights_does_not_matter(tmp_path):
    weights = {key: value.numpy() for key, value in torch.nn.GRU(2, 3).state_dict().items()}
    np.savez(tmp_path / "x.npz", **weights, config=np.array([{"units": 3}], dtype=object))
    assert dynsys.load(tmp_path / "x.npz").n_state == 3


@pytest.mark.parametrize("share", [0.02, 0.3, 0.99])
def test_a_checkpoint_cut_anywhere_is_refused(checkpoint, share):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="cut or damaged"):
        dynsys.load(checkpoint)


def test_missing_file_folder_and_wrong_schema(tmp_path, checkpoint):
    with pytest.raises(CheckpointError, match="no such file"):
        dynsys.load(tmp_path / "nowhere.pt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match=r"no checkpoint\.safetensors in it"):
        dynsys.load(tmp_path / "folder")
    with pytest.raises(CheckpointError, match="fixed_points"):
        dynsys.FixedPoints.load(checkpoint)


class Malicious:
    def __reduce__(self):
        return os.system, ("touch PWNED",)


def test_malicious_pickles_are_named_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"W": Malicious()}, "evil.pt")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"W": Malicious()}, protocol=2))
    torch.save({"W": np.array([Malicious()], dtype=object)}, "array.pt")
    np.savez("evil.npz", W=np.array([Malicious()], dtype=object))
    for name in ("evil.pt", "evil.pkl", "array.pt"):
        with pytest.raises(CheckpointError, match=r"it holds no arrays, only .*system"):
            dynsys.load(name)
    with pytest.raises(CheckpointError, match="it holds no arrays"):
        dynsys.load("evil.npz")
    assert not (tmp_path / "PWNED").exists()


def test_weights_of_other_tools_are_recognised_by_name(tmp_path, network):
    import h5py
    from safetensors.numpy import save_file
    from scipy.io import savemat

    weights = network.arrays()
    np.savez(tmp_path / "a.npz", **weights, tau=5.0, activation="logistic")
    savemat(tmp_path / "b.mat", {**weights, "tau": 5.0, "activation": "logistic"})
    torch.save(
        {key: torch.as_tensor(value) for key, value in weights.items()} | {"tau": 5.0, "activation": "logistic"},
        tmp_path / "c.pt",
    )
    with h5py.File(tmp_path / "d.mat", "w", userblock_size=512) as file:
        for key, value in weights.items():
            file[key] = value.T
        file["tau"] = [[5.0]]
        file["activation"] = np.array([[ord(c)] for c in "logistic"], dtype=np.uint16)
        file["activation"].attrs["MATLAB_class"] = np.bytes_("char")
    with open(tmp_path / "d.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    for name in ("a.npz", "b.mat", "c.pt", "d.mat"):
        back = dynsys.load(tmp_path / name)
        assert torch.equal(back.W_r, network.W_r), name
        assert torch.equal(back.B, network.B), name
        assert (back.time_constant, back.activation) == (5.0, "logistic"), name
    save_file(weights, tmp_path / "e.safetensors")
    assert torch.equal(dynsys.load(tmp_path / "e.safetensors").W_out, network.W_out)


def test_unknown_keys_are_listed(tmp_path):
    np.savez(tmp_path / "x.npz", alpha=np.eye(2), beta=np.eye(3))
    with pytest.raises(CheckpointError, match=r"it holds alpha \(2, 2\), beta \(3, 3\); name its matrices"):
        dynsys.load(tmp_path / "x.npz")


def test_a_file_without_any_matrix_is_not_told_how_to_name_its_matrices(tmp_path):
    np.savez(tmp_path / "x.npz", tau=np.ones(5), noise=np.zeros((1, 5)))
    with pytest.raises(CheckpointError, match="none of that is a matrix") as told:
        dynsys.load(tmp_path / "x.npz")
    assert "--matrix" not in str(told.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, network, bad):
    weights = {key: value.copy() for key, value in network.arrays().items()}
    weights["W_out"][0, 3] = bad
    np.savez(tmp_path / "x.npz", **weights)
    with pytest.raises(CheckpointError, match="W_out holds 1 values that are NaN or infinite"):
        dynsys.load(tmp_path / "x.npz")


def test_weights_of_wrong_shapes_are_refused(tmp_path, network):
    np.savez(tmp_path / "x.npz", **{**network.arrays(), "W_fb": np.ones((12, 5))})
    with pytest.raises(CheckpointError, match=r"W_fb has shape \(12, 5\); with 12 units, 3 outputs .* needs \(12, 3\)"):
        dynsys.load(tmp_path / "x.npz")


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "x", b"1")


def test_a_full_disk_leaves_the_old_file_whole_and_no_part(tmp_path):
    """The limit on a file's size makes the system refuse the write half-way, as a full disk does."""
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "from dynsys.io.files import write_bytes; write_bytes(sys.argv[1], b'n' * 10000)"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "OutputError" in ran.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.bin"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096


def test_written_files_can_be_read_by_others(tmp_path):
    path = write_bytes(tmp_path / "x", b"1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_results_hold_sorted_json_in_their_header(checkpoint):
    from safetensors import safe_open

    with safe_open(checkpoint, framework="numpy") as file:
        text = file.metadata()["dynsys"]
    assert text == json.dumps(json.loads(text), sort_keys=True)
    assert {"schema", "model", "hyperparameters", "task", "version", "sha256"} <= set(json.loads(text))


def test_zip_without_arrays_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError):
        dynsys.load(tmp_path / "x.zip")


HEADERS = ["[1]", '"abc"', "[" * 100_000, '{"schema": "dynsys.checkpoint/1"}', "{"]


@pytest.mark.parametrize("header", HEADERS, ids=lambda h: h[:12])
def test_a_header_that_is_none_of_ours_is_one_clear_error(tmp_path, header):
    from safetensors.numpy import save_file

    save_file({"W": np.eye(2)}, tmp_path / "x.safetensors", metadata={"dynsys": header})
    with pytest.raises(CheckpointError, match=str(tmp_path / "x.safetensors")):
        dynsys.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"hyperparameters": [1]},
        {"hyperparameters": {"tau": "long"}},
        {"model": "transformer"},
        {"task": {"name": "flipflop", "bits": 2}},
        {"task": {"name": "flipflop", "pulse": 1.5}},
        {"task": {"name": "chess"}},
        {"task": [1]},
    ],
    ids=str,
)
def test_a_checkpoint_whose_header_makes_no_sense_is_one_clear_error(tmp_path, network, change):
    path = tmp_path / "x.safetensors"
    header = {"schema": "dynsys.checkpoint/1", "model": "esn", "hyperparameters": network.settings(), "task": None}
    write_tensors(path, network.arrays(), {**header, **change})
    with pytest.raises(CheckpointError):
        dynsys.load(path)


@pytest.mark.parametrize("spoil", ["without q", "short q", "extra", "system"])
def test_a_result_whose_parts_do_not_fit_is_one_clear_error(tmp_path, spoil):
    points = dynsys.find_fixed_points(dynsys.Flow(lambda x, u: -x, n_state=1), n_starts=8)
    tensors, header = read_tensors(points.save(tmp_path / "p.safetensors"), "dynsys.fixed_points/1")
    if spoil == "without q":
        del tensors["q"]
    elif spoil == "short q":
        tensors["q"] = tensors["q"][:0]
    elif spoil == "extra":
        tensors["surprise"] = np.eye(2)
    else:
        header["system"] = [1]
    write_tensors(tmp_path / "p.safetensors", tensors, header)
    with pytest.raises(CheckpointError, match="no whole result"):
        dynsys.FixedPoints.load(tmp_path / "p.safetensors")


def test_numbers_that_are_not_real_are_refused_and_bfloat16_is_read(tmp_path, network):
    weights = network.arrays()
    for name, odd in {"complex": weights["W_r"] * 1j, "text": np.full((12, 12), "a")}.items():
        np.savez(tmp_path / f"{name}.npz", **{**weights, "W_r": odd})
        with pytest.raises(CheckpointError, match="not of real numbers"):
            dynsys.load(tmp_path / f"{name}.npz")
    tensors = {key: torch.as_tensor(value) for key, value in weights.items()}
    torch.save({**tensors, "W_r": tensors["W_r"].bfloat16()}, tmp_path / "b.pt")
    assert torch.equal(dynsys.load(tmp_path / "b.pt").W_r, tensors["W_r"].bfloat16().double())
    torch.save({**tensors, "W_r": torch.empty(12, 12, device="meta")}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError):
        dynsys.load(tmp_path / "m.pt")

"""Which kind of file it is, told from its first bytes and entries; and the way out of those that cannot be read."""

import io
import json
import pickle
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading import values
from dynsys.models.loading.checkpoint import describe_checkpoint
from dynsys.models.loading.contents import read_arrays
from dynsys.models.loading.formats.unreadable import UNREADABLE

LSTM = nn.LSTM(6, 4)
STATE = {f"lstm_actor.{key}": value.detach() for key, value in LSTM.state_dict().items()}


def saved(content):
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def zipped(path, entries, how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


AGENT = {
    "data": json.dumps({"policy_class": {":type:": "<class 'abc.ABCMeta'>"}}).encode(),
    "pytorch_variables.pth": saved({"log_ent_coef": torch.zeros(1)}),
    "policy.optimizer.pth": saved({"state": {}, "param_groups": []}),
    "_stable_baselines3_version": b"2.0.0",
}


def arrays_file(kind):
    arrays = {key: value.numpy() for key, value in STATE.items()}
    out = io.BytesIO()
    if kind == "npz":
        np.savez(out, **arrays)
        return out.getvalue()
    return {"pth": saved(STATE), "safetensors": save(STATE), "pkl": pickle.dumps(arrays)}[kind]


@pytest.mark.parametrize("kind", ["pth", "npz", "safetensors", "pkl"])
def test_the_weights_within_a_zip_are_read_and_its_optimiser_is_passed_over(tmp_path, kind):
    path = zipped(tmp_path / "agent.zip", {**AGENT, f"policy.{kind}": arrays_file(kind)}, zipfile.ZIP_DEFLATED)
    found = read_arrays(path)
    assert found.container == f"policy.{kind}"
    for key, value in STATE.items():
        np.testing.assert_array_equal(found.arrays[key], value.numpy())
    assert dynsys.load(path, part="lstm_actor").n_state == 8
    assert any(f"policy.{kind}" in line for line in describe_checkpoint(path)["recognised"])


def test_several_files_of_weights_in_a_zip_are_named(tmp_path):
    path = zipped(tmp_path / "two.zip", {"run/actor.pth": saved(STATE), "run/critic.pth": saved(STATE)})
    with pytest.raises(CheckpointError, match=r"2 files with weights: run/actor\.pth, run/critic\.pth; unpack it"):
        read_arrays(path)


def test_a_zip_without_weights_says_what_it_holds(tmp_path):
    path = zipped(tmp_path / "x.zip", {"readme.txt": b"", "__MACOSX/x.pth": b"", "optimizer.pt": saved({})})
    with pytest.raises(
        CheckpointError, match=r"a zip without weights that dynsys knows; it holds readme\.txt, optimizer"
    ):
        read_arrays(path)


def test_what_is_wrong_within_a_zip_is_said_of_the_file_within(tmp_path):
    path = zipped(tmp_path / "agent.zip", {"policy.pth": saved(STATE)[:700]})
    with pytest.raises(CheckpointError, match=r"agent\.zip: of its file policy\.pth: it is cut or damaged"):
        read_arrays(path)
    within = zipped(tmp_path / "inner.zip", {"policy.pth": saved(STATE)}).read_bytes()
    with pytest.raises(CheckpointError, match="of its file outer"):
        read_arrays(zipped(tmp_path / "zips.zip", {"outer.pth": within}))


def test_an_entry_whose_name_leads_out_of_the_zip_writes_nothing_there(tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    path = zipped(inside / "x.zip", {"../../policy.pth": saved(STATE)})
    with pytest.raises(CheckpointError, match="without weights"):
        read_arrays(path)
    path = zipped(inside / "y.zip", {"c/../../policy.pth": saved(STATE)})
    assert set(read_arrays(path).arrays) == set(STATE)
    assert not list(tmp_path.rglob("policy.pth"))


@pytest.mark.parametrize("name", ["a/data.pkl", "a/data/0", "policy.pth"])
def test_a_zip_that_would_unpack_to_all_memory_is_refused(tmp_path, monkeypatch, name):
    """2 MiB of zeros in 2 KiB, where a file of that size may take 64 KiB and 16 KiB more."""
    monkeypatch.setattr(values, "FREE", 2**16)
    with zipfile.ZipFile(io.BytesIO(saved({"W": torch.zeros(2**21, dtype=torch.uint8)[:1]}))) as whole:
        state = whole.read(next(entry for entry in whole.namelist() if entry.endswith("data.pkl")))
    entries = {"a/data.pkl": state, name: bytes(2**21)} if name.startswith("a/") else {name: bytes(2**21)}
    with pytest.raises(CheckpointError, match="far larger than the file"):
        read_arrays(zipped(tmp_path / "bomb", entries, zipfile.ZIP_DEFLATED))


def test_dicts_that_numpy_saved_are_read_out_of_their_pickles(tmp_path):
    weights = {"W": np.eye(3), "deep": {"b": np.ones(3)}, "f": np.tanh}
    np.save(tmp_path / "x.npy", weights)
    np.savez(tmp_path / "x.npz", params=weights, losses=np.zeros(4), list=np.array([np.eye(2), None], dtype=object))
    assert set(read_arrays(tmp_path / "x.npy").arrays) == {"W", "deep.b"}
    found = read_arrays(tmp_path / "x.npz")
    assert set(found.arrays) == {"params.W", "params.deep.b", "losses", "list.0"}
    assert found.settings["params.f"] == "numpy.tanh"


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_told_from_text_whatever_its_protocol(tmp_path, protocol):
    for content in ({"W": np.eye(2)}, [np.eye(2)], (np.eye(2),), np.eye(2)):
        (tmp_path / "x").write_bytes(pickle.dumps(content, protocol=protocol))
        assert read_arrays(tmp_path / "x").format == "pickle"
    for text in ("(a note.)\n.", "count,weight\n1,2\n.", "import torch\n.", "[section]\nkey = value."):
        (tmp_path / "x").write_text(text)
        with pytest.raises(CheckpointError) as caught:
            read_arrays(tmp_path / "x")
        assert "cut or damaged (" not in str(caught.value).replace("JSON is cut or damaged (", "")


def test_keys_that_cannot_be_printed_are_shown_and_said_as_escapes(tmp_path):
    W = np.eye(3)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"\x1b[31mred\n": W, "fine": np.ones((3, 2)), "\u202eleft": "\x07"}))
    found = read_arrays(tmp_path / "x.pkl")
    assert list(found.arrays) == [r"\x1b[31mred\n", "fine"]
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(tmp_path / "x.pkl")
    assert str(caught.value).isprintable()
    system = dynsys.load(tmp_path / "x.pkl", form="rnn", matrices={"recurrent": "fine @ fine.T"}, activation="relu")
    np.testing.assert_array_equal(system.arrays()["weight_hh_l0"], np.full((3, 3), 2.0))  # (3, 2) ones by (2, 3) ones


def script(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(1, 1)), path)


def table(path):
    path.write_bytes(bytes(60) + (0xDB4775248B80FB57).to_bytes(8, "little"))


def tar(path):
    import tarfile

    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))


def folder(name, content=b""):
    def write(path):
        path.mkdir()
        (path / name).write_bytes(content)

    return write


WAYS_OUT = {  # the file, how it is written, and what its way out has to say
    "m.pt": (script, r"TorchScript.*torch\.jit\.load\('[^']*m\.pt'\)\.state_dict\(\), 'weights\.pt'"),
    "m.pt2": (lambda p: zipped(p, {"m/archive_format": b"pt2", "m/data/weights/0": b""}), r"torch\.export\.load"),
    "p.pt": (lambda p: zipped(p, {"p/.data/extern_modules": b"os"}), r"package of torch.*PackageImporter"),
    "m.pte": (lambda p: p.write_bytes(b"\x1c\0\0\0ET12" + bytes(40)), r"ExecuTorch.*state_dict"),
    "m.tflite": (lambda p: p.write_bytes(b"\x1c\0\0\0TFL3" + bytes(40)), r"TensorFlow Lite.*model\.keras"),
    "saved_model.pb": (lambda p: p.write_bytes(b"\x08\x01\x12\x02"), r"SavedModel.*'[^']*variables/variables'"),
    "saved": (folder("saved_model.pb"), r"SavedModel.*load_checkpoint\('[^']*saved/variables/variables'\)"),
    "graph.pb": (lambda p: p.write_bytes(b"\x0a\x05const"), r"graph of TensorFlow"),
    "c-7.index": (table, r"load_checkpoint\('[^']*c-7'\).*np\.savez\('weights\.npz'"),
    "c-7.data-00000-of-00001": (lambda p: p.write_bytes(bytes(99)), r"load_checkpoint\('[^']*c-7'\)"),
    "checkpoint": (lambda p: p.write_bytes(b'model_checkpoint_path: "c-7"\n'), r"checkpoint of TensorFlow"),
    "run": (folder("c-7.index"), r"load_checkpoint\('[^']*run/c-7'\)"),
    "orbax": (folder("_METADATA", b"{}"), r"orbax.*weights\.npz.*PyTreeCheckpointer\(\)\.restore\('[^']*orbax'\)"),
    "m.gguf": (lambda p: p.write_bytes(b"GGUF\x03\0\0\0" + bytes(40)), r"GGUF.*GGUFReader"),
    "w.tar": (tar, r"tar archive; unpack it"),
    "w.pkl.gz": (lambda p: p.write_bytes(b"\x1f\x8b\x08\0" + bytes(40)), r"compressed by gzip; unpack it"),
    "w.pkl.xz": (lambda p: p.write_bytes(b"\xfd7zXZ\0" + bytes(40)), r"compressed by xz; unpack it"),
    "w.joblib": (lambda p: p.write_bytes(b"\x78\x9c" + bytes(40)), r"compressed by zlib.*joblib\.dump"),
}


@pytest.mark.parametrize("name", WAYS_OUT)
def test_a_file_that_cannot_be_read_says_what_to_run(tmp_path, name):
    write, says = WAYS_OUT[name]
    write(tmp_path / name)
    with pytest.raises(CheckpointError, match=says) as caught:
        dynsys.load(tmp_path / name)
    assert "damaged" not in str(caught.value)


def test_the_way_out_of_a_script_gives_a_file_that_opens(tmp_path):
    """The line that is printed, run as it stands."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.GRU(2, 3)), tmp_path / "m.pt")
        with pytest.raises(CheckpointError) as caught:
            dynsys.load(tmp_path / "m.pt")
        line = caught.value.remedy.removeprefix("save ").replace("'weights.pt'", repr(str(tmp_path / "weights.pt")))
        exec(line, {"torch": torch})
    assert dynsys.load(tmp_path / "weights.pt").n_state == 3


def test_no_kind_of_file_is_refused_twice():
    names = [format.name for format in UNREADABLE]
    assert len(names) == len(set(names))

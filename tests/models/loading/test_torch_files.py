"""Files of torch.save, new and old, give up what torch itself would give: tensors, whole modules, checkpoints."""

import contextlib
import io
import pickle
import struct
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.contents import read_arrays

OLD = {"_use_new_zipfile_serialization": False}
FORMATS = {
    "zip": {},
    "old": OLD,
    "zip of protocol 5": {"pickle_protocol": 5},
    "old of protocol 4": {**OLD, "pickle_protocol": 4},
}


class Cell(nn.Module):
    """A module as users write them: plain attributes, buffers in and out of the state dict, a tied part, a hook."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(3, 4, 2, nonlinearity="relu", batch_first=True)
        self.readout = nn.Linear(4, 2)
        self.tied = self.readout
        self.alpha, self.kind, self.f = 0.25, "leaky", torch.tanh
        self.steps = nn.ModuleList([nn.Tanh(), nn.Linear(2, 2, bias=False)])
        self.scaler = nn.BatchNorm1d(2)  # called as a trainer's state is, and part of the network
        self.register_buffer("mask", torch.ones(4, 4), persistent=False)
        self.register_buffer("scale", torch.tensor(2.0))
        self.sign = torch.ones(4)


@pytest.fixture
def cell():
    torch.manual_seed(0)
    return Cell()


def contents(path, content, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sources that cannot be found
        torch.save(content, path, **options)
    return read_arrays(path)


def assert_same(arrays, state):
    """Exactly the keys and values of a state dict."""
    assert list(arrays) == list(state)
    for key, value in state.items():
        np.testing.assert_array_equal(arrays[key], value.double().numpy())


@pytest.mark.parametrize("how", FORMATS)
def test_a_whole_module_gives_up_exactly_its_state_dict(tmp_path, cell, how):
    assert_same(contents(tmp_path / "m.pt", cell, **FORMATS[how]).arrays, cell.state_dict())
    assert_same(contents(tmp_path / "s.pt", cell.state_dict(), **FORMATS[how]).arrays, cell.state_dict())
    parallel = nn.DataParallel(cell)
    assert_same(contents(tmp_path / "p.pt", parallel, **FORMATS[how]).arrays, parallel.state_dict())


def test_a_module_in_a_plain_pickle_gives_up_its_state_dict(tmp_path, cell):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(cell))
    assert_same(read_arrays(tmp_path / "m.pkl").arrays, cell.state_dict())


@contextlib.contextmanager
def foreign(monkeypatch, *paths):
    """Classes of modules that are not here, for as long as a file is written."""
    made = []
    with monkeypatch.context() as here:
        for path in paths:
            module, _, name = path.rpartition(".")
            parts = module.split(".")
            for i in range(1, len(parts) + 1):
                inner = ".".join(parts[:i])
                here.setitem(sys.modules, inner, sys.modules.get(inner, types.ModuleType(inner)))
            made.append(type(name, (), {"__module__": module}))
            here.setattr(sys.modules[module], name, made[-1], raising=False)
        yield made


def test_a_compiled_module_gives_up_its_state_dict(tmp_path, cell, monkeypatch):
    """torch.compile pickles a call of its wrapper's class with the module and a context."""
    with foreign(monkeypatch, "torch._dynamo.eval_frame.OptimizedModule") as (made,):
        made.__reduce__ = lambda self: (made, (cell, {"mode": "default"}))
        found = contents(tmp_path / "c.pt", made())
    assert_same(found.arrays, {f"_orig_mod.{key}": value for key, value in cell.state_dict().items()})


def test_what_a_module_keeps_beside_its_state_dict_is_told(tmp_path, cell):
    cell.readout.register_forward_hook(torch.sin)
    nn.utils.weight_norm(cell.rnn, "weight_hh_l0")
    found = contents(tmp_path / "m.pt", cell)
    assert_same(found.arrays, cell.state_dict())
    told = {
        "__class__": f"{__name__}.Cell",
        "alpha": 0.25,
        "kind": "leaky",
        "rnn.__class__": "torch.nn.modules.rnn.RNN",
        "rnn.nonlinearity": "relu",
        "rnn.batch_first": True,
        "rnn.num_layers": 2,
        "rnn.__hooks__": "torch.nn.utils.weight_norm.WeightNorm(name=weight_hh_l0, dim=0)",
        "steps.0.__class__": "torch.nn.modules.activation.Tanh",
    }
    assert told.items() <= found.settings.items()
    assert found.settings["f"].endswith("tanh")
    assert found.settings["readout.__hooks__"].endswith("sin")
    assert set(found.odd) == {"mask", "sign"}


def test_a_module_in_a_checkpoint_is_its_container_and_optimisers_are_passed_over(tmp_path, cell, monkeypatch):
    groups = {"state": {0: {"momentum": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [cell.readout.weight]}]}
    with foreign(monkeypatch, "torch.optim.sgd.SGD") as (made,):
        optimiser = made()
        optimiser.__dict__.update(groups)
        content = {"model": cell, "opt": optimiser, "optimizer": groups, "opt_state": groups, "epoch": 3}
        found = contents(tmp_path / "m.pt", content)
    assert (found.container, found.settings["epoch"]) == ("model", 3)
    assert_same(found.arrays, cell.state_dict())


TYPES = ["float64", "float32", "float16", "bfloat16", "bool", "int8", "int16", "int32", "int64"]
TYPES += ["uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("how", ["zip", "old"])
@pytest.mark.parametrize("name", TYPES)
def test_tensors_of_every_real_type_are_read(tmp_path, name, how):
    values = torch.tensor([0, 1, 2.5, 3]).to(getattr(torch, name))
    back = contents(tmp_path / "t.pt", {"W": values}, **FORMATS[how]).arrays["W"]
    np.testing.assert_array_equal(back, values.to(torch.float64).numpy())


@settings(max_examples=30)
@given(
    axes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 7)), min_size=1, max_size=3),
    start=st.integers(0, 3),
    how=st.sampled_from(["zip", "old"]),
)
def test_views_of_a_storage_are_read_as_torch_reads_them(tmp_path_factory, axes, start, how):
    """A step of 0 is an expanded axis; the last number that can be reached is 3 + 3 (4 - 1) 7 = 66."""
    sizes, steps = zip(*axes, strict=True)
    view = torch.arange(67.0).as_strided(sizes, steps, start)
    found = contents(tmp_path_factory.mktemp("t") / "t.pt", {"view": view}, **FORMATS[how])
    np.testing.assert_array_equal(found.arrays["view"], view.numpy())


def test_sparse_tensors_are_made_dense_and_others_are_told(tmp_path):
    W = torch.tensor([[0.0, 2.0], [0.0, 3.0], [0.0, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = {
            "q": torch.quantize_per_tensor(W, 0.1, 0, torch.qint8),
            "c": W * 1j,
            "meta": torch.empty(3, device="meta"),
        }
        tensors = {"coo": W.to_sparse(), "csr": W.to_sparse_csr(), "csc": W.to_sparse_csc(), **odd}
    found = contents(tmp_path / "t.pt", tensors)
    assert set(found.arrays) == {"coo", "csr", "csc"}
    for array in found.arrays.values():
        np.testing.assert_array_equal(array, W.numpy())
    assert "complex" in found.odd["c"]
    assert "quantised" in found.odd["q"]
    assert "meta" in found.odd["meta"]


def test_parameters_subclasses_and_single_tensors_are_tensors(tmp_path):
    W = nn.Parameter(torch.arange(6.0).reshape(2, 3))
    W.note = "kept with a state"
    found = contents(tmp_path / "t.pt", [W, nn.Buffer(W.detach()), W.detach().T])
    np.testing.assert_array_equal(found.arrays["0"], W.detach().numpy())
    np.testing.assert_array_equal(found.arrays["2"], W.detach().numpy().T)
    assert contents(tmp_path / "t.pt", W).arrays["array"].shape == (2, 3)
    assert contents(tmp_path / "t.pt", W.detach().storage()).arrays["array"].shape == (6,)


def test_a_file_of_a_big_endian_machine_is_read(tmp_path):
    values = torch.arange(4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"W": values, "h": values.bfloat16()}, tmp_path / "t.pt")
    swap = {"data/0": ">f4", "data/1": ">u2"}
    with zipfile.ZipFile(tmp_path / "t.pt") as old, zipfile.ZipFile(tmp_path / "big.pt", "w") as new:
        for name in old.namelist():
            content, inside = old.read(name), name.partition("/")[2]
            if inside in swap:
                content = np.frombuffer(content, swap[inside].replace(">", "<")).astype(swap[inside]).tobytes()
            new.writestr(name, b"big" if inside == "byteorder" else content)
    for array in read_arrays(tmp_path / "big.pt").arrays.values():
        np.testing.assert_array_equal(array, values.numpy())


def test_a_file_without_checksums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        found = contents(tmp_path / "t.pt", {"W": torch.arange(4.0)})
    finally:
        torch.serialization.set_crc32_options(True)
    np.testing.assert_array_equal(found.arrays["W"], np.arange(4.0))


def test_a_flipped_bit_in_the_numbers_is_noticed(tmp_path):
    torch.save({"W": torch.full((8,), 3.0)}, tmp_path / "t.pt")
    content = (tmp_path / "t.pt").read_bytes()
    place = content.index(struct.pack("<f", 3.0) * 8)
    (tmp_path / "t.pt").write_bytes(content[:place] + b"\x01" + content[place + 1 :])
    with pytest.raises(CheckpointError, match="cut or damaged"):
        read_arrays(tmp_path / "t.pt")


@pytest.mark.parametrize("how", ["zip", "old"])
def test_a_file_cut_anywhere_is_called_cut(tmp_path, how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(nn.GRU(2, 3).state_dict(), tmp_path / "t.pt", **FORMATS[how])
    content = (tmp_path / "t.pt").read_bytes()
    for end in range(4, len(content), 97):
        (tmp_path / "cut.pt").write_bytes(content[:end])
        with pytest.raises(CheckpointError, match="cut or damaged"):
            read_arrays(tmp_path / "cut.pt")


def tensor_of(size, stride, offset=0, count=4):
    """A file of torch whose one tensor says of itself what it likes, over a storage of 4 numbers."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, "0", "cpu", count) if value is STORAGE else None

    class Claim:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (STORAGE, offset, size, stride, False, {})

    STORAGE, out, file = object(), io.BytesIO(), io.BytesIO()
    Pickler(out, protocol=2).dump({"W": Claim()})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", out.getvalue())
        archive.writestr("a/data/0", np.arange(4, dtype="<f4").tobytes())
    return file.getvalue()


CLAIMS = {
    "more than there is": ((5,), (1,)),
    "rows beyond the end": ((2, 2), (3, 1)),
    "a start beyond the end": ((1,), (1,), 4),
    "a start before the beginning": ((1,), (1,), -1),
    "negative strides": ((4,), (-1,)),
    "strides of another number": ((2, 2), (1,)),
    "a size that is no number": (("a",), (1,)),
    "a storage longer than its bytes": ((5,), (1,), 0, 5),
    "all memory there is": ((10**6, 10**6), (0, 0)),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_tensor_outside_of_its_storage_is_never_read(tmp_path, claim):
    (tmp_path / "t.pt").write_bytes(tensor_of(*CLAIMS[claim]))
    with pytest.raises(CheckpointError):
        read_arrays(tmp_path / "t.pt")


def test_a_tensor_within_its_storage_is_read_at_its_strides(tmp_path):
    (tmp_path / "t.pt").write_bytes(tensor_of((2, 2), (2, 1)))
    np.testing.assert_array_equal(read_arrays(tmp_path / "t.pt").arrays["W"], [[0, 1], [2, 3]])


def test_lightning_s_checkpoints_are_read_whatever_their_hyperparameters_are(tmp_path, monkeypatch):
    """A function, a configuration object of OmegaConf's layout, and a class that is not here when it is read."""
    rnn = nn.RNN(3, 4)
    with foreign(monkeypatch, "omegaconf.dictconfig.DictConfig", "omegaconf.nodes.AnyNode") as (config, node):
        model, activation = config(), node()
        activation.__dict__.update(_val="relu", _parent=model, _metadata=None)
        model.__dict__.update(_content={"nonlinearity": activation}, _parent=None, _metadata=None)
        content = {
            "state_dict": {f"rnn.{key}": value for key, value in rnn.state_dict().items()},
            "hyper_parameters": {"loss": nn.functional.mse_loss, "model": model},
            "callbacks": {"best": torch.ones(())},
            "epoch": 3,
        }
        torch.save(content, tmp_path / "last.ckpt")
    found = read_arrays(tmp_path / "last.ckpt")
    assert found.container == "state_dict"
    assert found.settings["hyper_parameters.loss"] == "torch.nn.functional.mse_loss"
    assert found.settings["hyper_parameters.model.nonlinearity"] == "relu"
    np.testing.assert_array_equal(found.arrays["rnn.weight_hh_l0"], rnn.weight_hh_l0.detach().double().numpy())
    assert dynsys.load(tmp_path / "last.ckpt").n_state == 4


def test_hundreds_of_views_read_their_storage_once(tmp_path, monkeypatch):
    whole, reads = torch.arange(1000.0), []
    torch.save({str(i): whole[i : i + 2] for i in range(300)}, tmp_path / "t.pt")
    opened = zipfile.ZipFile.open
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *given, **named: reads.append(1) or opened(*given, **named))
    assert len(read_arrays(tmp_path / "t.pt").arrays) == 300
    assert len(reads) < 10


def test_a_mask_that_a_whole_module_keeps_out_of_its_state_dict_is_evidence(tmp_path):
    module = nn.Module()
    module.rnn, module.readout = nn.RNNCell(3, 4), nn.Linear(4, 2)
    torch.save(module, tmp_path / "m.pt")
    assert dynsys.load(tmp_path / "m.pt").n_output == 2
    module.register_buffer("mask", torch.ones(4, 4), persistent=False)
    torch.save(module, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"no place for mask \(a buffer that its module keeps out"):
        dynsys.load(tmp_path / "m.pt")
    assert dynsys.load(tmp_path / "m.pt", ignore=("mask",)).n_state == 4

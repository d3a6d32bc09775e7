"""Pickles are read by a machine that runs nothing: what it makes of every opcode, of known functions and of harm."""

import argparse
import collections
import contextlib
import enum
import functools
import pickle
import pickletools
import struct
import sys
import types
from pathlib import Path

import joblib
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.contents import read_arrays
from dynsys.models.loading.pickles.arrays import NumpyArray
from dynsys.models.loading.pickles.machine import Machine
from dynsys.models.loading.pickles.opcodes import BY_NAME, unpickled
from dynsys.models.loading.pickles.plain import content_of
from dynsys.models.loading.pickles.rebuilt import KNOWN
from dynsys.models.loading.pickles.stand_ins import Made, Named
from dynsys.models.loading.values import MOST_STEPS, Allowance, Unfit

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import fuzz_pickles
import hostile_pickles

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def read(pickled: bytes):
    return content_of(pickled, 0, Allowance(len(pickled)))


def contents(tmp_path, value, protocol=4):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
    return read_arrays(tmp_path / "x.pkl")


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=40)
@given(value=plain)
def test_plain_values_are_those_that_python_s_own_reader_gives(value, protocol):
    assert read(pickle.dumps(value, protocol=protocol)) == value


def test_the_machine_knows_every_opcode_of_pickletools():
    known = {opcode.code.encode("latin-1") for opcode in pickletools.opcodes}
    assert set(BY_NAME) | {pickle.STOP} == known


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (b"I01\n.", True),
        (b"I00\n.", False),
        (b"L123L\n.", 123),
        (b"F-1.5\n.", -1.5),
        (b"S'a\\x00\\xff'\n.", "a\x00\xff"),
        (b"T\x02\x00\x00\x00\xff\x00.", "\xff\x00"),
        (b"U\x01\xe9.", "\xe9"),
        (b"V\\u00e9\n.", "é"),
        (b"J\xfe\xff\xff\xff.", -2),
        (b"M\x01\x02.", 513),
        (b"\x8a\x02\x00\xff.", -256),
        (b"\x8b\x01\x00\x00\x00\x7f.", 127),
        (b"(K\x01K\x02l.", [1, 2]),
        (b"(K\x01K\x02d.", {1: 2}),
        (b"(K\x01K\x02t.", (1, 2)),
        (b"K\x01K\x020.", 1),
        (b"K\x01(K\x021.", 1),
        (b"K\x012\x86.", (1, 1)),
        (b"]p5\nK\x01ag5\n\x86.", ([1], [1])),
        (b"]r\x00\x00\x01\x00K\x01aj\x00\x00\x01\x00\x86.", ([1], [1])),
        (b"\x80\x04\x8f\x94(K\x01K\x02\x90.", [1, 2]),
        (b"(K\x01\x91.", [1]),
        (b"\x96\x02\x00\x00\x00\x00\x00\x00\x00ab\x98.", b"ab"),
        (b"\x95\x00\x00\x00\x00\x00\x00\x00\x00N.", None),
    ],
    ids=repr,
)
def test_an_opcode_gives_what_the_format_says(code, value):
    assert read(code) == value


CALLED = {
    "reduce": b"cos\nsystem\n(S'touch mark'\ntR.",
    "inst": b"(S'touch mark'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'touch mark'\no.",
    "newobj": b"\x80\x02cos\nsystem\n(S'touch mark'\nt\x81.",
    "newobj_ex": b"\x80\x04cos\nsystem\n(S'touch mark'\nt}\x92.",
    "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93(S'touch mark'\ntR.",
    "build": b"cos\nsystem\nS'touch mark'\nb.",
    "extension": b"\x80\x02\x82\x01(S'touch mark'\ntR.",
    "attribute": b"\x80\x04cbuiltins\ngetattr\ncos\npath\nS'join'\n\x86R(S'touch mark'\ntR.",
    "within a storage": b"\x80\x03ctorch.storage\n_load_from_bytes\nC\x1fcos\nsystem\n(S'touch mark'\ntR.\x85R.",
}


@pytest.mark.parametrize("way", CALLED)
def test_no_way_to_call_a_function_calls_it(tmp_path, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(CALLED[way])
    with pytest.raises(CheckpointError):
        dynsys.load(tmp_path / "evil.pkl")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pkl"]


def test_a_call_stays_a_name_with_its_arguments():
    made = read(CALLED["reduce"])
    assert isinstance(made, Made)
    assert (made.path, made.arguments) == ("os.system", ("touch mark",))
    assert read(b"cnowhere\nthing\n.").path == "nowhere.thing"


def test_a_module_that_a_pickle_names_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "canary_of_tests.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(read(b"ccanary_of_tests\nf\n(tR."), Made)
    assert "canary_of_tests" not in sys.modules


def test_the_watch_of_the_fuzzer_sees_what_python_s_own_unpickler_runs(monkeypatch):
    watch, calls = fuzz_pickles.Watch(own="/nowhere"), collections.Counter()
    monkeypatch.setitem(sys.modules, hostile_pickles.CANARY, fuzz_pickles.canary(calls))
    sys.addaudithook(watch)
    with fuzz_pickles.watched(watch):
        pickle.loads(b"cbuiltins\neval\n(S'1 + 1'\ntR.")
        pickle.loads(f"c{hostile_pickles.CANARY}\nsing\n(tR.".encode())
    assert calls["canary"] == 1
    assert any(event.startswith("exec") for event in watch.seen)
    assert any(event.startswith("pickle.find_class") for event in watch.seen)


def test_hostile_and_broken_files_run_nothing_and_end_in_one_clear_error():
    tally, executed = fuzz_pickles.fuzzed(400, seed=3)
    assert not executed
    assert not tally.crashed
    assert tally.opened > 20
    assert tally.refused > 20


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_an_error(content):
    with contextlib.suppress(ValueError, IndexError, KeyError, TypeError, Unfit, OverflowError, struct.error):
        read(b"\x80\x04" + content)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=40)
@given(
    array=hnp.arrays(
        st.sampled_from(["<f8", ">f8", "<f4", "<f2", "<i8", ">i2", "u1", "?"]), hnp.array_shapes(min_dims=0, max_side=3)
    ),
    turned=st.booleans(),
)
def test_arrays_of_any_type_order_and_shape_come_back(tmp_path_factory, array, turned, protocol):
    array = array.T if turned else array
    back = contents(tmp_path_factory.mktemp("p"), {"a": array}, protocol).arrays["a"]
    np.testing.assert_array_equal(back, array)
    assert back.dtype.isnative


class Layer:
    def __init__(self, W, b):
        self.W, self.b, self.f, self.alpha = W, b, np.tanh, 0.5


class Kind(enum.Enum):
    RELU = "relu"


class Slotted:
    __slots__ = ("W",)


Pair = collections.namedtuple("Pair", "W b")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_give_up_their_attributes_by_dotted_names(tmp_path, protocol):
    W, b = np.arange(4.0).reshape(2, 2), np.ones(2)
    net = types.SimpleNamespace(layers=[Layer(W, b), Layer(W.T, b)], kind=Kind.RELU, pair=Pair(W, b), n=3)
    found = contents(tmp_path, net, protocol)
    assert set(found.arrays) == {"layers.0.W", "layers.0.b", "layers.1.W", "layers.1.b", "pair.0", "pair.1"}
    np.testing.assert_array_equal(found.arrays["layers.1.W"], W.T)
    assert found.settings["layers.0.alpha"] == 0.5
    assert found.settings["layers.0.f"] == "numpy.tanh"
    assert found.settings["layers.0.__class__"] == f"{__name__}.Layer"
    assert (found.settings["kind"], found.settings["n"]) == ("relu", 3)


def test_slots_dicts_with_attributes_and_the_arguments_of_a_script_are_read(tmp_path):
    slotted = Slotted()
    slotted.W = np.eye(2)
    named = collections.UserDict({"b": np.ones(2)})
    options = argparse.Namespace(nonlinearity="relu", tau=2.0, f=functools.partial(np.tanh))
    found = contents(tmp_path, {"s": slotted, "u": named, "args": options, "d": collections.defaultdict(list, c=[1.5])})
    assert set(found.arrays) == {"s.W", "u.data.b", "d.c"}
    assert (found.settings["args.nonlinearity"], found.settings["args.tau"]) == ("relu", 2.0)


def test_lists_of_numbers_are_arrays_and_plain_integers_are_sizes(tmp_path):
    found = contents(
        tmp_path, {"W": [[1, 2], [3, 4]], "b": [0.5, 1.5], "sizes": [3, 4], "words": ["a", "b"], "r": [[1], []]}
    )
    assert {key: array.tolist() for key, array in found.arrays.items()} == {"W": [[1, 2], [3, 4]], "b": [0.5, 1.5]}
    assert {"sizes.0": 3, "sizes.1": 4, "words.0": "a", "words.1": "b"}.items() <= found.settings.items()
    assert contents(tmp_path, [[0.0, 1.0], [2.0, 3.0]]).arrays["array"].shape == (2, 2)


def test_several_pickles_in_one_file_are_counted(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"W": np.eye(2)}) + pickle.dumps({"W": np.eye(3)}))
    assert {key: array.shape for key, array in read_arrays(tmp_path / "x.pkl").arrays.items()} == {
        "0.W": (2, 2),
        "1.W": (3, 3),
    }


def test_a_pickle_of_python_2_has_its_bytes_as_text(tmp_path):
    """The opcodes that Python 2's cPickle wrote for {'W': numpy.array([[1., 2.]])}, with its str for the buffer."""
    buffer = np.array([[1.0, 2.0]]).tobytes()
    written = (
        b"\x80\x02}q\x01U\x01Wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01K\x02\x86cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + b"U"
        + bytes([len(buffer)])
        + buffer
        + b"tbs."
    )
    (tmp_path / "old.pkl").write_bytes(written)
    np.testing.assert_array_equal(read_arrays(tmp_path / "old.pkl").arrays["W"], [[1.0, 2.0]])


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil"])
def test_sparse_matrices_are_made_dense_or_named(tmp_path, kind):
    W = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    found = contents(tmp_path, {"W": scipy.sparse.csr_matrix(W).asformat(kind)})
    if kind == "lil":
        assert "save it dense" in found.odd["W"]
    else:
        np.testing.assert_array_equal(found.arrays["W"], W)
        scipy.sparse.save_npz(tmp_path / "W.npz", scipy.sparse.csr_array(W).asformat(kind))
        np.testing.assert_array_equal(read_arrays(tmp_path / "W.npz").arrays["array"], W)


def test_joblib_keeps_its_arrays_between_the_opcodes(tmp_path):
    content = {"W": np.arange(6.0).reshape(2, 3), "T": np.arange(6.0).reshape(2, 3).T, "names": np.array(["a", None])}
    joblib.dump(content, tmp_path / "x.joblib")
    found = read_arrays(tmp_path / "x.joblib")
    np.testing.assert_array_equal(found.arrays["W"], content["W"])
    np.testing.assert_array_equal(found.arrays["T"], content["T"])
    joblib.dump(content, tmp_path / "small.joblib", compress=3)
    with pytest.raises(CheckpointError, match=r"compressed by zlib.*joblib\.dump"):
        read_arrays(tmp_path / "small.joblib")


def test_numbers_that_are_not_real_are_told_and_not_used(tmp_path):
    odd = {
        "c": np.ones(2) * 1j,
        "z": 1j,
        "text": np.array(["a", "b"]),
        "record": np.zeros(2, dtype=[("x", "f8")]),
        "objects": np.array([object(), "a"]),
        "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    }
    found = contents(tmp_path, {"W": np.eye(2), **odd})
    assert list(found.arrays) == ["W"]
    assert set(odd) - {"objects"} <= set(found.odd)


def test_a_vocabulary_is_no_configuration(tmp_path):
    found = contents(tmp_path, {"W": np.eye(2), "vocabulary": {str(i): i for i in range(1001)}, "tau": 3.0})
    assert found.settings == {"tau": 3.0}


def test_jax_s_arrays_and_numpy_s_brain_floats_are_read(tmp_path):
    """JAX pickles (NumPy's rebuilding, its arguments, its state, and more); ml_dtypes' bfloat16 is half a float32."""
    values = np.array([1.0, -2.5, 3.0], dtype=np.float32)
    make, arguments, state = values.__reduce__()

    class Jax:
        def __reduce__(self):
            return reconstruct, (make, arguments, state, {"weak_type": False})

    def reconstruct(*given):
        raise AssertionError("called")

    reconstruct.__module__, reconstruct.__qualname__ = "jax._src.array", "_reconstruct_array"
    module = types.ModuleType("jax._src.array")
    module._reconstruct_array = reconstruct
    with pytest.MonkeyPatch.context() as here:
        for name in ("jax", "jax._src"):
            here.setitem(sys.modules, name, types.ModuleType(name))
        here.setitem(sys.modules, module.__name__, module)
        found = contents(tmp_path, {"W": Jax()})
    np.testing.assert_array_equal(found.arrays["W"], values)
    halves = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    written = (
        b"cnumpy._core.multiarray\n_reconstruct\n)R(K\x01K\x03\x85cnumpy\ndtype\ncml_dtypes\nbfloat16\n\x85R"
        b"(K\x03U\x01<NNNK\x02K\x02K@tb\x89C\x06" + halves + b"tb."
    )
    np.testing.assert_array_equal(NumpyArray.array(read(written), Allowance(0)), values)


def nested(depth: int) -> bytes:
    return b"\x80\x02)" + pickle.TUPLE1 * depth


LAUGHS = b"\x80\x02)" + (pickle.DUP + pickle.TUPLE2) * 200
TRAPS = {
    "a tuple in a tuple, and so on": nested(100_000) + b".",
    "a key that takes for ever to hash": b"\x80\x02}" + LAUGHS[2:] + b"Ns.",
    "a key nested too deeply to hash": b"\x80\x02}" + nested(100_000)[2:] + b"Ns.",
    "lists that double": LAUGHS + b".",
    "numbers that double": b"\x80\x02G" + bytes(8) + (pickle.DUP + pickle.TUPLE2) * 40 + b".",
    "too many steps": b"\x80\x02" + pickle.NONE * (MOST_STEPS + 1) + b".",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "an array in itself": b"cnumpy.core.multiarray\n_reconstruct\n(tRp0\n((cnumpy\ndtype\n(S'O8'\ntRI00\n(lg0\natb.",
    "a long that is said to have 2 GiB": b"\x80\x02\x8b\xff\xff\xff\x7f" + bytes(99) + b".",
    "bytes that are said to have 16 EiB": b"\x80\x04\x8e" + b"\xff" * 8 + bytes(99) + b".",
    "a text of negative length": b"T\xff\xff\xff\xff.",
    "a decimal of a million digits": b"I" + b"9" * 10**6 + b"\n.",
    "bytes made of a number": b"\x80\x03cbuiltins\nbytearray\nJ\x00\x00\x00\x7f\x85R.",
    "a pattern that takes for ever": b"\x80\x04}"
    + pickle.BINUNICODE
    + struct.pack("<I", 600_001)
    + b"optim_" * 100_000
    + b"!}s.",
    "a storage whose key takes for ever to write out": b"\x80\x02(X\x07\0\0\0storage" + LAUGHS[2:] + b"tQ.",
    "a hook that takes for ever to write out": b"\x80\x02ca\nM\n)\x81}(S'_parameters'\n}S'_buffers'\n}S'_modules'\n}"
    b"S'_forward_hooks'\n}K\x01" + LAUGHS[2:] + b"sub.",
    "one state of many objects": b"\x80\x04ca\nM\n\x940}("
    + b"".join(pickle.BININT2 + struct.pack("<H", i) + b"N" for i in range(30_000))
    + b"u\x940]("
    + b"h\x00)\x81h\x01b" * 20_000
    + b"e.",
    "one long key again and again": b"\x80\x04}"
    + pickle.BINUNICODE
    + struct.pack("<I", 10**5)
    + b"k" * 10**5
    + b"\x94}("
    + b"".join(pickle.BININT2 + struct.pack("<H", i) + b"h\x00" for i in range(3000))
    + b"us.",
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_one_clear_error(tmp_path, trap):
    (tmp_path / "trap.pkl").write_bytes(TRAPS[trap])
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(tmp_path / "trap.pkl")
    assert len(str(caught.value)) < 1000


def test_two_arrays_of_one_name_are_refused_and_one_array_under_two_names_is_not(tmp_path):
    W = np.eye(2)
    with pytest.raises(CheckpointError, match=r"two of its arrays are called a\.W"):
        contents(tmp_path, {"a.W": W, "a": {"W": 2 * W}})
    assert set(contents(tmp_path, {"a": W, "b": W}).arrays) == {"a", "b"}


def test_a_file_without_arrays_says_what_it_has(tmp_path):
    with pytest.raises(CheckpointError, match=rf"it holds no arrays, only {__name__}\.Slotted; save torch\.save"):
        contents(tmp_path, Slotted())


def test_known_functions_are_found_by_name_alone():
    """Every value of the table is a function of this project, so that none of those it stands for is ever called."""
    for function in KNOWN.values():
        assert function.__module__.startswith("dynsys.models.loading")


def test_a_known_function_with_other_arguments_gives_no_array():
    machine = Machine(b"cbuiltins\ncomplex\n(S'a'\ntR.", KNOWN, lambda key: None, Allowance(0))
    assert "builtins.complex" in unpickled(machine).why
    assert isinstance(read(b"cbuiltins\ngetattr\ncos\npath\nS'join'\n\x86R."), Named)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tensors_in_a_plain_pickle_are_read_from_the_storages_within(tmp_path, protocol):
    W = torch.arange(12.0).reshape(3, 4)
    found = contents(tmp_path, {"W": W, "part": W[1:, ::2], "p": torch.nn.Parameter(W.double())}, protocol)
    for key, value in {"W": W, "part": W[1:, ::2], "p": W}.items():
        np.testing.assert_array_equal(found.arrays[key], value.numpy())

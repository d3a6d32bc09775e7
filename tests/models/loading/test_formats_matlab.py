"""MATLAB: structs, cells and text of both kinds of .mat file, objects that only MATLAB reads, and Toolbox layers."""

import struct

import h5py
import numpy as np
import pytest
from foreign import hard_02, off_by, sigma
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from dynsys import CheckpointError, load
from dynsys.models.loading.checkpoint import load_and_tell
from dynsys.models.loading.contents import read_arrays

# Both kinds of file


def of_cells(*values):
    cell = np.empty((1, len(values)), dtype=object)
    cell[0, :] = values
    return cell


def test_structs_cells_text_and_sparse_matrices_of_a_v5_file(tmp_path):
    W, B = np.arange(6.0).reshape(2, 3), np.arange(4.0).reshape(4, 1)
    records = np.zeros((1, 2), dtype=[("W", object), ("kind", object)])
    records[0, 0], records[0, 1] = (W, "in"), (B, "out")
    net = {"activation": "relu", "tau": 0.5, "layers": of_cells(W, "tanh", B), "S": csc_matrix(np.eye(3))}
    savemat(tmp_path / "net.mat", {"net": net, "parts": records})
    contents = read_arrays(tmp_path / "net.mat")
    assert contents.format == "mat"
    for key, want in {"net.layers.1": W, "net.layers.3": B, "net.S": np.eye(3), "parts.1.W": W, "parts.2.W": B}.items():
        assert np.array_equal(contents.arrays[key], want)
    told = {"net.activation": "relu", "net.layers.2": "tanh", "parts.1.kind": "in", "net.tau": 0.5}
    assert told.items() <= contents.settings.items()


@pytest.mark.parametrize("compressed", [False, True])
def test_every_kind_of_number_and_text_is_read_as_scipy_reads_it(tmp_path, compressed):
    rng = np.random.default_rng(0)
    kinds = {f"as_{kind}": (20 * rng.normal(size=(3, 4))).astype(kind) for kind in ("f8", "f4", "i1", "i4", "u2", "i8")}
    kinds |= {"three": rng.normal(size=(2, 3, 4)), "flags": rng.normal(size=(3, 2)) > 0, "none": np.zeros((0, 3))}
    savemat(tmp_path / "x.mat", {**kinds, "note": "größer", "z": np.eye(2) + 1j}, do_compression=compressed)
    contents, want = read_arrays(tmp_path / "x.mat"), loadmat(tmp_path / "x.mat")
    for key in kinds:
        assert np.array_equal(contents.arrays[key], want[key])
        assert contents.arrays[key].dtype == want[key].dtype
    assert contents.settings == {"note": "größer"}
    assert contents.odd == {"z": "of complex numbers"}


def test_lengths_and_nesting_that_no_honest_file_has_get_one_line(tmp_path):
    savemat(tmp_path / "cells.mat", {"c": of_cells(np.eye(2), np.eye(3))})
    content = (tmp_path / "cells.mat").read_bytes()
    shape = struct.pack("<ii", 1, 2)
    assert content.count(shape) == 1
    (tmp_path / "cells.mat").write_bytes(content.replace(shape, struct.pack("<ii", 30_000, 30_000)))
    with pytest.raises(CheckpointError, match="c has 900000000 entries where there is no room for them"):
        load(tmp_path / "cells.mat")
    deep = np.eye(2)
    for _ in range(40):
        deep = {"in": deep}
    savemat(tmp_path / "deep.mat", {"s": deep})
    with pytest.raises(CheckpointError, match=r"nested too deeply to be weights; save the weights alone"):
        load(tmp_path / "deep.mat")
    savemat(tmp_path / "cut.mat", {"W": np.eye(9)})
    (tmp_path / "cut.mat").write_bytes((tmp_path / "cut.mat").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut or damaged"):
        load(tmp_path / "cut.mat")


def v73(path, write):
    """A v7.3 file: HDF5 behind MATLAB's own 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        write(file)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    return path


def matrix(group, name, value):
    """As MATLAB writes a matrix: its columns are HDF5's rows."""
    found = group.create_dataset(name, data=np.asarray(value, dtype=float).T)
    found.attrs["MATLAB_class"] = np.bytes_("double")
    return found


def text(group, name, value):
    found = group.create_dataset(name, data=np.array([[ord(c)] for c in value], dtype=np.uint16))
    found.attrs["MATLAB_class"] = np.bytes_("char")
    return found


def references(group, name, targets, kind=None):
    found = group.create_dataset(name, data=np.array([[t.ref] for t in targets], dtype=h5py.ref_dtype))
    if kind is not None:
        found.attrs["MATLAB_class"] = np.bytes_(kind)


def test_structs_cells_text_and_sparse_matrices_of_a_v7_3_file(tmp_path):
    W, B = np.arange(6.0).reshape(2, 3), np.arange(4.0).reshape(4, 1)

    def write(file):
        kept = file.create_group("#refs#")
        net, parts = file.create_group("net"), file.create_group("parts")
        for group in (net, parts):
            group.attrs["MATLAB_class"] = np.bytes_("struct")
        text(net, "activation", "relu")
        matrix(net, "tau", [[0.5]])
        references(net, "layers", [matrix(kept, "a", W), text(kept, "b", "tanh"), matrix(kept, "c", B)], "cell")
        references(parts, "W", [matrix(kept, "d", W), matrix(kept, "e", B)])
        references(parts, "kind", [text(kept, "f", "in"), text(kept, "g", "out")])
        sparse = net.create_group("S")
        sparse.attrs["MATLAB_class"], sparse.attrs["MATLAB_sparse"] = np.bytes_("double"), np.uint64(3)
        sparse["data"], sparse["ir"], sparse["jc"] = np.ones(3), np.arange(3, dtype="u8"), np.arange(4, dtype="u8")
        empty = net.create_dataset("none", data=np.array([0, 0], dtype="u8"))
        empty.attrs["MATLAB_class"], empty.attrs["MATLAB_empty"] = np.bytes_("double"), np.uint8(1)

    contents = read_arrays(v73(tmp_path / "net.mat", write))
    assert contents.format == "mat"
    for key, want in {"net.layers.1": W, "net.layers.3": B, "net.S": np.eye(3), "parts.1.W": W, "parts.2.W": B}.items():
        assert np.array_equal(contents.arrays[key], want)
    assert contents.arrays["net.none"].size == 0
    told = {"net.activation": "relu", "net.layers.2": "tanh", "parts.1.kind": "in", "net.tau": 0.5}
    assert told.items() <= contents.settings.items()


def test_a_sparse_matrix_with_places_outside_it_is_damaged_and_writes_nowhere(tmp_path):
    def write(file):
        sparse = file.create_group("S")
        sparse.attrs["MATLAB_class"], sparse.attrs["MATLAB_sparse"] = np.bytes_("double"), np.uint64(3)
        sparse["data"], sparse["jc"] = np.ones(3), np.arange(4, dtype="u8")
        sparse["ir"] = np.array([0, 10**12, 2], dtype="u8")

    with pytest.raises(CheckpointError, match="cut or damaged"):
        load(v73(tmp_path / "new.mat", write))
    savemat(tmp_path / "old.mat", {"S": csc_matrix(np.eye(3)[[1, 2, 0]])})
    content = (tmp_path / "old.mat").read_bytes()
    rows = struct.pack("<iii", 2, 0, 1)
    assert content.count(rows) == 1
    (tmp_path / "old.mat").write_bytes(content.replace(rows, struct.pack("<iii", 0, 10**9, 2)))
    with pytest.raises(CheckpointError, match="cut or damaged"):
        load(tmp_path / "old.mat")


def opaque(name, kind):
    """A v5 variable that is an object of one of MATLAB's classes, byte by byte (class 17 of the format)."""

    def element(number, content):
        return struct.pack("<II", number, len(content)) + content + bytes(-len(content) % 8)

    inner = element(6, struct.pack("<II", 13, 0)) + element(5, struct.pack("<ii", 1, 1)) + element(1, b"")
    inner += element(6, struct.pack("<I", 7))
    body = element(6, struct.pack("<II", 17, 0)) + b"".join(element(1, word) for word in (name, b"MCOS", kind))
    head = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + struct.pack("<H", 0x0100) + b"IM"
    return head + element(14, body + element(14, inner))


@pytest.mark.parametrize(
    ("kind", "instead"),
    [
        ("dlnetwork", r"L = net.Layers\(2\); W = L.InputWeights"),
        ("SeriesNetwork", "R = L.RecurrentWeights"),
        ("table", r"save table2array\(...\) of it"),
        ("string", r"save char\(...\) of it"),
    ],
)
def test_objects_that_only_matlab_reads_are_told_what_to_save(tmp_path, kind, instead):
    (tmp_path / "old.mat").write_bytes(opaque(b"net", kind.encode()))

    def write(file):
        found = file.create_dataset("net", data=np.zeros((1, 6), dtype=np.uint32))
        found.attrs["MATLAB_class"], found.attrs["MATLAB_object_decode"] = np.bytes_(kind), np.int32(3)
        handle = file.create_group("f")
        handle.attrs["MATLAB_class"], handle.attrs["MATLAB_object_decode"] = np.bytes_("function_handle"), np.int32(1)

    v73(tmp_path / "new.mat", write)
    for name in ("old.mat", "new.mat"):
        with pytest.raises(
            CheckpointError,
            match=f"holds nothing but net, an object of MATLAB's class {kind}, .*; in MATLAB .*{instead}",
        ):
            load(tmp_path / name)
    assert read_arrays(tmp_path / "new.mat").odd["f"] == "a function of MATLAB"


# The layers of the Deep Learning Toolbox


def lstm_step(W, R, b, f=np.tanh, gate=sigma):
    """Rows i, f, g, o (lstmLayer)."""

    def step(s, x):
        h, c = s
        i, forget, g, o = np.split(W @ x + R @ h + b, 4)
        c = gate(forget) * c + gate(i) * f(g)
        return gate(o) * f(c), c

    return step


def gru_step(W, R, b, mode):
    """Rows r, z and candidate (gruLayer), for each ResetGateMode."""
    two = mode == "recurrent-bias-after-multiplication"
    b_W, b_R = np.split(b, 2) if two else (b, np.zeros_like(b))
    n = R.shape[1]

    def step(s, x):
        (h,) = s
        y, inner = np.split(W @ x + b_W, 3), np.split(R @ h + b_R, 3)
        r, z = sigma(y[0] + inner[0]), sigma(y[1] + inner[1])
        product = R[2 * n :] @ (r * h) if mode == "before-multiplication" else r * inner[2]
        return ((1 - z) * np.tanh(y[2] + product) + z * h,)

    return step


def weights(blocks, m, n, rows=None, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(blocks * n, m)), rng.normal(size=(blocks * n, n)), rng.normal(size=(rows or blocks) * n)


def fields(W, R, b, **more):
    return {"InputWeights": W, "RecurrentWeights": R, "Bias": b[:, None], **more}


def test_an_lstm_layer_and_the_fully_connected_one_behind_it(tmp_path):
    W, R, b = weights(4, 3, 5)
    V, c = np.random.default_rng(2).normal(size=(2, 5)), np.array([0.1, -0.3])
    savemat(tmp_path / "net.mat", {"lstm": fields(W, R, b), "fc": {"Weights": V, "Bias": c[:, None]}})
    system, found = load_and_tell(tmp_path / "net.mat")
    assert off_by(system, [lstm_step(W, R, b)], [5], lambda h: V @ h + c) < 1e-12
    assert "matlab: rows are those of i, f, g, o" in found.why
    assert any("its f is tanh" in line for line in found.assumed)


def test_activations_that_stand_beside_the_weights_are_used(tmp_path):
    W, R, b = weights(4, 3, 5)
    said = {"StateActivationFunction": "tanh", "GateActivationFunction": "hard-sigmoid"}
    savemat(tmp_path / "net.mat", fields(3 * W, R, b, **said))
    system, found = load_and_tell(tmp_path / "net.mat")
    assert off_by(system, [lstm_step(3 * W, R, b, gate=hard_02)], [5]) < 1e-12
    assert found.assumed == ()
    savemat(tmp_path / "net.mat", fields(W, R, b, StateActivationFunction="softsign"))
    with pytest.raises(CheckpointError, match="has the activation 'softsign', for which dynsys has no model"):
        load(tmp_path / "net.mat")


MODES = ["after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication"]


@pytest.mark.parametrize("mode", [*MODES, None])
def test_the_reset_gate_of_a_gru_layer_acts_where_its_mode_says(tmp_path, mode):
    W, R, b = weights(3, 3, 5, rows=6 if mode == MODES[2] else 3)
    savemat(tmp_path / "net.mat", {"gru": fields(W, R, b, **({"ResetGateMode": mode} if mode else {}))})
    system, found = load_and_tell(tmp_path / "net.mat")
    assert off_by(system, [gru_step(W, R, b, mode or MODES[0])], [5]) < 1e-12
    assert f"matlab, the reset gate acts {'before' if mode == MODES[1] else 'after'} the product" in found.why
    assert any("MATLAB's default" in line for line in found.assumed) == (mode is None)


def test_two_biases_tell_their_mode_and_one_contradicts_it(tmp_path):
    W, R, b = weights(3, 3, 5, rows=6)
    savemat(tmp_path / "net.mat", fields(W, R, b))
    assert off_by(load(tmp_path / "net.mat"), [gru_step(W, R, b, MODES[2])], [5]) < 1e-12
    savemat(tmp_path / "net.mat", fields(W, R, b[:15], ResetGateMode=MODES[2]))
    with pytest.raises(CheckpointError, match=f"has ResetGateMode {MODES[2]} and a Bias of 3 n rows"):
        load(tmp_path / "net.mat")


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_each_half_of_a_bilstm_layer_can_be_taken(tmp_path, direction):
    W, R, b = weights(8, 3, 5)
    savemat(tmp_path / "net.mat", {"both": fields(W, R, b)})
    with pytest.raises(CheckpointError, match="--direction forward, or --direction backward"):
        load(tmp_path / "net.mat")
    half = slice(0, 20) if direction == "forward" else slice(20, 40)
    assert off_by(load(tmp_path / "net.mat", direction=direction), [lstm_step(W[half], R[half], b[half])], [5]) < 1e-12


def test_two_layers_are_stacked_when_the_user_says_so_and_states_are_the_first_ones(tmp_path):
    below, above = weights(4, 3, 5), weights(4, 5, 4, seed=2)
    h, c = np.random.default_rng(3).normal(size=(2, 5))
    layers = of_cells(fields(*below, HiddenState=h[:, None], CellState=c[:, None]), fields(*above))
    savemat(tmp_path / "net.mat", {"layers": layers})
    with pytest.raises(CheckpointError, match=r"--part layers.1\+layers.2 where each reads h"):
        load(tmp_path / "net.mat")
    both = load(tmp_path / "net.mat", part="layers.1+layers.2")
    assert off_by(both, [lstm_step(*below), lstm_step(*above)], [5, 4]) < 1e-12
    assert np.allclose(load(tmp_path / "net.mat", part="layers.1").initial_state.numpy(), np.concatenate([h, c]))


def test_weights_that_fit_no_layer_are_refused(tmp_path):
    W, R, b = weights(4, 3, 5)
    for found, match in (
        (fields(W[:15], R[:15], b), r"Bias \(20, 1\) does not fit 5 units"),
        (fields(W[:10], R[:10], b), r"InputWeights \(10, 3\) and .*RecurrentWeights \(10, 5\) fit no layer"),
        ({"RecurrentWeights": R}, "without InputWeights; save InputWeights, RecurrentWeights and Bias"),
        (fields(W, R, b, InputProjector=R), r"has lstm.InputProjector \(20, 5\), which dynsys knows no part for"),
        (fields(W, R * np.inf, b), "NaN or infinite"),
    ):
        savemat(tmp_path / "net.mat", {"lstm": found})
        with np.errstate(invalid="ignore"), pytest.raises(CheckpointError, match=match):
            load(tmp_path / "net.mat")

"""flax: cells in msgpack files, or anywhere by flax's names, against flax's equations; only msgpack is needed."""

import sys

import numpy as np
import pytest
from foreign import hard_6, off_by, sigma

from dynsys import CheckpointError, load
from dynsys.models.loading.checkpoint import load_and_tell
from dynsys.models.loading.contents import read_arrays

msgpack = pytest.importorskip("msgpack")


def packed(value):
    """As flax.serialization packs arrays: an extension of (shape, name of the type, bytes)."""
    if isinstance(value, np.ndarray):
        return msgpack.ExtType(1, msgpack.packb((value.shape, value.dtype.name, value.tobytes()), use_bin_type=True))
    if isinstance(value, np.generic):
        array = np.asarray(value)
        return msgpack.ExtType(3, msgpack.packb((array.shape, array.dtype.name, array.tobytes()), use_bin_type=True))
    if isinstance(value, complex):
        return msgpack.ExtType(2, msgpack.packb((value.real, value.imag)))
    raise TypeError(type(value))


def save(path, tree):
    path.write_bytes(msgpack.packb(tree, default=packed, strict_types=True))
    return path


def dense(rng, m, n, bias=True):
    return {"kernel": rng.normal(size=(m, n)), **({"bias": rng.normal(size=n)} if bias else {})}


def lstm_cell(m, n, seed=1):
    """LSTMCell and OptimizedLSTMCell: i* (no bias) act on the input, h* with biases on h."""
    rng = np.random.default_rng(seed)
    return {f"i{g}": dense(rng, m, n, False) for g in "ifgo"} | {f"h{g}": dense(rng, n, n) for g in "ifgo"}


def gru_cell(m, n, seed=1):
    """GRUCell: i* with biases, hr and hz without, hn with one of its own."""
    rng = np.random.default_rng(seed)
    return {f"i{g}": dense(rng, m, n) for g in "rzn"} | {f"h{g}": dense(rng, n, n, g == "n") for g in "rzn"}


def lstm_step(p, f=np.tanh, gate=sigma):
    def step(s, x):
        h, c = s
        y = {g: x @ p[f"i{g}"]["kernel"] + h @ p[f"h{g}"]["kernel"] + p[f"h{g}"]["bias"] for g in "ifgo"}
        c = gate(y["f"]) * c + gate(y["i"]) * f(y["g"])
        return gate(y["o"]) * f(c), c

    return step


def gru_step(p, f=np.tanh, gate=sigma):
    def step(s, x):
        (h,) = s
        of_x = {g: x @ p[f"i{g}"]["kernel"] + p[f"i{g}"]["bias"] for g in "rzn"}
        of_h = {g: h @ p[f"h{g}"]["kernel"] for g in "rzn"}
        r, z = gate(of_x["r"] + of_h["r"]), gate(of_x["z"] + of_h["z"])
        return ((1 - z) * f(of_x["n"] + r * (of_h["n"] + p["hn"]["bias"])) + z * h,)

    return step


def simple_step(p):
    return lambda s, x: (np.tanh(x @ p["i"]["kernel"] + p["i"]["bias"] + s[0] @ p["h"]["kernel"]),)


def simple_cell(m, n):
    rng = np.random.default_rng(1)
    return {"i": dense(rng, m, n), "h": dense(rng, n, n, False)}


CELLS = {
    "OptimizedLSTMCell_0": (lstm_cell, lstm_step),
    "LSTMCell_0": (lstm_cell, lstm_step),
    "GRUCell_0": (gru_cell, gru_step),
    "SimpleCell_0": (simple_cell, simple_step),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_and_its_readout_step_as_flax_computes_them(tmp_path, name):
    make, step = CELLS[name]
    cell, out = make(3, 5), dense(np.random.default_rng(2), 5, 2)
    system, found = load_and_tell(save(tmp_path / "net", {"params": {name: cell, "Dense_0": out}}))
    assert off_by(system, [step(cell)], [5], lambda h: h @ out["kernel"] + out["bias"]) < 1e-12
    assert "flax: kernels act from the right, x K" in found.why
    assert any("its f is tanh (--activation for another)" in line for line in found.assumed)
    assert any("residual=False" in line for line in found.assumed) == (name == "SimpleCell_0")


def test_the_names_are_known_in_files_of_any_format(tmp_path):
    cell = gru_cell(3, 5)
    np.savez(tmp_path / "net.npz", **{f"params.GRUCell_0.{g}.{k}": v for g, d in cell.items() for k, v in d.items()})
    assert off_by(load(tmp_path / "net.npz"), [gru_step(cell)], [5]) < 1e-12


def test_activations_that_flax_does_not_save_can_be_said(tmp_path):
    cell = lstm_cell(3, 5)
    path = save(tmp_path / "net", {"params": {"LSTMCell_0": cell}})
    system = load(path, activation="relu", gate_activation="hard-sigmoid")
    assert off_by(system, [lstm_step(cell, lambda x: np.maximum(x, 0), hard_6)], [5]) < 1e-12


def test_cells_of_nnx_stack_the_gates_in_flax_s_order(tmp_path):
    lstm, gru = lstm_cell(3, 5), gru_cell(3, 5)
    gru["hn"]["bias"] = np.zeros(5)

    def stacked(cell, side, gates):
        parts = [cell[f"{side}{g}"] for g in gates]
        bias = {"bias": np.concatenate([p["bias"] for p in parts])} if all("bias" in p for p in parts) else {}
        return {"kernel": np.concatenate([p["kernel"] for p in parts], axis=1), **bias}

    for cell, gates, step in ((lstm, "ifgo", lstm_step), (gru, "rzn", gru_step)):
        tree = {"dense_i": stacked(cell, "i", gates), "dense_h": stacked(cell, "h", gates)}
        assert off_by(load(save(tmp_path / "net", tree)), [step(cell)], [5]) < 1e-12
    apart = {("if_" if name == "if" else name): part for name, part in lstm.items()}
    assert off_by(load(save(tmp_path / "net", {"rnn": apart})), [lstm_step(lstm)], [5]) < 1e-12


def test_two_cells_are_stacked_when_the_user_says_so(tmp_path):
    below, above = gru_cell(3, 5), gru_cell(5, 4, 2)
    path = save(tmp_path / "net", {"params": {"GRUCell_0": below, "GRUCell_1": above}})
    with pytest.raises(CheckpointError, match=r"--part GRUCell_0\+GRUCell_1 where each reads h"):
        load(path)
    assert off_by(load(path, part="GRUCell_0+GRUCell_1"), [gru_step(below), gru_step(above)], [5, 4]) < 1e-12


def test_a_cell_without_a_model_is_named(tmp_path):
    rng = np.random.default_rng(1)
    minimal = {"if": dense(rng, 3, 5), "in": dense(rng, 3, 5), "hf": dense(rng, 5, 5, False), "hn": dense(rng, 5, 5)}
    with pytest.raises(CheckpointError, match=r"MGUCell_0 is an MGUCell, for which dynsys has no model; .*dynsys.Map"):
        load(save(tmp_path / "net", {"params": {"MGUCell_0": minimal}}))
    twisted = lstm_cell(3, 5) | {"hf": dense(rng, 4, 4)}
    with pytest.raises(CheckpointError, match=r"the kernels of .*LSTMCell_0 fit no cell of flax: .*hf.kernel \(4, 4\)"):
        load(save(tmp_path / "net", {"params": {"LSTMCell_0": twisted}}))


def test_what_stands_inside_a_cell_beside_its_parameters_is_evidence_of_another_step(tmp_path):
    rng = np.random.default_rng(1)
    for cell in (simple_cell(3, 5), gru_cell(3, 5)):
        normed = {**cell, "LayerNorm_0": {"scale": np.ones(5), "bias": rng.normal(size=5)}}
        path = save(tmp_path / "net", {"params": {"cell": normed}})
        with pytest.raises(
            CheckpointError, match=r"params.cell has .*LayerNorm_0.bias beside the parameters.*dynsys.Map"
        ):
            load(path)
        with pytest.raises(CheckpointError, match=r"has params.cell.LayerNorm_0.scale beside the parameters"):
            load(path, ignore=("params.cell.LayerNorm_0.bias",))
        step = gru_step(cell) if "hn" in cell else simple_step(cell)
        assert off_by(load(path, ignore=("params.cell.LayerNorm_0.*",)), [step], [5]) < 1e-12


def test_the_moments_of_an_optimiser_are_no_cells(tmp_path):
    cell, out = gru_cell(3, 5), dense(np.random.default_rng(2), 5, 2)
    moments = {name: {"params": {"GRUCell_0": gru_cell(3, 5, 7), "Dense_0": out}} for name in ("mu", "nu")}
    tree = {"step": 7, "params": {"params": {"GRUCell_0": cell, "Dense_0": out}}, "opt_state": {"0": moments}}
    system = load(save(tmp_path / "net", tree))
    assert off_by(system, [gru_step(cell)], [5], lambda h: h @ out["kernel"] + out["bias"]) < 1e-12


# The format


def test_arrays_in_pieces_bfloat16_and_single_numbers_are_read(tmp_path):
    whole = np.arange(12.0).reshape(3, 4)
    pieces = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 3, "1": 4},
        "chunks": {"0": whole.ravel()[:7], "1": whole.ravel()[7:]},
    }
    halves = msgpack.ExtType(1, msgpack.packb(((2,), "bfloat16", bytes([0x80, 0x3F, 0x20, 0xC1])), use_bin_type=True))
    tree = {"a": {"W": pieces, "h": halves, "n": np.float32(2.5), "z": 1 + 2j, "steps": 7, "name": "net"}}
    contents = read_arrays(save(tmp_path / "net", tree))
    assert contents.format == "flax"
    assert np.array_equal(contents.arrays["W"], whole)
    assert np.array_equal(contents.arrays["h"], [1.0, -10.0])  # 0x3f80 and 0xc120, the upper halves of 1 and -10
    told = {key.rpartition(".")[2]: value for key, value in contents.settings.items()}
    assert (told["n"], told["steps"], told["name"]) == (2.5, 7, "net")
    assert [why for key, why in contents.odd.items() if key.endswith("z")] == ["a complex number"]


def test_cut_and_swollen_files_get_one_line(tmp_path):
    content = msgpack.packb({"params": {"W": np.eye(3)}}, default=packed)
    (tmp_path / "cut").write_bytes(content[:-9])
    with pytest.raises(CheckpointError, match="cut or damaged"):
        load(tmp_path / "cut")
    (tmp_path / "long").write_bytes(msgpack.packb({"params": [0] * 20_000}))
    with pytest.raises(CheckpointError, match="cut or damaged"):
        load(tmp_path / "long")
    short = msgpack.ExtType(1, msgpack.packb(((1000, 1000, 1000), "float32", bytes(12)), use_bin_type=True))
    (tmp_path / "short").write_bytes(msgpack.packb({"params": {"W": short}}))
    with pytest.raises(CheckpointError, match="cut or damaged"):
        load(tmp_path / "short")


def test_without_msgpack_it_is_said_what_to_install(tmp_path, monkeypatch):
    path = save(tmp_path / "net", {"params": {"GRUCell_0": gru_cell(3, 5)}})
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(CheckpointError, match=r"needs msgpack; pip install 'dynsys-rnn\[flax\]', or save"):
        load(path)

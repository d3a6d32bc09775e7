"""ONNX: the RNN, GRU and LSTM operators against the equations of the operators' documentation, and what is refused."""

import sys

import numpy as np
import pytest
import torch
from foreign import hard_02, hard_6, off_by, sigma

from dynsys import CheckpointError, load
from dynsys.models.loading.checkpoint import load_and_tell

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

BLOCKS = {"RNN": 1, "GRU": 3, "LSTM": 4}
RELU = {"relu": lambda x: np.maximum(x, 0)}


def step_of(kind, W, R, B, P=None, after=False, f=np.tanh, gate=sigma):
    """One step as the operators' documentation writes it; rows z, r, h of a GRU and i, o, f, c of an LSTM."""
    k = BLOCKS[kind]
    Ws, Rs = np.split(W, k), np.split(R, k)
    Wb, Rb = (np.split(half, k) for half in np.split(np.zeros(2 * len(W)) if B is None else B, 2))

    def rnn(s, x):
        return (f(Ws[0] @ x + Rs[0] @ s[0] + Wb[0] + Rb[0]),)

    def gru(s, x):
        (h,) = s
        z, r = (gate(Ws[i] @ x + Rs[i] @ h + Wb[i] + Rb[i]) for i in (0, 1))
        inner = r * (Rs[2] @ h + Rb[2]) if after else Rs[2] @ (r * h) + Rb[2]
        return ((1 - z) * f(Ws[2] @ x + inner + Wb[2]) + z * h,)

    def lstm(s, x):
        h, c = s
        pi, po, pf = np.split(np.zeros(3 * len(h)) if P is None else P, 3)
        i, o, forget, candidate = (Ws[j] @ x + Rs[j] @ h + Wb[j] + Rb[j] for j in range(4))
        new = gate(forget + pf * c) * c + gate(i + pi * c) * f(candidate)
        return gate(o + po * new) * f(new), new

    return {"RNN": rnn, "GRU": gru, "LSTM": lstm}[kind]


def weights(kind, m, n, seed, directions=1, bias=True):
    rng, k = np.random.default_rng(seed), BLOCKS[kind]
    W, R = rng.normal(size=(directions, k * n, m)), rng.normal(size=(directions, k * n, n))
    return W, R, rng.normal(size=(directions, 2 * k * n)) if bias else None


def node(kind, name, x, y, arrays, constants, rest=(), **attributes):
    """An operator that takes ``arrays`` (W, R, B), which become constants of the graph, and ``rest`` behind them."""
    names = [f"{name}_{role}" if array is not None else "" for role, array in zip("WRB", arrays, strict=True)]
    constants |= {key: array for key, array in zip(names, arrays, strict=True) if key}
    n = arrays[1].shape[-1]
    return helper.make_node(kind, [x, *names, *rest], [y], name=name, hidden_size=n, **attributes)


def save(path, nodes, constants, inputs=3):
    given = [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["time", 1, inputs])]
    gives = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.DOUBLE, None)]
    held = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    model = helper.make_model(helper.make_graph(nodes, "g", given, gives, held), ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def one(path, kind, arrays, rest=(), more=None, **attributes):
    constants = dict(more or {})
    return save(path, [node(kind, "rec", "x", "y", arrays, constants, rest, **attributes)], constants)


CASES = [
    ("RNN", {}, {}),
    ("RNN", {"activations": ["Relu"]}, {"f": RELU["relu"]}),
    ("GRU", {}, {}),
    ("GRU", {"linear_before_reset": 1}, {"after": True}),
    ("GRU", {"activations": ["HardSigmoid", "Tanh"]}, {"gate": hard_02}),
    (
        "GRU",
        {"activations": ["HardSigmoid", "Relu"], "activation_alpha": [1 / 6], "activation_beta": [0.5]},
        {"gate": hard_6, "f": RELU["relu"]},
    ),
    ("LSTM", {}, {}),
    ("LSTM", {"activations": ["Sigmoid", "Relu", "Relu"], "layout": 1}, {"f": RELU["relu"]}),
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "attributes", "equation"), CASES)
def test_an_operator_steps_as_its_documentation_says(tmp_path, kind, attributes, equation, bias):
    W, R, B = weights(kind, 3, 5, 1, bias=bias)
    path = one(tmp_path / "net.onnx", kind, (W, R, B), **attributes)
    want = step_of(kind, W[0], R[0], B if B is None else B[0], **equation)
    assert off_by(load(path), [want], [5]) < 1e-12


def test_peepholes_are_those_of_i_o_and_f(tmp_path):
    W, R, B = weights("LSTM", 3, 5, 1)
    P = np.random.default_rng(2).normal(size=(1, 15))
    system, found = load_and_tell(one(tmp_path / "net", "LSTM", (W, R, B), ("", "", "", "P"), {"P": P}))
    assert found.model == "lstm-peephole"
    assert off_by(system, [step_of("LSTM", W[0], R[0], B[0], P[0])], [5]) < 1e-12


def test_info_names_the_order_of_gates_and_the_place_of_the_reset(tmp_path):
    for after, words in ((0, "before the product"), (1, "after the product")):
        _, found = load_and_tell(one(tmp_path / "net", "GRU", weights("GRU", 3, 5, 1), linear_before_reset=after))
        assert f"onnx, linear_before_reset={after}: the reset gate acts {words}" in found.why
        assert "onnx: gates in the order z, r, n" in found.why


def test_operators_that_hand_h_on_are_layers_and_the_product_behind_is_the_readout(tmp_path):
    below, above, constants = weights("LSTM", 3, 5, 1), weights("LSTM", 5, 4, 2), {}
    V, c = np.random.default_rng(3).normal(size=(4, 2)), np.array([0.2, -0.1])
    nodes = [
        node("LSTM", "low", "x", "y", below, constants),
        helper.make_node("Squeeze", ["y", "axes"], ["s"], name="s"),
        node("LSTM", "top", "s", "z", above, constants),
        helper.make_node("Squeeze", ["z", "axes"], ["t"], name="t"),
        helper.make_node("MatMul", ["t", "V"], ["p"], name="product"),
        helper.make_node("Add", ["c", "p"], ["q"], name="sum"),
        helper.make_node("Softmax", ["q"], ["out"], name="end"),
    ]
    path = save(tmp_path / "net", nodes, constants | {"axes": np.array([1]), "V": V, "c": c})
    system, found = load_and_tell(path)
    steps = [step_of("LSTM", *(part[0] for part in arrays)) for arrays in (below, above)]
    assert off_by(system, steps, [5, 4], lambda h: h @ V + c) < 1e-12
    assert "readout: MatMul product (4 to 2), before Softmax" in found.why
    assert off_by(load(path, part="top"), steps[1:], [4], lambda h: h @ V + c) < 1e-12


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_is_a_readout_with_its_bias(tmp_path, transposed):
    arrays, constants = weights("RNN", 3, 4, 1), {}
    V, c = np.random.default_rng(3).normal(size=(4, 2)), np.array([0.2, -0.1])
    nodes = [
        node("RNN", "rec", "x", "y", arrays, constants),
        helper.make_node("Gemm", ["y", "V", "c"], ["out"], name="gemm", transB=transposed),
    ]
    path = save(tmp_path / "net", nodes, constants | {"V": V.T if transposed else V, "c": c})
    assert off_by(load(path), [step_of("RNN", *(p[0] for p in arrays))], [4], lambda h: h @ V + c) < 1e-12


def test_what_computes_between_two_operators_parts_them_and_is_told(tmp_path):
    below, above, constants = weights("RNN", 3, 4, 1), weights("RNN", 4, 4, 2), {}
    nodes = [
        node("RNN", "low", "x", "y", below, constants),
        helper.make_node("Relu", ["y"], ["r"], name="bent"),
        node("RNN", "top", "r", "out", above, constants),
    ]
    path = save(tmp_path / "net", nodes, constants)
    with pytest.raises(CheckpointError, match=r"it holds 2 recurrent networks.*--part low"):
        load(path)
    assert "its input is what the operator bent (Relu) gives" in load_and_tell(path, part="top")[1].assumed


def test_operators_of_one_name_are_told_apart(tmp_path):
    constants = {}
    nodes = [node("RNN", "rec", "x", "y", weights("RNN", 3, 4, 1), constants)]
    nodes += [helper.make_node("Relu", ["y"], ["r"], name="bent")]
    nodes += [helper.make_node("RNN", ["r", "W", "R"], ["out"], name="rec", hidden_size=4)]
    W, R, _ = weights("RNN", 4, 4, 2)
    with pytest.raises(CheckpointError, match=r"rec_0 \(vanilla RNN.*rec_2 \(vanilla RNN"):
        load(save(tmp_path / "net", nodes, constants | {"W": W, "R": R}))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_each_direction_of_a_bidirectional_operator_can_be_taken(tmp_path, direction):
    arrays = weights("GRU", 3, 5, 1, directions=2)
    path = one(tmp_path / "net", "GRU", arrays, direction="bidirectional")
    with pytest.raises(CheckpointError, match="--direction forward, or --direction backward"):
        load(path)
    half = [part[int(direction == "backward")] for part in arrays]
    assert off_by(load(path, direction=direction), [step_of("GRU", *half)], [5]) < 1e-12


def test_a_first_state_that_is_the_same_for_every_sequence_is_the_initial_one(tmp_path):
    h, c = np.random.default_rng(4).normal(size=(2, 1, 1, 5))
    same = {"h": np.repeat(h, 2, axis=1), "c": np.repeat(c, 2, axis=1)}
    system = load(one(tmp_path / "a", "LSTM", weights("LSTM", 3, 5, 1), ("", "h", "c"), same))
    assert np.allclose(system.initial_state.numpy(), np.concatenate([h.ravel(), c.ravel()]))
    differs = {"h": np.concatenate([h, 2 * h], axis=1), "c": same["c"]}
    assert load(one(tmp_path / "b", "LSTM", weights("LSTM", 3, 5, 1), ("", "h", "c"), differs)).initial_state is None


@pytest.mark.parametrize(
    ("kind", "attributes", "named"),
    [
        ("GRU", {"clip": 3.0}, "has clip, for which dynsys has no model"),
        ("LSTM", {"input_forget": 1}, "has input_forget"),
        ("RNN", {"activations": ["LeakyRelu"]}, r"the activation LeakyRelu\(0.01,\)"),
        ("RNN", {"activations": ["Elu"], "activation_alpha": [0.5]}, r"Elu\(0.5,\)"),
        ("LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}, "relu for its candidate and tanh for its output"),
        ("GRU", {"activations": ["Relu", "Tanh"]}, "gates of its layer rec are relu, which is no gate"),
        ("RNN", {"surprise": 1}, "has surprise"),
    ],
)
def test_what_there_is_no_model_for_is_refused_by_name_with_a_way_out(tmp_path, kind, attributes, named):
    with pytest.raises(CheckpointError, match=rf"{named}.*dynsys\.(wrap|Map)"):
        load(one(tmp_path / "net", kind, weights(kind, 3, 5, 1), **attributes))


def test_weights_that_the_graph_computes_are_told_how_to_become_constants(tmp_path):
    arrays, constants = weights("RNN", 3, 4, 1), {}
    rec = node("RNN", "rec", "x", "y", arrays, constants)
    constants["raw"] = constants.pop("rec_R")
    path = save(tmp_path / "net", [helper.make_node("Neg", ["raw"], ["rec_R"], name="turned"), rec], constants)
    with pytest.raises(CheckpointError, match="the weights rec_R of its RNN are computed; simplify the model first"):
        load(path)


def test_a_graph_without_a_recurrent_operator_is_told_what_to_save(tmp_path):
    path = save(tmp_path / "net", [helper.make_node("Tanh", ["x"], ["y"], name="t")], {})
    with pytest.raises(CheckpointError, match=r"no RNN, GRU or LSTM operator; its operators are Tanh; .*torch.save"):
        load(path)


def outside(path, location, length=None):
    """A model whose W lies in another file."""
    W, R, B = weights("RNN", 3, 4, 1)
    constants = {}
    rec = node("RNN", "rec", "x", "y", (W, R, B), constants)
    save(path, [rec], constants)
    model = onnx.load_model_from_string(path.read_bytes())
    (tensor,) = [t for t in model.graph.initializer if t.name == "rec_W"]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "8"), ("length", str(length or W.nbytes))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return W, R, B


def test_weights_beside_the_model_are_read_and_those_outside_its_folder_are_not(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    W, R, B = outside(folder / "net.onnx", "net.data")
    with pytest.raises(CheckpointError, match=r"lies in net.data, which is not there; copy that file beside it"):
        load(folder / "net.onnx")
    (folder / "net.data").write_bytes(b"12345678" + W.tobytes())
    assert off_by(load(folder / "net.onnx"), [step_of("RNN", W[0], R[0], B[0])], [4]) < 1e-12
    (folder / "net.data").write_bytes(W.tobytes())
    with pytest.raises(CheckpointError, match=r"needs 96 bytes of net.data, which is shorter"):
        load(folder / "net.onnx")
    (tmp_path / "secret").write_bytes(bytes(200))
    (folder / "link").symlink_to(tmp_path / "secret")
    for location in ("../secret", str(tmp_path / "secret"), "link"):
        outside(folder / "net.onnx", location)
        with pytest.raises(CheckpointError, match="rec_W lies outside its folder"):
            load(folder / "net.onnx")


def test_a_cut_file_and_a_missing_package_get_one_line(tmp_path, monkeypatch):
    path = one(tmp_path / "net.onnx", "RNN", weights("RNN", 3, 4, 1))
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="it is cut or damaged"):
        load(tmp_path / "cut")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CheckpointError, match=r"needs onnx; pip install 'dynsys-rnn\[onnx\]'"):
        load(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM])
def test_what_torch_exports_steps_as_the_module(tmp_path, kind):
    torch.manual_seed(0)
    module = kind(3, 5, num_layers=2).eval()
    try:
        torch.onnx.export(module, (torch.zeros(4, 1, 3),), str(tmp_path / "net.onnx"), dynamo=False)
    except (ImportError, TypeError, RuntimeError) as error:
        pytest.skip(f"this torch exports no ONNX: {error}")
    system, inputs = load(tmp_path / "net.onnx"), torch.randn(6, 1, 3)
    x = torch.zeros(1, system.n_state, dtype=torch.float64)
    for u in inputs:
        x = x + system.velocity(x, u.double())
    outputs, _ = module(inputs)
    assert np.allclose(x[0, 5:10].numpy(), outputs[-1, 0].detach().numpy(), atol=1e-5)

"""Every equation that matrices can be named for, against its own NumPy line; and what a refusal says."""

import numpy as np
import pytest
import torch

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import describe_checkpoint

N, M, OUT = 6, 2, 3
RNG = np.random.default_rng(3)


def draw(*shape):
    return RNG.standard_normal(shape) / shape[-1] ** 0.5


W, B, b = 1.5 * draw(N, N), draw(N, M), draw(N)
C, c = draw(OUT, N), draw(OUT)
FB = draw(N, OUT)
ALPHA = np.linspace(0.1, 0.9, N)
PLAIN = {"W": W, "B": B, "b": b, "C": C, "c": c}
NAMES = {"recurrent": "W", "input": "B", "bias": "b", "readout": "C", "readout_bias": "c"}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


F = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "ReLU": lambda y: np.maximum(y, 0),
    "softplus": lambda y: np.logaddexp(y, 0),
    "linear": lambda y: y,
    "hard_sigmoid": lambda y: np.clip(y / 6 + 0.5, 0, 1),
    "erf": lambda y: np.array([__import__("math").erf(v) for v in y]),
    "ELU": lambda y: np.where(y > 0, y, np.expm1(np.minimum(y, 0))),
    "retanh": lambda y: np.maximum(np.tanh(y), 0),
    "relu^2": lambda y: np.maximum(y, 0) ** 2,
}


def saved(tmp_path, arrays):
    np.savez(tmp_path / "net.npz", **arrays)
    return tmp_path / "net.npz"


def assert_is(system, G, z=None):
    """Velocity of a flow, step of a map, and readout, at six random places."""
    rng = np.random.default_rng(5)
    for _ in range(6):
        x, u = rng.standard_normal(system.n_state), rng.standard_normal(system.n_input)
        X, U = torch.tensor(x)[None], torch.tensor(u)[None]
        found = system.velocity(X, U)[0].numpy() + (x if system.kind == "map" else 0)
        np.testing.assert_allclose(found, G(x, u), rtol=0, atol=1e-12)
        if z is not None:
            np.testing.assert_allclose(system.readout(X)[0], z(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", F)
def test_a_leaky_network_takes_every_activation_by_its_usual_names(tmp_path, name):
    f = F[name]
    system = dynsys.load(saved(tmp_path, PLAIN), form="leaky", alpha=0.2, matrices=NAMES, activation=name)
    assert system.kind == "map"
    assert_is(system, lambda x, u: 0.8 * x + 0.2 * f(W @ x + B @ u + b), lambda x: C @ x + c)
    system = dynsys.load(saved(tmp_path, PLAIN), form="leaky-rate", alpha=0.2, matrices=NAMES, activation=name)
    assert_is(system, lambda x, u: 0.8 * x + 0.2 * (W @ f(x) + B @ u + b), lambda x: C @ f(x) + c)


def test_leaks_and_time_constants_may_differ_from_unit_to_unit(tmp_path):
    path = saved(tmp_path, {**PLAIN, "a": ALPHA, "times": 1 / ALPHA})
    system = dynsys.load(path, form="leaky", alpha="a", matrices=NAMES)
    assert_is(system, lambda x, u: (1 - ALPHA) * x + ALPHA * np.tanh(W @ x + B @ u + b))
    system = dynsys.load(path, form="leaky", alpha="1 / times", matrices=NAMES)
    assert_is(system, lambda x, u: (1 - ALPHA) * x + ALPHA * np.tanh(W @ x + B @ u + b))
    flow = dynsys.load(path, form="activity", tau="times", matrices=NAMES)
    x, u = torch.tensor(RNG.standard_normal((1, N))), torch.tensor(RNG.standard_normal((1, M)))
    rate = flow.velocity(x, u)[0].numpy() / flow.time_constant
    expected = ALPHA * (np.tanh(W @ x[0].numpy() + B @ u[0].numpy() + b) - x[0].numpy())
    np.testing.assert_allclose(rate, expected, rtol=0, atol=1e-12)


def test_the_leak_may_be_in_the_file_and_has_to_be_somewhere(tmp_path):
    system = dynsys.load(saved(tmp_path, {**PLAIN, "alpha": 0.25}), form="leaky", matrices=NAMES)
    assert_is(system, lambda x, u: 0.75 * x + 0.25 * np.tanh(W @ x + B @ u + b))
    with pytest.raises(CheckpointError, match="give --alpha"):
        dynsys.load(saved(tmp_path, PLAIN), form="leaky", matrices=NAMES)
    for wrong in (0.0, 1.5, -1):
        with pytest.raises(ValueError, match="alpha is"):
            dynsys.load(saved(tmp_path, PLAIN), form="leaky", alpha=wrong, matrices=NAMES)


def test_the_stability_of_a_leaky_network_is_that_of_its_map(tmp_path):
    """W = [[1/2, -3], [3, 1/2]]: eigenvalues of the map, 1/2 + (1/2 +- 3i) / 2, are of size 1.68;
    those of the flow, -1/2 +- 3i, are stable."""
    path = saved(tmp_path, {"W": np.array([[0.5, -3.0], [3.0, 0.5]])})
    found = dynsys.load(path, form="leaky", alpha=0.5, matrices={"recurrent": "W"})
    points = dynsys.find_fixed_points(found, n_starts=32, verify=False)
    origin = np.linalg.norm(points.states, axis=1) < 1e-9
    assert points.stability[origin].tolist() == ["unstable focus"]
    np.testing.assert_allclose(abs(points.eigenvalues[origin][0]), abs(0.75 + 1.5j), rtol=1e-12)
    told = describe_checkpoint(path, form="leaky", alpha=0.5, matrices={"recurrent": "W"})
    assert told["equation"].startswith("x' = 0.5 x + 0.5 tanh(W x")


@pytest.mark.parametrize("turned", [False, True])
def test_a_low_rank_network_has_m_n_over_n_units(tmp_path, turned):
    m, n = RNG.standard_normal((N, 2)), RNG.standard_normal((N, 2))
    arrays = {"m": m.T if turned else m, "n": n.T if turned else n, "wi": B.T, "wo": C.T}
    path = saved(tmp_path, arrays)
    named = {"m": "m", "n": "n", "input": "wi", "readout": "wo / 6"}
    flow = dynsys.load(path, form="low-rank", matrices=named)
    assert_is(flow, lambda x, u: -x + m @ (n.T @ np.tanh(x)) / N + B @ u, lambda x: C @ np.tanh(x) / 6)
    step = dynsys.load(path, form="low-rank", alpha=0.2, matrices=named)
    assert_is(step, lambda x, u: 0.8 * x + 0.2 * (m @ (n.T @ np.tanh(x)) / N + B @ u))
    assert "divided by the 6 units" in " ".join(describe_checkpoint(path, form="low-rank", matrices=named)["assumed"])


def test_an_echo_state_network_closes_its_loop_through_the_readout(tmp_path):
    path = saved(tmp_path, {**PLAIN, "fb": FB})
    system = dynsys.load(path, form="esn", alpha=0.3, matrices={**NAMES, "feedback": "fb"})
    assert_is(system, lambda x, u: 0.7 * x + 0.3 * np.tanh(W @ x + B @ u + FB @ (C @ x + c) + b), lambda x: C @ x + c)
    inside = np.concatenate([b[:, None], B], axis=1)  # a first column that a constant 1 drives
    both = np.concatenate([np.zeros((OUT, 1)), draw(OUT, M), C], axis=1)  # a readout of [1; u; x]
    path = saved(tmp_path, {"W": W, "Win": inside, "Wout": both})
    named = {"recurrent": "W", "input": "Win[:, 1:]", "bias": "Win[:, 0]", "readout": "Wout[:, 3:]"}
    assert_is(dynsys.load(path, form="esn", alpha=1, matrices=named), lambda x, u: np.tanh(W @ x + B @ u + b))
    with pytest.raises(CheckpointError, match="without a readout"):
        dynsys.load(path, form="esn", matrices={"recurrent": "W", "feedback": "Win"})


def test_piecewise_linear_networks_full_and_shallow(tmp_path):
    A, h = RNG.uniform(0.2, 0.9, N), draw(N)
    W1, W2, h2 = draw(N, 9), draw(9, N), draw(9)
    arrays = {"A": A, "W": W, "h": h, "B": B, "W1": W1, "W2": W2, "h2": h2, "AA": np.diag(A) + 0.1}
    path = saved(tmp_path, arrays)
    full = {"A": "A", "W": "W", "h": "h", "input": "B"}
    assert_is(dynsys.load(path, form="plrnn", matrices=full), lambda z, u: A * z + W @ np.maximum(z, 0) + h + B @ u)
    matrix = {**full, "A": "AA"}
    system = dynsys.load(path, form="plrnn", matrices=matrix)
    assert_is(system, lambda z, u: arrays["AA"] @ z + W @ np.maximum(z, 0) + h + B @ u)
    shallow = {"A": "A", "W1": "W1", "W2": "W2", "h1": "h", "h2": "h2"}
    system = dynsys.load(path, form="plrnn", matrices=shallow)
    assert_is(system, lambda z, u: A * z + W1 @ np.maximum(W2 @ z + h2, 0) + h)
    system = dynsys.load(path, form="plrnn", matrices=shallow, convention="clipped")
    kept = lambda z: np.maximum(W2 @ z + h2, 0) - np.maximum(W2 @ z, 0)  # noqa: E731
    assert_is(system, lambda z, u: A * z + W1 @ kept(z) + h)


GATES = {"lstm": "ifgo", "gru": "rzn"}
BLOCKS = {f"{k}{g}": draw(N, s) for k, s in (("W", M), ("U", N)) for g in "ifgorzn"} | {
    f"{k}{g}": draw(N) for k in ("b", "d") for g in "ifgorzn"
}


def lstm_step(x, u, gate=sigmoid, f=np.tanh):
    h, cell = x[:N], x[N:]
    a = {g: BLOCKS["W" + g] @ u + BLOCKS["U" + g] @ h + BLOCKS["b" + g] for g in "ifgo"}
    cell = gate(a["f"]) * cell + gate(a["i"]) * f(a["g"])
    return np.concatenate([gate(a["o"]) * f(cell), cell])


def gru_step(h, u, reset):
    a = {g: BLOCKS["W" + g] @ u + BLOCKS["b" + g] for g in "rzn"}
    r, z = (sigmoid(a[g] + BLOCKS["U" + g] @ h + BLOCKS["d" + g]) for g in "rz")
    U, d = BLOCKS["Un"], BLOCKS["dn"]
    n = np.tanh(a["n"] + (r * (U @ h + d) if reset == "after" else U @ (r * h) + d))
    return (1 - z) * n + z * h


def by_gate(form, roles):
    return {f"{role}_{g}": key + g for role, key in roles.items() for g in GATES[form]}


ALL = {"input": "W", "recurrent": "U", "bias": "b", "recurrent_bias": "d"}


def test_gates_may_be_named_one_by_one(tmp_path):
    path = saved(tmp_path, BLOCKS)
    lstm = by_gate("lstm", {"input": "W", "recurrent": "U", "bias": "b"})
    assert_is(dynsys.load(path, form="lstm", matrices=lstm), lstm_step)
    gru = by_gate("gru", ALL)
    for convention, reset in {"torch": "after", "onnx": "before", "keras reset_after=False": "before"}.items():
        system = dynsys.load(path, form="gru", matrices=gru, convention=convention)
        assert_is(system, lambda x, u, reset=reset: gru_step(x, u, reset))
    with pytest.raises(CheckpointError, match=r"before the product.*give --convention"):
        dynsys.load(path, form="gru", matrices=gru)
    hard = dynsys.load(path, form="lstm", matrices=lstm, gate_activation="hard_sigmoid", activation="relu")
    assert_is(hard, lambda x, u: lstm_step(x, u, F["hard_sigmoid"], F["ReLU"]))


ORDERS = {
    ("lstm", "torch", None): "ifgo",
    ("lstm", "onnx", None): "iofg",
    ("lstm", "keras", None): "ifgo",
    ("lstm", None, "ifog"): "ifog",
    ("lstm", None, "i,f,c,o"): "ifgo",
    ("gru", "torch", None): "rzn",
    ("gru", "keras", None): "zrn",
    ("gru", "keras reset_after=False", None): "zrn",
    ("gru", "onnx", None): "zrn",
    ("gru", "onnx", "rzh"): "rzn",
    ("gru", "flax", None): "rzn",
    ("gru", "matlab", None): "rzn",
}


@pytest.mark.parametrize("case", ORDERS, ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
def test_stacked_gates_in_the_order_of_their_tool_from_either_side(tmp_path, case, side):
    (form, convention, gates), order = case, ORDERS[case]
    stacked = {key: np.concatenate([BLOCKS[key + g] for g in order]) for key in "WUbd"}
    arrays = {key: value.T if side == "right" and key in "WU" else value for key, value in stacked.items()}
    named = {"input": "W", "recurrent": "U", "bias": "b"} | ({"recurrent_bias": "d"} if form == "gru" else {})
    system = dynsys.load(saved(tmp_path, arrays), form=form, matrices=named, convention=convention, gates=gates)
    before = convention in ("keras reset_after=False", "onnx")
    assert_is(system, lstm_step if form == "lstm" else lambda x, u: gru_step(x, u, "before" if before else "after"))


def test_the_order_is_said_where_it_was_assumed_and_named_where_it_was_told(tmp_path):
    stacked = {key: np.concatenate([BLOCKS[key + g] for g in "ifgo"]) for key in "WUb"}
    named = {"input": "W", "recurrent": "U", "bias": "b"}
    told = describe_checkpoint(saved(tmp_path, stacked), form="lstm", matrices=named)
    assert "torch's order, i, f, g, o; --gates or --convention" in " ".join(told["assumed"])
    told = describe_checkpoint(tmp_path / "net.npz", form="lstm", matrices=named, convention="onnx")
    assert "convention of onnx: gates i, o, f, g" in told["recognised"]
    assert "order" not in " ".join(told["assumed"])


def test_matrices_are_shown_as_they_were_said_with_their_shapes(tmp_path):
    m = RNG.standard_normal((N, 2))
    path = saved(tmp_path, {"m": m, "n": m})
    told = describe_checkpoint(path, form="rate", matrices={"recurrent": "m @ n.T / 512"})
    assert "recurrent is m @ n.T / 512 (6, 6)" in told["recognised"]
    assert told["unused"] == []


WRONG = {
    "a role of another form": (
        {"form": "rate", "matrices": {"m": "W"}},
        "no matrix called 'm'; a network of the form rate",
    ),
    "no such activation": ({"form": "rate", "matrices": NAMES, "activation": "wobble"}, "activation is 'wobble'"),
    "no such convention": (
        {"form": "gru", "matrices": {}, "convention": "mine"},
        "convention is 'mine'; it can be torch",
    ),
    "an alpha without a leak": ({"form": "rnn", "matrices": NAMES, "alpha": 0.2}, "--alpha means nothing"),
    "a tau of a map": ({"form": "leaky", "matrices": NAMES, "tau": 0.2}, "--tau means nothing"),
    "gates of none": ({"form": "rate", "matrices": NAMES, "gates": "ifgo"}, "--gates means nothing"),
    "no order": ({"form": "lstm", "matrices": {"recurrent": "W"}, "gates": "ifgx"}, "is no order of the gates"),
    "a gate too few": ({"form": "lstm", "matrices": {"recurrent_i": "W"}}, "recurrent_f, recurrent_g, recurrent_o"),
    "not four": ({"form": "lstm", "matrices": {"recurrent": "W"}}, r"cannot be the recurrent matrix of a lstm"),
    "both ways": ({"form": "lstm", "matrices": {"recurrent": "W", "recurrent_i": "W"}}, "whole and gate by gate"),
    "no text": ({"form": "rate", "matrices": {"recurrent": W}}, "is a ndarray; give a key of the file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_choice_that_does_not_fit_is_blamed_on_the_choice(tmp_path, case):
    choices, says = WRONG[case]
    with pytest.raises(ValueError, match=says) as caught:
        dynsys.load(saved(tmp_path, PLAIN), **choices)
    assert "train again" not in str(caught.value)


def hinted(tmp_path, arrays):
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(saved(tmp_path, arrays))
    return str(caught.value)


def test_hints_take_no_mask_no_readout_and_no_number_for_the_recurrent_matrix(tmp_path):
    said = hinted(tmp_path, {"m": draw(8, 1), "n": draw(8, 1), "wo": np.eye(8)})
    assert "--form low-rank --matrix m=m --matrix n=n" in said
    said = hinted(tmp_path, {"w": draw(8, 8), "mask": np.eye(8), "b_out": np.ones((1, 1))})
    assert "--matrix 'recurrent=w * mask'" in said
    said = hinted(tmp_path, {"b_out": np.ones((1, 1)), "wo": draw(8, 8)})
    assert "--matrix recurrent=" not in said.replace("--matrix recurrent=KEY", "")
    said = hinted(tmp_path, {"A1": draw(8, 8), "A2": draw(8, 8)})  # two alike: silent
    assert "--matrix recurrent=" not in said.replace("--matrix recurrent=KEY", "")


def test_matrices_of_an_lstm_gate_by_gate_are_told_by_their_letters(tmp_path):
    arrays = {key: value for key, value in BLOCKS.items() if key[0] in "WUb" and key[1] in "ifgo"}
    said = hinted(tmp_path, arrays)
    named = by_gate("lstm", {"input": "W", "recurrent": "U", "bias": "b"})
    for role, key in named.items():
        assert f"--matrix {role}={key}" in said
    assert "--form lstm" in said

"""Proof by replay: trials are made by NumPy equations, and exactly one reading of the file may reproduce them."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import dynsys
from dynsys.cli import main
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import describe_checkpoint

N, M, T = 6, 2, 40
RNG = np.random.default_rng(2)
W, B, b = RNG.standard_normal((N, N)) / 2, RNG.standard_normal((N, M)), RNG.standard_normal(N)
MASK, SIGN = (RNG.random((N, N)) < 0.6).astype(float), np.array([1, 1, 1, 1, -1, -1.0])
DALE = np.abs(W * MASK) * SIGN


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def trial(step, x=None, T=T):
    u, states = RNG.standard_normal((T, M)), []
    x = np.zeros(N) if x is None else x
    for at in u:
        x = step(x, at)
        states.append(x)
    return u, np.array(states)


def saved(tmp_path, arrays, u, states, **more):
    np.savez(tmp_path / "net.npz", **arrays)
    single = {"inputs": u.astype(np.float32), "states": states.astype(np.float32)}  # as trials are recorded
    np.savez(tmp_path / "trial.npz", **single, **more)
    return tmp_path / "net.npz", str(tmp_path / "trial.npz")


STEPS = {
    "rnn, relu": (lambda x, u: np.maximum(W @ x + B @ u + b, 0), {}),
    "rnn from the right": (lambda x, u: np.tanh(x @ W + B @ u + b), {}),
    "leaky, softplus": (lambda x, u: 0.7 * x + 0.3 * np.logaddexp(W @ x + B @ u + b, 0), {"alpha": 0.3}),
    "leaky, 1 - alpha": (lambda x, u: 0.3 * x + 0.7 * np.tanh(W @ x + B @ u + b), {"alpha": 0.3}),
    "leaky, dt / tau": (lambda x, u: 0.8 * x + 0.2 * sigmoid(W @ x + B @ u + b), {"dt": 20.0, "tau": 100.0}),
    "leaky rate": (lambda x, u: 0.7 * x + 0.3 * (W @ np.tanh(x) + B @ u + b), {"alpha": 0.3}),
    "masked, with signs": (lambda x, u: np.tanh(DALE @ x + B @ u + b), {"mask": MASK, "dale_sign": SIGN}),
}


@pytest.mark.parametrize("case", STEPS)
def test_the_reading_that_reproduces_the_trial_is_the_network(tmp_path, case):
    step, beside = STEPS[case]
    path, record = saved(tmp_path, {"W_rec": W, "W_in": B, "b_rec": b, **beside}, *trial(step))
    system = dynsys.load(path, replay=record)
    for x, u in zip(3 * RNG.standard_normal((5, N)), RNG.standard_normal((5, M)), strict=True):
        X, U = torch.tensor(x)[None], torch.tensor(u)[None]
        np.testing.assert_allclose(x + system.velocity(X, U)[0].numpy(), step(x, u), rtol=0, atol=1e-12)
    assert "alone reproduces" in describe_checkpoint(path, replay=record)["recognised"][-1]


def test_no_reading_is_taken_where_none_reproduces_the_trial(tmp_path):
    path, record = saved(tmp_path, {"W_rec": W, "W_in": B}, *trial(lambda x, u: np.tanh(W @ x**3 + B @ u)))
    with pytest.raises(CheckpointError, match=r"none of \d+ readings reproduces .* is off by"):
        dynsys.load(path, replay=record)


def test_two_readings_that_a_trial_does_not_tell_apart_are_refused(tmp_path):
    """Where all is positive, a ReLU, an ELU and the identity do the same."""
    step = lambda x, u: np.maximum(0.5 * np.eye(N) @ x + np.abs(B) @ np.abs(u) + 1, 0)  # noqa: E731
    u, states = trial(lambda x, u: step(x, u))
    path, record = saved(tmp_path, {"W_rec": 0.5 * np.eye(N), "W_in": np.abs(B), "b_rec": np.ones(N)}, abs(u), states)
    with pytest.raises(CheckpointError, match="3 readings reproduce") as caught:
        dynsys.load(path, replay=record)
    for name in ("relu", "elu", "identity"):
        assert f"--activation {name} " in str(caught.value)
    assert dynsys.load(path, replay=record, activation="relu").nonlinearity == "relu"


@pytest.mark.parametrize(("make", "relu"), [(nn.RNN, False), (nn.RNN, True), (nn.GRU, False), (nn.LSTM, False)])
def test_torch_s_own_networks_are_proved_by_their_outputs_alone(tmp_path, make, relu):
    torch.manual_seed(0)
    module = make(M, N, **({"nonlinearity": "relu"} if relu else {})).double()
    readout = nn.Linear(N, 2).double()
    named = {f"rnn.{key}": value for key, value in module.state_dict().items()}
    torch.save({**named, **{f"out.{key}": value for key, value in readout.state_dict().items()}}, tmp_path / "m.pt")
    u = torch.randn(T, 1, M, dtype=torch.float64)
    with torch.no_grad():
        z = readout(module(u)[0])
    np.savez(tmp_path / "trial.npz", inputs=u[:, 0], outputs=z[:, 0])
    told = describe_checkpoint(tmp_path / "m.pt", replay=str(tmp_path / "trial.npz"))
    assert "reproduces" in told["recognised"][-1]
    assert told["settings"].get("nonlinearity", "relu") == ("relu" if relu or make is not nn.RNN else "tanh")
    assert not any("activation" in line for line in told["assumed"])


def test_where_the_reset_gate_of_a_gru_acts_is_found_by_replay(tmp_path):
    blocks = {f"{k}{g}": RNG.standard_normal((N, s)) for k, s in (("W", M), ("U", N)) for g in "rzn"}

    def step(h, u):
        r, z = (sigmoid(blocks["W" + g] @ u + blocks["U" + g] @ h) for g in "rz")
        return (1 - z) * np.tanh(blocks["Wn"] @ u + blocks["Un"] @ (r * h)) + z * h

    path, record = saved(tmp_path, blocks, *trial(step))
    named = {f"{role}_{g}": key + g for role, key in (("input", "W"), ("recurrent", "U")) for g in "rzn"}
    system = dynsys.load(path, form="gru", matrices=named, activation="tanh", replay=record)
    assert system.settings()["reset"] == "before"


def test_the_function_of_the_gates_is_found_by_replay(tmp_path):
    """Keras 2's hard sigmoid, in a GRU whose reset gate acts before the product."""
    blocks = {f"{k}{g}": RNG.standard_normal((N, s)) for k, s in (("W", M), ("U", N)) for g in "rzn"}

    def step(h, u):
        r, z = (np.clip(0.2 * (blocks["W" + g] @ u + blocks["U" + g] @ h) + 0.5, 0, 1) for g in "rz")
        return (1 - z) * np.tanh(blocks["Wn"] @ u + blocks["Un"] @ (r * h)) + z * h

    path, record = saved(tmp_path, blocks, *trial(step))
    named = {f"{role}_{g}": key + g for role, key in (("input", "W"), ("recurrent", "U")) for g in "rzn"}
    system = dynsys.load(path, form="gru", matrices=named, activation="tanh", replay=record)
    assert (system.settings()["reset"], system.settings()["gate"]) == ("before", "hard-sigmoid-0.2")


def test_a_state_dict_that_was_stored_turned_is_found_by_replay(tmp_path):
    torch.manual_seed(0)
    module = nn.RNN(N, N).double()  # all square: no shape tells
    torch.save({k: v.T if v.ndim == 2 else v for k, v in module.state_dict().items()}, tmp_path / "m.pt")
    u = torch.randn(T, 1, N, dtype=torch.float64)
    with torch.no_grad():
        np.savez(tmp_path / "trial.npz", inputs=u[:, 0], states=module(u)[0][:, 0])
    system = dynsys.load(tmp_path / "m.pt", replay=str(tmp_path / "trial.npz"))
    x = torch.randn(1, N, dtype=torch.float64)
    with torch.no_grad():
        expected = module(u[:1], x[None])[0][0]
    torch.testing.assert_close(x + system.velocity(x, u[0]), expected, rtol=0, atol=1e-12)


def test_trials_may_be_tables(tmp_path):
    u, states = trial(lambda x, u: np.maximum(W @ x + B @ u + b, 0))
    np.savez(tmp_path / "net.npz", W_rec=W, W_in=B, b_rec=b)
    names = [f"u{i}" for i in range(M)] + [f"h{i}" for i in range(N)]
    table = tmp_path / "trial.csv"
    np.savetxt(table, np.concatenate([u, states], axis=1), delimiter=",", header=",".join(names), comments="")
    assert dynsys.load(tmp_path / "net.npz", replay=str(table)).nonlinearity == "relu"
    table.write_text("u0,h0\n1,two\n")
    with pytest.raises(CheckpointError, match="no table of numbers"):
        dynsys.load(tmp_path / "net.npz", replay=str(table))


def test_find_searches_the_network_that_was_proved_and_is_loaded_again_without_the_trial(tmp_path):
    path, record = saved(tmp_path, {"W_rec": W, "W_in": B, "b_rec": b}, *trial(lambda x, u: sigmoid(W @ x + B @ u + b)))
    options = ["--replay", record, "-o", str(tmp_path / "run"), "--starts", "32", "--no-verify"]
    result = CliRunner().invoke(main, ["find", str(path), *options])
    assert result.exit_code == 0, result.output
    points = dynsys.FixedPoints.load(tmp_path / "run" / "fixed_points.safetensors")
    for x in points.states:
        np.testing.assert_allclose(sigmoid(W @ x + b), x, atol=1e-10)
    assert points.about["loading"]["activation"] == "logistic"
    assert "replay" not in points.about["loading"]

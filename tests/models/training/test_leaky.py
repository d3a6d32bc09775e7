"""Leaky networks in training: their equation, their noise, Dale's law, and the map that becomes of them."""

import numpy as np
import pytest
import torch

import dynsys
from dynsys.models.networks.leaky import LeakyRateNetwork
from dynsys.models.training.learners import learner
from dynsys.trajectories.simulate import simulate

ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
}
SMALL = {"stimulus": "6", "response": "2"}  # steps of the integration task


@pytest.mark.parametrize("form", ["leaky-rate", "leaky"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_step_is_that_of_the_papers(form, name):
    """x' = (1 - a) x + a (W f(x) + B u + b), or x' = (1 - a) x + a f(W x + B u + b), from zero."""
    network = LeakyRateNetwork(form, 2, 5, 1, alpha=0.3, activation=name, seed=1)
    with torch.no_grad():
        network.b += 0.2
    W, B, b, V, c = (value.detach().double().numpy() for value in network.parameters())
    f, u, x = ACTIVATIONS[name], np.random.default_rng(0).standard_normal((4, 2)), np.zeros(5)
    output = network(torch.as_tensor(u[None]).float())[0, :, 0].detach().numpy()
    states = simulate(network.system(), np.zeros((1, 5)), u)
    for t in range(4):
        x = 0.7 * x + 0.3 * (W @ f(x) + B @ u[t] + b if form == "leaky-rate" else f(W @ x + B @ u[t] + b))
        assert np.allclose(states[t, 0], x)
        assert np.allclose(output[t], V @ (f(x) if form == "leaky-rate" else x) + c, atol=1e-5)


def test_noise_acts_where_a_seed_is_given_and_leaves_its_size_in_a_unit_that_nothing_drives():
    """x' = (1 - a) x + a sqrt(2 / a) s xi has the variance 2 s^2 / (2 - a)."""
    network = LeakyRateNetwork("leaky-rate", 1, 400, 400, alpha=0.1, noise=0.05)
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        network.W_out += torch.eye(400)
    inputs = torch.zeros(1, 200, 1)
    drawn = network(inputs, noise_seed=3)
    assert torch.equal(drawn, network(inputs, noise_seed=3))
    assert not torch.equal(drawn, network(inputs, noise_seed=4))
    assert not network(inputs).any()
    x = torch.atanh(drawn[0, 100:].detach())
    assert float(x.std()) == pytest.approx(0.05 * (2 / 1.9) ** 0.5, rel=0.05)


@pytest.mark.parametrize("model", ["leaky-rate", "leaky"])
def test_under_dales_law_no_column_changes_its_sign_in_training(model, tmp_path):
    choices = {"units": 10, "batch": 8, "dale": 0.7, "activation": "relu", "options": SMALL, "learning_rate": 0.5}
    learner("integration", model)(tmp_path, steps=20, **choices)
    W = dynsys.load(tmp_path).arrays()["W"]
    before = LeakyRateNetwork(model, 4, 10, 1, dale=0.7, activation="relu").recurrent.detach().numpy()
    assert (W[:, :7] >= 0).all()
    assert (W[:, 7:] <= 0).all()
    assert np.abs(W - before).max() > 0.5  # far enough that free weights change signs
    learner("integration", model)(tmp_path / "free", steps=20, **{**choices, "dale": None})
    free, begun = dynsys.load(tmp_path / "free").arrays()["W"], LeakyRateNetwork(model, 4, 10, 1).W.detach().numpy()
    assert (np.sign(free) != np.sign(begun)).any()


def test_the_weights_begin_as_large_as_the_gain_says_with_and_without_dales_law():
    for dale in (None, 0.8):
        W = LeakyRateNetwork("leaky-rate", 1, 300, 1, dale=dale, gain=1.5).recurrent.detach().numpy()
        assert np.sqrt(300 * np.mean(W**2)) == pytest.approx(1.5, rel=0.01)
    assert abs(W.mean()) < 0.05 * np.abs(W).mean()  # excitation and inhibition are balanced


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.0), ("alpha", 1.1), ("dale", 1.0), ("activation", "sin")])
def test_what_makes_no_network_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}|{name} {value}|{name} is '{value}'"):
        LeakyRateNetwork("leaky", 1, 4, 1, **{name: value})

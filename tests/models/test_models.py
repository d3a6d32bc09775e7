"""Every model keeps the contract of a system; the networks are what their papers say."""

import numpy as np
import pytest
import torch

from dynsys.models import MODELS
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.testing import check_system
from dynsys.trajectories.simulate import simulate


@pytest.mark.parametrize("name", MODELS)
def test_model_passes_check_system(name):
    check_system(MODELS[name].example())


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_echo_state_network_is_equations_22_to_26(activation):
    net = EchoStateNetwork.random(EchoStateConfig(units=7, n_input=2, n_output=3, activation=activation, seed=4))
    rng = np.random.default_rng(0)
    net = net.with_readout(rng.standard_normal((3, 7)))
    x, u = rng.standard_normal(7), rng.standard_normal(2)
    r = np.tanh(x) if activation == "tanh" else 1 / (1 + np.exp(-x))
    z = net.W_out.numpy() @ r
    F = -x + net.W_r.numpy() @ r + net.W_fb.numpy() @ z + net.B.numpy() @ u
    slope = 1 - r**2 if activation == "tanh" else r * (1 - r)
    J = -np.eye(7) + (net.W_r + net.W_fb @ net.W_out).numpy() * slope
    x_, u_ = torch.as_tensor(x)[None], torch.as_tensor(u)[None]
    np.testing.assert_allclose(net.velocity(x_, u_)[0], F, atol=1e-13)
    np.testing.assert_allclose(net.jacobian(x_, u_)[0], J, atol=1e-13)
    np.testing.assert_allclose(net.readout(x_)[0], z, atol=1e-13)


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_rate_networks_never_leave_their_box(activation):
    net = EchoStateNetwork.random(EchoStateConfig(units=30, activation=activation))
    net = net.with_readout(np.random.default_rng(1).standard_normal((3, 30)))
    u = torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64)
    low, high = net.box(u)
    corners = torch.where(torch.rand(64, 30, generator=torch.Generator().manual_seed(0)) < 0.5, low, high)
    path = simulate(net, corners, u.expand(200, -1, -1))
    assert bool(((path >= low - 1e-12) & (path <= high + 1e-12)).all())


def test_echo_state_network_refuses_an_activation_it_does_not_know():
    with pytest.raises(ValueError, match="activation is 'relu'; it can be tanh, logistic"):
        EchoStateNetwork.random(EchoStateConfig(units=5, activation="relu"))

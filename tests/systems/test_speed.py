"""q, its gradient and its Hessian: by hand at one state, by properties and differences at many."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dynsys.models.examples.simple2d import Simple2D
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.systems.held import Held
from dynsys.systems.speed import gradient, hessians, speed

SEEDS = st.integers(0, 2**32 - 1)
EMPTY = torch.zeros(1, 0, dtype=torch.float64)
STEP = 1e-5  # of central differences: their error is near STEP^2 times a third derivative of order one


@st.composite
def places(draw):
    """A network of 1 to 5 units, two states and their inputs."""
    n, seed = draw(st.integers(1, 5)), draw(SEEDS)
    rng = np.random.default_rng(seed)
    activation = draw(st.sampled_from(["tanh", "logistic"]))
    x = torch.as_tensor(rng.standard_normal((2, n)))
    if draw(st.booleans()):
        return SimpleRNN.random(n, 1.5, seed, activation=activation), x, torch.zeros(2, 0, dtype=torch.float64)
    network = EchoStateNetwork.random(EchoStateConfig(n, 2, 1, feedback=1.0, activation=activation, seed=seed))
    return network.with_readout(rng.standard_normal((1, n))), x, torch.as_tensor(rng.standard_normal((2, 2)))


def differences(f, x):
    """df/dx_j by central differences, stacked along a last axis."""
    steps = STEP * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.stack([(f(x + e) - f(x - e)) / (2 * STEP) for e in steps], dim=-1)


def test_q_gradient_and_hessian_at_one_state_are_those_worked_out_by_hand():
    """At (2, 1): F = (-3, 0), J = ((-4, -3), (1/2, -1)), and F_1 has second derivatives ((-2, -4), (-4, 0))."""
    x = torch.tensor([[2.0, 1.0]], dtype=torch.float64)
    assert speed(Held(Simple2D(), EMPTY), x).item() == 4.5
    assert gradient(Held(Simple2D(), EMPTY), x).tolist() == [[12.0, 9.0]]
    assert hessians(Held(Simple2D(), EMPTY), x)[0].tolist() == [[22.25, 23.5], [23.5, 10.0]]


@given(places())
def test_q_is_half_the_squared_length_of_the_velocity(place):
    system, x, u = place
    q = speed(Held(system, u), x).numpy()
    np.testing.assert_allclose(q, [0.5 * np.dot(F, F) for F in system.velocity(x, u).numpy()], rtol=1e-14)
    assert (q >= 0).all()


@given(places())
def test_the_gradient_is_the_slope_of_q(place):
    system, x, u = place
    expected = differences(lambda y: speed(Held(system, u), y), x)
    torch.testing.assert_close(gradient(Held(system, u), x), expected, rtol=0, atol=2e-8)


@given(places())
def test_the_hessian_is_the_slope_of_the_gradient(place):
    system, x, u = place
    x, u = x[:1], u[:1]
    expected = differences(lambda y: gradient(Held(system, u), y), x)[0]
    torch.testing.assert_close(hessians(Held(system, u), x)[0], expected, rtol=0, atol=2e-7)


def test_at_a_fixed_point_the_hessian_is_that_of_gauss_and_newton():
    for state in torch.as_tensor(Simple2D().fixed_points()):
        x = state.unsqueeze(0)
        J = Simple2D().jacobian(x, EMPTY)[0]
        torch.testing.assert_close(J.T @ J, hessians(Held(Simple2D(), EMPTY), x)[0], rtol=1e-14, atol=1e-14)

"""FORCE against the closed forms it must agree with: ridge regression, the inverse correlation, one Euler step."""

import numpy as np
import pytest
import torch

from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.training.by_force.force import Force, RecursiveLeastSquares, Simulation, simulate, train_force

STEPS = 75  # not a multiple of the rank-1 changes that wait


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def network(units=30, feedback=1.0, activation="tanh", seed=0, bits=2):
    config = EchoStateConfig(units, bits, bits, feedback=feedback, activation=activation, seed=seed)
    return EchoStateNetwork.random(config)


def rates_without_feedback(net, inputs, x):
    """The rates (T, N) after each Euler step of the system's own velocity."""
    rates = []
    for u in torch.as_tensor(inputs):
        x = x + net.velocity(x, u[None]) / net.time_constant
        rates.append(net.rates(x)[0].numpy())
    return np.array(rates)


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
@pytest.mark.parametrize("interval", [1, 3])
def test_without_feedback_the_readout_is_the_ridge_regression(rng, activation, interval):
    net, alpha, start = network(feedback=0.0, activation=activation), 0.3, 0.5
    inputs, target = rng.standard_normal((STEPS, 2)), rng.standard_normal((STEPS, 2))
    settings = Force(interval=interval, alpha=alpha, noise=0.0, initial_state=start, seed=5)
    record = train_force(net, inputs, target, settings)

    x = np.random.default_rng(5).standard_normal(30) * start
    r = rates_without_feedback(net, inputs, torch.as_tensor(x[None]))[::interval]
    ridge = np.linalg.solve(r.T @ r + alpha * np.eye(30), r.T @ target[::interval]).T
    np.testing.assert_allclose(record.W_out, ridge, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("samples", [5, 16, 45])
def test_P_is_the_inverse_of_the_regularised_correlation(rng, samples):
    r, alpha = rng.standard_normal((samples, 12)), 0.7
    learner = RecursiveLeastSquares(np.zeros((1, 12)), alpha)
    for sample in r:
        learner.update(sample, np.zeros(1))
    np.testing.assert_allclose(learner.P, np.linalg.inv(r.T @ r + alpha * np.eye(12)), rtol=1e-10, atol=1e-12)


def test_the_weights_are_those_of_the_plain_recursion_step_by_step(rng):
    net, settings = network(units=37), Force(interval=2, alpha=1.0, noise=0.3, seed=5)
    inputs, target = rng.standard_normal((STEPS, 2)), rng.standard_normal((STEPS, 2))
    record = train_force(net, inputs, target, settings)

    W_r, W_fb, W_out, B = (w.numpy().copy() for w in (net.W_r, net.W_fb, net.W_out, net.B))
    drawn = np.random.default_rng(5)
    x, P = drawn.standard_normal(37) * settings.initial_state, np.eye(37) / settings.alpha
    noise, z = 0.3 * drawn.standard_normal((STEPS, 2)), W_out @ np.tanh(x)
    for t in range(STEPS):
        x = x + (-x + W_r @ np.tanh(x) + W_fb @ z + B @ inputs[t]) / net.time_constant
        r = np.tanh(x)
        z = W_out @ r
        if t % 2 == 0:
            Pr = P @ r
            P -= np.outer(Pr, Pr) / (1 + r @ Pr)
            W_out -= np.outer(z - target[t], P @ r)
        np.testing.assert_allclose(record.weight_norm[t], np.linalg.norm(W_out, axis=1), rtol=1e-10)
        z = z + noise[t]
    np.testing.assert_allclose(record.W_out, W_out, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_one_step_is_eq_22(rng, activation):
    net = network(activation=activation).with_readout(rng.standard_normal((2, 30)))
    x, u = rng.standard_normal(30), rng.standard_normal(2)
    rate = np.tanh if activation == "tanh" else lambda v: 1 / (1 + np.exp(-v))
    W_r, W_fb, W_out, B = (w.numpy() for w in (net.W_r, net.W_fb, net.W_out, net.B))
    after = x + (-x + W_r @ rate(x) + W_fb @ (W_out @ rate(x)) + B @ u) / net.time_constant

    simulation = Simulation(net, x)
    z = simulation.advance(u, W_out, np.empty(2))
    np.testing.assert_allclose(simulation.x, after, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(z, W_out @ rate(after), rtol=1e-12, atol=1e-13)


def test_simulating_a_trained_network_is_iterating_its_velocity(rng):
    net = network().with_readout(rng.standard_normal((2, 30)) / 10)
    x, inputs = rng.standard_normal(30), rng.standard_normal((20, 2))
    expected, state = [], torch.as_tensor(x[None])
    for u in torch.as_tensor(inputs):
        state = state + net.velocity(state, u[None]) / net.time_constant
        expected.append(net.readout(state)[0].numpy())
    np.testing.assert_allclose(simulate(net, inputs, x), expected, rtol=1e-9, atol=1e-10)


def test_products_and_updates_work_in_place(rng):
    net = network()
    simulation, learner = Simulation(net, np.zeros(30)), RecursiveLeastSquares(np.zeros((2, 30)), 1.0)
    x, W_out = simulation.x.copy(), learner.W_out.copy()
    for _ in range(RecursiveLeastSquares.WAITING):
        simulation.advance(np.ones(2), W_out, np.empty(2))
        learner.update(rng.standard_normal(30), np.ones(2))
    assert not np.allclose(simulation.x, x)  # BLAS changed our arrays and not copies of them
    assert not np.allclose(learner.W_out, W_out)
    assert not np.allclose(np.tril(learner._S), np.eye(30))


def test_same_seed_same_numbers_and_another_seed_others():
    task = FlipFlop(2).trial(400, seed=3)
    first, again, other = (
        train_force(network(), task.inputs, task.target, Force(seed=seed)).W_out for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_snapshots_are_delivered_as_they_come_and_end_with_the_result():
    task, events = FlipFlop(2).trial(2500, seed=0), []
    record = train_force(
        network(),
        task.inputs,
        task.target,
        Force(snapshot_every=1000),
        on_snapshot=lambda step, W_out: events.append(("snapshot", step, W_out)),
        on_progress=lambda step, steps: events.append(("progress", step, steps)),
    )
    assert [event[:2] for event in events] == [
        ("snapshot", 0),
        ("progress", 1000),
        ("snapshot", 1000),
        ("progress", 2000),
        ("snapshot", 2000),
        ("progress", 2500),
        ("snapshot", 2500),
    ]
    assert not events[0][2].any()  # the readout starts at zero, and a snapshot does not change afterwards
    assert np.array_equal(events[-1][2], record.W_out)
    assert [step for step, _ in record.snapshots] == [0, 1000, 2000, 2500]


def test_weight_norm_is_that_of_the_readout_at_the_end():
    task = FlipFlop(2).trial(301, seed=0)
    record = train_force(network(), task.inputs, task.target)
    assert record.weight_norm[-1] == pytest.approx(np.sqrt((record.W_out**2).sum(axis=1)))


@pytest.mark.parametrize("steps", [50, 1500])
def test_weights_that_are_not_finite_are_an_error(steps):
    task = FlipFlop(2).trial(steps, seed=0)
    task.target[10:] = np.inf
    with pytest.raises(FloatingPointError, match="no longer finite"):
        train_force(network(), task.inputs, task.target)


@pytest.mark.parametrize("setting", [{"interval": 0}, {"alpha": 0.0}, {"noise": -1.0}, {"snapshot_every": -1}])
def test_settings_out_of_range_are_named(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Force(**setting)

"""Runs under noise: the fast ways give what the plain way gives, and the noise has the size that it should."""

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys.models.driven.noisy_runs import InputNoise, StateNoise, WeightNoise, can_share, noisy_outputs
from dynsys.models.driven.perturbation import draw_noise, perturbed, weights_chosen, weights_of
from dynsys.models.driven.protocol import Drive, drive_of
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.models.registry import MODELS
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.training.by_force.force import simulate as simulate_esn
from dynsys.trajectories.simulate import simulate

LEVELS = (0.0, 0.01, 0.3)


def weight_noise(system, *names):
    return WeightNoise(draw_noise(weights_of(system), weights_chosen(system, names), 1))


def outputs(*arguments, dtype=torch.float64):
    return torch.cat(list(noisy_outputs(*arguments, dtype))).numpy()


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_levels_that_share_a_product_do_what_each_network_does_alone(activation):
    config = EchoStateConfig(units=60, activation=activation, seed=2)
    network = EchoStateNetwork.random(config, FlipFlop()).with_readout(
        np.random.default_rng(0).standard_normal((3, 60)) / 8
    )
    noise, drive = weight_noise(network), drive_of(network, 130, 5)
    assert can_share(network, noise)
    found = outputs(network, drive, noise, LEVELS)
    for k, level in enumerate(LEVELS):
        alone = perturbed(network, noise.matrices, level)
        expected = simulate_esn(alone, drive.inputs.numpy(), drive.first.numpy())
        np.testing.assert_allclose(found[:, k], expected, atol=1e-9)


def test_noise_on_the_feedback_weights_of_an_echo_state_network_is_the_networks_own():
    network = MODELS["esn"].example()
    noise, drive = weight_noise(network, "W_fb", "W_out"), drive_of(network, 40, 5)
    assert not can_share(network, noise)
    found = outputs(network, drive, noise, LEVELS)
    for k, level in enumerate(LEVELS):
        alone = perturbed(network, noise.matrices, level)
        np.testing.assert_allclose(
            found[:, k], simulate_esn(alone, drive.inputs.numpy(), drive.first.numpy()), atol=1e-9
        )


@pytest.mark.parametrize(
    "name", ["rnn", "gru", "lstm", "irnn", "lstm-peephole", "lstm-coupled", "activity", "rate", "simple-rnn"]
)
def test_every_network_under_weight_noise_runs_as_its_noisy_copy(name):
    system = MODELS[name].example()
    noise, drive = weight_noise(system), drive_of(system, 25, 5)
    found = outputs(system, drive, noise, LEVELS)
    for k, level in enumerate(LEVELS):
        alone = perturbed(system, noise.matrices, level)
        states = simulate(alone, drive.first[None], drive.inputs, step=None)[:, 0]
        expected = alone.readout(states) if system.n_output else states
        np.testing.assert_allclose(found[:, k], expected, atol=1e-9)


def test_single_precision_is_near_double_while_nothing_is_chaotic():
    network = MODELS["esn"].example()
    noise, drive = weight_noise(network), drive_of(network, 50, 5)
    single = outputs(network, drive, noise, LEVELS, dtype=torch.float32)
    np.testing.assert_allclose(single, outputs(network, drive, noise, LEVELS), atol=1e-4)


def leaking(units, tau):
    return LeakyRate(np.zeros((units, units)), tau=tau)


@pytest.mark.parametrize("tau", [10.0, 40.0])
def test_state_noise_on_a_leaking_unit_has_the_variance_of_its_stationary_state(tau):
    """x' = (1 - a) x + level sqrt(a) xi has the variance level^2 a / (1 - (1 - a)^2) = level^2 / (2 - a)."""
    a, steps, units = 1 / tau, 2000, 400
    drive = Drive(torch.zeros(units, dtype=torch.float64), torch.zeros(steps, 0, dtype=torch.float64), None, a)
    found = outputs(leaking(units, tau), drive, StateNoise((0, 3)), (0.0, 0.2))[500:]
    assert (found[:, 0] == 0).all()
    assert found[:, 1].var() == pytest.approx(0.2**2 / (2 - a), rel=0.03)


def test_state_noise_on_a_map_is_added_once_a_step():
    system = dynsys.Map(lambda x, u: 0 * x, n_state=300)
    drive = Drive(torch.zeros(300, dtype=torch.float64), torch.zeros(200, 0, dtype=torch.float64), None, 1.0)
    assert outputs(system, drive, StateNoise((1,)), (0.5,)).std() == pytest.approx(0.5, rel=0.02)


def test_input_noise_is_added_to_the_input_at_every_step():
    system = dynsys.Map(lambda x, u: u, n_state=2, n_input=2)
    drive = Drive(torch.zeros(2, dtype=torch.float64), torch.ones(5000, 2, dtype=torch.float64), None, 1.0)
    found = outputs(system, drive, InputNoise((1,)), (0.0, 0.3))
    assert (found[:, 0] == 1).all()
    assert found[:, 1].std() == pytest.approx(0.3, rel=0.04)
    assert found[:, 1].mean() == pytest.approx(1, abs=0.015)


@pytest.mark.parametrize("kind", [StateNoise, InputNoise])
def test_every_level_meets_the_same_noise_scaled(kind):
    """A linear network answers noise twice as large with twice the deviation."""
    system = dynsys.Map(lambda x, u: 0.9 * x + u, n_state=3, n_input=3)
    drive = Drive(torch.ones(3, dtype=torch.float64), torch.ones(50, 3, dtype=torch.float64), None, 1.0)
    found = outputs(system, drive, kind((4, 1)), (0.0, 0.1, 0.2))
    np.testing.assert_allclose(found[:, 2] - found[:, 0], 2 * (found[:, 1] - found[:, 0]), atol=1e-12)


def test_a_longer_run_begins_as_a_shorter_one():
    system = MODELS["rnn"].example()
    long, short = drive_of(system, 250, 3), drive_of(system, 250, 3)
    short = Drive(short.first, short.inputs[:130], None, 1.0)
    both = [outputs(system, drive, StateNoise((4, 1)), LEVELS) for drive in (long, short)]
    np.testing.assert_array_equal(both[0][:130], both[1])


def test_networks_of_one_task_and_size_get_the_same_inputs_and_first_state():
    small = [EchoStateNetwork.random(EchoStateConfig(units=30, seed=seed), FlipFlop()) for seed in (0, 1)]
    one, two = (drive_of(network, 300, [7, 2]) for network in small)
    torch.testing.assert_close(one.first, two.first)
    torch.testing.assert_close(one.inputs, two.inputs)
    assert not torch.equal(drive_of(small[0], 300, [7, 3]).inputs, one.inputs)


def test_every_bit_is_set_before_a_run_is_judged():
    task = FlipFlop(bits=4)
    network = EchoStateNetwork.random(EchoStateConfig(units=30, n_input=4, n_output=4), task)
    drive = drive_of(network, 300, [7, 2])
    setting, rest = drive.inputs[: drive.unjudged], drive.inputs[drive.unjudged :]
    assert len(rest) == len(drive.trial.target) == 300
    assert drive.unjudged == 4 * task.settle
    last = np.zeros(4)
    for u in setting.numpy():
        last = np.where(u != 0, u, last)
    for u, target in zip(rest.numpy(), drive.trial.target, strict=True):
        last = np.where(u != 0, u, last)
        np.testing.assert_array_equal(last, target)


def test_a_network_without_a_task_is_driven_at_random_from_its_own_first_state():
    system = dynsys.wrap(nn.GRU(3, 8))
    drive = drive_of(system, 200, 1)
    assert drive.trial is None
    assert drive.inputs.shape == (200, 3)
    assert set(drive.inputs.unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert drive.inputs.abs().sum() > 0


@pytest.mark.parametrize("module", [nn.RNN(2, 5, 3), nn.GRU(2, 5, 2), nn.LSTM(2, 5, 2, proj_size=3)])
def test_stacks_of_layers_share_products_in_every_layer(module):
    system = dynsys.wrap(module)
    noise, drive = weight_noise(system), drive_of(system, 25, 5)
    found = outputs(system, drive, noise, LEVELS)
    for k, level in enumerate(LEVELS):
        alone = perturbed(system, noise.matrices, level)
        np.testing.assert_allclose(found[:, k], simulate(alone, drive.first[None], drive.inputs)[:, 0], atol=1e-9)
    assert (found[-1, 0] != found[-1, 1]).all()

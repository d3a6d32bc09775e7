"""Noise on weights by name: what changes, by how much, and what stays as it was."""

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys.models.driven.perturbation import draw_noise, perturbed, weights_chosen, weights_of
from dynsys.models.registry import MODELS

TRAINED = sorted(name for name, model in MODELS.items() if model.from_arrays is not None)


def noise_for(system, names=(), seed=0):
    return draw_noise(weights_of(system), weights_chosen(system, names), seed)


@pytest.mark.parametrize("name", TRAINED)
def test_the_recurrent_weights_of_every_network_get_noise_and_nothing_else_changes(name):
    system = MODELS[name].example()
    before = {key: value.copy() for key, value in weights_of(system).items()}
    noise = noise_for(system)
    noisy = weights_of(perturbed(system, noise, 0.25))
    assert noise
    assert set(noisy) == set(before)
    for key, value in before.items():
        np.testing.assert_array_equal(noisy[key], value + 0.25 * noise[key] if key in noise else value)
        np.testing.assert_array_equal(weights_of(system)[key], value)


@pytest.mark.parametrize("name", TRAINED)
def test_at_level_zero_the_network_is_what_it_was(name):
    system = MODELS[name].example()
    same = perturbed(system, noise_for(system), 0.0)
    x, u = torch.randn(3, system.n_state, dtype=torch.float64), torch.randn(3, system.n_input, dtype=torch.float64)
    torch.testing.assert_close(same.velocity(x, u), system.velocity(x, u), rtol=0, atol=0)
    torch.testing.assert_close(same.readout(x), system.readout(x), rtol=0, atol=0)
    assert getattr(same, "task", None) == getattr(system, "task", None)


def test_noise_on_an_echo_state_network_adds_level_E_r_to_the_velocity():
    system = MODELS["esn"].example()
    noise = noise_for(system)
    x, u = torch.randn(4, system.n_state, dtype=torch.float64), torch.zeros(4, system.n_input, dtype=torch.float64)
    change = perturbed(system, noise, 0.1).velocity(x, u) - system.velocity(x, u)
    np.testing.assert_allclose(change, 0.1 * np.tanh(x.numpy()) @ noise["W_r"].T, atol=1e-13)


def test_a_stack_of_layers_gets_noise_in_every_layer_and_not_the_same_twice():
    noise = noise_for(dynsys.wrap(nn.GRU(2, 6, num_layers=3)))
    assert list(noise) == ["weight_hh_l0", "weight_hh_l1", "weight_hh_l2"]
    assert not np.array_equal(noise["weight_hh_l0"], noise["weight_hh_l1"])


def test_weights_of_one_shape_get_the_same_noise_in_every_network_and_other_noise_from_another_seed():
    tanh, other = MODELS["rnn"].example(), dynsys.wrap(nn.RNN(5, 8, nonlinearity="relu"))
    (one,), (two,), (third,) = (list(noise_for(s, seed=n).values()) for s, n in ((tanh, 4), (other, 4), (tanh, 5)))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, third)


def test_entries_of_the_noise_are_standard_normal():
    from scipy import stats

    drawn = draw_noise({"W": np.zeros((150, 200))}, ["W"], 3)["W"].ravel()
    assert stats.kstest(drawn, "norm").pvalue > 1e-3


class Cell(nn.Module):
    """A network of a user's own: h' = tanh(A h + B u)."""

    def __init__(self):
        super().__init__()
        self.mix, self.drive = nn.Linear(4, 4), nn.Linear(2, 4, bias=False)

    def forward(self, u, h):
        h = torch.tanh(self.mix(h) + self.drive(u))
        return h, h


def test_a_users_module_gets_noise_by_the_names_of_its_parameters_and_stays_as_it_was():
    module = Cell()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    system = dynsys.wrap(module, n_state=4, n_input=2)
    assert weights_chosen(system) == ("mix.weight",)
    noise = noise_for(system, ("drive.weight",))
    x, u = torch.zeros(1, 4, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    A, b, B = (before[name].double() for name in ("mix.weight", "mix.bias", "drive.weight"))
    expected = torch.tanh(b + (B + 0.5 * torch.as_tensor(noise["drive.weight"])) @ u[0])
    torch.testing.assert_close(perturbed(system, noise, 0.5).velocity(x, u)[0], expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(system.velocity(x, u)[0], torch.tanh(b + B @ u[0]), rtol=0, atol=1e-14)
    assert A.shape == (4, 4)
    for name, value in module.named_parameters():
        assert torch.equal(value, before[name])
        assert value.requires_grad
        assert value.dtype == torch.float32


def test_a_readout_given_beside_a_module_stays():
    system = dynsys.wrap(nn.LSTM(2, 5), readout=lambda h: h[:, :1] ** 2)
    noisy = perturbed(system, noise_for(system), 0.3)
    x = torch.randn(3, 10, dtype=torch.float64)
    torch.testing.assert_close(noisy.readout(x), x[:, :1] ** 2)


def test_an_unknown_name_lists_the_weights_that_there_are():
    with pytest.raises(ValueError, match="no weights 'W_rr'; it has W_r, W_fb, W_out, B"):
        weights_chosen(MODELS["esn"].example(), ["W_rr"])


def test_a_function_without_weights_is_told_so():
    with pytest.raises(ValueError, match="no weights that are known by name"):
        weights_chosen(dynsys.Map(lambda x, u: x / 2, n_state=1))

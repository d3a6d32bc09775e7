"""Weights over to torch's modules and back: the two compute the same on any sequence."""

import doctest
import itertools

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys.models.examples.simple2d import Simple2D
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.recurrent.coupled import CoupledLSTM
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.peephole import PeepholeLSTM
from dynsys.models.recurrent.vanilla import IRNN, RNN
from dynsys.models.wrapping import to_torch as module_of_to_torch
from dynsys.models.wrapping.to_torch import to_torch

SYSTEMS = {
    "tanh": lambda layers: RNN.random(units=5, layers=layers),
    "relu": lambda layers: RNN.random(units=5, layers=layers, gain=0.5, nonlinearity="relu"),
    "irnn": lambda layers: IRNN.random(units=5, layers=layers),
    "gru": lambda layers: GRU.random(units=5, layers=layers),
    "lstm": lambda layers: LSTM.random(units=5, layers=layers),
    "lstm-proj": lambda layers: LSTM.random(units=5, layers=layers, proj_size=3),
    "lstm-peephole": lambda layers: PeepholeLSTM.random(units=5, layers=layers),
    "lstm-coupled": lambda layers: CoupledLSTM.random(units=5, layers=layers),
}
EVERY = list(itertools.product(SYSTEMS, (1, 2, 3), (True, False)))
TORCHS_OWN = [case for case in EVERY if case[0] not in ("lstm-peephole", "lstm-coupled")]


def made(name, layers, bias):
    system = SYSTEMS[name](layers)
    if bias:
        return system
    arrays = {key: w for key, w in system.arrays().items() if not key.startswith("bias")}
    return type(system).from_arrays(arrays, system.settings())


def stepped(system, u):
    """States (T, B, n_state) of the system driven by u (T, B, n_input), from zero, one step after the other."""
    x, states = torch.zeros(u.shape[1], system.n_state, dtype=u.dtype), []
    for held in u:
        x = x + system.velocity(x, held)
        states.append(x)
    return torch.stack(states)


def flat(last):
    """torch's last h, or (h, c), as a state of ours (B, n_state)."""
    parts = last if isinstance(last, tuple) else (last,)
    return torch.cat([part.transpose(0, 1).flatten(1) for part in parts], dim=1)


def random_inputs(system, T=12, B=3):
    return torch.randn(T, B, system.n_input, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("name", "layers", "bias"), EVERY)
def test_torchs_module_runs_as_the_system_does(name, layers, bias):
    system = made(name, layers, bias)
    u = random_inputs(system)
    with torch.no_grad():
        output, last = to_torch(system)(u)
    states = stepped(system, u)
    torch.testing.assert_close(output, states[:, :, system.state_parts[f"h_l{layers - 1}"]], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(flat(last), states[-1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "layers", "bias"), TORCHS_OWN)
def test_wrap_brings_the_same_system_back(name, layers, bias):
    system = made(name, layers, bias)
    readout = nn.Linear(*reversed(system.arrays()["readout.weight"].shape))
    again = dynsys.wrap(to_torch(system), readout=readout)
    for key, w in again.arrays().items():
        expected = readout.get_parameter(key.split(".")[1]) if key.startswith("readout") else system.arrays()[key]
        np.testing.assert_array_equal(w, torch.as_tensor(expected).detach().double().numpy())
    u = random_inputs(system)
    torch.testing.assert_close(stepped(again, u), stepped(system, u), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["lstm-peephole", "lstm-coupled"])
@pytest.mark.parametrize(("layers", "bias"), [(1, True), (2, False), (3, True)])
def test_a_variant_gives_the_same_system_back(name, layers, bias):
    system = made(name, layers, bias)
    again = type(system).of_module(to_torch(system))
    expected = {key: w for key, w in system.arrays().items() if not key.startswith("readout")}
    assert again.name == name
    assert again.arrays().keys() == expected.keys()
    for key, w in expected.items():
        np.testing.assert_array_equal(again.arrays()[key], w)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_torchs_own_weights_come_back_from_a_network_that_wrap_took(kind):
    torch.manual_seed(1)
    module = kind(3, 4, num_layers=2, batch_first=True)
    again = to_torch(dynsys.wrap(module), batch_first=True)
    assert again.batch_first
    for (name, weight), (other, copy) in zip(module.named_parameters(), again.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(weight.double(), copy)
    u = torch.randn(2, 7, 3)
    torch.testing.assert_close(again(u.double())[0], module(u)[0].double(), rtol=1e-5, atol=1e-6)


def test_one_bias_of_two_is_enough():
    """torch's modules have both or none; the one that the system lacks is 0."""
    arrays = {key: w for key, w in GRU.random(units=4).arrays().items() if key != "bias_hh_l0"}
    system = GRU(arrays)
    module = to_torch(system)
    assert not module.bias_hh_l0.any()
    u = random_inputs(system)
    torch.testing.assert_close(flat(module(u)[1].detach()), stepped(system, u)[-1], rtol=1e-12, atol=1e-12)


def test_the_module_can_be_trained_on_and_leaves_the_system_as_it_is():
    system = LSTM.random(units=4)
    before, module = system.arrays(), to_torch(system)
    module(random_inputs(system))[0].square().mean().backward()
    with torch.no_grad():
        for weight in module.parameters():
            assert weight.grad is not None
            weight -= weight.grad
    for key, w in system.arrays().items():
        np.testing.assert_array_equal(w, before[key])


def uneven():
    """A layer of 4 units under one of 3."""
    draw = np.random.default_rng(0).standard_normal
    weights = {"weight_ih_l0": draw((4, 2)), "weight_hh_l0": draw((4, 4))}
    return RNN(weights | {"weight_ih_l1": draw((3, 4)), "weight_hh_l1": draw((3, 3))})


def projecting_peepholes():
    weights = LSTM.random(units=5, proj_size=3).arrays()
    return PeepholeLSTM(weights | {"peephole_l0": np.ones((3, 5))})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (uneven, r"the layers have 4, 3 units and h of 4, 3; torch's modules have one size"),
        (projecting_peepholes, "peepholes and project their h; no torch module does both"),
        (Simple2D, "of kind '.*'; there is a torch module for rnn, irnn, gru, lstm, "),
        (lambda: FastWeights.random(), "there is a torch module for rnn, irnn, gru, lstm, "),
        (lambda: "run.pt", "system is a str"),
    ],
)
def test_what_torch_has_no_module_for_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        to_torch(make())


def test_the_example_of_the_docstring_runs():
    assert doctest.testmod(module_of_to_torch).failed == 0

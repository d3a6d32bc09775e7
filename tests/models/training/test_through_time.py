"""The recurrence as one node against torch's own modules: the same states, and the same gradient of everything."""

import pytest
import torch
from torch import nn

from dynsys.models.networks.through_time import states_of

MODULES = {
    "tanh": lambda **more: nn.RNN(3, 5, batch_first=True, **more),
    "relu": lambda **more: nn.RNN(3, 5, batch_first=True, nonlinearity="relu", **more),
    "GRU": lambda **more: nn.GRU(3, 5, batch_first=True, **more),
}


@pytest.mark.parametrize(
    "more", [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True}], ids=["plain", "no bias", "stacked"]
)
@pytest.mark.parametrize("kind", MODULES)
def test_states_and_gradients_are_those_of_the_module_itself(kind, more):
    torch.manual_seed(0)
    rnn, inputs = MODULES[kind](**more).double(), torch.randn(4, 7, 3, dtype=torch.float64, requires_grad=True)
    wanted = [inputs, *rnn.parameters()]
    found, expected = states_of(rnn, inputs), rnn(inputs)[0]
    along = torch.randn_like(expected)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-14)
    for ours, theirs in zip(*(torch.autograd.grad(h, wanted, along) for h in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


def test_a_sequence_of_one_step_has_no_gradient_of_the_recurrent_weights():
    rnn = nn.RNN(3, 5, batch_first=True)
    states_of(rnn, torch.randn(4, 1, 3)).sum().backward()
    assert not rnn.weight_hh_l0.grad.any()

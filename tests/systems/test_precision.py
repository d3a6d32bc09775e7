"""Single precision hidden behind a float64 result is found; legal functions of every kind are not taken for it."""

import pytest
import torch

from dynsys import Flow, Map, find_fixed_points
from dynsys.systems.held import Held
from dynsys.systems.precision import computes_in_single

X = torch.randn(64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
W = 1.5 * torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
NO_INPUT = torch.zeros(64, 0, dtype=torch.float64)

SINGLE = {
    "result": Map(lambda x, u: torch.tanh(2 * x.float()), 3),
    "cast back": Map(lambda x, u: torch.tanh(2 * x.float()).double(), 3),
    "in the middle": Map(lambda x, u: 0.3 * torch.tanh(x.float() @ W.float()).double() + 0.1, 3),
    "flow": Flow(lambda x, u: -x + torch.tanh(x.float() @ W.float()), 3),
}
DOUBLE = {
    "tanh": Map(lambda x, u: torch.tanh(x @ W), 3),
    "flow": Flow(lambda x, u: -x + torch.tanh(x @ W), 3),
    "constant": Map(lambda x, u: torch.full_like(x, 0.3), 3),
    "identity": Map(lambda x, u: x, 3),
    "hardly changing": Map(lambda x, u: 0.3 + 1e-7 * x, 3),
    "saturated": Map(lambda x, u: torch.tanh(200 * x), 3),
    "relu": Flow(lambda x, u: -x + torch.relu(x @ W - 1), 3),
    "steps": Map(lambda x, u: torch.floor(5 * x) / 5, 3),
    "sign": Map(lambda x, u: torch.sign(x), 3),
    "stiff": Flow(lambda x, u: -1e8 * x + torch.tanh(x @ W), 3),
    "NaN": Flow(lambda x, u: torch.sqrt(x) - x, 3),
}


@pytest.mark.parametrize("name", SINGLE)
def test_hidden_single_precision_is_found(name):
    assert computes_in_single(Held(SINGLE[name], NO_INPUT), X)


@pytest.mark.parametrize("name", DOUBLE)
def test_a_function_in_double_precision_is_not_taken_for_single(name):
    assert not computes_in_single(Held(DOUBLE[name], NO_INPUT), X)


def test_a_search_refuses_it_with_the_way_out():
    with pytest.raises(ValueError, match=r"computes in single precision.*\.double\(\)"):
        find_fixed_points(Map(lambda x, u: torch.tanh(2 * x.float()), n_state=1), workers=1)

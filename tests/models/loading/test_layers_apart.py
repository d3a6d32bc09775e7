"""Layers that a file keeps as modules of their own, and state dicts whose matrices act from the right."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import describe_checkpoint

M = 3


def weights(prefix, module):
    return {f"{prefix}{key}": value for key, value in module.double().state_dict().items()}


def saved(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    return tmp_path / "w.pt"


def stepped(modules, x, u):
    """A step of modules on top of each other, by the modules themselves: h of each, then c of each."""
    gated = isinstance(modules[0], (nn.LSTM, nn.LSTMCell))
    sizes = [module.hidden_size for module in modules]
    parts = torch.split(x, sizes * (1 + gated), dim=1)
    h, c = [], []
    with torch.no_grad():
        for k, module in enumerate(modules):
            state = (parts[k], parts[len(modules) + k]) if gated else parts[k]
            if isinstance(module, nn.RNNBase):
                state = tuple(part[None] for part in state) if gated else state[None]
                out, new = module(u[None], state)
                u = out[0]
                new = tuple(part[0] for part in new) if gated else new[0]
            else:
                new = module(u, state)
                u = new[0] if gated else new
            h.append(u)
            c += [new[1]] if gated else []
    return torch.cat([*h, *c], dim=1)


def assert_steps_like(system, modules):
    torch.manual_seed(1)
    x, u = torch.randn(4, system.n_state).double(), torch.randn(4, system.n_input).double()
    torch.testing.assert_close(x + system.velocity(x, u), stepped(modules, x, u), rtol=0, atol=1e-12)


LISTS = {
    "cells of torch": ("cells.{}.", [nn.GRUCell(M, 5), nn.GRUCell(5, 5)], "cells"),
    "cells of several sizes": ("net.cells.{}.", [nn.LSTMCell(M, 7), nn.LSTMCell(7, 5), nn.LSTMCell(5, 4)], "net.cells"),
    "modules of whole sequences": ("rnns.{}.", [nn.LSTM(M, 5), nn.LSTM(5, 6)], "rnns"),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_of_cells_whose_sizes_fit_is_opened_as_layers_and_that_is_told(tmp_path, case):
    name, modules, base = LISTS[case]
    content = {key: value for k, module in enumerate(modules) for key, value in weights(name.format(k), module).items()}
    path = saved(tmp_path, {**content, "fc.weight": torch.ones(2, modules[-1].hidden_size).double()})
    assert_steps_like(dynsys.load(path), modules)
    told = describe_checkpoint(path)["assumed"]
    assert f"{base}.1 reads h of {base}.0 in the same step, and nothing else" in told
    assert_steps_like(dynsys.load(path, part=f"{base}.0"), modules[:1])


@pytest.mark.parametrize("beside", ["cells.0.norm.weight", "norms.0.weight"])
def test_a_list_with_norms_between_its_cells_is_not_taken_for_layers(tmp_path, beside):
    modules = [nn.GRU(M, 5), nn.GRU(5, 5)]
    content = {key: value for k in (0, 1) for key, value in weights(f"cells.{k}.", modules[k]).items()}
    path = saved(tmp_path, {**content, beside: torch.ones(5).double()})
    with pytest.raises(CheckpointError, match=r"--part cells\.0\+cells\.1 where each reads h of the one before it"):
        dynsys.load(path)


def test_cells_that_do_not_fit_on_each_other_are_opened_one_by_one(tmp_path):
    modules = [nn.GRUCell(M, 5), nn.GRUCell(M, 5)]
    path = saved(tmp_path, {**weights("cells.0.", modules[0]), **weights("cells.1.", modules[1])})
    with pytest.raises(CheckpointError, match=r"--part cells\.0$"):
        dynsys.load(path)
    for k in (0, 1):
        assert_steps_like(dynsys.load(path, part=f"cells.{k}"), modules[k : k + 1])


def test_two_modules_with_names_of_their_own_are_layers_where_the_user_says_so(tmp_path):
    modules = [nn.LSTM(M, 6), nn.LSTM(6, 4)]
    path = saved(tmp_path, {**weights("lstm1.", modules[0]), **weights("lstm2.", modules[1])})
    with pytest.raises(CheckpointError, match=r"--part lstm1\+lstm2"):
        dynsys.load(path)
    assert_steps_like(dynsys.load(path, part="lstm1+lstm2"), modules)
    with pytest.raises(CheckpointError, match="each can read h of the one before it"):
        dynsys.load(path, part="lstm2+lstm1")


@pytest.mark.parametrize(
    ("make", "layers"), [*itertools.product([nn.RNN, nn.GRU, nn.LSTM], [1, 2])], ids=lambda value: str(value)[-6:]
)
def test_a_state_dict_that_was_stored_turned_is_opened_by_the_option_that_is_named(tmp_path, make, layers):
    module, head = make(M, 5, layers), nn.Linear(5, 2)
    content = {
        key: value.T.contiguous() if value.ndim == 2 else value for key, value in weights("rnn.", module).items()
    }
    content |= {"fc.weight": head.double().weight.data.T.contiguous(), "fc.bias": head.bias.data}
    path = saved(tmp_path, content)
    with pytest.raises(CheckpointError, match="--transposed"):
        dynsys.load(path)
    system = dynsys.load(path, transposed=True)
    x, u = torch.randn(4, system.n_state).double(), torch.randn(4, M).double()
    gated = make is nn.LSTM
    parts = x.reshape(4, 1 + gated, layers, 5).permute(1, 2, 0, 3).contiguous()
    with torch.no_grad():
        new = module.double()(u[None], (parts[0], parts[1]) if gated else parts[0])[1]
        expected = torch.cat([part for kind in (new if gated else (new,)) for part in kind], dim=1)
        torch.testing.assert_close(x + system.velocity(x, u), expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(system.readout(x), head(x[:, 5 * (layers - 1) : 5 * layers]), rtol=0, atol=1e-12)


def test_first_states_are_not_turned(tmp_path):
    module = nn.GRU(M, 5, 2).double()
    content = {key: value.T.contiguous() if value.ndim == 2 else value for key, value in module.state_dict().items()}
    h0 = torch.arange(10.0).double().reshape(2, 5)
    system = dynsys.load(saved(tmp_path, {**content, "h0": h0}), transposed=True)
    np.testing.assert_array_equal(system.initial_state.numpy(), h0.flatten().numpy())


def test_a_list_of_cells_that_each_read_themselves_alone_has_the_line_of_the_first(tmp_path):
    w, B, b = torch.randn(4).double(), torch.randn(4, M).double(), torch.randn(4).double()
    content = {f"cells.0.{k}": v for k, v in {"weight_hh": w, "weight_ih": B, "bias_ih": b}.items()}
    content |= {f"cells.1.{k}": v for k, v in {"weight_hh": w, "weight_ih": torch.ones(4, 4), "bias_ih": b}.items()}
    path = saved(tmp_path, content)
    with pytest.raises(CheckpointError, match=r"IndRNN, --form rnn --matrix 'recurrent=diag\(cells\.0\.weight_hh\)'"):
        dynsys.load(path)
    named = {"recurrent": "diag(cells.0.weight_hh)", "input": "cells.0.weight_ih", "bias": "cells.0.bias_ih"}
    system = dynsys.load(path, form="rnn", matrices=named)
    x, u = torch.randn(3, 4).double(), torch.randn(3, M).double()
    torch.testing.assert_close(x + system.velocity(x, u), torch.tanh(w * x + u @ B.T + b), rtol=0, atol=1e-12)

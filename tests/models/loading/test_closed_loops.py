"""A cell whose output is fed back, or whose h passes through a layer: told, with the line that closes the loop."""

import shlex

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import describe_checkpoint

N, M, K = 6, 3, 2


def saved(tmp_path, cell, config=None, **beside):
    torch.manual_seed(0)
    modules = {"cell": cell(M + K, N), "out": nn.Linear(N, K), **beside}
    held = {f"{name}.{key}": v for name, module in modules.items() for key, v in module.double().state_dict().items()}
    torch.save({"state_dict": held, "config": config or {}}, tmp_path / "w.pt")
    return tmp_path / "w.pt", modules


def said(text):
    """The last line of options in a text, as the choices of ``load``."""
    taken = shlex.split("--form " + text.rpartition("--form ")[2].partition("; with")[0])
    matrices = dict(word.split("=", 1) for word in taken[3::2])
    return {"form": taken[1], "matrices": matrices}


def closed(modules, x, u):
    """The module stepped by hand, its output behind its input."""
    gated = isinstance(modules["cell"], nn.LSTMCell)
    with torch.no_grad():
        h = x[:, :N]
        new = modules["cell"](torch.cat([u, modules["out"](h)], dim=1), (h, x[:, N:]) if gated else h)
        return torch.cat(new, dim=1) if gated else new


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell])
@pytest.mark.parametrize("config", [None, {"input_size": M}], ids=["told", "shown by the sizes"])
def test_the_line_that_is_printed_closes_the_loop_through_the_output(tmp_path, cell, config):
    path, modules = saved(tmp_path, cell, config)
    if config is None:
        (line,) = [line for line in describe_checkpoint(path)["assumed"] if "its own output" in line]
        assert line.startswith(f"the last {K} of its {M + K} inputs are not its own output")
    else:
        with pytest.raises(
            CheckpointError, match=r"the 3 inputs of config\.input_size and, as it seems, the 2"
        ) as caught:
            dynsys.load(path)
        line = str(caught.value)
    system = dynsys.load(path, **said(line))
    x, u = torch.randn(4, system.n_state).double(), torch.randn(4, M).double()
    torch.testing.assert_close(x + system.velocity(x, u), closed(modules, x, u), rtol=0, atol=1e-12)


def test_of_a_gru_the_loop_is_closed_in_python_and_its_output_can_be_held(tmp_path):
    path, modules = saved(tmp_path, nn.GRUCell, {"input_size": M})
    with pytest.raises(CheckpointError, match=r"dynsys\.wrap of the whole module.*--ignore config\.input_size"):
        dynsys.load(path)
    held = dynsys.load(path, ignore="config.input_size")
    x, u = torch.randn(4, N).double(), torch.randn(4, M).double()
    with torch.no_grad():
        z = modules["out"](x)
        new = modules["cell"](torch.cat([u, z], dim=1), x)
    torch.testing.assert_close(x + held.velocity(x, torch.cat([u, z], dim=1)), new, rtol=0, atol=1e-12)


def test_sizes_that_show_no_feedback_show_nothing(tmp_path):
    for config in ({"input_size": M + K}, {"input_size": 128}, {"batch_size": M}):
        path, _ = saved(tmp_path, nn.GRUCell, config)
        assert dynsys.load(path).n_input == M + K


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell])
def test_a_layer_that_h_may_pass_through_is_told_with_its_line(tmp_path, cell):
    path, modules = saved(tmp_path, cell, mix=nn.Linear(N, N))
    (line,) = [line for line in describe_checkpoint(path)["assumed"] if "pass through" in line]
    assert "mix.weight (6, 6)" in line
    system = dynsys.load(path, **said(line))
    x, u = torch.randn(4, system.n_state).double(), torch.randn(4, M + K).double()
    with torch.no_grad():
        h = modules["mix"](x[:, :N])
        new = modules["cell"](u, (h, x[:, N:]) if cell is nn.LSTMCell else h)
        new = torch.cat(new, dim=1) if cell is nn.LSTMCell else new
    np.testing.assert_allclose(x + system.velocity(x, u), new, rtol=0, atol=1e-12)


def test_a_field_beside_a_cell_may_act_between_its_steps_and_is_told(tmp_path):
    path, _ = saved(tmp_path, nn.GRUCell, ode=nn.Sequential(nn.Linear(N, 16), nn.Tanh(), nn.Linear(16, N)))
    assert any("does not pass through ode between two steps" in line for line in describe_checkpoint(path)["assumed"])

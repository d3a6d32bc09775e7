"""Settings of a file that show another step than that of torch's cell, though no array does; and those that do not."""

import json
import shlex

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import describe_checkpoint

N, M = 6, 3


class LeakyNet(nn.Module):
    """A user's class, whose code is not run."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(M, N)


def saved(tmp_path, config, make=nn.RNN, beside=None):
    torch.manual_seed(0)
    weights = {f"rnn.{key}": value for key, value in make(M, N).double().state_dict().items()}
    torch.save({"state_dict": {**weights, **(beside or {})}, "config": config}, tmp_path / "w.pt")
    return tmp_path / "w.pt", {key.removeprefix("rnn."): value.numpy() for key, value in weights.items()}


SHOWN = [
    (nn.GRU, {"residual": True}, "config.residual = True"),
    (nn.GRU, {"use_layer_norm": True}, "config.use_layer_norm = True"),
    (nn.LSTM, {"norm": "layer"}, "config.norm = layer"),
    (nn.GRU, {"feedback": True}, "config.feedback = True"),
    (nn.GRU, {"output_feedback": 1}, "config.output_feedback = 1"),
    (nn.RNN, {"clip_hidden": 5.0}, "config.clip_hidden = 5.0"),
    (nn.LSTM, {"zoneout": 0.1}, "config.zoneout = 0.1"),
    (nn.LSTM, {"skip": 1}, "config.skip = 1"),
    (nn.RNN, {"rnn_type": "LeakyRNN"}, "config.rnn_type = LeakyRNN"),
    (nn.GRU, {"unit_type": "LSTM"}, "config.unit_type = LSTM"),
    (nn.RNN, {"leak_rate": 0.3}, "config.leak_rate = 0.3"),
    (nn.RNN, {"leak": {"rate": 0.3}}, "config.leak.rate = 0.3"),
    (nn.RNN, {"cell": {"tau": 100.0}}, "config.cell.tau = 100.0"),
    (nn.RNN, {"tau": {"value": 100}}, "config.tau.value = 100"),
    (nn.RNN, {"time_constant": 50}, "config.time_constant = 50"),
    (nn.RNN, {"dale_ratio": 0.8}, "config.dale_ratio = 0.8"),
    (nn.GRU, {"leak_rate": 0.3}, "config.leak_rate = 0.3"),
    (nn.RNN, {"leaky": True}, "config.leaky = True"),
    (nn.RNN, {"alpha": "0.2"}, "config.alpha = 0.2"),
    (nn.RNN, {"alpha": [0.2] * N}, "config.alpha (6,)"),
    (nn.RNN, {"ei_ratio": 0.8}, "config.ei_ratio = 0.8"),
    (nn.RNN, {"dale": "yes"}, "config.dale = yes"),
    (nn.LSTM, {"normalization": "layer_norm"}, "config.normalization = layer_norm"),
    (nn.LSTM, {"coupled_input_forget": True}, "config.coupled_input_forget = True"),
    (nn.LSTM, {"cell": "LayerNormLSTMCell"}, "config.cell = LayerNormLSTMCell"),
    (nn.RNN, {"rnn_type": "IndRNN"}, "config.rnn_type = IndRNN"),
]


@pytest.mark.parametrize(("make", "config", "said"), SHOWN, ids=[said for _, _, said in SHOWN])
def test_a_setting_that_no_array_shows_is_named_and_can_be_put_aside(tmp_path, make, config, said):
    path, _ = saved(tmp_path, config, make)
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(path)
    key = said.partition(" ")[0]
    assert said in str(caught.value)
    assert f"--ignore {key}" in str(caught.value)
    x, u = torch.randn(2, N * (1 + (make is nn.LSTM))).double(), torch.randn(2, M).double()
    put_aside = dynsys.load(path, ignore=key).velocity(x, u)
    path, _ = saved(tmp_path, {}, make)
    torch.testing.assert_close(put_aside, dynsys.load(path).velocity(x, u))


NOTHING = [
    {"residual": False, "norm": "none", "zoneout": 0.0, "skip": 0, "rnn_type": "RNN", "leak": 1.0, "model": "elman"},
    {"delay": 500, "lr_decay": 0.3, "decay_rate": 0.9, "weight_norm": True, "alpha": "adam"},
    {"grad_clip": 1.0, "clip": 5.0, "max_grad_norm": 1.0, "skip_first": 10, "norm_weight_decay": 0.1},
    {"optimizer": {"alpha": 0.99, "name": "RMSprop"}, "learning_rate": 0.1, "loss": {"alpha": 0.3}},
    {
        "feedback_loss": 0.1,
        "leak_penalty": 0.2,
        "normalization": "minmax",
        "model": "continuous_control",
        "cell": "RNN",
        "dropout_rate": 0.5,
    },
]


@pytest.mark.parametrize("config", NOTHING)
def test_settings_of_training_or_that_say_no_show_nothing(tmp_path, config):
    path, _ = saved(tmp_path, config)
    assert dynsys.load(path).n_state == N


def test_what_arrays_of_the_file_show_is_judged_by_them(tmp_path):
    beside = {"head.bn.weight": torch.ones(4), "head.bn.bias": torch.zeros(4), "decoder.weight": torch.ones(4, N)}
    path, _ = saved(tmp_path, {"batch_norm": True}, nn.GRU, beside)
    assert "head.bn.weight (4,)" in dynsys.load(path).unread


def test_noise_a_decay_and_what_is_added_to_the_output_are_told(tmp_path):
    path, _ = saved(tmp_path, {"decay_rate": 0.9, "weight_decay": 0.1})
    told = describe_checkpoint(path)["assumed"]
    assert [line for line in told if "decay" in line] == ["config.decay_rate = 0.9 is of training, and no leak of h"]
    path, _ = saved(tmp_path, {"sigma": 1, "rec_noise": 0.05})
    assert "noise is left out (config.rec_noise = 0.05)" in describe_checkpoint(path)["assumed"]
    lstm = {f"rec.{key}": value.tolist() for key, value in nn.LSTM(1, N).state_dict().items()}
    head = {"lin.weight": np.ones((1, N)).tolist(), "lin.bias": [0.0]}
    data = {"model": "SimpleRNN", "unit_type": "LSTM", "input_size": 1, "skip": 1, "hidden_size": N, "num_layers": 1}
    (tmp_path / "amp.json").write_text(json.dumps({"model_data": data, "state_dict": {**lstm, **head}}))
    (line,) = [line for line in describe_checkpoint(tmp_path / "amp.json")["assumed"] if "skip" in line]
    assert line == "the output is read from h alone, without the input that model_data.skip = 1 adds to it"


def options(text):
    """The first line of options in a refusal, as the choices of ``load``."""
    taken = shlex.split("--form " + text.partition("--form ")[2].partition(";")[0])
    choices, matrices = {}, {}
    for option, value in zip(taken[::2], taken[1::2], strict=True):
        if option == "--matrix":
            matrices |= dict([value.split("=", 1)])
        else:
            choices[option[2:]] = value
    return {**choices, "matrices": matrices}


@pytest.mark.parametrize("beside", [None, {"rnn.tau": torch.tensor(100.0)}])
def test_a_step_and_a_time_constant_make_the_leak_of_the_line_that_is_printed(tmp_path, beside):
    config = {"dt": 20, "tau": 100} if beside is None else {}
    dt = {} if beside is None else {"rnn.dt": torch.tensor(20.0)}
    path, w = saved(tmp_path, config, nn.RNN, None if beside is None else {**beside, **dt})
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(path)
    system = dynsys.load(path, **options(str(caught.value)))
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=N), rng.normal(size=M)
    f = np.tanh(w["weight_hh_l0"] @ x + w["weight_ih_l0"] @ u + w["bias_ih_l0"] + w["bias_hh_l0"])
    new = x + system.velocity(torch.tensor(x)[None], torch.tensor(u)[None])[0].numpy()
    np.testing.assert_allclose(new, 0.8 * x + 0.2 * f, atol=1e-12)


@pytest.mark.parametrize("config", [{"leak": {"rate": 0.3}}, {"leakingRate": 0.3}, {"alpha": {"value": 0.3}}])
def test_a_nested_leak_is_that_of_matrices_that_are_named(tmp_path, config):
    path, w = saved(tmp_path, config)
    system = dynsys.load(path, form="leaky", matrices={"recurrent": "rnn.weight_hh_l0"})
    x = np.linspace(-1, 1, N)
    new = x + system.velocity(torch.tensor(x)[None], torch.zeros(1, 0).double())[0].numpy()
    np.testing.assert_allclose(new, 0.7 * x + 0.3 * np.tanh(w["weight_hh_l0"] @ x), atol=1e-12)


def test_a_class_is_evidence_by_its_name_alone_and_a_number_beside_it_has_its_line(tmp_path):
    """The attributes of a whole module are settings."""
    module = LeakyNet()
    torch.save(module, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="LeakyNet"):
        dynsys.load(tmp_path / "w.pt")
    module.tau, module.dt = 100.0, 20.0
    torch.save(module, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"tau = 100\.0, dt = 20\.0.*--form leaky --alpha 0\.2 "):
        dynsys.load(tmp_path / "w.pt")

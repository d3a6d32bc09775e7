"""The door: files of other tools open as what they hold, or are refused with a way out; and its judge is right.

The files and their equations are those of ``benchmarks/door.py``; here is one of each kind, and what proves that the
equations are the tools' own: torch's modules and ONNX's reference evaluator take the same step.
"""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import importlib.util

from door import printed
from door import visit as judge
from door.layout import LAYOUTS, LINE, OPEN, REFUSED, SAID, Network

import dynsys

SPEC = importlib.util.spec_from_file_location("door_command", Path(__file__).parents[3] / "benchmarks" / "door.py")
command = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(command)

QUICK = (
    "torch_lstm_of_two_layers",
    "torch_config_ReLU",
    "torch_arguments_of_the_command_line",
    "torch_bidirectional",
    "torch_encoder_decoder",
    "torch_lightning_with_functions",
    "torch_whole_module_of_a_user",
    "torch_whole_module_of_a_user_old_format",
    "torch_policy_in_a_zip",
    "weight_norm_by_hooks",
    "spectral_norm_by_parametrization",
    "pruned_half",
    "weight_drop_with_a_dropped_copy",
    "layer_norm_lstm",
    "leak_by_alpha",
    "reservoir_of_torch_names_and_one_bias",
    "mask_and_signs",
    "keras_h5_lstm_hard_sigmoid_of_keras_2",
    "keras_h5_as_wide_as_its_input",
    "keras_zip_gru_reset_before",
    "keras_zip_lstm_of_two_layers",
    "keras_zip_of_two_parallel_layers",
    "hdf5_of_python_w",
    "hdf5_of_matlab_w",
    "hdf5_of_matlab_network_object",
    "mat_network_object",
    "mat_struct",
    "mat_lstm_gate_by_gate",
    "onnx_gru_reset_before",
    "onnx_lstm",
    "onnx_of_two_parallel_nodes",
    "json_state_dict_lstm",
    "nam_lstm_of_two_layers",
    "rtneural_gru",
    "flax_gru",
    "flax_minimal_gated_unit",
    "npz_rate_retanh",
    "npz_acting_from_either_side",
    "npz_low_rank",
    "npz_minimal_character_rnn",
    "npz_dale_as_psychrnn_keeps_it",
    "pt_one_linear_layer_for_both",
    "npz_haiku_lstm",
    "npz_lstm_stacked_ifog",
    "npz_leaky_map",
    "npy_folder",
    "esn_with_a_bias_in_either_place",
    "plrnn_shallow",
    "haste_lstm",
    "haste_gru",
    "haste_layer_norm_lstm",
    "independently_recurrent",
    "equinox_leaves",
    "gru_cell_under_a_field",
    "GRUCell_cells_0_cells_1",
    "LSTM_lstm1_lstm2",
    "turned_GRU_of_1",
    "output_fed_back_as_the_sizes_show",
    "setting_kind_of_lstm",
    "leak_of_the_other_names",
    "leak_in_the_header_of_safetensors",
    "several_networks_in_one_array",
    "mask_of_a_gated_cell",
    "called_with_a_step_and_a_time",
    "called_U_W_V",
    "called_by_folders",
    "called_as_keras_calls_its_kernels",
    "torch_views_of_one_storage_old_format",
    "pickle_column_major",
    "pickle_of_arrays_protocol_4",
    "pickle_of_an_object",
    "pickle_that_would_do_harm",
    "module_spectral_norm_loaded",
    "module_that_leaks",
    "module_that_tanh",
    "module_called_batch_first",
    "torchscript",
    "tensorflow_saved_model",
    "orbax_folder",
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", QUICK)
def test_a_file_comes_in_as_it_must(name, tmp_path):
    seen = judge.visit(LAYOUTS[name], tmp_path, seed=2)
    if seen.verdict == judge.SKIPPED:
        pytest.skip(seen.note)
    assert seen.as_it_must, (seen.verdict, seen.note, seen.said_note)
    assert seen.verdict in (judge.RIGHT, judge.AFTER_LINE, judge.WAY_OUT), seen.note
    assert seen.said in (None, judge.RIGHT), seen.said_note


def test_every_kind_of_file_has_a_quick_one():
    assert {LAYOUTS[name].kind for name in QUICK} == {entry.kind for entry in LAYOUTS.values()}


def test_there_are_files_enough():
    of = {must: sum(entry.must == must for entry in LAYOUTS.values()) for must in (OPEN, LINE, SAID, REFUSED)}
    assert sum(of.values()) >= 100
    assert of[OPEN] + of[LINE] >= 70
    assert of[REFUSED] >= 20


def written(name, folder):
    return LAYOUTS[name].make(folder, 0)


def reparametrised(make, how, prefix=""):
    """A fresh module whose weights are computed in the same way, and which takes the file's tensors."""

    def build(weights, n, m):
        module = make(m, n).double()
        how(module, "weight_hh_l0")
        module.load_state_dict({key.removeprefix(prefix): value for key, value in weights.items()})
        return module.eval()

    return build


def half_pruned(module, name):
    prune.l1_unstructured(module, name, amount=0.5)


OWN = {
    "weight_norm_by_hooks": reparametrised(nn.GRU, weight_norm),
    "weight_norm_by_parametrization": reparametrised(nn.LSTM, parametrizations.weight_norm, "rnn."),
    "spectral_norm_by_hooks": reparametrised(nn.RNN, spectral_norm),
    "spectral_norm_by_parametrization": reparametrised(nn.GRU, parametrizations.spectral_norm),
    "spectral_norm_by_columns": reparametrised(nn.GRU, partial(spectral_norm, dim=1)),
    "weight_norm_by_columns": reparametrised(nn.RNN, partial(parametrizations.weight_norm, dim=1)),
    "weight_norm_of_the_whole_matrix": reparametrised(nn.LSTM, partial(weight_norm, dim=None)),
    "pruned_half": reparametrised(nn.RNN, half_pruned),
    "torch_rnn": reparametrised(nn.RNN, lambda *_: None, "rnn."),
    "torch_gru": reparametrised(nn.GRU, lambda *_: None, "rnn."),
    "torch_lstm": reparametrised(nn.LSTM, lambda *_: None, "rnn."),
    "torch_lstm_of_two_layers": reparametrised(lambda m, n: nn.LSTM(m, n, 2), lambda *_: None, "rnn."),
    "torch_gru_of_three_layers": reparametrised(lambda m, n: nn.GRU(m, n, 3), lambda *_: None, "rnn."),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", OWN)
def test_the_equation_of_a_file_is_what_torch_s_module_computes(name, tmp_path):
    network = written(name, tmp_path)
    weights = {k: v for k, v in torch.load(network.path).items() if not k.startswith("fc.")}
    module = OWN[name](weights, 7, 3)
    x, u = np.random.default_rng(1).normal(size=network.n_state), np.random.default_rng(2).normal(size=3)
    parts = (
        torch.as_tensor(x).reshape(2, -1, 1, 7) if isinstance(module, nn.LSTM) else torch.as_tensor(x).reshape(-1, 1, 7)
    )
    with torch.no_grad():
        new = module(torch.as_tensor(u)[None, None], tuple(parts) if isinstance(module, nn.LSTM) else parts)[1]
    own = torch.cat([part.ravel() for part in new]) if isinstance(new, tuple) else new.ravel()
    np.testing.assert_allclose(network.step(x, u), own.numpy(), rtol=1e-12, atol=1e-12)


def one_step(module, x, u):
    """The next state, by the module's own forward."""
    x, u = torch.as_tensor(x), torch.as_tensor(u)
    form = getattr(module, "form", "")
    if isinstance(module, nn.RNNCellBase) or form in ("state_first", "output_first"):
        new = module(u[None], x[None])
        return (new[0 if form == "state_first" else 1] if isinstance(new, tuple) else new)[0]
    if form == "time_first" or hasattr(module, "change"):
        return module(u[None, None], x[None])[1][0]
    return module(u[None, None], x[None, None])[1][0, 0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name, entry in LAYOUTS.items() if entry.kind == "module"])
def test_the_equation_of_a_module_is_what_it_computes(name, tmp_path):
    network = written(name, tmp_path)
    if network.step is None:
        pytest.skip("it has no real step")
    x, u = np.random.default_rng(1).normal(size=7), np.random.default_rng(2).normal(size=3)
    with torch.no_grad():
        own = one_step(network.module, x, u).numpy()
        np.testing.assert_allclose(network.step(x, u), own, rtol=1e-12, atol=1e-12)
        if network.readout is not None:
            said = network.module(torch.as_tensor(u)[None, None], torch.as_tensor(x)[None])[0][0, 0]
            np.testing.assert_allclose(network.readout(own), said.numpy(), rtol=1e-12, atol=1e-12)


BEYOND_THE_REFERENCE = (  # which takes an operator's own functions only, and one direction
    "onnx_rnn_relu",
    "onnx_rnn_sigmoid",
    "onnx_rnn_of_a_leaky_relu",
    "onnx_lstm_of_hard_sigmoids",
    "onnx_bidirectional",
)


@pytest.mark.parametrize("name", [name for name, entry in LAYOUTS.items() if entry.kind == "onnx"])
def test_the_equation_of_a_graph_is_what_onnx_s_reference_computes(name, tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    network = written(name, tmp_path)
    if network.step is None or name in BEYOND_THE_REFERENCE:
        pytest.skip("the reference evaluator does not run it")
    model = onnx.load(network.path)
    onnx.checker.check_model(model)
    u = np.random.default_rng(1).normal(size=(4, network.n_input)).astype(np.float32)
    own = ReferenceEvaluator(model).run(None, {"x": u[:, None]})[0][-1].ravel()
    x = np.zeros(network.n_state)
    for now in u.astype(float):
        x = network.step(x, now)
    top = x[: len(own)] if "lstm" in name else x[-len(own) :]
    mine = top if network.readout is None else network.readout(x)
    np.testing.assert_allclose(mine, own, atol=1e-6)


def test_a_printed_line_is_read_as_it_stands():
    message = (
        "net.npz: no known network; try --form rate --matrix 'recurrent=abs(W * mask) @ D' --matrix input=wi.T, "
        "or (--form leaky --alpha A --matrix recurrent=W[:, 3:])"
    )
    first, second = printed.printed_lines(message)
    assert first == [("form", "rate"), ("matrix", "recurrent=abs(W * mask) @ D"), ("matrix", "input=wi.T")]
    assert second[0] == ("form", "leaky")


def test_words_that_stand_for_a_key_are_no_line():
    assert printed.printed_lines("name its matrices, --matrix recurrent=KEY, and --form FORM") == []


def of_matrix(path, W, **more):
    np.savez(path, J=W)
    n = len(W)
    return Network(path, lambda x, u: -x + W @ np.tanh(x), n, 0, flow=True, **more)


def test_the_judge_tells_another_network_from_the_right_one(tmp_path):
    W = np.random.default_rng(0).normal(size=(5, 5))
    network = of_matrix(tmp_path / "net.npz", W)
    right = dynsys.load(network.path, form="rate", matrices={"recurrent": "J"})
    turned = dynsys.load(network.path, form="rate", matrices={"recurrent": "J"}, transposed=True)
    other = dynsys.load(network.path, form="activity", matrices={"recurrent": "J"})
    as_map = dynsys.load(network.path, form="rnn", matrices={"recurrent": "J"})
    assert judge.compare(right, network) is None
    assert all("off by" in judge.compare(system, network) for system in (turned, other))
    assert judge.compare(as_map, network) == "it is no map"


def test_a_network_that_differs_by_a_millionth_is_another(tmp_path):
    W = np.random.default_rng(0).normal(size=(5, 5))
    network = of_matrix(tmp_path / "net.npz", W)
    np.savez(network.path, J=W * (1 + 1e-6))
    system = dynsys.load(network.path, form="rate", matrices={"recurrent": "J"})
    assert judge.compare(system, network) is not None


def test_a_readout_of_another_module_is_no_right_network(tmp_path):
    network = of_matrix(tmp_path / "net.npz", np.eye(4), readout=lambda x: np.zeros(0))
    given = {"recurrent": "J", "readout": "J"}
    assert "readout" in judge.compare(dynsys.load(network.path, form="rate", matrices=given), network)


def test_a_sound_file_that_is_called_damaged_has_no_way_out(tmp_path):
    network = Network(tmp_path / "x", way_out="copy")
    assert judge.leads_on(network, "x: copy it")
    assert not judge.leads_on(network, "x: it is cut or damaged; copy or make it again")


@pytest.mark.filterwarnings("ignore")
def test_the_command_prints_its_totals_and_fails_where_the_door_does(capsys, monkeypatch):
    assert command.main(["--file", "torch_gru", "--seeds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["totals"]["open right"] == found["totals"]["files"] == 1
    monkeypatch.setattr(judge, "compare", lambda system, network: "one step is off by 1")
    assert command.main(["--file", "torch_gru", "--seeds", "1"]) == 1
    assert "1 open wrong" in capsys.readouterr().out

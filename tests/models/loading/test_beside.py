"""What stands beside a recurrent cell in a file, and what a configuration says of f in other ways than by its name."""

import shlex

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from torch import nn

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import describe_checkpoint

N, M = 6, 3
RNG = np.random.default_rng(12)


def draw(*shape):
    return torch.tensor(RNG.standard_normal(shape))


def weights(prefix, module):
    return {f"{prefix}{key}": value for key, value in module.double().state_dict().items()}


def saved(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    return tmp_path / "w.pt"


def step(system, x, u):
    return (torch.tensor(x)[None] + system.velocity(torch.tensor(x)[None], torch.tensor(u)[None]))[0].numpy()


def refused(path, **choices):
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(path, **choices)
    return str(caught.value)


IN_THE_LOOP = {
    "a norm under another name": {"post.0.weight": draw(N), "post.0.bias": draw(N)},
    "the slope of a PReLU": {"act.weight": torch.tensor([0.25])},
    "a function with a parameter for each unit": {"act.a": draw(N)},
    "a factor of the module's own": {"temperature": torch.tensor([1.7])},
    "peepholes of another module": {"peep.w_ci": draw(1, N)},
    "factors of low rank": {"lora_A": draw(2, N), "lora_B": draw(N, 2)},
}


@pytest.mark.parametrize("case", IN_THE_LOOP)
def test_what_may_act_between_two_steps_of_a_cell_stepped_by_hand_is_named(tmp_path, case):
    beside = IN_THE_LOOP[case]
    path = saved(
        tmp_path, {**weights("cell.", nn.RNNCell(M, N)), **beside, "fc.weight": draw(2, N), "fc.bias": draw(2)}
    )
    error = refused(path)
    assert all(f"--ignore {key}" in error for key in beside)
    assert dynsys.load(path, ignore=tuple(beside)).n_state == N


def test_what_belongs_to_training_or_to_a_linear_layer_acts_on_no_cell(tmp_path):
    beside = {
        "log_std": torch.zeros(1),
        "loss.weight": torch.ones(1),
        "dense.weight": draw(N, N),
        "dense.bias": draw(N),
    }
    path = saved(tmp_path, {**weights("cell.", nn.RNNCell(M, N)), **beside})
    assert dynsys.load(path).n_state == N


def test_a_linear_layer_of_one_output_beside_two_cells_acts_on_neither(tmp_path):
    content = {**weights("a.", nn.LSTMCell(M, N)), **weights("b.", nn.LSTMCell(N, N))}
    path = saved(tmp_path, {**content, "linear.weight": draw(1, N), "linear.bias": draw(1)})
    assert dynsys.load(path, part="a").n_state == dynsys.load(path, part="b").n_state == 2 * N


def test_a_norm_beside_a_list_of_cells_is_named(tmp_path):
    path = saved(tmp_path, {**weights("cells.0.", nn.GRUCell(M, N)), "norms.0.weight": draw(N)})
    assert "norms.0.weight" in refused(path)


def test_factors_of_low_rank_within_a_module_are_no_network_to_choose(tmp_path):
    added = {"rnn.lora_A.weight_hh_l0": draw(2, N), "rnn.lora_B.weight_hh_l0": draw(N, 2)}
    assert "rnn.lora_A.weight_hh_l0" in refused(saved(tmp_path, {**weights("rnn.", nn.RNN(M, N)), **added}), part="rnn")


def test_of_a_cell_it_is_told_that_no_file_has_the_code_that_steps_it(tmp_path):
    path = saved(tmp_path, weights("cell.", nn.GRUCell(M, N)))
    assert any("hands h on as it is" in line for line in describe_checkpoint(path)["assumed"])
    path = saved(tmp_path, weights("rnn.", nn.GRU(M, N)))
    assert describe_checkpoint(path)["assumed"] == []


def test_a_norm_that_may_stand_before_the_readout_is_told(tmp_path):
    beside = {"bn.weight": draw(N), "bn.bias": draw(N), "fc.weight": draw(2, N), "fc.bias": draw(2)}
    path = saved(tmp_path, {**weights("rnn.", nn.LSTM(M, N)), **beside})
    assert any("bn.weight (6,) may stand before it" in line for line in describe_checkpoint(path)["assumed"])


@pytest.mark.parametrize("key", ["attn.in_proj_weight", "self_attention.out_proj.weight", "enc.1.weight"])
def test_attention_and_an_encoder_are_no_readout(tmp_path, key):
    path = saved(tmp_path, {**weights("rnn.", nn.GRU(M, N)), key: draw(3 * N, N), "last.weight": draw(2, N)})
    assert dynsys.load(path).n_output == 2


def test_the_wrappers_of_torch_compile_and_data_parallel_hide_no_readout(tmp_path):
    for wrapper in ("_orig_mod.", "module.", "_orig_mod.module."):
        path = saved(tmp_path, {**weights(f"rnn.{wrapper}", nn.GRU(M, N)), "fc.weight": draw(2, N)})
        assert dynsys.load(path).n_output == 2


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16])
def test_quantised_weights_are_no_weights_without_their_scale(tmp_path, dtype):
    held = {key: (20 * value).to(dtype) for key, value in weights("rnn.", nn.RNN(M, N)).items()}
    path = saved(tmp_path, held)
    assert "quantised" in refused(path)
    system = dynsys.load(path, form="rnn", matrices={"recurrent": "0.05 * rnn.weight_hh_l0"})
    x = RNG.standard_normal(N)
    expected = np.tanh(0.05 * held["rnn.weight_hh_l0"].numpy().astype(float) @ x)
    np.testing.assert_allclose(step(system, x, np.zeros(0)), expected, rtol=1e-12, atol=1e-15)


def test_square_matrices_beside_a_readout_that_acts_from_the_right_are_not_taken_as_torch_s(tmp_path):
    W, B, b, c, V, d = draw(N, N), draw(N, N), draw(N), draw(N), draw(N, 2), draw(2)
    names = ("rnn.weight_hh_l0", "rnn.weight_ih_l0", "rnn.bias_hh_l0", "rnn.bias_ih_l0", "fc.weight", "fc.bias")
    path = saved(tmp_path, dict(zip(names, (W, B, b, c, V, d), strict=True)))
    assert "--transposed" in refused(path)
    system = dynsys.load(path, transposed=True)
    x, u = RNG.standard_normal(N), RNG.standard_normal(N)
    expected = np.tanh(x @ W.numpy() + u @ B.numpy() + b.numpy() + c.numpy())
    np.testing.assert_allclose(step(system, x, u), expected, rtol=1e-12)
    z = system.readout(torch.tensor(expected)[None])[0].numpy()
    np.testing.assert_allclose(z, expected @ V.numpy() + d.numpy(), rtol=1e-12)


SAID = {
    "a module": {"hyper_parameters": {"activation": nn.ReLU()}},
    "torch's own word for its kind": {"args": {"model": "RNN_RELU"}},
    "a yes or no": {"args": {"use_relu": True}},
}


@pytest.mark.parametrize("case", SAID)
def test_a_configuration_says_f_in_other_ways_as_well(tmp_path, case):
    held = weights("rnn.", nn.RNN(M, N))
    W, B = held["rnn.weight_hh_l0"].numpy(), held["rnn.weight_ih_l0"].numpy()
    b = (held["rnn.bias_ih_l0"] + held["rnn.bias_hh_l0"]).numpy()
    x, u = RNG.standard_normal(N), RNG.standard_normal(M)
    system = dynsys.load(saved(tmp_path, {"state_dict": held, **SAID[case]}))
    np.testing.assert_allclose(step(system, x, u), np.maximum(W @ x + B @ u + b, 0), rtol=1e-12)


def test_a_function_that_a_whole_module_has_beside_its_gru_is_not_that_of_the_gru(tmp_path):
    module = nn.Module()
    module.rnn, module.activation, module.fc = nn.GRU(M, N).double(), nn.ReLU(), nn.Linear(N, 2).double()
    assert dynsys.load(saved(tmp_path, module)).n_state == N


def test_a_struct_says_the_f_of_its_own_matrices(tmp_path):
    W, B = RNG.standard_normal((N, N)), RNG.standard_normal((N, M))
    scipy.io.savemat(tmp_path / "w.mat", {"net": {"W_rec": W, "W_in": B, "activation_function": "relu"}})
    x, u = RNG.standard_normal(N), RNG.standard_normal(M)
    system = opened_by_its_line(tmp_path / "w.mat")
    np.testing.assert_allclose(step(system, x, u), np.maximum(W @ x + B @ u, 0), rtol=1e-12)
    scipy.io.savemat(tmp_path / "w.mat", {"net": {"W_rec": W, "activation_function": "wobble"}})
    with pytest.raises(CheckpointError, match="wobble"):
        dynsys.load(tmp_path / "w.mat", form="rnn", matrices={"recurrent": "net.W_rec"})
    assert "--matrix recurrent=net.W_rec --activation F" in refused(tmp_path / "w.mat")


def test_dale_s_law_in_a_configuration_is_not_passed_over(tmp_path):
    content = {"state_dict": weights("rnn.", nn.RNN(M, N)), "cfg": {"dale": True}}
    assert "--ignore cfg.dale" in refused(saved(tmp_path, content))
    content["cfg"]["dale"] = False
    assert dynsys.load(saved(tmp_path, content)).n_state == N


def keras_file(tmp_path, cell, **arrays):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[f"{cell}/{cell}/{cell}_cell/{name}:0"] = values
    return path


def test_a_cell_of_keras_that_has_more_than_its_kernels_is_no_simple_rnn(tmp_path):
    K, R, b = RNG.standard_normal((M, N)), RNG.standard_normal((N, N)), RNG.standard_normal(N)
    for name, more in (("simple_rnn", {"tau": np.full(N, 2.0)}), ("simple_ctrnn", {})):
        path = keras_file(tmp_path, name, kernel=K, recurrent_kernel=R, bias=b, **more)
        error = refused(path)
        words = shlex.split(error[error.index("--matrix") :].split(";")[0])
        said = dict(word.split("=", 1) for word in words[1::2])
        system = dynsys.load(path, form="leaky", alpha=0.5, matrices=said)
        x, u = RNG.standard_normal(N), RNG.standard_normal(M)
        np.testing.assert_allclose(step(system, x, u), x / 2 + np.tanh(x @ R + u @ K + b) / 2, rtol=1e-12)
    path = keras_file(tmp_path, "simple_rnn", kernel=K, recurrent_kernel=R, bias=b)
    np.testing.assert_allclose(step(dynsys.load(path), x, u), np.tanh(x @ R + u @ K + b), rtol=1e-12)


def opened_by_its_line(path, **more):
    """The network of the first line that the refusal prints."""
    error = refused(path)
    words = shlex.split(error[error.rindex("--form rnn") :].split("; or")[0])
    return dynsys.load(path, form="rnn", matrices=dict(word.split("=", 1) for word in words[3::2]), **more)


def test_what_a_run_left_behind_and_a_configuration_keep_no_line_back(tmp_path):
    W, B, b = RNG.standard_normal((N, N)), RNG.standard_normal((N, M)), RNG.standard_normal((N, 1))
    left = {"hprev": np.zeros((N, 1)), "noise_enabled": np.array(1, dtype=np.uint8), "cfg.levels": np.arange(4.0)}
    np.savez(tmp_path / "w.npz", Whh=W, Wxh=B, bh=b, **left)
    x, u = RNG.standard_normal(N), RNG.standard_normal(M)
    system = opened_by_its_line(tmp_path / "w.npz")
    np.testing.assert_allclose(step(system, x, u), np.tanh(W @ x + B @ u + b[:, 0]), rtol=1e-12)


def test_recordings_three_times_as_long_as_wide_are_no_gates(tmp_path):
    W, B = RNG.standard_normal((N, N)), RNG.standard_normal((N, M))
    recorded = {"hidden_state": RNG.standard_normal((3 * N, N)), "sequence": RNG.standard_normal((3 * N, M))}
    np.savez(tmp_path / "w.npz", hidden_weights=W, input_weights=B, **recorded)
    x, u = RNG.standard_normal(N), RNG.standard_normal(M)
    np.testing.assert_allclose(step(opened_by_its_line(tmp_path / "w.npz"), x, u), np.tanh(W @ x + B @ u), rtol=1e-12)


def test_a_structured_array_is_its_fields(tmp_path):
    record = np.zeros(1, dtype=[("W_rec", "f8", (N, N)), ("b", "f8", (N,))])
    record["W_rec"], record["b"] = RNG.standard_normal((N, N)), RNG.standard_normal(N)
    np.savez(tmp_path / "w.npz", net=record)
    system = opened_by_its_line(tmp_path / "w.npz")
    x = RNG.standard_normal(N)
    expected = np.tanh(record["W_rec"][0] @ x + record["b"][0])
    np.testing.assert_allclose(step(system, x, np.zeros(0)), expected, rtol=1e-12)


def test_what_makes_no_network_is_not_offered_to_be_put_aside(tmp_path):
    np.savez(tmp_path / "w.npz", W=RNG.standard_normal((2, N, N)), more=RNG.standard_normal((2, N)))
    assert "--ignore" not in refused(tmp_path / "w.npz")


def test_the_equation_of_a_network_with_tanh_says_tanh(tmp_path):
    K, R = RNG.standard_normal((M, N)), RNG.standard_normal((N, N))
    path = keras_file(tmp_path, "simple_rnn", kernel=K, recurrent_kernel=R)
    assert describe_checkpoint(path)["equation"] == "h' = tanh(W_ih u + b_ih + W_hh h + b_hh)"


def test_a_low_rank_network_with_factors_for_its_inputs_and_outputs_is_told_by_a_line(tmp_path):
    m, n, wi, wo = (RNG.standard_normal(shape) for shape in ((N, 2), (N, 2), (M, N), (N, 2)))
    si, so = RNG.standard_normal(M), RNG.standard_normal(2)
    np.savez(tmp_path / "w.npz", wi=wi, si=si, m=m, n=n, b=np.zeros(N), wo=wo, so=so, h0=np.zeros(N))
    error = refused(tmp_path / "w.npz")
    words = shlex.split(error[error.rindex("--form low-rank") :])
    said = dict(word.split("=", 1) for word in words[3::2])
    system = dynsys.load(tmp_path / "w.npz", form="low-rank", alpha=0.2, matrices=said)
    x, u = RNG.standard_normal(N), RNG.standard_normal(M)
    expected = 0.8 * x + 0.2 * (m @ n.T @ np.tanh(x) / N + u @ (wi.T * si).T)
    np.testing.assert_allclose(step(system, x, u), expected, rtol=1e-12)
    z = system.readout(torch.tensor(x)[None])[0].numpy()
    np.testing.assert_allclose(z, np.tanh(x) @ (wo * so) / N, rtol=1e-12)


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.RNNCell(M, N)

    def forward(self, u, h):
        return self.cell(u, h) * float("nan")


def test_a_module_whose_states_are_not_finite_is_no_map():
    with pytest.raises(ValueError, match="not finite"):
        dynsys.wrap(Broken())

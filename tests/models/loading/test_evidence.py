"""Cells that bear torch's names and compute something else: what shows it is named, and never passed over."""

import re
import shlex

import numpy as np
import pytest
import torch
import torch.nn.utils.parametrizations as parametrizations
from click.testing import CliRunner
from torch import nn
from torch.nn import utils
from torch.nn.utils import prune

import dynsys
from dynsys.cli import main
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import describe_checkpoint

N, M = 8, 3
RNG = np.random.default_rng(0)


def draw(*shape):
    return torch.tensor(RNG.standard_normal(shape) / shape[-1] ** 0.5)


def cell(prefix, gates, end="", biases=True):
    named = {f"weight_ih{end}": draw(gates * N, M), f"weight_hh{end}": 1.5 * draw(gates * N, N)}
    named |= {f"bias_ih{end}": draw(gates * N), f"bias_hh{end}": draw(gates * N)} if biases else {}
    return {prefix + key: value for key, value in named.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def saved(tmp_path, content):
    torch.save(content, tmp_path / "m.pt")
    return tmp_path / "m.pt"


def step(system, x, u):
    return (torch.as_tensor(x)[None] + system.velocity(torch.as_tensor(x)[None], torch.as_tensor(u)[None]))[0].numpy()


def assert_steps_like(system, expected):
    """At five random states and inputs."""
    draws = np.random.default_rng(1)
    for _ in range(5):
        x, u = draws.standard_normal(system.n_state), draws.standard_normal(system.n_input)
        np.testing.assert_allclose(step(system, x, u), expected(x, u), rtol=0, atol=1e-12)


SHOWN = {
    "layer norm of an LSTM": (cell("cell.", 4), {"cell.layernorm_i.weight": torch.ones(4 * N)}),
    "gains of a GRU": (cell("gru.", 3), {"gru.gamma_hh": torch.ones(3 * N)}),
    "a leak": (cell("rnn.", 1), {"rnn.alpha": torch.tensor(0.2)}),
    "a leak of each unit": (cell("rnn.", 1), {"rnn.alpha": torch.full((N,), 0.2)}),
    "a time constant": (cell("rnn.", 1), {"rnn.tau": torch.tensor(100.0)}),
    "a leak of the module around": (cell("rnn.cell.", 1), {"rnn.alpha": torch.tensor(0.2)}),
    "a mask": (cell("rnn.", 1, "_l0"), {"rnn.mask_hh": torch.ones(N, N)}),
    "signs in the module around": (cell("rnn.", 1, "_l0"), {"dale_sign": torch.ones(N)}),
    "a lone bias": (cell("", 3, biases=False), {"bias": torch.ones(3 * N)}),
    "one bias more": (cell("rnn.", 1), {"rnn.bias": torch.ones(N)}),
    "a norm beside a cell stepped by hand": (cell("cell.", 4), {"norm.weight": torch.ones(N)}),
    "anything else of its own": (cell("cell.", 3), {"cell.whatever": torch.ones(5)}),
    "what is as wide as the state, around it": (cell("rnn.", 1, "_l0"), {"mystery": torch.ones(N)}),
    "half of a weight norm": (cell("rnn.", 3, "_l0"), {"rnn.weight_hh_l0_g": torch.ones(3 * N, 1)}),
    "a mask without torch's pruning": (cell("rnn.", 1, "_l0"), {"rnn.weight_hh_l0_mask": torch.ones(N, N)}),
    "another parametrization": (cell("rnn.", 1, "_l0"), {"rnn.parametrizations.weight_hh_l0.0.base": torch.eye(N)}),
    "the activation of its configuration": (cell("gru.", 3, "_l0"), {"hyper_parameters": {"activation": "relu"}}),
    "the leak of its configuration": (cell("rnn.", 1, "_l0"), {"config": {"alpha": 0.2}}),
    "an activation that nobody knows": (cell("rnn.", 1, "_l0"), {"config": {"nonlinearity": "wobble"}}),
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_shows_another_equation_is_named_and_can_be_put_aside(tmp_path, case):
    weights, shows = SHOWN[case]
    key, value = next(iter(shows.items()))
    name = key if isinstance(value, torch.Tensor) else f"{key}.{next(iter(value))}"
    path = saved(
        tmp_path, {**weights, **shows} if isinstance(value, torch.Tensor) else {"state_dict": weights, **shows}
    )
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(path)
    assert name in str(caught.value)
    assert f"--ignore {name}" in str(caught.value)
    prefix = next(iter(weights)).partition("weight_ih")[0]
    bare = saved(tmp_path, weights)
    expected = dynsys.load(bare)
    path = saved(
        tmp_path, {**weights, **shows} if isinstance(value, torch.Tensor) else {"state_dict": weights, **shows}
    )
    told = dynsys.load(path, ignore=name)
    assert_steps_like(told, lambda x, u: step(expected, x, u))
    assert prefix in next(iter(weights))


def test_what_is_read_by_its_rule_or_plays_no_part_needs_no_word(tmp_path):
    weights = cell("rnn.", 1, "_l0")
    beside = {"norm.weight": torch.ones(N), "rnn.num_batches_tracked": torch.tensor(3), "log_sigma": torch.ones(2)}
    system = dynsys.load(saved(tmp_path, {**weights, **beside}))
    assert set(system.unread) == {"norm.weight (8,)", "rnn.num_batches_tracked ()", "log_sigma (2,)"}
    W, B, b = (
        weights["rnn.weight_hh_l0"].numpy(),
        weights["rnn.weight_ih_l0"].numpy(),
        weights["rnn.bias_ih_l0"].numpy(),
    )
    b = b + weights["rnn.bias_hh_l0"].numpy()
    content = {"state_dict": weights, "hyper_parameters": {"nonlinearity": "ReLU", "alpha": 1.0, "lr": 0.1}}
    assert_steps_like(dynsys.load(saved(tmp_path, content)), lambda x, u: np.maximum(W @ x + B @ u + b, 0))
    content["hyper_parameters"] = {"activation": "softplus", "output_activation": "softmax"}
    assert_steps_like(dynsys.load(saved(tmp_path, content)), lambda x, u: np.logaddexp(W @ x + B @ u + b, 0))


def followed(path, error):
    """The first line of options that a refusal prints, parsed as the command line parses it."""
    taken = shlex.split(
        "--form " + str(error).replace("--form rnn, rate", "").partition("--form ")[2].partition(";")[0]
    )
    result = CliRunner().invoke(main, ["info", str(path), *taken, "--json"])
    assert result.exit_code == 0, (taken, result.output)
    return taken


def loaded_as_said(path, error):
    taken = followed(path, error)
    choices, matrices = {}, {}
    for option, value in zip(taken[::2], taken[1::2], strict=True):
        if option == "--matrix":
            role, _, text = value.partition("=")
            matrices[role] = text
        else:
            choices[option[2:]] = value
    return dynsys.load(path, matrices=matrices, **choices)


def test_the_line_for_a_leak_opens_the_leaky_network(tmp_path):
    weights = cell("rnn.", 1)
    path = saved(tmp_path, {**weights, "rnn.alpha": torch.tensor(0.2, dtype=torch.float64)})
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(path)
    W, B, bi, bh = (weights[f"rnn.{key}"].numpy() for key in ("weight_hh", "weight_ih", "bias_ih", "bias_hh"))
    system = loaded_as_said(path, caught.value)
    assert_steps_like(system, lambda x, u: 0.8 * x + 0.2 * np.tanh(W @ x + B @ u + bi + bh))


def test_the_line_for_a_mask_and_signs_opens_dale_s_network(tmp_path):
    weights, mask = cell("rnn.", 1), (draw(N, N) > 0).double()
    sign = torch.cat([torch.ones(6), -torch.ones(2)]).double()
    path = saved(tmp_path, {**weights, "rnn.mask_hh": mask, "dale_sign": sign})
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(path)
    W, B, bi, bh = (weights[f"rnn.{key}"].numpy() for key in ("weight_hh", "weight_ih", "bias_ih", "bias_hh"))
    E = np.abs(W * mask.numpy()) * sign.numpy()
    assert_steps_like(loaded_as_said(path, caught.value), lambda x, u: np.tanh(E @ x + B @ u + bi + bh))


def test_the_lines_for_a_gru_with_one_bias_are_the_two_places_of_its_reset_gate(tmp_path):
    weights, bias = cell("", 3, biases=False), draw(3 * N)
    path = saved(tmp_path, {**weights, "bias": bias})
    with pytest.raises(CheckpointError, match=r"resets before the product.*if after it"):
        dynsys.load(path)
    W, B, b = weights["weight_hh"].numpy(), weights["weight_ih"].numpy(), bias.numpy()

    def before(h, u):
        a = B @ u + b
        r, z = (sigmoid(a[k * N : (k + 1) * N] + W[k * N : (k + 1) * N] @ h) for k in (0, 1))
        return (1 - z) * np.tanh(a[2 * N :] + W[2 * N :] @ (r * h)) + z * h

    try:
        dynsys.load(path)
    except CheckpointError as error:
        assert_steps_like(loaded_as_said(path, error), before)


HOOKED = {
    "weight_norm": lambda m: utils.weight_norm(m, "weight_hh_l0"),
    "weight_norm of the whole": lambda m: utils.weight_norm(m, "weight_hh_l0", dim=None),
    "weight_norm of the columns": lambda m: utils.weight_norm(m, "weight_ih_l0", dim=1),
    "spectral_norm": lambda m: utils.spectral_norm(m, "weight_hh_l0"),
    "pruned": lambda m: prune.random_unstructured(m, "weight_hh_l0", amount=0.5),
    "weight_norm parametrized": lambda m: parametrizations.weight_norm(m, "weight_hh_l0"),
    "spectral_norm parametrized": lambda m: parametrizations.spectral_norm(m, "weight_hh_l0"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", HOOKED)
@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_weights_that_torch_composes_are_composed(tmp_path, case, make):
    torch.manual_seed(0)
    module = HOOKED[case](make(M, N).double())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)
    module.eval()
    path = saved(tmp_path, {f"net.rnn.{key}": value for key, value in module.state_dict().items()})
    system = dynsys.load(path)

    def stepped(x, u):
        with torch.no_grad():
            h = torch.as_tensor(x)[None, None]
            if make is nn.LSTM:
                _, (h, c) = module(torch.as_tensor(u)[None, None], (h[..., :N].contiguous(), h[..., N:].contiguous()))
                return torch.cat([h, c], dim=2).flatten().numpy()
            return module(torch.as_tensor(u)[None, None], h)[1].flatten().numpy()

    assert_steps_like(system, stepped)
    assert any("is made of" in line for line in describe_checkpoint(path)["recognised"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [utils.spectral_norm, parametrizations.spectral_norm])
@pytest.mark.parametrize("dim", [0, 1])
def test_a_square_matrix_is_normed_along_the_side_that_the_iteration_went(tmp_path, make, dim):
    torch.manual_seed(0)
    module = make(nn.RNN(M, N), "weight_hh_l0", dim=dim).double()
    module(torch.zeros(1, 1, M, dtype=torch.float64))  # as in training, where it iterates
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)
    module.eval()
    system = dynsys.load(saved(tmp_path, module.state_dict()))

    def stepped(x, u):
        with torch.no_grad():
            return module(torch.as_tensor(u)[None, None], torch.as_tensor(x)[None, None])[1].flatten().numpy()

    assert_steps_like(system, stepped)


def test_a_part_of_a_parametrization_is_not_the_weight_that_it_makes(tmp_path):
    module = parametrizations.orthogonal(nn.RNN(M, N), "weight_hh_l0")
    path = saved(tmp_path, module.state_dict())
    named = {"recurrent": "parametrizations.weight_hh_l0.original", "input": "weight_ih_l0"}
    with pytest.raises(CheckpointError, match=r"parametrization makes .*0\.base \(.*save the weight itself"):
        dynsys.load(path, form="rnn", matrices=named)
    ignored = ["parametrizations.weight_hh_l0.0.base"]
    assert dynsys.load(path, form="rnn", matrices=named, ignore=ignored).n_state == N


@pytest.mark.parametrize("raw", ["rnn.module.weight_hh_l0_raw", "rnn.weight_hh_l0_raw"])
def test_weight_drop_has_its_raw_weight_in_evaluation(tmp_path, raw):
    weights = cell("rnn.module.", 1, "_l0")
    W = 2 * weights["rnn.module.weight_hh_l0"]
    path = saved(tmp_path, {**weights, raw: W})  # beside the raw weight, a dropped one of the last step of training
    B = weights["rnn.module.weight_ih_l0"].numpy()
    b = (weights["rnn.module.bias_ih_l0"] + weights["rnn.module.bias_hh_l0"]).numpy()
    assert_steps_like(dynsys.load(path), lambda x, u: np.tanh(W.numpy() @ x + B @ u + b))


def test_a_readout_of_another_module_is_not_taken_unless_it_is_named(tmp_path):
    content = {f"encoder.rnn.{key}": value for key, value in nn.GRU(3, N).double().state_dict().items()}
    content |= {f"decoder.rnn.{key}": value for key, value in nn.GRU(2, N).double().state_dict().items()}
    content |= {"decoder.output_layer.weight": draw(2, N), "decoder.output_layer.bias": draw(2)}
    path = saved(tmp_path, content)
    assert dynsys.load(path, part="encoder.rnn").n_output == 0
    told = " ".join(describe_checkpoint(path, part="encoder.rnn")["assumed"])
    assert "--matrix readout=decoder.output_layer.weight" in told
    assert dynsys.load(path, part="decoder.rnn").n_output == 2
    named = dynsys.load(path, part="encoder.rnn", matrices={"readout": "decoder.output_layer.weight"})
    assert named.n_output == 2
    x = torch.tensor(RNG.standard_normal((1, N)))
    expected = x @ content["decoder.output_layer.weight"].T + content["decoder.output_layer.bias"]
    torch.testing.assert_close(named.readout(x), expected)


def test_of_two_parts_side_by_side_neither_is_given_the_readout(tmp_path):
    content = {f"encoder.{key}": value for key, value in nn.GRU(3, N).state_dict().items()}
    content |= {f"decoder.{key}": value for key, value in nn.GRU(2, N).state_dict().items()}
    path = saved(tmp_path, {**content, "out.weight": draw(2, N)})
    for part in ("encoder", "decoder"):
        assert dynsys.load(path, part=part).n_output == 0
        assert "readout=out.weight" in " ".join(describe_checkpoint(path, part=part)["assumed"])


def test_find_and_its_result_repeat_what_was_assumed_and_what_was_not_read(tmp_path):
    path = saved(tmp_path, {**cell("rnn.", 1, "_l0"), "norm.weight": torch.ones(N), "norm.bias": torch.zeros(N)})
    result = CliRunner().invoke(main, ["find", str(path), "-o", str(tmp_path / "run"), "--starts", "32", "--no-verify"])
    assert result.exit_code == 0, result.output
    assert "Assumed: the activation is tanh" in result.stdout
    assert "Not read from the file: norm.weight (8,), norm.bias (8,)." in result.stdout
    points = dynsys.FixedPoints.load(tmp_path / "run" / "fixed_points.safetensors")
    assert points.about["assumed"] == ["the activation is tanh (weights do not tell); --activation relu for the other"]
    assert points.about["unread"] == ["norm.weight (8,)", "norm.bias (8,)"]


def test_named_matrices_leave_out_no_mask_signs_or_leak_in_silence(tmp_path):
    W, mask = RNG.standard_normal((N, N)), (RNG.random((N, N)) < 0.5).astype(float)
    D = np.diag(np.r_[np.ones(6), -np.ones(2)])
    np.savez(tmp_path / "n.npz", W_rec=W, W_in=np.ones((N, 2)), Dale_rec=D, rec_connectivity=mask, alpha=0.1)
    named = {"recurrent": "W_rec", "input": "W_in"}
    with pytest.raises(CheckpointError, match=r"leave out Dale_rec.*rec_connectivity") as caught:
        dynsys.load(tmp_path / "n.npz", form="rate", matrices=named)
    expression = str(caught.value).partition("recurrent='")[2].partition("'")[0]
    system = dynsys.load(tmp_path / "n.npz", form="rate", matrices={**named, "recurrent": expression})
    E = np.abs(W * mask) @ D
    assert_steps_like(system, lambda x, u: E @ np.tanh(x) + u.sum())
    with pytest.raises(CheckpointError, match=r"alpha \(\).*--form leaky"):
        dynsys.load(tmp_path / "n.npz", form="rnn", matrices={**named, "recurrent": expression})


class Wrapped(nn.Module):
    """As a user writes it: its class is named in the file, and its code is not."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.rnn, self.out = nn.RNN(M, N, nonlinearity="relu"), nn.Linear(N, 2)


def test_a_whole_module_says_its_f_and_that_its_code_is_not_run(tmp_path):
    module = Wrapped().double()
    path = saved(tmp_path, module)
    told = describe_checkpoint(path)
    assert told["settings"]["nonlinearity"] == "relu"
    (line,) = told["assumed"]
    assert "Wrapped hands h on from step to step as it is, as its code is not run" in line
    W, B = (getattr(module.rnn, f"weight_{k}_l0").detach().numpy() for k in ("hh", "ih"))
    b = (module.rnn.bias_ih_l0 + module.rnn.bias_hh_l0).detach().numpy()
    assert_steps_like(dynsys.load(path), lambda x, u: np.maximum(W @ x + B @ u + b, 0))


def hooked(module, given):
    return given


def test_hooks_that_were_saved_with_a_cell_are_not_passed_over(tmp_path):
    module = Wrapped()
    module.rnn.register_forward_pre_hook(hooked)
    path = saved(tmp_path, module)
    with pytest.raises(CheckpointError, match=r"rnn has hooks, .*hooked.*dynsys\.wrap.*--ignore rnn\.__hooks__"):
        dynsys.load(path)
    assert dynsys.load(path, ignore="rnn.__hooks__").n_state == N


def test_one_layer_on_input_and_state_is_told_by_the_two_lines_that_split_it(tmp_path):
    W, b = draw(N, M + N).numpy(), draw(N).numpy()
    path = saved(tmp_path, {"i2h.weight": torch.tensor(W), "i2h.bias": torch.tensor(b), "i2o.weight": draw(2, M + N)})
    with pytest.raises(CheckpointError, match="h comes first") as caught:
        dynsys.load(path)
    assert_steps_like(loaded_as_said(path, caught.value), lambda x, u: np.tanh(W[:, M:] @ x + W[:, :M] @ u + b))


def test_a_key_that_a_shell_would_take_apart_is_quoted(tmp_path):
    """What is printed can be typed."""
    weights = nn.RNN(2, 3).state_dict() | {"mask (old)": torch.ones(3, 3)}
    torch.save(weights, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=re.escape("--ignore 'mask (old)'")):
        dynsys.load(tmp_path / "net.pt")


def test_a_matrix_alone_says_no_equation_and_that_is_told(tmp_path):
    np.savez(tmp_path / "m.npz", W=np.random.default_rng(0).standard_normal((4, 4)))
    assert any("the equation is tau dx/dt" in line for line in dynsys.load(tmp_path / "m.npz").assumed)


@pytest.mark.parametrize(
    ("setting", "line"), [({"update_rate": 0.3}, "--form leaky --alpha 0.3"), ({"f": "relu"}, None)]
)
def test_an_update_rate_is_a_leak_and_f_a_function(tmp_path, setting, line):
    torch.save({"state_dict": torch.nn.RNN(2, 5).state_dict(), "hyper_parameters": setting}, tmp_path / "m.pt")
    if line is None:
        assert "h' = relu(" in describe_checkpoint(tmp_path / "m.pt")["equation"]
    else:
        with pytest.raises(CheckpointError, match=line):
            dynsys.load(tmp_path / "m.pt")

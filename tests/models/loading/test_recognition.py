"""Other people's state dicts: recognised from keys and shapes alone, and the same network as torch's own module."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import describe_checkpoint

UNITS, INPUTS, OUTPUTS = 6, 3, 2
CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
SINGLE = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}


def seeded(make, *arguments, **options):
    torch.manual_seed(0)
    return make(*arguments, **options).double()


def saved(path, *named, **extra):
    """A file with the state dicts of modules under prefixes, and other tensors."""
    content = {f"{prefix}{key}": value for prefix, module in named for key, value in module.state_dict().items()}
    torch.save({**content, **extra}, path)
    return path


def torch_step(module, x, u):
    """The map of torch's module itself: h of every layer, then c of every layer, after one input."""
    layers, width = module.num_layers, module.proj_size or module.hidden_size
    h = x[:, : layers * width].unflatten(1, (layers, width)).transpose(0, 1).contiguous()
    if isinstance(module, nn.LSTM):
        c = x[:, layers * width :].unflatten(1, (layers, module.hidden_size)).transpose(0, 1).contiguous()
        _, (h, c) = module(u.unsqueeze(0), (h, c))
        return torch.cat([h.transpose(0, 1).flatten(1), c.transpose(0, 1).flatten(1)], dim=1)
    return module(u.unsqueeze(0), h)[1].transpose(0, 1).flatten(1)


def places(system, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, system.n_state, generator=generator, dtype=torch.float64)
    return x, torch.randn(4, system.n_input, generator=generator, dtype=torch.float64)


def assert_same_network(system, module, readout=None):
    x, u = places(system)
    with torch.no_grad():
        torch.testing.assert_close(system.velocity(x, u), torch_step(module, x, u) - x, rtol=0, atol=1e-12)
        if readout is not None:
            width = module.proj_size or module.hidden_size
            top = x[:, (module.num_layers - 1) * width : module.num_layers * width]
            torch.testing.assert_close(system.readout(x), readout(top), rtol=0, atol=1e-12)


PREFIXES = ["", "rnn.", "module.", "model.encoder.gru.", "_orig_mod.", "rnn_"]
READOUTS = ["readout", "fc", "model.head", "model.encoder.decoder.0"]
GRID = [
    case
    for case in itertools.product(CELLS, (1, 2, 3), (True, False), (0, 4))
    if not (case[3] and case[0] != "lstm")  # torch projects only the h of an LSTM
]


@pytest.mark.parametrize(("cell", "layers", "bias", "proj"), GRID)
def test_every_torch_network_is_recognised_under_any_prefix_with_any_readout(tmp_path, cell, layers, bias, proj):
    more = {"proj_size": proj} if proj else {}
    module = seeded(CELLS[cell], INPUTS, UNITS, layers, bias=bias, **more)
    readout = seeded(nn.Linear, proj or UNITS, OUTPUTS, bias=bias)
    for prefix, name in zip(PREFIXES, itertools.cycle(READOUTS), strict=False):
        system = dynsys.load(saved(tmp_path / "m.pt", (prefix, module), (f"{name}.", readout)))
        assert (system.name, system.n_input, system.n_output) == (cell, INPUTS, OUTPUTS)
        assert_same_network(system, module, readout)


@pytest.mark.parametrize(
    ("weight", "bias"), [("readout_weight", "readout_bias"), ("W_out", "b_out"), ("fc/weight", "fc/bias")]
)
def test_readouts_of_files_whose_keys_know_no_dots(tmp_path, weight, bias):
    module, readout = seeded(nn.GRU, INPUTS, UNITS), seeded(nn.Linear, UNITS, OUTPUTS)
    arrays = {f"gru_{key}": value.numpy() for key, value in module.state_dict().items()}
    np.savez(tmp_path / "m.npz", **arrays, **{weight: readout.weight.detach(), bias: readout.bias.detach()})
    assert_same_network(dynsys.load(tmp_path / "m.npz"), module, readout)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", SINGLE)
def test_cells_have_no_layer_in_their_keys(tmp_path, cell, bias):
    single = seeded(SINGLE[cell], INPUTS, UNITS, bias=bias)
    system = dynsys.load(saved(tmp_path / "m.pt", ("net.cell.", single)))
    x, u = places(system)
    h = (x[:, :UNITS], x[:, UNITS:]) if cell == "lstm" else x
    with torch.no_grad():
        after = torch.cat(single(u, h), dim=1) if cell == "lstm" else single(u, h)
        torch.testing.assert_close(system.velocity(x, u), after - x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_tanh_or_relu_is_assumed_aloud_and_can_be_said(tmp_path, activation):
    module = seeded(nn.RNN, INPUTS, UNITS, nonlinearity=activation)
    path = saved(tmp_path / "m.pt", ("rnn.", module))
    assert_same_network(dynsys.load(path, activation=activation), module)
    assert any("--activation relu" in line for line in describe_checkpoint(path)["assumed"])
    assert describe_checkpoint(path, activation=activation)["assumed"] == []


@pytest.mark.parametrize("entry", ["state_dict", "model_state_dict", "model", "net"])
def test_checkpoints_of_trainers_hold_the_weights_in_an_entry(tmp_path, entry):
    module = seeded(nn.GRU, INPUTS, UNITS)
    optimiser = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 1, INPUTS, dtype=torch.float64))[0].sum().backward()
    optimiser.step()
    state = {f"model.rnn.{key}": value for key, value in module.state_dict().items()}
    torch.save({"epoch": 3, entry: state, "optimizer_states": [optimiser.state_dict()]}, tmp_path / "m.ckpt")
    assert_same_network(dynsys.load(tmp_path / "m.ckpt"), module)
    told = describe_checkpoint(tmp_path / "m.ckpt")
    assert f"in the entry {entry}" in " ".join(told["recognised"])
    assert told["unused"] == []


def test_a_trainer_s_hyperparameters_say_relu(tmp_path):
    module = seeded(nn.RNN, INPUTS, UNITS, nonlinearity="relu")
    content = {"state_dict": module.state_dict(), "hyper_parameters": {"nonlinearity": "relu", "lr": 1e-3}}
    torch.save(content, tmp_path / "m.ckpt")
    assert_same_network(dynsys.load(tmp_path / "m.ckpt"), module)
    assert describe_checkpoint(tmp_path / "m.ckpt")["assumed"] == []


@pytest.mark.parametrize("kind", ["npz", "mat", "safetensors"])
def test_the_same_keys_in_other_formats(tmp_path, kind):
    from safetensors.numpy import save_file
    from scipy.io import savemat

    module = seeded(nn.GRU, INPUTS, UNITS)
    arrays = {key: value.numpy() for key, value in module.state_dict().items()}
    path = tmp_path / f"m.{kind}"
    if kind == "npz":
        np.savez(path, **{f"rnn.{key}": value for key, value in arrays.items()})
    elif kind == "mat":
        savemat(path, {"rnn": {key: value if value.ndim == 2 else value[:, None] for key, value in arrays.items()}})
    else:
        save_file(arrays, path)
    assert_same_network(dynsys.load(path), module)


SHAPES = {
    "1xd": lambda v: v[None],
    "plain": lambda v: v,
    "1x1xd": lambda v: v[None, None],
    "column": lambda v: v[:, None],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["initial_hiddens_1xd", "h0", "model.init_state"])
def test_a_learned_initial_state_of_any_shape_is_found(tmp_path, name, shape):
    module, norm = seeded(nn.GRU, INPUTS, UNITS), seeded(nn.LayerNorm, UNITS)
    first = torch.arange(UNITS, dtype=torch.float64)
    path = saved(tmp_path / "m.pt", ("norm.", norm), ("rnn.", module), **{name: SHAPES[shape](first)})
    assert torch.equal(dynsys.load(path).initial_state, first)
    told = describe_checkpoint(path)
    assert told["unused"] == [f"norm.weight ({UNITS},)", f"norm.bias ({UNITS},)"]


@pytest.mark.parametrize("layers", [1, 2])
def test_the_initial_state_of_an_lstm_is_h_of_every_layer_then_c(tmp_path, layers):
    module = seeded(nn.LSTM, INPUTS, UNITS, layers)
    h, c = torch.randn(2, layers, 1, UNITS, dtype=torch.float64)
    path = saved(tmp_path / "m.pt", ("", module), initial_cell_1xd=c, initial_hiddens_1xd=h)
    assert torch.equal(dynsys.load(path).initial_state, torch.cat([h.flatten(), c.flatten()]))
    path = saved(tmp_path / "m.pt", ("", module), h0=h)
    assert torch.equal(dynsys.load(path).initial_state, torch.cat([h.flatten(), torch.zeros(layers * UNITS)]))
    assert "--matrix initial" in " ".join(describe_checkpoint(path)["assumed"])


def test_the_readout_is_the_layer_that_is_called_so(tmp_path):
    module, readout, other = seeded(nn.GRU, INPUTS, UNITS), nn.Linear(UNITS, OUTPUTS), nn.Linear(UNITS, 5)
    table = nn.Embedding(9, UNITS)
    readout, other = readout.double(), other.double()
    path = saved(
        tmp_path / "m.pt", ("embedding.", table), ("attention.", other), ("rnn.", module), ("my_readout.", readout)
    )
    assert_same_network(dynsys.load(path), module, readout)
    assert f"attention.weight (5, {UNITS})" in describe_checkpoint(path)["unused"]
    assert_same_network(dynsys.load(path, matrices={"readout": "attention.weight"}), module, other)
    assert dynsys.load(path, matrices={"readout": ""}).n_output == 0


def test_of_two_readouts_alike_the_choice_is_told(tmp_path):
    module, a, b = seeded(nn.GRU, INPUTS, UNITS), nn.Linear(UNITS, 2), nn.Linear(UNITS, 3)
    path = saved(tmp_path / "m.pt", ("rnn.", module), ("fc.", a), ("out.", b))
    assert dynsys.load(path).n_output == 2
    assert "the readout is fc.weight, not out.weight; --matrix readout=KEY" in describe_checkpoint(path)["assumed"]


def test_of_a_readout_of_several_layers_the_first_is_taken_and_the_rest_told(tmp_path):
    module, head = seeded(nn.GRU, INPUTS, UNITS), nn.Sequential(nn.Linear(UNITS, UNITS), nn.ReLU(), nn.Linear(UNITS, 2))
    head = head.double()
    path = saved(tmp_path / "m.pt", ("rnn.", module), ("head.", head))
    assert_same_network(dynsys.load(path), module, head[0])
    assert "the readout is head.0.weight alone, without head.2.weight after it" in describe_checkpoint(path)["assumed"]


def test_the_readout_of_an_lstm_may_read_its_whole_state_or_every_layer(tmp_path):
    module = seeded(nn.LSTM, INPUTS, UNITS, 2)
    for width in (2 * UNITS, 4 * UNITS):
        readout = seeded(nn.Linear, width, OUTPUTS)
        system = dynsys.load(saved(tmp_path / "m.pt", ("rnn.", module), ("fc.", readout)))
        x, _ = places(system)
        with torch.no_grad():
            torch.testing.assert_close(system.readout(x), readout(x[:, :width]), rtol=0, atol=1e-12)


def test_bfloat16_is_read_from_safetensors(tmp_path):
    from safetensors.torch import save_file

    module = seeded(nn.GRU, INPUTS, UNITS).bfloat16()
    save_file(dict(module.state_dict()), tmp_path / "m.safetensors")
    assert_same_network(dynsys.load(tmp_path / "m.safetensors"), module.double())


def test_of_several_networks_in_a_file_one_is_chosen(tmp_path):
    encoder, decoder = seeded(nn.GRU, INPUTS, UNITS), seeded(nn.LSTM, 5, 8)
    one, two = seeded(nn.Linear, UNITS, 2), seeded(nn.Linear, 8, 4)
    named = [("encoder.rnn.", encoder), ("decoder.rnn.", decoder), ("encoder.fc.", one), ("decoder.fc.", two)]
    path = saved(tmp_path / "m.pt", *named)
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(path)
    for part in ("2 recurrent networks", "encoder.rnn (GRU, 6 units, 3 inputs)", "decoder.rnn (LSTM, 8", "--part"):
        assert part in str(caught.value)
    assert_same_network(dynsys.load(path, part="encoder.rnn"), encoder, one)
    assert_same_network(dynsys.load(path, part="decoder.rnn."), decoder, two)
    nameless = saved(tmp_path / "n.pt", ("", encoder), ("decoder.rnn.", seeded(nn.GRU, 4, 5, 2, bidirectional=True)))
    with pytest.raises(CheckpointError, match=r"\(no prefix\) \(GRU.*decoder\.rnn \(bidirectional GRU, 2 layers of 5"):
        dynsys.load(nameless)
    assert_same_network(dynsys.load(nameless, part=""), encoder)
    with pytest.raises(CheckpointError, match="--part rnn fits 2"):
        dynsys.load(path, part="rnn")
    with pytest.raises(CheckpointError, match="--part middle fits 0"):
        dynsys.load(path, part="middle")


@pytest.mark.parametrize("cell", CELLS)
def test_each_direction_of_a_bidirectional_network_is_one_of_its_own(tmp_path, cell):
    module = seeded(CELLS[cell], INPUTS, UNITS, bidirectional=True)
    path = saved(tmp_path / "m.pt", ("rnn.", module), ("fc.", nn.Linear(2 * UNITS, OUTPUTS)))
    with pytest.raises(CheckpointError, match=r"bidirectional.*--direction forward"):
        dynsys.load(path)
    for direction, end in {"forward": "", "backward": "_reverse"}.items():
        alone = CELLS[cell](INPUTS, UNITS).double()
        alone.load_state_dict({key: module.state_dict()[key + end] for key in alone.state_dict()})
        assert_same_network(dynsys.load(path, direction=direction), alone)
    assert "without the readout" in " ".join(describe_checkpoint(path, direction="forward")["assumed"])


def test_one_bias_of_two_is_no_cell_of_torch_and_the_line_printed_opens_it(tmp_path):
    module = seeded(nn.LSTM, INPUTS, UNITS)
    with torch.no_grad():
        module.bias_hh_l0.zero_()
    state = {key: value for key, value in module.state_dict().items() if key != "bias_hh_l0"}
    torch.save(state, tmp_path / "m.pt")
    named = {"recurrent": "weight_hh_l0", "input": "weight_ih_l0", "bias": "bias_ih_l0"}
    with pytest.raises(CheckpointError, match="no place for bias_ih_l0") as caught:
        dynsys.load(tmp_path / "m.pt")
    assert "--form lstm" in str(caught.value)
    for role, key in named.items():
        assert f"--matrix {role}={key}" in str(caught.value)
    assert_same_network(dynsys.load(tmp_path / "m.pt", form="lstm", matrices=named), module)


def test_unknown_layouts_list_keys_with_shapes_and_the_way_out(tmp_path):
    torch.save({"lin.weight": torch.ones(4, 3), "lin.bias": torch.ones(4)}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError) as caught:
        dynsys.load(tmp_path / "m.pt")
    for part in ("lin.weight (4, 3), lin.bias (4,)", "--matrix recurrent=KEY", "--form"):
        assert part in str(caught.value)


def misshapen(module, key, shape):
    return {**module.state_dict(), key: torch.ones(shape)}


WRONG_SHAPES = {
    "two gates": ("weight_hh_l0", (2 * UNITS, UNITS), "fits no cell"),
    "input rows": ("weight_ih_l0", (UNITS, INPUTS), "does not fit"),
    "bias": ("bias_ih_l1", (UNITS,), "does not fit"),
    "upper layer": ("weight_ih_l1", (3 * UNITS, UNITS + 1), "does not fit"),
    "a vector": ("weight_hh_l1", (3 * UNITS,), "is not a matrix"),
    "a projection": ("weight_hr_l0", (), "is not a matrix"),
    "a gap": ("weight_hh_l3", (3 * UNITS, UNITS), "layer 2 .* has no weight_ih"),
}


@pytest.mark.parametrize("case", WRONG_SHAPES)
def test_shapes_that_fit_no_network_are_named(tmp_path, case):
    key, shape, says = WRONG_SHAPES[case]
    torch.save(misshapen(seeded(nn.GRU, INPUTS, UNITS, 2), key, shape), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=says):
        dynsys.load(tmp_path / "m.pt")


def test_nan_names_the_key_of_the_file(tmp_path):
    module = seeded(nn.GRU, INPUTS, UNITS)
    with torch.no_grad():
        module.weight_hh_l0[3, 2:4] = float("nan")
    with pytest.raises(CheckpointError, match=r"enc\.weight_hh_l0 holds 2 values that are NaN or infinite"):
        dynsys.load(saved(tmp_path / "m.pt", ("enc.", module)))


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"activation": "relu"}, "--activation means nothing for it: a GRU of torch has its own"),
        ({"direction": "forward"}, "not bidirectional"),
        ({"transposed": True}, "--transposed means nothing"),
        ({"tau": 3.0}, "--tau means nothing"),
        ({"matrices": {"readout": "nowhere"}}, "no array 'nowhere'"),
        ({"matrices": {"initial": "weight_ih_l0"}}, "cannot be the initial state"),
        ({"matrices": {"input": "weight_ih_l0"}}, "--form was not given"),
        ({"matrices": {"readout_bias": "bias_ih_l0"}}, "without a readout"),
    ],
    ids=str,
)
def test_a_choice_that_means_nothing_here_is_refused(tmp_path, choices, says):
    path = saved(tmp_path / "m.pt", ("", seeded(nn.GRU, INPUTS, UNITS)))
    with pytest.raises(CheckpointError, match=says):
        dynsys.load(path, **choices)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"color": "red"}, "no choice 'color'; it knows activation"),
        ({"direction": "up"}, "'up'; it can be forward, backward"),
        ({"form": "elman"}, "'elman'; it can be rnn, rate, activity, leaky"),
        ({"matrices": {"weights": "W"}}, "no matrix called 'weights'; a network has recurrent"),
        ({"tau": -1.0}, "tau is -1.0"),
    ],
    ids=str,
)
def test_a_choice_that_there_is_not_is_refused(tmp_path, choices, says):
    with pytest.raises(ValueError, match=says):
        dynsys.load(tmp_path / "m.pt", **choices)


def test_whole_modules_give_up_their_weights_and_scripts_are_named(tmp_path):
    module = seeded(nn.GRU, INPUTS, UNITS)
    torch.save(module, tmp_path / "whole.pt")
    assert_same_network(dynsys.load(tmp_path / "whole.pt"), module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # scripts go out of use, the files that hold them stay
        torch.jit.save(torch.jit.script(nn.Linear(1, 1)), tmp_path / "script.pt")
    with pytest.raises(CheckpointError, match=r"a TorchScript program, not weights; save torch\.save"):
        dynsys.load(tmp_path / "script.pt")


def test_numpy_numbers_and_arrays_beside_the_weights_are_harmless(tmp_path):
    module = seeded(nn.GRU, INPUTS, UNITS)
    best = {"best": np.float64(0.1), "seen": np.int64(3), "at": np.float32(1), "curve": np.arange(5.0)}
    torch.save({"state_dict": module.state_dict(), "scores": best}, tmp_path / "m.ckpt")
    assert_same_network(dynsys.load(tmp_path / "m.ckpt"), module)
    torch.save({f"gru.{key}": value.numpy() for key, value in module.state_dict().items()}, tmp_path / "m.pt")
    assert_same_network(dynsys.load(tmp_path / "m.pt"), module)


def test_a_file_that_holds_itself_ends(tmp_path):
    nested = {}
    nested["itself"] = nested
    torch.save({"model": {**nn.GRU(2, 3).state_dict(), "round": nested}}, tmp_path / "round.pt")
    assert dynsys.load(tmp_path / "round.pt").n_state == 3


@pytest.mark.parametrize(
    "others", [{"W_in": (8, 2)}, {"W_xh": (8, 2)}, {"B": (8, 2)}, {"W_in": (8, 3), "W_out": (2, 8)}]
)
def test_a_network_of_four_times_as_many_units_as_inputs_is_not_taken_for_gates(tmp_path, others):
    draw = np.random.default_rng(0)
    arrays = {key: draw.normal(size=shape) for key, shape in {"W_rec": (8, 8), **others}.items()}
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(CheckpointError, match="--form rnn --matrix recurrent=W_rec") as refused:
        dynsys.load(tmp_path / "net.npz")
    assert all(f"={key}" in str(refused.value) for key in others)
    assert "--form lstm" not in str(refused.value)

"""JSON: weights as nested lists, Neural Amp Modeler's .nam, and RTNeural's lists of layers."""

import json

import numpy as np
import pytest
import torch
from foreign import off_by, right_gru, right_lstm, sigma

from dynsys import CheckpointError, load
from dynsys.models.loading.checkpoint import load_and_tell
from dynsys.models.loading.contents import read_arrays


def save(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_state_dict_of_nested_lists_steps_as_the_module_it_is_of(tmp_path):
    torch.manual_seed(0)
    module, out = torch.nn.LSTM(1, 5).double(), torch.nn.Linear(5, 1).double()
    state = {f"rec.{key}": value.tolist() for key, value in module.state_dict().items()}
    state |= {f"lin.{key}": value.tolist() for key, value in out.state_dict().items()}
    about = {"unit_type": "LSTM", "hidden_size": 5, "bias_fl": True}
    path = save(tmp_path / "net.json", {"model_data": about, "state_dict": state})
    contents = read_arrays(path)
    assert (contents.format, contents.container) == ("json", "state_dict")
    assert contents.settings["model_data.hidden_size"] == 5
    system, u = load(path), torch.randn(1, 1, dtype=torch.float64)
    h, c = torch.randn(2, 1, 1, 5, dtype=torch.float64)
    _, (h1, c1) = module(u[None], (h, c))
    x = torch.cat([h[0], c[0]], dim=1)
    assert torch.allclose(x + system.velocity(x, u), torch.cat([h1[0], c1[0]], dim=1), atol=1e-14)
    assert torch.allclose(system.readout(x), out(h[0]), atol=1e-14)


def test_lists_become_arrays_where_their_rows_are_of_one_length(tmp_path):
    content = {"W": [[1, 2], [3, 4]], "b": [0, 1], "ragged": [[1.5, 2], [3, 4, 5]], "name": "net", "shape": [None, 8]}
    contents = read_arrays(save(tmp_path / "x", content))
    assert {key: value.tolist() for key, value in contents.arrays.items()} == {
        "W": [[1, 2], [3, 4]],
        "b": [0, 1],
        "ragged.0": [1.5, 2],
        "ragged.1": [3, 4, 5],
    }
    assert contents.settings == {"name": "net", "shape.1": 8}


@pytest.mark.parametrize("text", ['{"W": [[1, 2', "[" * 100_000, '{"W": [1, 2,]}', "{" + '"a":{' * 5000])
def test_text_that_is_no_json_gets_one_line(tmp_path, text):
    with pytest.raises(CheckpointError, match=r"its JSON is (cut or damaged|nested too deeply)"):
        load(save(tmp_path / "x.json", text))


def test_json_that_looks_like_a_safetensors_file_at_its_ninth_byte_is_read(tmp_path):
    """Eight bytes of length, then a brace, is how a safetensors file begins; here they are text."""
    path = save(tmp_path / "x", '{"W_rec":{"a": [[0.5]]}}')
    assert path.read_bytes()[9:10] == b"{"
    path.write_text('{"W_re":{"a": [[0.5]]}}')
    assert path.read_bytes()[8:9] == b"{"
    with pytest.raises(CheckpointError, match=r"it holds a \(1, 1\)"):
        load(path)


# Neural Amp Modeler


def nam(layers, m, n, seed=1, outputs=1):
    """The list of weights and its parts, in the order in which its player reads them."""
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(layers):
        width = (m if k == 0 else n) + n
        parts.append([rng.normal(size=(4 * n, width)), rng.normal(size=4 * n), rng.normal(size=n), rng.normal(size=n)])
    head = [rng.normal(size=(outputs, n)), rng.normal(size=outputs)]
    numbers = np.concatenate([array.ravel() for part in [*parts, head] for array in part])
    config = {"input_size": m, "hidden_size": n, "num_layers": layers}
    config |= {} if outputs == 1 else {"out_channels": outputs}
    return {"version": "0.5.4", "architecture": "LSTM", "config": config, "weights": numbers.tolist()}, parts, head


def nam_step(W, b):
    """One matrix acts on (input, h), rows i, f, g, o."""

    def step(s, x):
        h, c = s
        i, f, g, o = np.split(W @ np.concatenate([x, h]) + b, 4)
        c = sigma(f) * c + sigma(i) * np.tanh(g)
        return sigma(o) * np.tanh(c), c

    return step


@pytest.mark.parametrize(("layers", "m", "n", "outputs"), [(1, 1, 3, 1), (2, 2, 5, 2)])
def test_the_lstm_of_a_nam_file_steps_as_its_player_does(tmp_path, layers, m, n, outputs):
    content, parts, (V, c) = nam(layers, m, n, outputs=outputs)
    system, found = load_and_tell(save(tmp_path / "amp.nam", content))
    steps = [nam_step(W, b) for W, b, _, _ in parts]
    assert off_by(system, steps, [n] * layers, lambda h: V @ h + c) < 1e-12
    first = [part[2] for part in parts] + [part[3] for part in parts]
    assert np.allclose(system.initial_state.numpy(), np.concatenate(first))
    assert "rows i, f, g, o" in " ".join(found.why)


def test_other_networks_of_neural_amp_modeler_and_wrong_counts_are_refused(tmp_path):
    content = nam(1, 1, 3)[0]
    with pytest.raises(CheckpointError, match=r"a WaveNet of Neural Amp Modeler.*no state of their own"):
        load(save(tmp_path / "x", content | {"architecture": "WaveNet"}))
    with pytest.raises(CheckpointError, match=r"has 69 weights where an LSTM of num_layers 1, .* has 70"):
        load(save(tmp_path / "x", content | {"weights": content["weights"][:-1]}))
    with pytest.raises(CheckpointError, match="--activation means nothing"):
        load(save(tmp_path / "x", content), activation="relu")


# RTNeural


def listed(kind, units, arrays, activation="tanh"):
    weights = [np.asarray(array).tolist() for array in arrays]
    return {"type": kind, "activation": activation, "shape": [None, None, units], "weights": weights}


def arrays_of(gates, m, n, bias, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in ((m, gates * n), (n, gates * n), bias)]


@pytest.mark.parametrize("n", [2, 5])  # of 2 units and inputs, kernel, recurrent kernel and bias are all of one shape
def test_layers_of_a_list_step_as_those_of_keras(tmp_path, n):
    gru, above = arrays_of(3, 2, n, (2, 3 * n)), arrays_of(3, n, 4, (2, 12), 2)
    V, c = np.random.default_rng(3).normal(size=(4, 2)), np.array([0.1, -0.2])
    layers = [listed("gru", n, gru), listed("gru", 4, above), listed("dense", 2, [V, c], "")]
    system = load(save(tmp_path / "x.json", {"in_shape": [None, None, 2], "layers": layers}))
    assert off_by(system, [right_gru(*gru), right_gru(*above)], [n, 4], lambda h: h @ V + c) < 1e-12


def test_what_stands_before_and_behind_a_listed_layer_is_told(tmp_path):
    lstm, V = arrays_of(4, 3, 5, (20,)), np.random.default_rng(3).normal(size=(5, 2))
    before = listed("time-distributed-dense", 3, [np.ones((1, 3)), np.zeros(3)])
    layers = [before, listed("lstm", 5, lstm), listed("dense", 2, [V, np.zeros(2)], "sigmoid"), before]
    system, found = load_and_tell(save(tmp_path / "x.json", {"layers": layers}))
    assert off_by(system, [right_lstm(*lstm)], [5], lambda h: h @ V) < 1e-12
    assert "its input is what layer 0 (time-distributed-dense) gives" in found.assumed
    assert "readout: layer2 (5 to 2), before its sigmoid, without time-distributed-dense after it" in found.why


def test_listed_layers_that_say_another_thing_than_their_weights_are_refused(tmp_path):
    arrays = arrays_of(4, 1, 5, (20,))
    with pytest.raises(CheckpointError, match="16 units need"):
        load(save(tmp_path / "x", {"layers": [listed("lstm", 16, arrays)]}))
    with pytest.raises(CheckpointError, match="says 'relu', where RTNeural computes tanh"):
        load(save(tmp_path / "x", {"layers": [listed("lstm", 5, arrays, "relu")]}))
    with pytest.raises(CheckpointError, match="its layers are dense, none of them recurrent"):
        load(save(tmp_path / "x", {"layers": [listed("dense", 1, [np.eye(3)])]}))
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        load(save(tmp_path / "x", {"layers": [listed("lstm", 5, [arrays[0] * np.nan, *arrays[1:]])]}))


def test_a_tensorflow_js_model_is_told_where_its_weights_are(tmp_path):
    content = {"format": "layers-model", "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": []}]}
    with pytest.raises(CheckpointError, match=r"TensorFlow.js model, whose weights lie in other files; save the model"):
        load(save(tmp_path / "model.json", content))

"""What of Keras there is no model for is refused by name, with what to do instead."""

import shlex
import zipfile

import h5py
import numpy as np
import pytest
import torch
from foreign import off_by, right_lstm, right_rnn
from keras_files import kernels, layer, roles, save, save_by_place, wrapped

from dynsys import CheckpointError, load
from dynsys.models.loading.checkpoint import load_and_tell


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"class_name": "ConvLSTM2D", "config": {"name": "conv"}}, r"conv \(ConvLSTM2D\)"),
        ({"class_name": "CuDNNLSTM", "config": {"name": "fast"}}, r"fast \(CuDNNLSTM\)"),
        (
            {
                "class_name": "RNN",
                "config": {"name": "r", "cell": {"class_name": "MyCell", "registered_name": "me>MyCell"}},
            },
            r"r \(RNN of me>MyCell\)",
        ),
        ({"class_name": "LSTM", "registered_name": "me>LSTM", "config": {"name": "mine"}}, r"mine \(me>LSTM\)"),
        ({"class_name": "Dense", "config": {"name": "d"}}, r"d \(Dense\)"),
    ],
)
def test_a_model_without_a_layer_that_is_known_is_refused_by_the_names_of_its_layers(tmp_path, entry, named):
    with pytest.raises(
        CheckpointError, match=rf"no recurrent layer that dynsys knows is among its layers: {named}.*dynsys.Map"
    ):
        load(save(tmp_path / "net", [{**entry, "_arrays": [np.eye(3)]}]))


def test_functions_of_the_users_own_are_refused_even_by_a_known_name(tmp_path):
    for own in (
        {"class_name": "function", "config": "tanh", "registered_name": "me>tanh"},
        {"class_name": "ReLU", "config": {"max_value": 6}},
    ):
        layers = [layer("GRU", "rec", kernels("GRU", 3, 4, 1), activation=own)]
        with pytest.raises(CheckpointError, match="rec has an activation of its own"):
            load(save(tmp_path / "net", layers))
    with pytest.raises(
        CheckpointError, match="its layer rec has the activation 'softsign', for which dynsys has no model"
    ):
        load(save(tmp_path / "net", [layer("GRU", "rec", kernels("GRU", 3, 4, 1), activation="softsign")]))


def test_an_array_more_in_a_layer_is_evidence_of_another_equation(tmp_path):
    layers = [layer("SimpleRNN", "rec", kernels("SimpleRNN", 3, 5, 1))]
    save(tmp_path / "old.h5", layers, "keras 2 .h5")
    with h5py.File(tmp_path / "old.h5", "a") as file:
        file["model_weights/rec/rec/simple_rnn_cell/gamma:0"] = np.ones(5)
    with pytest.raises(
        CheckpointError, match=r"rec has .*gamma:0 \(5,\), which dynsys knows no part for; .*dynsys.wrap"
    ):
        load(tmp_path / "old.h5")
    key = "model_weights.rec.rec.simple_rnn_cell.gamma:0"
    assert off_by(load(tmp_path / "old.h5", ignore=(key,)), [right_rnn(*layers[0]["_arrays"])], [5]) < 1e-12
    save(tmp_path / "new.keras", [{**layers[0], "_arrays": [*layers[0]["_arrays"], np.ones(5)]}])
    with pytest.raises(CheckpointError, match=r"vars.3 \(5,\), which dynsys knows no part for"):
        load(tmp_path / "new.keras")


def test_an_array_more_is_evidence_without_a_configuration_too(tmp_path):
    entry = layer("SimpleRNN", "rec", kernels("SimpleRNN", 3, 5, 1))
    save(tmp_path / "old.h5", [entry], "keras 2 .h5", config=False)
    with h5py.File(tmp_path / "old.h5", "a") as file:
        file["rec/rec/simple_rnn_cell/gamma:0"] = np.ones(5)
    with h5py.File(tmp_path / "new.h5", "w") as file:
        save_by_place(file, [entry], "layers")
        file["layers/simple_rnn/cell/norm/vars/0"] = np.ones(5)
    for name in ("old.h5", "new.h5"):
        with pytest.raises(CheckpointError, match=r"\(5,\), which is no SimpleRNN, GRU or LSTM"):
            load(tmp_path / name)


def test_weights_that_contradict_the_configuration_are_refused(tmp_path):
    for change in ({"units": 7}, {"reset_after": False}):
        layers = [layer("GRU", "rec", kernels("GRU", 3, 5, 1), **change)]
        with pytest.raises(CheckpointError, match=r"7 units need|reset_after=False and a bias"):
            load(save(tmp_path / "net", layers))
    broken = kernels("GRU", 3, 5, 1)
    broken[1][2, 3] = np.nan
    with pytest.raises(CheckpointError, match="holds 1 values that are NaN or infinite"):
        load(save(tmp_path / "net", [layer("GRU", "rec", broken)]))


def test_options_that_mean_nothing_for_a_keras_file_are_refused(tmp_path):
    save(tmp_path / "net", [layer("GRU", "rec", kernels("GRU", 3, 5, 1))])
    for option, value in {"transposed": True, "tau": 3.0, "direction": "forward", "convention": "torch"}.items():
        with pytest.raises(CheckpointError, match=f"--{option} means nothing for it"):
            load(tmp_path / "net", **{option: value})
    with pytest.raises(CheckpointError, match=r"--part other fits none of its 1 .*it holds rec \(GRU"):
        load(tmp_path / "net", part="other")


def test_a_layer_that_runs_backwards_and_one_inside_a_time_distributed_say_so(tmp_path):
    arrays = kernels("LSTM", 3, 5, 1)
    _, found = load_and_tell(save(tmp_path / "net", [layer("LSTM", "rec", arrays, go_backwards=True)]))
    assert any("from the end of a sequence to its beginning (go_backwards)" in line for line in found.assumed)
    each = {**wrapped("TimeDistributed", "each", layer("LSTM", "rec", arrays)), "_arrays": []}
    save(tmp_path / "td.h5", [each], "keras 3 .h5")
    with h5py.File(tmp_path / "td.h5", "a") as file:
        for role, array in zip(roles("LSTM"), arrays, strict=True):
            file[f"model_weights/each/each/lstm_cell/{role}"] = array
    system, found = load_and_tell(tmp_path / "td.h5")
    assert off_by(system, [right_lstm(*arrays)], [5]) < 1e-12
    assert any("the inner axis of a TimeDistributed" in line for line in found.assumed)


def test_keras_1_and_a_keras_file_without_weights_are_told_what_to_save(tmp_path):
    save(tmp_path / "one.h5", [layer("LSTM", "rec", kernels("LSTM", 3, 5, 1))], "keras 2 .h5", version="1.2.2")
    with pytest.raises(CheckpointError, match="Keras 1 wrote it"):
        load(tmp_path / "one.h5")
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
    with pytest.raises(CheckpointError, match=r"without model.weights.h5; save it with model.save"):
        load(tmp_path / "net.keras")


@pytest.mark.parametrize("kind", ["SimpleRNN", "LeakyRNN"])
@pytest.mark.parametrize("leak", [0.3, 5.0])
def test_a_leak_in_the_configuration_of_a_layer_has_its_line_and_is_never_passed_over(tmp_path, kind, leak):
    """Above 1 it is a time constant."""
    K, R, b = kernels("SimpleRNN", 3, 5, 1)
    path = save(tmp_path / "old.h5", [layer("SimpleRNN", "rec", (K, R, b), leak=leak)], "keras 2 .h5")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace("SimpleRNN", kind)
    with pytest.raises(CheckpointError) as caught:
        load(path)
    text = str(caught.value).partition("--form ")[2].partition(";")[0]
    form = "leaky --activation tanh --alpha" if leak < 1 else "activity --activation tanh --tau"
    assert text.startswith(f"{form} {leak}")
    words = shlex.split(text)
    matrices = dict(word.split("=", 1) for word in words[words.index("--matrix") + 1 :: 2])
    x, u = np.linspace(-1, 1, 5), np.linspace(0, 1, 3)
    f = np.tanh(x @ R + u @ K + b)
    system = load(path, form="leaky", alpha=0.3, activation="tanh", matrices=matrices)
    X, U = torch.tensor(x)[None], torch.tensor(u)[None]
    np.testing.assert_allclose(x + system.velocity(X, U)[0].numpy(), 0.7 * x + 0.3 * f, atol=1e-6)


def test_a_single_number_beside_the_kernels_is_a_weight(tmp_path):
    save(tmp_path / "old.h5", [layer("SimpleRNN", "rec", kernels("SimpleRNN", 3, 5, 1))], "keras 2 .h5", config=False)
    with h5py.File(tmp_path / "old.h5", "a") as file:
        file["rec/rec/simple_rnn_cell/leak:0"] = 0.3
    with pytest.raises(CheckpointError, match=r"leak:0 \(\).*--form leaky --alpha rec"):
        load(tmp_path / "old.h5")

"""Keras's files: SimpleRNN, GRU and LSTM in .h5 and .keras of every layout, against Keras's equations in NumPy."""

import h5py
import numpy as np
import pytest
from foreign import hard_02, hard_6, off_by, right_gru, right_lstm, right_rnn, sigma
from keras_files import BLOCKS, DENSE, LAYOUTS, equation, kernels, layer, read, save, save_by_place

from dynsys import CheckpointError, load
from dynsys.models.loading.checkpoint import describe_checkpoint, load_and_tell


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kind", "two"), [("SimpleRNN", True), ("GRU", True), ("GRU", False), ("LSTM", True)])
def test_two_layers_and_a_readout_step_as_keras_computes_them(tmp_path, layout, kind, two):
    below, above = kernels(kind, 3, 5, 1, two), kernels(kind, 5, 4, 2, two)
    layers = [
        layer(kind, "low", below),
        layer("Dropout", "drop"),
        layer(kind, "top", above),
        layer("Dense", "out", DENSE),
    ]
    system = load(save(tmp_path / "net", layers, layout))
    assert (system.n_input, system.n_output) == (3, 2)
    assert off_by(system, [equation(kind, below), equation(kind, above)], [5, 4], read) < 1e-12


def test_info_says_where_the_reset_gate_acts_and_from_which_side(tmp_path):
    for two, after, words in ((True, "True", "after the product"), (False, "False", "before the product")):
        layers = [layer("GRU", "gru", kernels("GRU", 3, 5, 1, two))]
        told = " ".join(describe_checkpoint(save(tmp_path / "net", layers))["recognised"])
        assert f"keras, reset_after={after}: the reset gate acts {words}" in told
        assert "from the right" in told
        assert "z, r, h" in told


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
@pytest.mark.parametrize(("version", "gate"), [("2.4.0", hard_02), ("2.2.4-tf", hard_02), ("3.1.0", hard_6)])
def test_a_hard_sigmoid_is_that_of_the_version_that_wrote_the_file(tmp_path, kind, version, gate):
    arrays = kernels(kind, 3, 5, 4, scale=2.0)
    layers = [layer(kind, "rec", arrays, recurrent_activation="hard_sigmoid", activation="relu")]
    system, found = load_and_tell(save(tmp_path / "net", layers, "keras 2 .h5", version=version))
    assert off_by(system, [equation(kind, arrays, f=lambda x: np.maximum(x, 0), gate=gate)], [5]) < 1e-12
    assert any(f"that of Keras {version[0]}" in line for line in found.why)


def test_a_hard_sigmoid_of_no_known_version_is_refused(tmp_path):
    layers = [layer("LSTM", "rec", kernels("LSTM", 3, 5, 4), recurrent_activation="hard_sigmoid")]
    save(tmp_path / "net", layers, "keras 2 .h5", version="nightly")
    with pytest.raises(CheckpointError, match=r"Keras 2 and Keras 3 compute differently; .*model.save"):
        load(tmp_path / "net")


@pytest.mark.parametrize(
    ("name", "f"), [("relu", lambda x: np.maximum(x, 0)), ("linear", lambda x: x), ("sigmoid", sigma)]
)
def test_the_activation_is_the_configured_one_and_no_other_can_be_given(tmp_path, name, f):
    arrays = kernels("SimpleRNN", 3, 5, 4)
    save(tmp_path / "net", [layer("SimpleRNN", "rec", arrays, activation=name)])
    assert off_by(load(tmp_path / "net"), [right_rnn(*arrays, f=f)], [5]) < 1e-12
    with pytest.raises(CheckpointError, match=r"the file says that rec has .*; leave --activation out"):
        load(tmp_path / "net", activation="tanh")


def test_layers_without_biases_have_none(tmp_path):
    for kind in BLOCKS:
        K, R, b = kernels(kind, 3, 5, 4)
        system = load(save(tmp_path / "net", [layer(kind, "rec", [K, R])]))
        assert off_by(system, [equation(kind, [K, R, 0 * b])], [5]) < 1e-12


# Weights alone


@pytest.mark.parametrize("layout", ["keras 2 .h5", "keras 3 .keras"])
@pytest.mark.parametrize("two", [True, False])
def test_without_a_configuration_the_bias_tells_the_reset_and_the_rest_is_assumed_aloud(tmp_path, layout, two):
    arrays = kernels("GRU", 3, 4, 1, two)
    path = save(tmp_path / "net", [layer("GRU", "gru", arrays), layer("Dense", "out", DENSE)], layout, config=False)
    system, found = load_and_tell(path)
    assert off_by(system, [equation("GRU", arrays)], [4], read) < 1e-12
    assumed = " ".join(found.assumed)
    assert "its f is tanh (--activation for another) and its gates are logistic (--gate-activation" in assumed
    assert "is linear and reads h, as its size fits" in assumed


def test_what_is_assumed_of_weights_alone_can_be_said(tmp_path):
    K, R, _ = kernels("GRU", 3, 4, 1)
    path = save(tmp_path / "net", [layer("GRU", "gru", [K, R])], config=False)
    choices = {"activation": "relu", "gate_activation": "hard-sigmoid-0.2", "convention": "keras reset_after=False"}
    system, found = load_and_tell(path, **choices)
    want = right_gru(K, R, np.zeros(12), reset_after=False, f=lambda x: np.maximum(x, 0), gate=hard_02)
    assert off_by(system, [want], [4]) < 1e-12
    assert not any("as the file does not say" in line for line in found.assumed)
    with pytest.raises(
        CheckpointError, match=r"no bias, so that nothing tells .*say --convention keras \(.* or --conv"
    ):
        load(path)


def test_that_one_layer_feeds_another_is_not_guessed_from_sizes(tmp_path):
    below, above = kernels("LSTM", 3, 5, 1), kernels("LSTM", 5, 4, 2)
    layers = [layer("LSTM", "lstm", below), layer("LSTM", "lstm_1", above), layer("Dense", "out", DENSE)]
    path = save(tmp_path / "net", layers, config=False)
    with pytest.raises(CheckpointError, match=r"2 recurrent networks.*--part lstm\+lstm_1 where each reads h of the"):
        load(path)
    steps = [right_lstm(*below), right_lstm(*above)]
    assert off_by(load(path, part="lstm+lstm_1"), steps, [5, 4], read) < 1e-12
    assert off_by(load(path, part="lstm"), steps[:1], [5]) < 1e-12
    with pytest.raises(CheckpointError, match="names no networks of which each can read h"):
        load(path, part="lstm_1+lstm")


def test_a_normalisation_beside_weights_alone_stands_in_the_way_of_a_readout(tmp_path):
    arrays = kernels("GRU", 3, 4, 1)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        save_by_place(file, [layer("GRU", "gru", arrays), layer("Dense", "out", DENSE)], "layers")
        file["layers/batch_normalization/vars/2"], file["layers/batch_normalization/vars/3"] = np.ones(4), np.zeros(4)
    assert load(tmp_path / "w.h5").n_output == 0
    assert any("may stand between h and dense" in line for line in load_and_tell(tmp_path / "w.h5")[1].why)

"""Keras's models that are more than a chain of layers: halves, cells, functional models, models in models, readouts."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest
from foreign import off_by, right_gru, right_lstm
from keras_files import DENSE, cell, functional, kernels, layer, plain, read, roles, save, sequential, wrapped

from dynsys import CheckpointError, load
from dynsys.models.loading.checkpoint import load_and_tell


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_each_half_of_a_bidirectional_layer_can_be_taken(tmp_path, direction):
    halves = {"forward": kernels("LSTM", 3, 5, 1), "backward": kernels("LSTM", 3, 5, 2)}
    inner = layer("LSTM", "lstm", halves["forward"])
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": [wrapped("Bidirectional", "bi", inner)]}}
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(model), "2.9.0"
        for word, arrays in halves.items():
            for role, array in zip(roles("LSTM"), arrays, strict=True):
                file[f"model_weights/bi/bi/{word}_lstm/lstm_cell/{role}:0"] = array
    inside = io.BytesIO()
    with h5py.File(inside, "w") as file:
        for word, arrays in halves.items():
            for i, array in enumerate(arrays):
                file[f"layers/bidirectional/{word}_layer/cell/vars/{i}"] = array
    with zipfile.ZipFile(tmp_path / "new.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive.writestr("model.weights.h5", inside.getvalue())
    (tmp_path / "bare.h5").write_bytes(inside.getvalue())
    for name in ("old.h5", "new.keras", "bare.h5"):
        with pytest.raises(CheckpointError, match="--direction forward, or --direction backward"):
            load(tmp_path / name)
        system, found = load_and_tell(tmp_path / name, direction=direction)
        assert off_by(system, [right_lstm(*halves[direction])], [5]) < 1e-12
        assert ("its time runs from the end of a sequence to its beginning" in found.assumed) == (
            direction == "backward"
        )


def test_stacked_cells_inside_an_rnn_layer_are_layers(tmp_path):
    below, above = kernels("GRU", 3, 5, 1), kernels("GRU", 5, 4, 2)
    cells = [plain(cell("GRU", "cell_a", below)), plain(cell("GRU", "cell_b", above))]
    stacked = {"class_name": "StackedRNNCells", "config": {"name": "both", "cells": cells}}
    rnn = {"class_name": "RNN", "config": {"name": "rnn", "return_sequences": True, "cell": stacked}}
    dense = plain(layer("Dense", "out", DENSE))
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": [rnn, dense]}}
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(model), "3.0.0"
        for short, arrays in (("cell_a", below), ("cell_b", above)):
            for role, array in zip(roles("GRU"), arrays, strict=True):
                file[f"model_weights/rnn/rnn/both/{short}/{role}"] = array
        file["model_weights/out/out/kernel"], file["model_weights/out/out/bias"] = DENSE
    steps = [right_gru(*below), right_gru(*above)]
    assert off_by(load(tmp_path / "net.h5"), steps, [5, 4], read) < 1e-12
    assert off_by(load(tmp_path / "net.h5", part="rnn/cell_b"), steps[1:], [4], read) < 1e-12


@pytest.mark.parametrize("keras", [2, 3])
def test_an_encoder_and_its_decoder_are_two_networks_and_neither_feeds_the_other(tmp_path, keras):
    encoder, decoder = kernels("LSTM", 3, 4, 1), kernels("LSTM", 3, 4, 2)
    entries = {
        "encoder": (layer("LSTM", "encoder", encoder, return_state=True), [("u",)]),
        "decoder": (layer("LSTM", "decoder", decoder), [("v",), ("encoder", 1), ("encoder", 2)]),
        "out": (layer("Dense", "out", DENSE), [("decoder",)]),
    }
    layers = [entry for entry, _ in entries.values()]
    path = save(tmp_path / "net", layers, f"keras {keras} .h5", model=functional(entries, keras))
    with pytest.raises(CheckpointError, match=r"encoder \(LSTM, 4 units.*decoder \(LSTM.*--part encoder"):
        load(path)
    system, found = load_and_tell(path, part="decoder")
    assert off_by(system, [right_lstm(*decoder)], [4], read) < 1e-12
    assert "its first state, which comes from encoder, is not read" in found.assumed
    assert load(path, part="encoder").n_output == 0


@pytest.mark.parametrize("between", ["Dense", "BatchNormalization", "RepeatVector"])
def test_what_computes_between_two_layers_parts_them(tmp_path, between):
    below, above = kernels("GRU", 3, 4, 1), kernels("GRU", 4, 4, 2)
    middle = layer(between, "middle", [np.eye(4), np.zeros(4)] if between == "Dense" else ())
    path = save(tmp_path / "net", [layer("GRU", "low", below), middle, layer("GRU", "top", above)])
    with pytest.raises(CheckpointError, match=r"low \(GRU.*top \(GRU.*choose one with --part, such as --part low$"):
        load(path)
    system, found = load_and_tell(path, part="top")
    assert off_by(system, [right_gru(*above)], [4]) < 1e-12
    assert f"its input is what the layer middle ({between}) gives" in found.assumed


@pytest.mark.parametrize(
    "change", [{"activation": "relu"}, {"go_backwards": True}, {"recurrent_activation": "hard_sigmoid"}]
)
def test_layers_that_differ_in_their_equation_or_their_time_are_networks_of_their_own(tmp_path, change):
    layers = [layer("LSTM", "low", kernels("LSTM", 3, 4, 1)), layer("LSTM", "top", kernels("LSTM", 4, 4, 2), **change)]
    with pytest.raises(CheckpointError, match="it holds 2 recurrent networks"):
        load(save(tmp_path / "net", layers))


def test_models_inside_models_are_opened_up(tmp_path):
    below, above = kernels("GRU", 3, 5, 1), kernels("GRU", 5, 4, 2)
    inner = sequential([layer("GRU", "gru", below)])
    inner["config"]["name"] = "encoder"
    outer = [inner, plain(layer("GRU", "gru", above)), plain(layer("Dense", "out", DENSE))]
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": outer}}
    inside = io.BytesIO()
    with h5py.File(inside, "w") as file:
        for i in range(3):
            file[f"layers/sequential/layers/gru/cell/vars/{i}"] = below[i]
            file[f"layers/gru/cell/vars/{i}"] = above[i]
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = DENSE
    with zipfile.ZipFile(tmp_path / "net", "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", inside.getvalue())
    assert off_by(load(tmp_path / "net"), [right_gru(*below), right_gru(*above)], [5, 4], read) < 1e-12


# Readouts


def test_a_relu_layer_below_the_last_one_belongs_to_the_readout(tmp_path):
    arrays, rng = kernels("LSTM", 3, 4, 1), np.random.default_rng(3)
    V, c = rng.normal(size=(4, 6)), rng.normal(size=6)
    W, b = rng.normal(size=(6, 2)), rng.normal(size=2)
    layers = [
        layer("LSTM", "rec", arrays),
        layer("Dense", "mid", [V, c], activation="relu"),
        layer("Dense", "out", [W, b]),
    ]
    system = load(save(tmp_path / "net", layers))
    assert off_by(system, [right_lstm(*arrays)], [4], lambda h: np.maximum(h @ V + c, 0) @ W + b) < 1e-12


def test_a_readout_is_linear_up_to_its_activation_which_is_told(tmp_path):
    layers = [layer("GRU", "rec", kernels("GRU", 3, 4, 1)), layer("Dense", "out", DENSE, activation="softmax")]
    system, found = load_and_tell(save(tmp_path / "net", layers))
    assert off_by(system, [right_gru(*kernels("GRU", 3, 4, 1))], [4], read) < 1e-12
    assert "readout: the layer out (4 to 2), before its softmax" in found.why


@pytest.mark.parametrize("keras", [2, 3])
def test_all_heads_that_read_h_are_read_one_after_the_other(tmp_path, keras):
    arrays, value = kernels("LSTM", 3, 4, 1), [np.random.default_rng(8).normal(size=(4, 1)), np.array([0.1])]
    entries = {
        "rec": (layer("LSTM", "rec", arrays), [("u",)]),
        "policy": (layer("Dense", "policy", DENSE), [("rec",)]),
        "value": (layer("Dense", "value", value), [("rec",)]),
    }
    layers = [entry for entry, _ in entries.values()]
    system = load(save(tmp_path / "net", layers, f"keras {keras} .h5", model=functional(entries, keras)))
    want = lambda h: np.concatenate([read(h), h @ value[0] + value[1]])  # noqa: E731
    assert off_by(system, [right_lstm(*arrays)], [4], want) < 1e-12


def test_a_normalisation_before_the_readout_leaves_none(tmp_path):
    norm = layer("LayerNormalization", "norm")
    layers = [layer("GRU", "rec", kernels("GRU", 3, 4, 1)), norm, layer("Dense", "out", DENSE)]
    system, found = load_and_tell(save(tmp_path / "net", layers))
    assert system.n_output == 0
    assert "no readout: its h is read by norm (LayerNormalization)" in found.why

"""Keras's files that are not a plain stack of its layers, or do not say so."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from door.drawing import draw
from door.keras_files import H5, NEEDS, ZIP, Layer, configuration, dense, network, write_h5, write_variables, write_zip
from door.layout import LINE, OPEN, REFUSED, Network, layout

Rng = np.random.Generator


@layout(H5, OPEN, NEEDS)
def keras_h5_as_wide_as_its_input(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Every matrix is square, and no shape tells that Keras's act from the right."""
    layers = [Layer(rng, "SimpleRNN", n, n)]
    write_h5(folder / "model.h5", layers, n, None, "2.11.0")
    return network(folder / "model.h5", layers, n, None)


@layout(H5, OPEN, NEEDS)
def keras_h5_group_of_a_cell_alone(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """No attributes at all: only the names of the weights say that it is a GRU of Keras."""
    import h5py

    layer = Layer(rng, "GRU", m, n)
    with h5py.File(folder / "w.h5", "w") as file:
        for key, value in layer.kept.items():
            file[f"model_weights/gru/gru/gru_cell/{key}:0"] = value
    return network(folder / "w.h5", [layer], m, None)


@layout(H5, REFUSED, NEEDS)
def keras_weights_h5_of_version_3(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """save_weights: numbered variables and no configuration, so that the functions are Keras's own if it is opened."""
    import h5py

    layers, top = [Layer(rng, "LSTM", m, n)], dense(rng, n)
    with h5py.File(folder / "model.weights.h5", "w") as file:
        write_variables(file, layers, top)
    return network(folder / "model.weights.h5", layers, m, top, way_out="--matrix|--form|config|model.save")


@layout(H5, LINE, NEEDS)
def keras_h5_bidirectional(folder: Path, rng: Rng, n: int, m: int) -> Network:
    import h5py

    both = {side: Layer(rng, "LSTM", m, n) for side in ("forward", "backward")}
    inner = {"class_name": "LSTM", "config": both["forward"].config}
    entry = {"class_name": "Bidirectional", "config": {"name": "bidirectional", "merge_mode": "concat", "layer": inner}}
    config = {"class_name": "Sequential", "config": {"name": "sequential", "layers": [entry]}}
    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs.update({"keras_version": "2.11.0", "model_config": json.dumps(config)})
        for side, layer in both.items():
            for key, value in layer.kept.items():
                file[f"model_weights/bidirectional/bidirectional/{side}_lstm/lstm_cell/{key}:0"] = value.astype(
                    np.float32
                )
    known = {"direction": "backward"}
    return network(folder / "model.h5", [both["backward"]], m, None, known=known, way_out="--direction")


@layout(ZIP, REFUSED, NEEDS)
def keras_zip_of_a_gru_on_an_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    layers = [Layer(rng, "LSTM", m, n), Layer(rng, "GRU", n, n + 2)]
    write_zip(folder / "model.keras", layers, m, None)
    return Network(folder / "model.keras", way_out="--part|wrap|dynsys.Map|--matrix")


def between(rng: Rng, n: int, m: int, path: Path, *entries: dict[str, Any]) -> Network:
    """Two LSTMs with other layers between them: no stack, whatever their sizes."""
    import h5py

    layers = [Layer(rng, "LSTM", m, n, name="first", return_sequences=True), Layer(rng, "LSTM", n, n, name="second")]
    config, buffer = configuration(layers, m, None), io.BytesIO()
    config["config"]["layers"][2:2] = entries
    with h5py.File(buffer, "w") as file:
        write_variables(file, layers, None)
        for k in range(4):
            file[f"layers/batch_normalization/vars/{k}"] = rng.random(n)
    with zipfile.ZipFile(path, "w") as zipped_file:
        zipped_file.writestr("metadata.json", json.dumps({"keras_version": "3.4.1"}))
        zipped_file.writestr("config.json", json.dumps({"module": "keras", **config}))
        zipped_file.writestr("model.weights.h5", buffer.getvalue())
    return Network(path, way_out="--part|wrap|dynsys.Map")


@layout(ZIP, REFUSED, NEEDS)
def keras_zip_of_an_autoencoder(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """LSTM, RepeatVector, LSTM."""
    repeat = {"class_name": "RepeatVector", "config": {"name": "repeat_vector", "n": 10}}
    return between(rng, n, m, folder / "model.keras", repeat)


@layout(ZIP, REFUSED, NEEDS)
def keras_zip_with_a_norm_between_layers(folder: Path, rng: Rng, n: int, m: int) -> Network:
    norm = {"class_name": "BatchNormalization", "config": {"name": "batch_normalization", "axis": -1, "epsilon": 1e-3}}
    return between(rng, n, m, folder / "model.keras", norm)


@layout(H5, REFUSED, NEEDS)
def keras_h5_of_an_unknown_function(folder: Path, rng: Rng, n: int, m: int) -> Network:
    layers = [Layer(rng, "SimpleRNN", m, n, activation="my>swish7")]
    write_h5(folder / "model.h5", layers, m, None, "2.11.0")
    return Network(folder / "model.h5", way_out="swish7(.|\\n)*(--activation|tanh|dynsys.Map)")


@layout(ZIP, REFUSED, NEEDS)
def keras_zip_without_a_recurrent_layer(folder: Path, rng: Rng, n: int, m: int) -> Network:
    write_zip(folder / "model.keras", [], m, dense(rng, n))
    return Network(folder / "model.keras", way_out="recurrent|--matrix|--form")


@layout(ZIP, REFUSED, NEEDS)
def keras_zip_of_a_custom_cell(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A user's own cell under RNN(...)."""
    import h5py

    layer = Layer(rng, "SimpleRNN", m, n)

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for i, value in enumerate(layer.kept.values()):
            file[f"layers/rnn/cell/vars/{i}"] = value
    cell = {
        "module": "my",
        "class_name": "LeakyCell",
        "config": {"units": n, "alpha": 0.2},
        "registered_name": "my>LeakyCell",
    }
    entry = {"module": "keras.layers", "class_name": "RNN", "config": {"name": "rnn", "cell": cell}}
    config = {"class_name": "Sequential", "config": {"name": "sequential", "layers": [entry]}}
    with zipfile.ZipFile(folder / "model.keras", "w") as zipped_file:
        zipped_file.writestr("metadata.json", json.dumps({"keras_version": "3.4.1"}))
        zipped_file.writestr("config.json", json.dumps({"module": "keras", **config}))
        zipped_file.writestr("model.weights.h5", buffer.getvalue())
    return Network(folder / "model.keras", way_out="--matrix|--form|wrap|dynsys.Map")


def variables_zip(path: Path, config: dict[str, Any], variables: dict[str, Any]) -> Path:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, value in variables.items():
            file[key] = value
    with zipfile.ZipFile(path, "w") as zipped_file:
        zipped_file.writestr("metadata.json", json.dumps({"keras_version": "3.4.1"}))
        zipped_file.writestr("config.json", json.dumps({"module": "keras", **config}))
        zipped_file.writestr("model.weights.h5", buffer.getvalue())
    return path


def numbered(prefix: str, layer: Layer) -> dict[str, Any]:
    return {f"{prefix}/cell/vars/{i}": value for i, value in enumerate(layer.kept.values())}


@layout(ZIP, LINE, NEEDS)
def keras_zip_bidirectional(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """The readout sees both halves, and so is none of either."""
    both = {side: Layer(rng, "LSTM", m, n, name=f"{side}_lstm") for side in ("forward", "backward")}
    inner = {
        name: {"class_name": "LSTM", "config": both[side].config}
        for name, side in (("layer", "forward"), ("backward_layer", "backward"))
    }
    entries = [
        {"class_name": "Bidirectional", "config": {"name": "bidirectional", "merge_mode": "concat", **inner}},
        {"class_name": "Dense", "config": {"name": "dense", "units": 2, "activation": "linear", "use_bias": True}},
    ]
    variables = {k: v for side in both for k, v in numbered(f"layers/bidirectional/{side}_layer", both[side]).items()}
    variables |= {"layers/dense/vars/0": draw(rng, 2 * n, 2), "layers/dense/vars/1": draw(rng, 2)}
    config = {"class_name": "Sequential", "config": {"name": "sequential", "layers": entries}}
    path = variables_zip(folder / "model.keras", config, variables)
    known = {"direction": "backward"}
    return network(path, [both["backward"]], m, None, known=known, way_out="--direction")


@layout(ZIP, REFUSED, NEEDS)
def keras_zip_of_two_parallel_layers(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Both see the input, which is as wide as they are: their shapes would fit a stack, and their graph does not."""
    layers = [Layer(rng, "LSTM", n, n, name=f"lstm_{k}") for k in (1, 2)]

    def seen(*names: str) -> list[Any]:
        shape = [None, None, n]
        tensors = [
            {"class_name": "__keras_tensor__", "config": {"shape": shape, "keras_history": [x, 0, 0]}} for x in names
        ]
        return [{"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}]

    first = {"batch_shape": [None, None, n], "name": "x"}
    entries: list[dict[str, Any]] = [{"class_name": "InputLayer", "config": first, "name": "x", "inbound_nodes": []}]
    for layer in layers:
        entries.append({"class_name": "LSTM", "config": layer.config, "name": layer.name, "inbound_nodes": seen("x")})
    joined = {"class_name": "Concatenate", "config": {"name": "concatenate"}, "name": "concatenate"}
    entries.append({**joined, "inbound_nodes": seen("lstm_1", "lstm_2")})
    ends = {"input_layers": ["x", 0, 0], "output_layers": ["concatenate", 0, 0]}
    config = {"class_name": "Functional", "config": {"name": "functional", "layers": entries, **ends}}
    variables = numbered("layers/lstm", layers[0]) | numbered("layers/lstm_1", layers[1])
    return Network(variables_zip(folder / "model.keras", config, variables), way_out="--part|wrap|dynsys.Map")

"""Keras: .h5 of version 2 and of version 3, weights alone, and the zip .keras. Its matrices act from the right."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from door.drawing import draw
from door.equations import FUNCTIONS, Cell, keras_gru, keras_lstm, keras_rnn, stacked
from door.layout import OPEN, Array, Network, enter

Rng = np.random.Generator
NAMES = {"SimpleRNN": "simple_rnn", "GRU": "gru", "LSTM": "lstm"}
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


class Layer:
    """A recurrent layer: its configuration as Keras writes it, its weights in float32, its equation."""

    def __init__(self, rng: Rng, cls: str, m: int, n: int, bias: bool = True, **config: Any) -> None:
        k = GATES[cls]
        self.cls, self.n, self.name = cls, n, config.pop("name", NAMES[cls])
        default: dict[str, Any] = {"units": n, "activation": "tanh", "use_bias": bias}
        default |= {"go_backwards": False, "return_sequences": False}
        default |= {} if k == 1 else {"recurrent_activation": "sigmoid"}
        default |= {"reset_after": True} if cls == "GRU" else {}
        self.config: dict[str, Any] = default | config | {"name": self.name}
        two = cls == "GRU" and self.config["reset_after"]
        shapes = [(m, k * n), (n, k * n), (2, k * n) if two else (k * n,)]
        self.weights = [1.4 * draw(rng, *shape) for shape in shapes]
        self.weights = [w.astype(np.float32).astype(float) for w in self.weights]
        if not bias:
            self.weights[2] = np.zeros(shapes[2])

    @property
    def kept(self) -> dict[str, Array]:
        names = ["kernel", "recurrent_kernel", *(["bias"] if self.config["use_bias"] else [])]
        return dict(zip(names, self.weights, strict=False))

    def cell(self, hard: str) -> Cell:
        """``hard`` is which hard sigmoid this version of Keras has."""
        f = FUNCTIONS[
            {"linear": "identity", "sigmoid": "logistic"}.get(self.config["activation"], self.config["activation"])
        ]
        if self.cls == "SimpleRNN":
            return keras_rnn(*self.weights, f)
        named = {"sigmoid": "logistic", "hard_sigmoid": hard}
        gate = FUNCTIONS[named[self.config["recurrent_activation"]]]
        return (keras_gru if self.cls == "GRU" else keras_lstm)(*self.weights, gate, f)


Dense = tuple[Array, Array]


def dense(rng: Rng, n: int) -> Dense:
    W, b = draw(rng, n, 2).astype(np.float32), draw(rng, 2).astype(np.float32)
    return W.astype(float), b.astype(float)


def network(
    path: Path, layers: Sequence[Layer], m: int, head: Dense | None, hard: str = "hard-sigmoid", **more: Any
) -> Network:
    parts, sizes = 2 if layers[0].cls == "LSTM" else 1, [layer.n for layer in layers]
    step = stacked([layer.cell(hard) for layer in layers], sizes, parts)
    readout = None
    if head is not None:
        top = slice(sum(sizes[:-1]), sum(sizes))
        readout = lambda x: x[top] @ head[0] + head[1]  # noqa: E731
    return Network(path, step, parts * sum(sizes), m, readout=readout, **more)


def configuration(layers: Sequence[Layer], m: int, head: Dense | None) -> dict[str, Any]:
    entries = [{"class_name": "InputLayer", "config": {"batch_shape": [None, None, m], "name": "input_layer"}}]
    entries += [{"class_name": layer.cls, "config": layer.config} for layer in layers]
    if head is not None:
        entries += [
            {"class_name": "Dense", "config": {"name": "dense", "units": 2, "activation": "linear", "use_bias": True}}
        ]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": entries}}


def write_h5(
    path: Path, layers: Sequence[Layer], m: int, head: Dense | None, version: str, config: bool = True
) -> None:
    """As ``model.save("model.h5")`` writes it."""
    import h5py

    new = version.startswith("3")
    tail, root = ("" if new else ":0"), "model_weights" if config else "/"
    with h5py.File(path, "w") as file:
        weights = file if root == "/" else file.create_group(root)
        weights.attrs.update({"backend": "tensorflow", "keras_version": version})
        if config:
            file.attrs.update({"backend": "tensorflow", "keras_version": version})
            file.attrs["model_config"] = json.dumps(configuration(layers, m, head))
        groups = {layer.name: (f"{layer.name}/{NAMES[layer.cls]}_cell", layer.kept) for layer in layers}
        if head is not None:
            groups["dense"] = "dense", dict(zip(("kernel", "bias"), head, strict=True))
        for layer_name, (inner, kept) in groups.items():
            names = {f"{'sequential/' if new else ''}{inner}/{key}{tail}": value for key, value in kept.items()}
            group = weights.create_group(layer_name)
            group.attrs["weight_names"] = np.array(list(names), dtype="S")
            for key, value in names.items():
                group[key] = value.astype(np.float32)
        weights.attrs["layer_names"] = np.array(list(groups), dtype="S")


def write_variables(file: Any, layers: Sequence[Layer], head: Dense | None, prefix: str = "layers") -> None:
    """As Keras 3 numbers variables: by class and by order, whatever the layers are called."""
    seen: dict[str, int] = {}
    for layer in layers:
        name = NAMES[layer.cls]
        count = seen[name] = seen.get(name, -1) + 1
        for i, value in enumerate(layer.kept.values()):
            file[f"{prefix}/{name}{f'_{count}' if count else ''}/cell/vars/{i}"] = value.astype(np.float32)
    if head is not None:
        for i, value in enumerate(head):
            file[f"{prefix}/dense/vars/{i}"] = value.astype(np.float32)


def write_zip(path: Path, layers: Sequence[Layer], m: int, head: Dense | None) -> None:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write_variables(file, layers, head)
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("metadata.json", json.dumps({"keras_version": "3.4.1", "date_saved": "2024-07-01@10:00:00"}))
        zipped.writestr("config.json", json.dumps({"module": "keras", **configuration(layers, m, head)}))
        zipped.writestr("model.weights.h5", buffer.getvalue())


Make = Callable[[Rng, int, int], list[Layer]]


def h5(make: Make, version: str = "2.11.0", head: bool = True, config: bool = True) -> Callable[..., Network]:
    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        layers, top = make(rng, m, n), dense(rng, n) if head else None
        write_h5(folder / "model.h5", layers, m, top, version, config)
        hard = "hard-sigmoid" if version.startswith("3") else "hard-sigmoid-0.2"
        return network(folder / "model.h5", layers, m, top, hard)

    return write


def zipped(make: Make, head: bool = True) -> Callable[..., Network]:
    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        layers, top = make(rng, m, n), dense(rng, n) if head else None
        write_zip(folder / "model.keras", layers, m, top)
        return network(folder / "model.keras", layers, m, top)

    return write


def one(cls: str, **config: Any) -> Make:
    return lambda rng, m, n: [Layer(rng, cls, m, n, **config)]


def two(cls: str, **config: Any) -> Make:
    first, second = f"{NAMES[cls]}_1", f"{NAMES[cls]}_2"
    return lambda rng, m, n: [
        Layer(rng, cls, m, n + 1, name=first, return_sequences=True, **config),
        Layer(rng, cls, n + 1, n, name=second, **config),
    ]


H5, NEEDS = "keras h5", "h5py"
enter("keras_h5_simple_rnn", H5, OPEN, h5(one("SimpleRNN")), NEEDS)
enter("keras_h5_simple_rnn_relu", H5, OPEN, h5(one("SimpleRNN", activation="relu")), NEEDS)
enter("keras_h5_simple_rnn_sigmoid", H5, OPEN, h5(one("SimpleRNN", activation="sigmoid")), NEEDS)
enter("keras_h5_lstm", H5, OPEN, h5(one("LSTM")), NEEDS)
enter("keras_h5_lstm_without_config", H5, OPEN, h5(one("LSTM"), config=False), NEEDS)
enter("keras_h5_lstm_without_bias", H5, OPEN, h5(one("LSTM", bias=False)), NEEDS)
enter("keras_h5_lstm_hard_sigmoid_of_keras_2", H5, OPEN, h5(one("LSTM", recurrent_activation="hard_sigmoid")), NEEDS)
enter("keras_h5_gru_reset_after", H5, OPEN, h5(one("GRU")), NEEDS)
enter("keras_h5_gru_reset_before", H5, OPEN, h5(one("GRU", reset_after=False)), NEEDS)
enter("keras_h5_gru_of_two_layers", H5, OPEN, h5(two("GRU")), NEEDS)
enter("keras_h5_lstm_of_two_layers", H5, OPEN, h5(two("LSTM")), NEEDS)
enter("keras_3_h5_lstm", H5, OPEN, h5(one("LSTM"), "3.4.1"), NEEDS)
enter("keras_3_h5_gru_hard_sigmoid", H5, OPEN, h5(one("GRU", recurrent_activation="hard_sigmoid"), "3.4.1"), NEEDS)

ZIP = "keras zip"
enter("keras_zip_simple_rnn", ZIP, OPEN, zipped(one("SimpleRNN")), NEEDS)
enter("keras_zip_simple_rnn_softplus", ZIP, OPEN, zipped(one("SimpleRNN", activation="softplus")), NEEDS)
enter("keras_zip_gru", ZIP, OPEN, zipped(one("GRU")), NEEDS)
enter("keras_zip_gru_reset_before", ZIP, OPEN, zipped(one("GRU", reset_after=False)), NEEDS)
enter("keras_zip_lstm", ZIP, OPEN, zipped(one("LSTM")), NEEDS)
enter("keras_zip_lstm_relu", ZIP, OPEN, zipped(one("LSTM", activation="relu")), NEEDS)
enter("keras_zip_lstm_of_two_layers", ZIP, OPEN, zipped(two("LSTM")), NEEDS)
enter("keras_zip_gru_of_two_layers", ZIP, OPEN, zipped(two("GRU")), NEEDS)
enter("keras_zip_simple_rnn_of_two_layers", ZIP, OPEN, zipped(two("SimpleRNN", activation="relu")), NEEDS)

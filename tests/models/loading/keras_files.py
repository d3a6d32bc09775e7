"""Keras's files as its versions lay them out, made without Keras: whole models and weights alone, with own numbers."""

import io
import json
import zipfile

import h5py
import numpy as np
from foreign import right_gru, right_lstm, right_rnn

LAYOUTS = ("keras 2 .h5", "keras 3 .h5", "keras 3 .keras", "keras 2.12 .keras")
BLOCKS = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


def kernels(kind, m, n, seed, two_biases=True, scale=0.7):
    """kernel, recurrent kernel and bias of a layer; ``scale`` keeps gates in the range where they matter."""
    rng, k = np.random.default_rng(seed), BLOCKS[kind]
    bias = (2, k * n) if kind == "GRU" and two_biases else (k * n,)
    return [scale * rng.normal(size=shape) for shape in ((m, k * n), (n, k * n), bias)]


def layer(kind, name, arrays=(), **config):
    """A layer as the files below keep it: its class, its configuration, its weights."""
    usual = {"activation": "linear" if kind == "Dense" else "tanh", "use_bias": len(arrays) > 2}
    if kind in ("GRU", "LSTM"):
        usual["recurrent_activation"] = "sigmoid"
    if kind in BLOCKS:
        usual |= {"units": len(arrays[1]), "return_sequences": True, "go_backwards": False}
    if kind == "GRU":
        usual["reset_after"] = np.ndim(arrays[2]) == 2 if len(arrays) > 2 else True
    return {"class_name": kind, "config": {"name": name, **usual, **config}, "_arrays": list(arrays)}


def plain(entry):
    return {key: value for key, value in entry.items() if key != "_arrays"}


def sequential(layers):
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [plain(entry) for entry in layers]}}


def snake(kind):
    return {"SimpleRNN": "simple_rnn", "TimeDistributed": "time_distributed"}.get(kind, kind.lower())


def save(path, layers, layout="keras 3 .keras", config=True, version=None, model=None):
    """A Keras file of that layout, as its saver lays it out; ``model`` replaces the configuration of a Sequential."""
    version = version or {"2": "2.9.0", "3": "3.4.1"}[layout[6]] if config else version
    described = model or sequential(layers)
    if layout.endswith(".h5"):
        with h5py.File(path, "w") as file:
            save_h5(file, layers, described if config else None, version, ":0" if layout[6] == "2" else "")
        return path
    inside = io.BytesIO()
    with h5py.File(inside, "w") as file:
        save_by_place(file, layers, "_layer_checkpoint_dependencies" if "2.12" in layout else "layers")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        if config:
            archive.writestr("config.json", json.dumps(described))
        archive.writestr("model.weights.h5", inside.getvalue())
    return path


def save_h5(file, layers, described, version, end):
    root = file.create_group("model_weights") if described else file
    if described:
        file.attrs["model_config"] = json.dumps(described).encode()
    if version:
        file.attrs["keras_version"] = version.encode()
    root.attrs["layer_names"] = [entry["config"]["name"].encode() for entry in layers]
    for entry in layers:
        name, kind = entry["config"]["name"], entry["class_name"]
        group = root.create_group(name)
        inside = f"{name}/{snake(kind)}_cell" if kind in BLOCKS else name
        for role, array in zip(roles(kind), entry["_arrays"], strict=False):
            group[f"{inside}/{role}{end}"] = array


def roles(kind):
    return ("kernel", "recurrent_kernel", "bias") if kind in BLOCKS else ("kernel", "bias")


def save_by_place(file, layers, root):
    counted = {}
    for entry in layers:
        stem = snake(entry["class_name"])
        k = counted[stem] = counted.get(stem, -1) + 1
        place = f"{root}/{stem}_{k}" if k else f"{root}/{stem}"
        place += "/cell/vars" if entry["class_name"] in BLOCKS else "/vars"
        for i, array in enumerate(entry["_arrays"]):
            file[f"{place}/{i}"] = array


def equation(kind, arrays, **functions):
    if kind == "SimpleRNN":
        return right_rnn(*arrays, **functions)
    if kind == "LSTM":
        return right_lstm(*arrays, **functions)
    return right_gru(*arrays, reset_after=np.ndim(arrays[2]) == 2, **functions)


DENSE = [np.random.default_rng(9).normal(size=(4, 2)), np.array([0.3, -0.4])]


def read(h):
    return h @ DENSE[0] + DENSE[1]


def wrapped(kind, name, inner, **config):
    return {"class_name": kind, "config": {"name": name, **config, "layer": plain(inner)}}


def cell(kind, name, arrays, **config):
    own = layer(kind, name, arrays, **config)
    return {**own, "class_name": f"{kind}Cell"}


def functional(entries, keras):
    """{name: (layer, the names that feed it)} as Keras 2 or 3 writes the calls down."""

    def edge(source, k=0):
        if keras == 2:
            return [source, 0, k, {}]
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, k]}}

    def call(sources):
        if keras == 2:
            return [[edge(*source) for source in sources]]
        states = {"initial_state": [edge(*source) for source in sources[1:]]} if len(sources) > 1 else {}
        return [{"args": [edge(*sources[0])], "kwargs": states}]

    layers = [
        {**plain(entry), "name": name, "inbound_nodes": call(sources)} for name, (entry, sources) in entries.items()
    ]
    inputs = [{"class_name": "InputLayer", "config": {"name": n}, "name": n, "inbound_nodes": []} for n in ("u", "v")]
    config = {"name": "m", "layers": inputs + layers, "output_layers": [[list(entries)[-1], 0, 0]]}
    return {"class_name": "Functional", "config": config}

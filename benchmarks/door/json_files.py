"""Networks as audio tools and web pages keep them: JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from door.drawing import array, draw, drawn, state
from door.equations import keras_gru, keras_lstm, stacked, torch_lstm
from door.layout import LINE, OPEN, REFUSED, Array, Network, layout
from door.matrices import rate_said
from door.torch_files import Rng, linear, of


def lists(module: Any, prefix: str = "") -> dict[str, Any]:
    return {key: array(value).tolist() for key, value in state(module, prefix).items()}


def guitar(folder: Path, rng: Rng, n: int, m: int, make: Any, unit: str) -> Network:
    """{"model_data": ..., "state_dict": {"rec.weight_ih_l0": ...}}."""
    rec, lin = drawn(make(m, n), rng), drawn(torch.nn.Linear(n, 1), rng)
    about = {"model": "SimpleRNN", "input_size": m, "skip": 0, "output_size": 1, "unit_type": unit}
    about |= {"num_layers": 1, "hidden_size": n, "bias_fl": True}
    content = {"model_data": about, "state_dict": lists(rec, "rec.") | lists(lin, "lin.")}
    (folder / "amp.json").write_text(json.dumps(content))
    return of(folder / "amp.json", rec, m, readout=linear(lin, n))


@layout("json", OPEN)
def json_state_dict_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    return guitar(folder, rng, n, m, torch.nn.LSTM, "LSTM")


@layout("json", OPEN)
def json_state_dict_gru(folder: Path, rng: Rng, n: int, m: int) -> Network:
    return guitar(folder, rng, n, m, torch.nn.GRU, "GRU")


@layout("json", OPEN)
def json_flat_state_dict(folder: Path, rng: Rng, n: int, m: int) -> Network:
    rnn = drawn(torch.nn.RNN(m, n), rng)
    (folder / "weights.json").write_text(json.dumps(lists(rnn, "rnn.")))
    return of(folder / "weights.json", rnn, m)


@layout("json", LINE)
def json_matrices(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = {"J": draw(rng, n, n, gain=1.5), "B": draw(rng, n, m), "b": draw(rng, n)}
    content = {"config": {"units": n, "note": "run 3"}, "weights": {key: value.tolist() for key, value in a.items()}}
    (folder / "net.json").write_text(json.dumps(content))
    return rate_said(folder / "net.json", a, {"recurrent": "J", "input": "B", "bias": "b"}, "weights.")


def amp_modeler(folder: Path, rng: Rng, n: int, layers: int) -> Network:
    """.nam: for each layer [W_ih W_hh] (4n, in + n), b, h(0), c(0), then the head's weight and bias, in one list."""
    sizes, cells, flat = [1] + [n] * (layers - 1), [], []
    for width in sizes:
        W, b = 1.4 * draw(rng, 4 * n, width + n), draw(rng, 4 * n)
        flat += [W.ravel(), b, draw(rng, n), draw(rng, n)]
        cells.append(torch_lstm(W[:, :width], W[:, width:], b))
    head, shift = draw(rng, 1, n), draw(rng, 1)
    content = {
        "version": "0.5.2",
        "metadata": {"loudness": -18.5, "name": "amp"},
        "architecture": "LSTM",
        "config": {"input_size": 1, "hidden_size": n, "num_layers": layers},
        "weights": np.concatenate([*flat, head.ravel(), shift]).tolist(),
        "sample_rate": 48000,
    }
    (folder / "amp.nam").write_text(json.dumps(content))
    top = slice((layers - 1) * n, layers * n)
    step = stacked(cells, [n] * layers, 2)
    return Network(folder / "amp.nam", step, 2 * n * layers, 1, readout=lambda x: head @ x[top] + shift)


@layout("json", OPEN)
def nam_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    return amp_modeler(folder, rng, n, 1)


@layout("json", OPEN)
def nam_lstm_of_two_layers(folder: Path, rng: Rng, n: int, m: int) -> Network:
    return amp_modeler(folder, rng, n, 2)


@layout("json", REFUSED)
def nam_wavenet(folder: Path, rng: Rng, n: int, m: int) -> Network:
    content = {
        "version": "0.5.2",
        "architecture": "WaveNet",
        "config": {"layers": [{"channels": 8}]},
        "weights": [0.1] * 99,
    }
    (folder / "amp.nam").write_text(json.dumps(content))
    return Network(folder / "amp.nam", way_out="WaveNet|recurrent|LSTM")


def rtneural(path: Path, kind: str, weights: list[Array], head: list[Array], m: int, n: int) -> None:
    """RTNeural: Keras's weights layer by layer."""
    layers = [
        {"type": kind, "activation": "tanh", "shape": [None, None, n], "weights": [w.tolist() for w in weights]},
        {"type": "dense", "activation": "", "shape": [None, None, 1], "weights": [w.tolist() for w in head]},
    ]
    path.write_text(json.dumps({"in_shape": [None, None, m], "layers": layers}))


@layout("json", OPEN)
def rtneural_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    K, R, b, W, c = draw(rng, m, 4 * n), draw(rng, n, 4 * n), draw(rng, 4 * n), draw(rng, n, 1), draw(rng, 1)
    rtneural(folder / "model.json", "lstm", [K, R, b], [W, c], m, n)
    step = stacked([keras_lstm(K, R, b)], [n], 2)
    return Network(folder / "model.json", step, 2 * n, m, readout=lambda x: x[:n] @ W + c)


@layout("json", OPEN)
def rtneural_gru(folder: Path, rng: Rng, n: int, m: int) -> Network:
    K, R, b, W, c = draw(rng, m, 3 * n), draw(rng, n, 3 * n), draw(rng, 2, 3 * n), draw(rng, n, 1), draw(rng, 1)
    rtneural(folder / "model.json", "gru", [K, R, b], [W, c], m, n)
    step = stacked([keras_gru(K, R, b)], [n], 1)
    return Network(folder / "model.json", step, n, m, readout=lambda x: x @ W + c)


@layout("json", REFUSED)
def json_that_names_a_tensorflow_js_model(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """model.json of TensorFlow.js: only the plan of the model; the numbers are in group1-shard1of1.bin beside it."""
    manifest = [{"paths": ["group1-shard1of1.bin"], "weights": [{"name": "lstm/kernel", "shape": [m, 4 * n]}]}]
    (folder / "model.json").write_text(json.dumps({"format": "layers-model", "weightsManifest": manifest}))
    (folder / "group1-shard1of1.bin").write_bytes(np.zeros(4 * m * n, dtype=np.float32).tobytes())
    return Network(folder / "model.json", way_out=r"(?i)(keras|npz|h5|\.bin|numbers|weights)")

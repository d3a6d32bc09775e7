"""Cells of other equations in files of PyTorch and Equinox, some of them under names that are torch's or Keras's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from door.drawing import draw, drawn, state, tensors
from door.equations import alone, lstm, sigmoid, torch_gru, torch_rnn
from door.layout import LINE, OPEN, REFUSED, SAID, Network, enter, layout
from door.torch_files import Rng, of

CELLS = "cells"


def saved(folder: Path, arrays: dict[str, Any]) -> Path:
    torch.save(tensors(arrays), folder / "net.pt")
    return folder / "net.pt"


@layout(CELLS, LINE)
def haste_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Keras's names, and gates i, g, f, o."""
    K, R, b = draw(rng, m, 4 * n), draw(rng, n, 4 * n), draw(rng, 4 * n)

    def gates(u: Any, h: Any) -> Any:
        i, g, f, o = np.split(u @ K + h @ R + b, 4)
        return i, f, g, o

    held = {"rnn.kernel": K, "rnn.recurrent_kernel": R, "rnn.bias": b, "fc.weight": draw(rng, 2, n)}
    return Network(saved(folder, held), alone(lstm(gates), n, 2), 2 * n, m, known={"gates": "igfo"})


@layout(CELLS, LINE)
def haste_gru(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Gates z, r, g, and a bias of its own for the recurrent kernel."""
    K, R, b, c = draw(rng, m, 3 * n), draw(rng, n, 3 * n), draw(rng, 3 * n), draw(rng, 3 * n)

    def cell(u: Any, s: Any) -> Any:
        (h,) = s
        (az, ar, ag), (hz, hr, hg) = np.split(u @ K + b, 3), np.split(h @ R + c, 3)
        z = sigmoid(az + hz)
        return (z * h + (1 - z) * np.tanh(ag + sigmoid(ar + hr) * hg),)

    held = {"kernel": K, "recurrent_kernel": R, "bias": b, "recurrent_bias": c}
    return Network(saved(folder, held), alone(cell, n), n, m)


@layout(CELLS, REFUSED)
def haste_layer_norm_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    held = {"kernel": draw(rng, m, 4 * n), "recurrent_kernel": draw(rng, n, 4 * n), "bias": draw(rng, 4 * n)}
    return Network(
        saved(folder, held | {"gamma": draw(rng, 2, 4 * n), "gamma_h": draw(rng, n)}), way_out="gamma_h.*wrap"
    )


@layout(CELLS, LINE)
def independently_recurrent(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Each unit reads itself alone: a vector in the place of W."""
    w, B, b = draw(rng, n), draw(rng, n, m), draw(rng, n)
    held = {"rnn.weight_hh_l0": w, "rnn.weight_ih_l0": B, "rnn.bias_ih_l0": b}
    return Network(saved(folder, held), alone(torch_rnn(B, np.diag(w), b), n), n, m)


def plain(name: str, arrays: Callable[[Rng, int, int], dict[str, Any]], way_out: str = "--form|--matrix|wrap") -> None:
    """A cell that there is no form for."""
    enter(name, CELLS, REFUSED, lambda folder, rng, n, m: Network(saved(folder, arrays(rng, n, m)), way_out=way_out))


def two_blocks(rng: Rng, n: int, m: int) -> dict[str, Any]:
    return {"weight_ih": draw(rng, 2 * n, m), "weight_hh": draw(rng, 2 * n, n), "bias_ih": draw(rng, 2 * n)}


def multiplicative(rng: Rng, n: int, m: int) -> dict[str, Any]:
    cell = state(drawn(nn.LSTMCell(m, n), rng), "rnn.")
    return {**cell, "rnn.weight_im": draw(rng, n, m), "rnn.weight_hm": draw(rng, n, n)}


def diffused(rng: Rng, n: int, m: int) -> dict[str, Any]:
    return {**state(drawn(nn.RNNCell(m, n), rng), "rnn."), "rnn.gamma": np.array(0.01), "rnn.epsilon": np.array(0.1)}


def normed(rng: Rng, n: int, m: int) -> dict[str, Any]:
    cell = {"weight_ih": draw(rng, 4 * n, m), "weight_hh": draw(rng, 4 * n, n)}
    return {f"layers.0.cell.{k}": v for k, v in cell.items()} | {"layers.0.cell.layernorm_i.weight": np.ones(4 * n)}


plain("minimal_gated_unit_of_torch_names", two_blocks)
plain("multiplicative_lstm", multiplicative)
plain("antisymmetric_of_torch_names", diffused)
plain("layer_norm_lstm_of_torchscript", normed)
plain("gru_d", lambda r, n, m: {**state(drawn(nn.GRUCell(m, n), r), "gru."), "gamma_h.weight": draw(r, n, m)})
plain(
    "phased_lstm",
    lambda r, n, m: {**state(drawn(nn.LSTMCell(m, n), r), "lstm."), "tau": draw(r, n), "phase": draw(r, n)},
)


@layout(CELLS, SAID)
def equinox_leaves(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A GRUCell of Equinox: weight_ih, weight_hh, bias and bias_n one behind the other, under a line of JSON."""
    W, U, b, c = draw(rng, 3 * n, m), draw(rng, 3 * n, n), draw(rng, 3 * n), draw(rng, n)
    with open(folder / "net.eqx", "wb") as file:
        file.write((json.dumps({"hidden": n}) + "\n").encode())
        for leaf in (W, U, b, c):
            np.save(file, leaf)
    hidden = np.concatenate([np.zeros(2 * n), c])
    roles = {
        "input": "'0'",
        "recurrent": "'1'",
        "bias": "'2'",
        "recurrent_bias": f"concatenate([0 * '2'[:{2 * n}], '3'])",
    }
    said = {"form": "gru", "convention": "torch", "matrices": roles}
    return Network(folder / "net.eqx", alone(torch_gru(W, U, b, hidden), n), n, m, said=said)


@layout(CELLS, OPEN)
def gru_cell_under_a_field(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """An ODE between the steps, which the file shows and nobody can know: it is told."""
    cell, field = drawn(nn.GRUCell(m, n), rng), drawn(nn.Sequential(nn.Linear(n, 16), nn.Tanh(), nn.Linear(16, n)), rng)
    torch.save(state(cell, "gru.") | state(field, "ode.net."), folder / "net.pt")
    return of(folder / "net.pt", cell, m)

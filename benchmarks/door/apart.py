"""Layers that are modules of their own, state dicts stored turned, outputs fed back, settings that no array shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from door.drawing import array, drawn, state
from door.equations import FUNCTIONS, leaky, stacked
from door.layout import LINE, OPEN, REFUSED, Network, Write, enter, layout
from door.torch_files import Rng, cells, linear, of

APART = "apart"


def piled(names: tuple[str, ...], kind: Any, must: str, part: str | None = None) -> Write:
    """Modules of several sizes, each of which reads h of the one before it."""

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        sizes = [n + k for k in range(len(names))]
        modules = [drawn(kind(below, size), rng) for below, size in zip([m, *sizes], sizes, strict=False)]
        held = {
            key: value for name, x in zip(names, modules, strict=True) for key, value in state(x, f"{name}.").items()
        }
        torch.save(held | state(drawn(nn.Linear(sizes[-1], 2), rng), "fc."), folder / "net.pt")
        parts = 2 if "LSTM" in kind.__name__ else 1
        step = stacked([cells(x)[0] for x in modules], sizes, parts)
        known = {} if part is None else {"part": part}
        return Network(folder / "net.pt", step, parts * sum(sizes), m, known=known, way_out="--part")

    enter(f"{kind.__name__}_{'_'.join(names)}".replace(".", "_"), APART, must, write)
    return write


piled(("cells.0", "cells.1"), nn.GRUCell, OPEN)
piled(("net.rnns.0", "net.rnns.1", "net.rnns.2"), nn.LSTM, OPEN)
piled(("lstm1", "lstm2"), nn.LSTM, LINE, "lstm1+lstm2")
piled(("rnn_a", "rnn_b"), nn.RNNCell, LINE, "rnn_a+rnn_b")


def turned(kind: Any, layers: int) -> None:
    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        module, head = drawn(kind(m, n, layers), rng), drawn(nn.Linear(n, 2), rng)
        held = state(module, "rnn.") | state(head, "fc.")
        torch.save({key: value.T if value.ndim == 2 else value for key, value in held.items()}, folder / "net.pt")
        reads = linear(head, n) if layers == 1 else None  # of one layer, h is all the state, or its beginning
        return of(folder / "net.pt", module, m, readout=reads, said={"transposed": True}, way_out="--transposed")

    enter(f"turned_{kind.__name__}_of_{layers}", APART, LINE, write)


for kind in (nn.RNN, nn.GRU, nn.LSTM):
    turned(kind, 1)
    turned(kind, 2)


@layout(APART, LINE)
def output_fed_back_as_the_sizes_show(folder: Path, rng: Rng, n: int, m: int) -> Network:
    cell, head = drawn(nn.RNNCell(m + 2, n), rng), drawn(nn.Linear(n, 2), rng)
    torch.save(
        {"state_dict": state(cell, "cell.") | state(head, "out."), "config": {"input_size": m}}, folder / "net.pt"
    )
    (inner,), read = cells(cell), linear(head, n)
    return Network(folder / "net.pt", lambda x, u: inner(np.concatenate([u, read(x)]), (x,))[0], n, m)


def setting(name: str, config: dict[str, Any], kind: Any = nn.RNN) -> None:
    """A setting that shows another step, of a size that is not said."""

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        module = drawn(kind(m, n), rng)
        torch.save({"state_dict": state(module, "rnn."), "config": config}, folder / "net.pt")
        return Network(folder / "net.pt", way_out="config(.|\\n)*--ignore")

    enter(f"setting_{name}", APART, REFUSED, write)


setting("residual", {"residual": True}, nn.GRU)
setting("layer_norm", {"use_layer_norm": True}, nn.LSTM)
setting("normalization", {"normalization": "layer_norm"}, nn.LSTM)
setting("feedback", {"output_feedback": True}, nn.GRU)
setting("zoneout", {"zoneout_prob": 0.1}, nn.LSTM)
setting("clipped_h", {"clip_hidden": 5.0})
setting("leaky", {"leaky": True})
setting("dale", {"dale": "yes"})
setting("kind_of_cell", {"rnn_type": "IndRNN"})
setting("kind_of_lstm", {"cell": "LayerNormLSTMCell"}, nn.LSTM)


def leak(name: str, config: dict[str, Any]) -> None:
    """A leak of 0.2 that only the configuration says."""

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        module = drawn(nn.RNN(m, n), rng)
        torch.save({"state_dict": state(module, "rnn."), "config": config}, folder / "net.pt")
        W, U, a, b = (array(p) for p in module.parameters())
        return Network(folder / "net.pt", leaky(0.2, U, W, a + b), n, m)

    enter(f"leak_{name}", APART, LINE, write)


leak("nested", {"leak": {"rate": 0.2}})
leak("as_a_text", {"alpha": "0.2"})
leak("of_a_step_and_a_time", {"dt_ms": 20, "tau_ms": 100})
leak("of_the_other_names", {"delta_t": 10.0, "time_constant": 50.0})


@layout(APART, LINE)
def leak_in_the_header_of_safetensors(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Its header has texts alone."""
    module = drawn(nn.RNN(m, n), rng)
    save_file(state(module, "rnn."), folder / "net.safetensors", metadata={"alpha": "0.2", "activation": "relu"})
    W, U, a, b = (array(p) for p in module.parameters())
    return Network(folder / "net.safetensors", leaky(0.2, U, W, a + b, FUNCTIONS["relu"]), n, m)


@layout(APART, LINE)
def several_networks_in_one_array(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """As torch.vmap runs them; the first is told."""
    modules = [drawn(nn.LSTM(m, n), rng) for _ in range(3)]
    held = {key: torch.stack([x.state_dict()[key] for x in modules]) for key in modules[0].state_dict()}
    torch.save({f"rnn.{key}": value for key, value in held.items()}, folder / "net.pt")
    return of(folder / "net.pt", modules[0], m)


@layout(APART, REFUSED)
def mask_of_a_gated_cell(folder: Path, rng: Rng, n: int, m: int) -> Network:
    module = drawn(nn.LSTM(m, n), rng)
    torch.save(state(module, "rnn.") | {"rnn.dropout_mask": torch.ones(n)}, folder / "net.pt")
    return Network(folder / "net.pt", way_out="dropout_mask(.|\\n)*--ignore")

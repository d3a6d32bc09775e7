"""Weights that PyTorch computes before each step: weight norm, spectral norm, pruning, dropout of weights."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from door.drawing import array, draw, drawn, state
from door.layout import OPEN, REFUSED, Network, layout
from door.torch_files import Rng, of

NAME = "weight_hh_l0"


def rows_normed(g: Any, v: Any) -> Any:
    """w = g v / |v|, row by row (dim=0)."""
    return g * v / np.sqrt((v**2).sum(1, keepdims=True))


def saved(folder: Path, module: nn.Module, plain: Any, W: Any, m: int, prefix: str = "") -> Network:
    """``plain`` is a module of the same kind that holds the other weights."""
    torch.save(state(module, prefix), folder / "model.pt")
    return of(folder / "model.pt", plain, m, recurrent={0: W})


@layout("reparametrised", OPEN)
def weight_norm_by_hooks(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = nn.GRU(m, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weight_norm(gru, NAME)
    drawn(gru, rng)
    plain = nn.GRU(m, n).double()
    plain.load_state_dict({k: v for k, v in gru.state_dict().items() if not k.startswith(NAME)}, strict=False)
    return saved(folder, gru, plain, rows_normed(array(gru.weight_hh_l0_g), array(gru.weight_hh_l0_v)), m)


@layout("reparametrised", OPEN)
def weight_norm_of_a_whole_module(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """The module saved whole holds g, v and the matrix of its last pass, which is stale."""
    gru = nn.GRU(m, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weight_norm(gru, NAME)
    drawn(gru, rng)
    torch.save(gru, folder / "model.pt")
    W = rows_normed(array(gru.weight_hh_l0_g), array(gru.weight_hh_l0_v))
    return of(folder / "model.pt", copied(nn.GRU, gru, m, n), m, recurrent={0: W})


def copied(kind: Any, module: nn.Module, m: int, n: int) -> nn.Module:
    plain = kind(m, n).double()
    plain.load_state_dict({k: v for k, v in module.state_dict().items() if NAME not in k}, strict=False)
    return plain


@layout("reparametrised", OPEN)
def weight_norm_by_parametrization(folder: Path, rng: Rng, n: int, m: int) -> Network:
    lstm = drawn(parametrizations.weight_norm(nn.LSTM(m, n), NAME), rng)
    kept = lstm.state_dict()
    g, v = (array(kept[f"parametrizations.{NAME}.original{k}"]) for k in (0, 1))
    return saved(folder, lstm, copied(nn.LSTM, lstm, m, n), rows_normed(g, v), m, "rnn.")


@layout("reparametrised", OPEN)
def spectral_norm_by_hooks(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """W / (u . W v), with the vectors of the power iteration as they stand in the file (in eval they stay)."""
    rnn = drawn(spectral_norm(nn.RNN(m, n), NAME), rng)
    W, u, v = (array(rnn.state_dict()[f"{NAME}_{tail}"]) for tail in ("orig", "u", "v"))
    return saved(folder, rnn, copied(nn.RNN, rnn, m, n), W / (u @ W @ v), m)


@layout("reparametrised", OPEN)
def spectral_norm_by_parametrization(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(parametrizations.spectral_norm(nn.GRU(m, n), NAME), rng)
    kept = gru.state_dict()
    W, u, v = (array(kept[f"parametrizations.{NAME}.{tail}"]) for tail in ("original", "0._u", "0._v"))
    return saved(folder, gru, copied(nn.GRU, gru, m, n), W / (u @ W @ v), m)


@layout("reparametrised", OPEN)
def pruned_half(folder: Path, rng: Rng, n: int, m: int) -> Network:
    rnn = drawn(nn.RNN(m, n), rng)
    prune.l1_unstructured(rnn, NAME, amount=0.5)
    kept = rnn.state_dict()
    W = array(kept[f"{NAME}_orig"]) * array(kept[f"{NAME}_mask"])
    return saved(folder, rnn, copied(nn.RNN, rnn, m, n), W, m)


def weight_drop(folder: Path, rng: Rng, n: int, m: int, stale: bool) -> Network:
    """weight_hh_l0_raw beside the wrapped module; in evaluation nothing is dropped, so that W_hh is the raw one."""
    lstm = drawn(nn.LSTM(m, n), rng)
    inner = state(lstm, "rnns.0.module.")
    raw = inner.pop(f"rnns.0.module.{NAME}")
    if stale:  # what the last training step had dropped from it
        kept = torch.as_tensor(rng.random(raw.shape) > 0.5)
        inner[f"rnns.0.module.{NAME}"] = 2 * raw * kept
    torch.save({f"rnns.0.{NAME}_raw": raw, **inner}, folder / "awd.pt")
    return of(folder / "awd.pt", lstm, m)


@layout("reparametrised", OPEN)
def weight_drop_raw(folder: Path, rng: Rng, n: int, m: int) -> Network:
    return weight_drop(folder, rng, n, m, stale=False)


@layout("reparametrised", OPEN)
def weight_drop_with_a_dropped_copy(folder: Path, rng: Rng, n: int, m: int) -> Network:
    return weight_drop(folder, rng, n, m, stale=True)


@layout("reparametrised", OPEN)
def weight_norm_of_the_whole_matrix(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """dim=None: g is one number, and the norm that of all entries."""
    lstm = nn.LSTM(m, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weight_norm(lstm, NAME, dim=None)
    drawn(lstm, rng)
    g, v = array(lstm.weight_hh_l0_g), array(lstm.weight_hh_l0_v)
    return saved(folder, lstm, copied(nn.LSTM, lstm, m, n), g * v / np.sqrt((v**2).sum()), m)


@layout("reparametrised", OPEN)
def weight_norm_by_columns(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """dim=1: g is (1, n), and every column has its norm."""
    rnn = drawn(parametrizations.weight_norm(nn.RNN(m, n), NAME, dim=1), rng)
    g, v = (array(rnn.state_dict()[f"parametrizations.{NAME}.original{k}"]) for k in (0, 1))
    return saved(folder, rnn, copied(nn.RNN, rnn, m, n), rows_normed(g.T, v.T).T, m)


@layout("reparametrised", OPEN)
def spectral_norm_by_columns(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """dim=1: the sizes of u and v tell that the matrix was turned."""
    gru = drawn(spectral_norm(nn.GRU(m, n), NAME, dim=1), rng)
    W, u, v = (array(gru.state_dict()[f"{NAME}_{tail}"]) for tail in ("orig", "u", "v"))
    return saved(folder, gru, copied(nn.GRU, gru, m, n), W / (u @ W.T @ v), m)


@layout("reparametrised", REFUSED)
def orthogonal_parametrization(folder: Path, rng: Rng, n: int, m: int) -> Network:
    rnn = parametrizations.orthogonal(nn.RNN(m, n).double(), NAME)
    W = array(rnn.weight_hh_l0)
    found = saved(folder, rnn, copied(nn.RNN, rnn, m, n), W, m)
    return dataclasses.replace(found, way_out=r"parametrizations(.|\n)*(wrap|dynsys.Map|--form|--matrix|save)")


class Symmetric(nn.Module):
    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return X.triu() + X.triu(1).mT


@layout("reparametrised", REFUSED)
def parametrization_of_a_user(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """W = triu(X) + triu(X, 1)^T: the file holds X alone, and nothing of the rule."""
    rnn = drawn(nn.RNN(m, n), rng)
    parametrize.register_parametrization(rnn, NAME, Symmetric())
    found = saved(folder, rnn, copied(nn.RNN, rnn, m, n), array(rnn.weight_hh_l0), m)
    return dataclasses.replace(found, way_out=r"parametrizations(.|\n)*(wrap|dynsys.Map|--form|--matrix|save)")


@layout("reparametrised", OPEN)
def pruned_lstm_input_and_recurrent(folder: Path, rng: Rng, n: int, m: int) -> Network:
    lstm = drawn(nn.LSTM(m, n), rng)
    mask = {name: rng.random(array(getattr(lstm, name)).shape) > 0.4 for name in (NAME, "weight_ih_l0")}
    for name, kept in mask.items():
        prune.custom_from_mask(lstm, name, torch.as_tensor(kept))
    weights = lstm.state_dict()
    plain = nn.LSTM(m, n).double()
    made = {name: weights[f"{name}_orig"] * weights[f"{name}_mask"] for name in mask}
    plain.load_state_dict(made | {"bias_ih_l0": weights["bias_ih_l0"], "bias_hh_l0": weights["bias_hh_l0"]})
    torch.save(state(lstm, "net.rnn."), folder / "model.pt")
    return of(folder / "model.pt", plain, m)


@layout("reparametrised", OPEN)
def weight_norm_of_a_cell_with_a_head(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Old names on a GRUCell's input matrix and on the readout."""
    cell, g, v = drawn(nn.GRUCell(m, n), rng), draw(rng, 3 * n, 1), draw(rng, 3 * n, m)
    head_g, head_v = draw(rng, 2, 1), draw(rng, 2, n)
    kept = state(cell, "cell.")
    del kept["cell.weight_ih"]
    more = {"cell.weight_ih_g": g, "cell.weight_ih_v": v, "head.weight_g": head_g, "head.weight_v": head_v}
    torch.save(kept | {key: torch.as_tensor(value) for key, value in more.items()}, folder / "model.pt")
    with torch.no_grad():
        cell.weight_ih.copy_(torch.as_tensor(rows_normed(g, v)))
    W = rows_normed(head_g, head_v)
    return of(folder / "model.pt", cell, m, readout=lambda x: W @ x)

"""Modules in memory, as ``dynsys.wrap`` is handed them: what they hold is not always what they compute."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from door.drawing import array, draw, drawn
from door.equations import Step, alone, leaky, torch_gru
from door.layout import OPEN, REFUSED, Network, Write, enter, layout
from door.reparametrised import NAME, rows_normed
from door.torch_files import cells, linear, step_of

Rng = np.random.Generator


def held(
    module: nn.Module, step: Step, n: int, m: int, readout: Any = None, way_out: str = "", **given: Any
) -> Network:
    """A module that stands for a file, and the arguments of ``wrap``."""
    return Network(
        Path("a module"),
        step,
        n,
        m,
        readout=readout,
        way_out=way_out or "n_state|wrap",
        module=module.double().eval(),
        wrapping=given,
    )


def loaded(make: Callable[[nn.Module], Any], W: Callable[[dict[str, Any]], Any]) -> Write:
    """Built, and then given the weights of another of its kind: what hooks computed at its making is stale."""

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        trained, fresh = nn.GRU(m, n), nn.GRU(m, n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(trained), make(fresh)
        fresh.double().load_state_dict(drawn(trained, rng).state_dict())
        kept = {key: array(value) for key, value in fresh.state_dict().items()}
        W_hh = W({key.removeprefix("parametrizations.").removeprefix(NAME): value for key, value in kept.items()})
        step = alone(torch_gru(kept["weight_ih_l0"], W_hh, kept["bias_ih_l0"], kept["bias_hh_l0"]), n)
        return held(fresh, step, n, m)

    return write


MODULE = "module"
for name, make, W in (
    ("module_weight_norm_loaded", lambda g: weight_norm(g, NAME), lambda k: rows_normed(k["_g"], k["_v"])),
    (
        "module_spectral_norm_loaded",
        lambda g: spectral_norm(g, NAME),
        lambda k: k["_orig"] / (k["_u"] @ k["_orig"] @ k["_v"]),
    ),
    (
        "module_pruned_loaded",
        lambda g: prune.random_unstructured(g, NAME, amount=0.5),
        lambda k: k["_orig"] * k["_mask"],
    ),
    (
        "module_parametrized_weight_norm_loaded",
        lambda g: parametrizations.weight_norm(g, NAME),
        lambda k: rows_normed(k[".original0"], k[".original1"]),
    ),
):
    enter(name, MODULE, OPEN, loaded(make, W))


class WeightDrop(nn.Module):
    """Merity's: the raw matrix is dropped from before each pass, and the wrapped module holds the last result."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        raw = cell._parameters.pop(NAME)
        assert raw is not None
        self.cell, self.weight_hh_l0_raw = cell, nn.Parameter(raw.data)
        self.drop()

    def drop(self) -> None:
        self.cell.weight_hh_l0 = nn.functional.dropout(self.weight_hh_l0_raw, 0.5, training=self.training)

    def forward(self, *given: Any) -> Any:
        self.drop()
        return self.cell(*given)


@layout(MODULE, REFUSED)
def module_weight_drop(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(nn.GRU(m, n), rng)
    step, size = step_of(gru)
    return held(WeightDrop(gru), step, size, m, way_out="n_state|eval|wrap|dynsys.Map")


class Around(nn.Module):
    """A cell, a readout, and a forward pass over a sequence (T, B, m) that does ``change`` on its way."""

    def __init__(self, rng: Rng, n: int, m: int, change: str) -> None:
        super().__init__()
        self.cell, self.fc = drawn(nn.GRUCell(m, n), rng), drawn(nn.Linear(n, 2), rng)
        self.register_buffer("back", torch.as_tensor(draw(rng, m, 2)))
        self.change = change

    def forward(self, u: Any, h: Any = None) -> Any:
        h = u.new_zeros(u.shape[1], self.cell.hidden_size) if h is None else h
        outputs = []
        for now in u:
            if self.change == "feeds_back":
                now = now + self.fc(h) @ self.back.T
            new = self.cell(now, h)
            if self.change == "leaks":
                new = 0.8 * h + 0.2 * new
            h = new.clamp(-0.3, 0.3) if self.change == "clamps" else new
            seen = {"tanh": torch.tanh(h), "square": h**2, "minus": -h}.get(self.change, h)
            outputs.append(self.fc(seen))
        return torch.stack(outputs), h


def around(change: str) -> Write:
    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        net = Around(rng, n, m, change)
        (cell,), read, back = cells(net.cell), linear(net.fc, n), array(net.back)
        seen = {"tanh": np.tanh, "square": np.square, "minus": np.negative}.get(change, lambda h: h)

        def step(x: Any, u: Any) -> Any:
            (new,) = cell(u + back @ read(x) if change == "feeds_back" else u, (x,))
            new = 0.8 * x + 0.2 * new if change == "leaks" else new
            return np.clip(new, -0.3, 0.3) if change == "clamps" else new

        return held(net, step, n, m, readout=lambda x: read(seen(x)))

    return write


for change in ("leaks", "feeds_back", "clamps", "tanh", "square", "minus"):
    enter(f"module_that_{change}", MODULE, REFUSED, around(change))
enter("module_that_does_nothing_else", MODULE, OPEN, around("nothing"))


@layout(MODULE, REFUSED)
def module_with_a_forward_hook(folder: Path, rng: Rng, n: int, m: int) -> Network:
    cell = drawn(nn.RNNCell(m, n), rng)
    (inner,) = cells(cell)
    cell.register_forward_hook(lambda module, given, output: 0.5 * output)
    return held(cell, lambda x, u: 0.5 * inner(u, (x,))[0], n, m, way_out="hook")


@layout(MODULE, REFUSED)
def module_with_a_forward_pre_hook(folder: Path, rng: Rng, n: int, m: int) -> Network:
    cell = drawn(nn.GRUCell(m, n), rng)
    (inner,) = cells(cell)
    cell.register_forward_pre_hook(lambda module, given: (2 * given[0], *given[1:]))
    return held(cell, lambda x, u: inner(2 * u, (x,))[0], n, m, way_out="hook")


@layout(MODULE, REFUSED)
def module_of_complex_weights(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Nothing of it is left when the imaginary parts are dropped."""
    cell = nn.RNNCell(m, n)
    for parameter in list(cell._parameters):
        shape = getattr(cell, parameter).shape
        value = torch.complex(torch.as_tensor(draw(rng, *shape)), torch.as_tensor(draw(rng, *shape)))
        cell._parameters[parameter] = nn.Parameter(value)
    return Network(Path("a module"), way_out="complex", module=cell)


class Own(nn.Module):
    """A leaky cell that is called in one of the usual ways."""

    def __init__(self, rng: Rng, n: int, m: int, form: str) -> None:
        super().__init__()
        self.hidden, self.input, self.out = (
            drawn(nn.Linear(n, n), rng),
            drawn(nn.Linear(m, n), rng),
            drawn(nn.Linear(n, 1), rng),
        )
        self.form, self.last = form, None

    def step(self, u: Any, h: Any) -> Any:
        return 0.7 * h + 0.3 * torch.tanh(self.hidden(h) + self.input(u))

    def forward(self, u: Any, h: Any) -> Any:
        if self.form == "batch_first":  # (B, T, m), (1, B, n) -> (B, T, 1), (1, B, n)
            states = [h[0]]
            for t in range(u.shape[1]):
                states.append(self.step(u[:, t], states[-1]))
            return self.out(torch.stack(states[1:], dim=1)), states[-1][None]
        if self.form == "time_first":  # (T, B, m), (B, n) -> (T, B, n), (B, n)
            states = [h]
            for now in u:
                states.append(self.step(now, states[-1]))
            return torch.stack(states[1:]), states[-1]
        self.last = new = self.step(u, h)
        return (new, self.out(new)) if self.form == "state_first" else (self.out(new), new)


def own(form: str) -> Write:
    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        net = Own(rng, n, m, form)
        W, B, b = array(net.hidden.weight), array(net.input.weight), array(net.hidden.bias + net.input.bias)
        return held(net, leaky(0.3, W, B, b), n, m, n_state=n, n_input=m)

    return write


for form in ("batch_first", "time_first", "state_first", "output_first"):
    enter(f"module_called_{form}", MODULE, OPEN, own(form))


@layout(MODULE, REFUSED)
def module_of_torchscript(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(nn.GRU(m, n), rng)
    step, size = step_of(gru)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(gru, (torch.zeros(1, 1, m).double(), torch.zeros(1, 1, n).double()))
    return held(traced, step, size, m, way_out="(?i)script|n_state")


@layout(MODULE, REFUSED)
def module_that_is_quantised(folder: Path, rng: Rng, n: int, m: int) -> Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(m, n)), {nn.LSTM}, dtype=torch.qint8)[0]
    return Network(Path("a module"), way_out="(?i)quanti", module=small)

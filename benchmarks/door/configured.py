"""Checkpoints of PyTorch with a configuration beside the weights, which may say f, and may name code."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from door.drawing import array, drawn, foreign, state
from door.equations import leaky
from door.layout import OPEN, REFUSED, SAID, Network, enter, layout
from door.torch_files import Task, linear, of

Rng = np.random.Generator


def says_activation(name: str, entry: str, canonical: str) -> Callable[[Path, Rng, int, int], Network]:
    """A state dict beside a configuration that names f."""

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        rnn = drawn(nn.RNN(m, n), rng)
        inner: Any = {"nonlinearity": name} if entry == "hyper_parameters" else {"model": {"activation": name}}
        torch.save({"state_dict": state(rnn, "model.rnn."), entry: inner, "epoch": 3}, folder / "last.ckpt")
        return of(folder / "last.ckpt", rnn, m, f=canonical)

    return write


enter("torch_config_relu", "torch", OPEN, says_activation("relu", "hyper_parameters", "relu"))
enter("torch_config_ReLU", "torch", OPEN, says_activation("ReLU", "config", "relu"))
enter("torch_config_sigmoid", "torch", OPEN, says_activation("sigmoid", "hyper_parameters", "logistic"))
enter("torch_config_nn_Tanh", "torch", OPEN, says_activation("nn.Tanh", "args", "tanh"))
enter("torch_config_softplus", "torch", OPEN, says_activation("softplus", "config", "softplus"))


@layout("torch", REFUSED)
def torch_config_of_an_unknown_function(folder: Path, rng: Rng, n: int, m: int) -> Network:
    torch.save({"state_dict": state(drawn(nn.RNN(m, n), rng)), "config": {"activation": "swish7"}}, folder / "m.pt")
    return Network(folder / "m.pt", way_out="swish7.*(tanh|--activation)")


@layout("torch", REFUSED)
def torch_config_of_another_module(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """The decoder is of ReLUs; nothing says so of the recurrent network, which is of tanh."""
    rnn = drawn(nn.RNN(m, n), rng)
    config = {"encoder_rnn": {"hidden": n}, "decoder": {"activation": "relu", "widths": [8, 8]}}
    torch.save({"state_dict": state(rnn, "encoder_rnn."), "config": config}, folder / "m.pt")
    return of(folder / "m.pt", rnn, m, known={"activation": "tanh"}, way_out="--activation")


@layout("torch", REFUSED)
def torch_config_that_says_two_functions(folder: Path, rng: Rng, n: int, m: int) -> Network:
    rnn = drawn(nn.RNN(m, n), rng)
    config = {"activation": "relu", "nonlinearity": "tanh"}
    torch.save({"state_dict": state(rnn, "rnn."), "config": config}, folder / "m.pt")
    return of(folder / "m.pt", rnn, m, known={"activation": "tanh"}, way_out="--activation")


@layout("torch", OPEN)
def torch_lightning_with_functions(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A function, a class and a partial among the hyperparameters."""
    task = drawn(Task(nn.LSTM(m, n), n), rng)
    with foreign("my_project.losses.Weighted", "my_project.data.Module") as (loss, data):
        given = {"loss": nn.functional.binary_cross_entropy, "cls": loss, "data": data(), "lr": 1e-3}
        given["schedule"] = functools.partial(torch.optim.Adam, lr=0.1)
        content = {"state_dict": state(task, "net."), "hyper_parameters": given, "pytorch-lightning_version": "2.1.0"}
        torch.save(content, folder / "epoch=3.ckpt")
    return of(folder / "epoch=3.ckpt", task.rnn, m, readout=linear(task.fc, n))


@layout("torch", OPEN)
def torch_hydra_config_object(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """OmegaConf's nodes, which hold their content in attributes, say that f is relu."""
    rnn = drawn(nn.RNN(m, n, nonlinearity="relu"), rng)
    with foreign("omegaconf.dictconfig.DictConfig", "omegaconf.nodes.AnyNode") as (config, leaf):
        node, top = leaf(), config()
        node.__dict__.update(_val="relu", _parent=None)
        top.__dict__.update(_content={"nonlinearity": node, "hidden": n}, _metadata=None)
        torch.save(
            {"state_dict": state(rnn, "rnn."), "hyper_parameters": {"nonlinearity": "relu", "cfg": top}},
            folder / "h.ckpt",
        )
    return of(folder / "h.ckpt", rnn, m, f="relu")


@layout("torch", OPEN)
def torch_arguments_of_the_command_line(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """An argparse.Namespace says that f is relu."""
    rnn = drawn(nn.RNN(m, n, nonlinearity="relu"), rng)
    given = argparse.Namespace(hidden_size=n, nonlinearity="relu", out=Path("runs/3"), lr=1e-3)
    torch.save({"args": given, "model": state(rnn, "rnn.")}, folder / "m.pt")
    return of(folder / "m.pt", rnn, m, f="relu")


@layout("torch", OPEN)
def torch_configuration_of_a_class(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A user's dataclass says that f is relu; the class itself is not here."""
    rnn = drawn(nn.RNN(m, n, nonlinearity="relu"), rng)
    with foreign("my_project.config.Config") as (made,):
        config = made()
        config.__dict__.update(hidden_size=n, activation="relu", task="flipflop")
        torch.save({"config": config, "state_dict": state(rnn, "rnn.")}, folder / "m.pt")
    return of(folder / "m.pt", rnn, m, f="relu")


@layout("torch", OPEN)
def torch_of_numpy_arrays(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(nn.GRU(m, n), rng)
    torch.save({"params": {k: array(v) for k, v in state(gru, "gru.").items()}}, folder / "m.pt")
    return of(folder / "m.pt", gru, m)


@layout("torch", SAID)
def torch_list_of_tensors(folder: Path, rng: Rng, n: int, m: int) -> Network:
    rnn = drawn(nn.RNN(m, n), rng)
    torch.save([p.data for p in rnn.parameters()], folder / "m.pt")
    matrices = {"input": "'0'", "recurrent": "'1'", "bias": "'2' + '3'"}  # keys that are numbers stand in quotes
    said = {"form": "rnn", "matrices": matrices}
    return of(folder / "m.pt", rnn, m, known={"form": "rnn"}, said=said)


@layout("torch", REFUSED)
def torch_configuration_of_a_leak(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """r' = (1 - dt/tau) r + dt/tau tanh(...): of this leak the configuration alone speaks."""
    rnn = drawn(nn.RNN(m, n), rng)
    W, U, a, b = (array(p) for p in rnn.parameters())
    config = {"hidden_size": n, "dt": 20.0, "tau": 100.0}
    torch.save({"state_dict": state(rnn, "ctrnn."), "config": config}, folder / "m.pt")
    known = {"form": "leaky", "alpha": 0.2}
    step = leaky(0.2, U, W, a + b)
    return Network(folder / "m.pt", step, n, m, known=known, way_out=r"tau(.|\n)*(--form|wrap|--ignore)")

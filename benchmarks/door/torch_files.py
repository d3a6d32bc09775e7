"""State dicts and modules of PyTorch: its own cells, in the wrappings that training code puts around them."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from door.drawing import array, drawn, foreign, state
from door.equations import FUNCTIONS, Cell, stacked, torch_gru, torch_lstm, torch_rnn
from door.equations import lstm as lstm_cell
from door.layout import LINE, OPEN, REFUSED, Network, Step, enter, layout

Rng = np.random.Generator


def cells(module: Any, suffix: str = "", f: str = "tanh", recurrent: dict[int, Any] | None = None) -> list[Cell]:
    """The layers of a torch module as equations; ``recurrent`` replaces W_hh of a layer."""
    found = []
    for k in range(getattr(module, "num_layers", 1)):
        tail = f"_l{k}{suffix}" if hasattr(module, "num_layers") else ""
        W, U = (array(getattr(module, name + tail)) for name in ("weight_ih", "weight_hh"))
        a, b = (array(getattr(module, name + tail)) if module.bias else 0 * W[:, 0] for name in ("bias_ih", "bias_hh"))
        U = U if recurrent is None else recurrent.get(k, U)
        if len(U) == U.shape[1]:
            found.append(torch_rnn(W, U, a + b, FUNCTIONS[f]))
        else:
            found.append(torch_gru(W, U, a, b) if len(U) == 3 * U.shape[1] else torch_lstm(W, U, a + b))
    return found


def step_of(module: Any, **changed: Any) -> tuple[Step, int]:
    """Its step, and the size of its state."""
    parts = 2 if isinstance(module, nn.LSTM | nn.LSTMCell) else 1
    made = cells(module, **changed)
    sizes = [module.hidden_size] * len(made)
    return stacked(made, sizes, parts), parts * sum(sizes)


def linear(layer: nn.Linear, n: int) -> Callable[[Any], Any]:
    """A readout of the top layer of a state of one layer: h is its first n."""
    W, b = array(layer.weight), array(layer.bias)
    return lambda x: W @ x[:n] + b


def of(path: Path, module: Any, m: int, **more: Any) -> Network:
    changed = {key: more.pop(key) for key in ("suffix", "f", "recurrent") if key in more}
    step, size = step_of(module, **changed)
    return Network(path, step, size, m, **more)


class Task(nn.Module):
    """A recurrent module and a linear readout, as most people have it."""

    def __init__(self, rnn: nn.Module, n: int, outputs: int = 2) -> None:
        super().__init__()
        self.rnn, self.fc = rnn, nn.Linear(n, outputs)


def plain(make: Callable[[int, int], nn.Module]) -> Callable[[Path, Rng, int, int], Network]:
    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        task = drawn(Task(make(m, n), n), rng)
        torch.save(task.state_dict(), folder / "model.pt")
        several = getattr(task.rnn, "num_layers", 1) > 1
        return of(folder / "model.pt", task.rnn, m, readout=None if several else linear(task.fc, n))

    return write


enter("torch_rnn", "torch", OPEN, plain(lambda m, n: nn.RNN(m, n)))
enter("torch_gru", "torch", OPEN, plain(lambda m, n: nn.GRU(m, n)))
enter("torch_lstm", "torch", OPEN, plain(lambda m, n: nn.LSTM(m, n)))
enter("torch_lstm_of_two_layers", "torch", OPEN, plain(lambda m, n: nn.LSTM(m, n, num_layers=2)))
enter("torch_gru_of_three_layers", "torch", OPEN, plain(lambda m, n: nn.GRU(m, n, num_layers=3)))
enter("torch_gru_cell", "torch", OPEN, plain(lambda m, n: nn.GRUCell(m, n)))
enter("torch_lstm_cell", "torch", OPEN, plain(lambda m, n: nn.LSTMCell(m, n)))


enter("torch_rnn_without_bias", "torch", OPEN, plain(functools.partial(nn.RNN, bias=False)))


@layout("torch", OPEN)
def torch_lstm_with_a_projection(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """h is W_hr o tanh(c), smaller than c."""
    p = n - 2
    lstm = drawn(nn.LSTM(m, n, proj_size=p), rng)
    torch.save(state(lstm, "rnn."), folder / "model.pt")
    W, U, a, b, P = (array(w) for w in lstm.parameters())
    inner = lstm_cell(lambda u, h: np.split(W @ u + U @ h + a + b, 4))

    def step(x: Any, u: Any) -> Any:
        h, c = inner(u, (x[:p], x[p:]))
        return np.concatenate([P @ h, c])

    return Network(folder / "model.pt", step, p + n, m)


@layout("torch", OPEN)
def torch_half_precision(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(nn.GRU(m, n), rng).half()
    torch.save(gru.state_dict(), folder / "half.pt")
    return of(folder / "half.pt", gru, m)


@layout("torch", OPEN)
def torch_compiled(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """torch.compile puts _orig_mod before every key, which is no pruned weight."""
    task = drawn(Task(nn.RNN(m, n), n), rng)
    torch.save(state(task, "_orig_mod."), folder / "model.pt")
    return of(folder / "model.pt", task.rnn, m, readout=linear(task.fc, n))


@layout("torch", OPEN)
def torch_average_of_weights(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """swa_utils.AveragedModel counts beside its module how many it has averaged."""
    task = drawn(Task(nn.GRU(m, n), n), rng)
    torch.save({"n_averaged": torch.tensor(12), **state(task, "module.")}, folder / "model.pt")
    return of(folder / "model.pt", task.rnn, m, readout=linear(task.fc, n))


@layout("torch", OPEN)
def torch_among_other_modules(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Norms, masks and convolutions that are no part of the cell stand under other prefixes."""
    task = drawn(Task(nn.LSTM(m, n), n), rng)
    others = nn.ModuleDict({"bn": nn.BatchNorm1d(m), "embed": nn.Embedding(5, m), "norm": nn.LayerNorm(n)})
    others["conv"] = nn.Conv1d(m, m, 3)
    torch.save(state(others) | {"attention.mask": torch.ones(4, 4)} | state(task), folder / "model.pt")
    return of(folder / "model.pt", task.rnn, m)


@layout("torch", OPEN)
def torch_first_state_beside_the_cell(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(nn.GRU(m, n), rng)
    torch.save({"h0": torch.rand(1, 1, n), **state(gru, "rnn.")}, folder / "m.pt")
    return of(folder / "m.pt", gru, m)


def halved(module: nn.Module, given: Any, output: Any) -> Any:
    return 0.5 * output


@layout("torch", REFUSED)
def torch_whole_module_with_a_hook(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A hook that was saved with the module changes what it gives."""
    cell = drawn(nn.RNNCell(m, n), rng)
    cell.register_forward_hook(halved)
    torch.save(cell, folder / "m.pt")
    (inner,) = cells(cell)
    return Network(folder / "m.pt", lambda x, u: 0.5 * inner(u, (x,))[0], n, m, way_out="hook")


@layout("torch", OPEN)
def torch_training_checkpoint(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Model, optimiser with its moments, epoch; keys behind DataParallel's prefix."""
    task = drawn(Task(nn.GRU(m, n), n), rng)
    adam = torch.optim.Adam(task.parameters())
    sum(p.sum() for p in task.parameters()).backward()  # type: ignore[union-attr]
    weights = {"module." + key: value.clone() for key, value in task.state_dict().items()}
    adam.step()
    content = {"epoch": 7, "model_state_dict": weights, "optimizer_state_dict": adam.state_dict(), "best": 0.1}
    torch.save(content, folder / "best.pth.tar")
    task.load_state_dict({key.removeprefix("module."): value for key, value in weights.items()})
    return of(folder / "best.pth.tar", task.rnn, m, readout=linear(task.fc, n))


@layout("torch", OPEN)
def torch_safetensors(folder: Path, rng: Rng, n: int, m: int) -> Network:
    from safetensors.torch import save_file

    task = drawn(Task(nn.LSTM(m, n), n), rng)
    save_file({key: value.clone() for key, value in task.state_dict().items()}, folder / "model.safetensors")
    return of(folder / "model.safetensors", task.rnn, m, readout=linear(task.fc, n))


@layout("torch", LINE)
def torch_bidirectional(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(nn.GRU(m, n, bidirectional=True), rng)
    torch.save(gru.state_dict(), folder / "both.pt")
    return of(folder / "both.pt", gru, m, suffix="_reverse", known={"direction": "backward"}, way_out="--direction")


@layout("torch", LINE)
def torch_several_networks(folder: Path, rng: Rng, n: int, m: int) -> Network:
    first, second = drawn(nn.GRU(m, n), rng), drawn(nn.LSTM(m, n), rng)
    torch.save(state(first, "policy.rnn.") | state(second, "value.rnn."), folder / "agents.pt")
    return of(folder / "agents.pt", second, m, known={"part": "value.rnn"}, way_out="--part")


@layout("torch", LINE)
def torch_encoder_decoder(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """The decoder's output layer is no readout of the encoder."""
    encoder, decoder, head = drawn(nn.GRU(m, n), rng), drawn(nn.GRU(2, n), rng), drawn(nn.Linear(n, 2), rng)
    weights = state(encoder, "encoder.rnn.") | state(decoder, "decoder.rnn.") | state(head, "decoder.output_layer.")
    torch.save(weights, folder / "autoencoder.pt")
    nothing = lambda x: np.zeros(0)  # noqa: E731
    return of(folder / "autoencoder.pt", encoder, m, known={"part": "encoder.rnn"}, readout=nothing, way_out="--part")


def whole(make: Callable[[int, int], nn.Module], name: str | None, legacy: bool) -> Callable[..., Network]:
    """A module saved whole, in the zip format or that of torch before 1.6; ``name`` is the user's class around it."""

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        rnn = drawn(make(m, n), rng)
        path = folder / "whole.pt"
        if name is None:
            torch.save(rnn, path, _use_new_zipfile_serialization=not legacy)
            return of(path, rnn, m, f=getattr(rnn, "nonlinearity", "tanh"))
        head = drawn(nn.Linear(n, 2), rng)
        with foreign(name) as (made,):
            net = made()
            net.rnn, net.fc, net.loss = rnn, head, nn.functional.mse_loss
            torch.save(net, path, _use_new_zipfile_serialization=not legacy)
        return of(path, rnn, m, readout=linear(head, n), f=getattr(rnn, "nonlinearity", "tanh"))

    return write


relu_rnn = functools.partial(nn.RNN, nonlinearity="relu")
enter("torch_whole_gru", "torch", OPEN, whole(nn.GRU, None, False))
enter("torch_whole_gru_old_format", "torch", OPEN, whole(nn.GRU, None, True))
enter("torch_whole_relu_rnn", "torch", OPEN, whole(relu_rnn, None, False))
enter("torch_whole_module_of_a_user", "torch", OPEN, whole(nn.LSTM, "my_project.model.Net", False))
enter("torch_whole_module_of_a_user_old_format", "torch", OPEN, whole(nn.LSTM, "my_project.model.Net", True))


@layout("torch", OPEN)
def torch_policy_in_a_zip(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Stable-baselines keep policy.pth, the optimiser and JSON in one zip."""
    lstm, buffer, other = drawn(nn.LSTM(m, n), rng), io.BytesIO(), io.BytesIO()
    torch.save(state(lstm, "lstm_actor."), buffer)
    torch.save({"state": {}, "param_groups": [{"lr": 1e-3, "params": [0, 1]}]}, other)
    with zipfile.ZipFile(folder / "agent.zip", "w") as file:
        file.writestr("data", json.dumps({"policy_class": "RecurrentActorCriticPolicy"}))
        file.writestr("policy.pth", buffer.getvalue())
        file.writestr("policy.optimizer.pth", other.getvalue())
        file.writestr("_stable_baselines3_version", "2.0.0")
    return of(folder / "agent.zip", lstm, m)


@layout("torch", LINE)
def torch_actor_and_critic_in_a_zip(folder: Path, rng: Rng, n: int, m: int) -> Network:
    actor, critic, buffer = drawn(nn.LSTM(m, n), rng), drawn(nn.LSTM(m, n), rng), io.BytesIO()
    torch.save(state(actor, "lstm_actor.") | state(critic, "lstm_critic."), buffer)
    with zipfile.ZipFile(folder / "agent.zip", "w") as file:
        file.writestr("data", "{}")
        file.writestr("policy.pth", buffer.getvalue())
    return of(folder / "agent.zip", critic, m, known={"part": "lstm_critic"}, way_out="--part")

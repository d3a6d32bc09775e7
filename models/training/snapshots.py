"""The snapshots of a training run as a family of networks: the weights in between are interpolated."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.models.loading.checkpoint import load
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.loading.snapshot import FOLDER as SNAPSHOTS
from dynsys.models.loading.snapshot import read_snapshot
from dynsys.models.rate.echo_state import EchoStateNetwork
from dynsys.systems.family import TRAINING, Family
from dynsys.systems.system import System

Array = NDArray[np.float64]

AGAIN = "train with --snapshots, such as 'dynsys train flipflop esn -o RUN --snapshots log:60'"


class Snapshots(Family):
    """Networks of one kind over training: ``network`` gives the kind, ``weights`` the arrays that changed, by step.

    Raises ValueError where the arrays of a snapshot do not make a network like the others.
    """

    parameter = TRAINING

    def __init__(self, network: Any, steps: Any, weights: list[Arrays], u: Tensor | None = None) -> None:
        self.network, self.weights = network, weights
        for i, arrays in enumerate(weights):
            for key, value in arrays.items():
                if value.shape != weights[0][key].shape or not np.isfinite(value).all():
                    raise ValueError(f"{key} of snapshot {i} has shape {value.shape}, or values that are not finite")
        super().__init__(steps, u)

    def __len__(self) -> int:
        return len(self.weights)

    def arrays(self, s: float) -> Arrays:
        """The weights at step s, between two snapshots on the straight line from one to the other."""
        p = float(np.interp(s, self.steps, np.arange(len(self.steps))))
        i = min(int(p), len(self.weights) - 2)
        first, second, part = self.weights[i], self.weights[i + 1], p - i
        return {key: (1 - part) * first[key] + part * second[key] for key in first}

    def at(self, s: float) -> System:
        whole = self.network.arrays() | self.arrays(s)
        made: System = type(self.network).from_arrays(whole, self.network.settings(), self.network.task)
        return made


class EchoStateSnapshots(Snapshots):
    """Those of an echo state network, of which only W_out is learned: F is linear in it, and dF/dp exact."""

    network: EchoStateNetwork

    def __init__(self, network: Any, steps: Any, weights: list[Arrays], u: Tensor | None = None) -> None:
        self.W_out = torch.as_tensor(np.stack([arrays["W_out"] for arrays in weights]))
        self.change = self.W_out.diff(dim=0)
        super().__init__(network, steps, weights, u)
        self.drive = network.drive(self.u)

    def at(self, s: float) -> System:
        """Without the checks and copies that a network from a file goes through: it is made at every step."""
        made = copy.copy(self.network)
        made.W_out = torch.as_tensor(self.arrays(s)["W_out"])
        made.W = torch.addmm(made.W_r, made.W_fb, made.W_out)
        return made

    def velocities(self, x: Tensor, p: Tensor) -> Tensor:
        """By W_r and W_fb one after the other: adding them up would cost more than the product itself."""
        r = self.network.rates(x)
        i = p.long().clamp_(0, len(self.change) - 1)
        W_out = torch.addcmul(self.W_out[i], (p - i)[:, None, None], self.change[i])
        z = torch.bmm(W_out, r.unsqueeze(2)).squeeze(2)
        return torch.addmm(torch.addmm(self.drive - x, r, self.network.W_r.mT), z, self.network.W_fb.mT)

    def velocity(self, x: Tensor, p: float) -> Tensor:
        return self.velocities(x[None], x.new_tensor([p]))[0]

    def jacobian(self, x: Tensor, p: float) -> Tensor:
        i = min(max(int(p), 0), len(self.change) - 1)
        W_out = torch.add(self.W_out[i], self.change[i], alpha=p - i)
        J = torch.addmm(self.network.W_r, self.network.W_fb, W_out).mul_(self.network.slopes(x))
        J.diagonal().sub_(1.0)
        return J

    def box(self, p: float) -> None:
        """None, as a zero x = W_c r + B u is within the bounds by itself, and they cost as much as a factorisation."""

    def rate(self, x: Tensor, p: float, cell: int) -> Tensor:
        """W_fb (W_out of the snapshot after - W_out of that before) r(x)."""
        return self.network.W_fb @ (self.change[cell] @ self.network.rates(x))


def read_snapshots(run: str | Path, input: Any = None) -> Snapshots:
    """The snapshots in a run's folder, in the order of training; ``input`` (n_input,) is held, zeros unless given.

    Raises CheckpointError where there are fewer than two, or where they do not fit the run's checkpoint.
    """
    run = Path(run)
    if not run.is_dir():
        raise CheckpointError(run, "it is no folder", f"give the folder of a run; {AGAIN}")
    files = sorted((run / SNAPSHOTS).glob("step_*.safetensors"))
    if len(files) < 2:
        wrong = "the run has one snapshot only" if files else "the run has no snapshots"
        raise CheckpointError(run, wrong, AGAIN)
    network: Any = load(run / FILE_NAME)
    steps, weights = [], []
    for file in files:
        step, arrays = read_snapshot(file, network.arrays())
        steps.append(step)
        weights.append(arrays)
    order = np.argsort(steps, kind="stable")
    if len(set(steps)) < len(steps):
        raise CheckpointError(run / SNAPSHOTS, "two snapshots are of the same step", "remove one of them")
    kind = EchoStateSnapshots if isinstance(network, EchoStateNetwork) and set(weights[0]) == {"W_out"} else Snapshots
    u = None if input is None else torch.as_tensor(np.array(input, dtype=np.float64)).reshape(1, -1)
    if u is not None and u.shape[1] != network.n_input:
        raise ValueError(f"input has {u.shape[1]} values; {network.name} takes {network.n_input}")
    return kind(network, np.array(steps, dtype=np.float64)[order], [weights[i] for i in order], u)

"""The networks of the benchmarks, apart from the library: checkpoints, torch modules, and plain NumPy with Jacobians.

What judges the points of a search must not be the code that found them: the velocity and the Jacobian here are written
from the equations in torch's documentation of ``nn.RNN``, ``nn.GRU`` and ``nn.LSTM``, in float64, with zero input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]
Step = tuple[Array, Callable[[], Array]]  # G(x), and what gives dG/dx

MODULES: dict[int, Callable[..., nn.RNNBase]] = {
    1: nn.RNN,
    3: nn.GRU,
    4: nn.LSTM,
}  # by the gates, rows of W_hh over columns
BESIDE = 0.01  # farther off, a zero is not what a reported state stands for
DISTINCT = 1e-6
CHUNK = 64e6  # bytes of Jacobians at a time


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One layer of tanh, GRU or LSTM under zero input. The state of an LSTM is h, then c."""

    name: str
    W: Array  # (gates units, units), W_hh
    b_input: Array  # (gates units,)
    b_state: Array

    @property
    def units(self) -> int:
        return self.W.shape[1]

    @property
    def gates(self) -> int:
        return self.W.shape[0] // self.units

    @property
    def n_state(self) -> int:
        return 2 * self.units if self.gates == 4 else self.units

    def velocity(self, x: Array) -> Array:
        """G(x) - x, shape (B, n_state)."""
        return self._step(x)[0] - x

    def jacobian(self, x: Array) -> Array:
        """dG/dx - I, shape (B, n_state, n_state)."""
        return self._step(x)[1]() - np.eye(self.n_state)

    def _step(self, x: Array) -> Step:
        return {1: self._tanh, 3: self._gru, 4: self._lstm}[self.gates](x)

    def _tanh(self, x: Array) -> Step:
        y = np.tanh(x @ self.W.T + self.b_input + self.b_state)
        return y, lambda: (1 - y**2)[..., None] * self.W

    def _gru(self, h: Array) -> Step:
        Wr, Wz, Wn = np.split(self.W, 3)
        ar, az, an = np.split(h @ self.W.T + self.b_state, 3, axis=-1)
        br, bz, bn = np.split(self.b_input, 3)
        r, z = sigmoid(ar + br), sigmoid(az + bz)
        n = np.tanh(bn + r * an)

        def derivative() -> Array:
            candidate = r[..., None] * Wn + (an * r * (1 - r))[..., None] * Wr
            gate = ((h - n) * z * (1 - z))[..., None] * Wz
            return gate + ((1 - z) * (1 - n**2))[..., None] * candidate + z[..., None] * np.eye(self.units)

        return (1 - z) * n + z * h, derivative

    def _lstm(self, x: Array) -> Step:
        h, c = np.split(x, 2, axis=-1)
        Wi, Wf, Wg, Wo = np.split(self.W, 4)
        ai, af, ag, ao = np.split(h @ self.W.T + self.b_input + self.b_state, 4, axis=-1)
        i, f, g, o = sigmoid(ai), sigmoid(af), np.tanh(ag), sigmoid(ao)
        c_next = f * c + i * g
        t = np.tanh(c_next)

        def derivative() -> Array:
            of_h = (
                (c * f * (1 - f))[..., None] * Wf + (g * i * (1 - i))[..., None] * Wi + (i * (1 - g**2))[..., None] * Wg
            )
            cell = np.concatenate([of_h, f[..., None] * np.eye(self.units)], axis=-1)
            hidden = (o * (1 - t**2))[..., None] * cell
            hidden[..., : self.units] += (t * o * (1 - o))[..., None] * Wo
            return np.concatenate([hidden, cell], axis=-2)

        return np.concatenate([o * t, c_next], axis=-1), derivative

    def q(self, x: Array) -> Array:
        return 0.5 * (self.velocity(np.asarray(x, np.float64)) ** 2).sum(axis=-1)

    def real_points(self, reported: Array) -> Array:
        """The distinct zeros within ``BESIDE`` of the reported states and in the reachable box, by Newton's method."""
        x = np.array(reported, dtype=np.float64)
        if len(x) == 0:
            return x
        y = np.concatenate([self._newton(chunk) for chunk in self._chunks(x)])
        beside = np.linalg.norm(y - x, axis=1) < BESIDE
        inside = np.abs(y[:, : self.units]).max(axis=1) <= 1
        return distinct(y[beside & inside & (self.q(y) < 1e-20)])

    def _newton(self, x: Array, steps: int = 8) -> Array:
        for _ in range(steps):
            J, F = self.jacobian(x), self.velocity(x)[..., None]
            try:
                step = np.linalg.solve(J, F)
            except np.linalg.LinAlgError:  # far from the box a GRU's gate is 1 and whole rows of J are 0
                step = np.linalg.pinv(J) @ F
            x = x - step[..., 0]
        return x

    def _chunks(self, x: Array) -> Iterator[Array]:
        size = max(1, int(CHUNK / (8 * self.n_state**2)))
        return (x[i : i + size] for i in range(0, len(x), size))


def sigmoid(a: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * a))


def distinct(x: Array) -> Array:
    """The rows that differ from all before them by at least ``DISTINCT``."""
    kept: list[Array] = []
    for row in x:
        if not kept or np.linalg.norm(np.array(kept) - row, axis=1).min() >= DISTINCT:
            kept.append(row)
    return np.array(kept).reshape(-1, x.shape[1])


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """The recurrent layer of a state dict with keys ``rnn.weight_hh_l0`` and so on, without that prefix."""
    state = torch.load(checkpoint, weights_only=True)
    return {key.removeprefix("rnn."): value for key, value in state.items() if key.startswith("rnn.")}


def module_of(checkpoint: Path) -> nn.RNNBase:
    """The torch module that the checkpoint was made by, ``batch_first``."""
    weights = weights_of(checkpoint)
    rows, units = weights["weight_hh_l0"].shape
    module = MODULES[rows // units](weights["weight_ih_l0"].shape[1], units, batch_first=True)
    module.load_state_dict(weights)
    return module


def recurrent(checkpoint: Path) -> Recurrent:
    weights = {key: value.double().numpy() for key, value in weights_of(checkpoint).items()}
    return Recurrent(checkpoint.stem, weights["weight_hh_l0"], weights["bias_ih_l0"], weights["bias_hh_l0"])


def noisy_starts(trajectories: Path, n: int, noise: float, seed: int) -> Array:
    """n states drawn at random from trajectories (``hidden``, and ``cell`` of an LSTM) plus Gaussian noise."""
    with np.load(trajectories, allow_pickle=False) as file:
        states = np.concatenate([file[key] for key in ("hidden", "cell") if key in file.files], axis=-1)
    states = states.reshape(-1, states.shape[-1])
    rng = np.random.default_rng(seed)
    return states[rng.integers(len(states), size=n)] + noise * rng.standard_normal((n, states.shape[1]))

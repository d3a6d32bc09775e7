"""Echo state network with output feedback (Jang, section 5): the flow whose fixed points are its memories.

tau dx/dt = -x + W_r r + W_fb z + B u,   z = W_out r          (eq. 22, 23)
          = -x + W_c r + B u,            W_c = W_r + W_fb W_out  (eq. 24 to 26)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.models.activations import activation_named
from dynsys.models.rate.rate_network import RateNetwork
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.trajectories.simulate import simulate

if TYPE_CHECKING:
    from dynsys.models.tasks.flipflop import FlipFlop
    from dynsys.models.tasks.trials import TrialTask

Array = NDArray[np.float64]

LEARNT = ("tanh", "logistic")  # activations that FORCE trains
WEIGHTS = ("W_r", "W_fb", "W_out", "B")


@dataclass(frozen=True)
class EchoStateConfig:
    """What a fresh network is drawn from: size, gain g of W_r, range of the feedback and input weights, tau."""

    units: int = 1000
    n_input: int = 3
    n_output: int = 3
    gain: float = 1.2
    feedback: float = 3.0  # W_fb and B are uniform in [-feedback, feedback], [-input_scale, input_scale]
    input_scale: float = 3.0
    tau: float = 10.0
    activation: str = "tanh"
    seed: int = 0


class EchoStateNetwork(RateNetwork):
    """N rate units with random recurrent weights; only the readout W_out is trained, and it is fed back.

    Shapes: W_r (N, N), W_fb (N, O), W_out (O, N), B (N, I). Raises ValueError where they disagree or are not finite.
    """

    name = "esn"
    papers = ("sussillo2009",)
    title = "echo state network"
    closed_loop = True
    equation = "tau dx/dt = -x + W_r r(x) + W_fb z + B u, z = W_out r(x), r = f"
    recurrent_weights = "W_r"
    told_by = ("W_r", "W_fb", "W_out", "B")

    def __init__(
        self,
        W_r: Any,
        W_fb: Any,
        W_out: Any,
        B: Any,
        *,
        tau: float = 10.0,
        activation: str = "tanh",
        task: FlipFlop | TrialTask | None = None,
    ) -> None:
        activation = activation_named(activation, legal=LEARNT)
        self.W_r, self.W_fb, self.W_out, self.B = (
            torch.tensor(np.asarray(w), dtype=torch.float64) for w in (W_r, W_fb, W_out, B)
        )
        self.activation, self.time_constant, self.task = activation, float(tau), task
        self._check_weights()
        sizes = (self.B.shape[1], self.W_out.shape[0])
        if task is not None and (task.n_input, task.n_output) != sizes:
            raise ValueError(
                f"its task has {task.n_input} inputs and {task.n_output} outputs, the network {sizes[0]} and {sizes[1]}"
            )
        self.n_state, self.n_output, self.n_input = self.W_r.shape[0], self.W_out.shape[0], self.B.shape[1]
        self.W = self.W_r + self.W_fb @ self.W_out

    def _check_weights(self) -> None:
        for key in WEIGHTS:
            weight = getattr(self, key)
            if weight.ndim != 2:
                raise ValueError(f"{key} has shape {tuple(weight.shape)}; an echo state network needs a matrix")
            if not torch.isfinite(weight).all():
                raise ValueError(f"{key} holds {int((~torch.isfinite(weight)).sum())} values that are NaN or infinite")
        n, o, i = self.W_r.shape[0], self.W_out.shape[0], self.B.shape[1]
        for key, legal in {"W_r": (n, n), "W_fb": (n, o), "W_out": (o, n), "B": (n, i)}.items():
            shape = tuple(getattr(self, key).shape)
            if shape != legal:
                raise ValueError(
                    f"{key} has shape {shape}; with {n} units, {o} outputs and {i} inputs it needs {legal}"
                )
        if not self.time_constant >= 1.0:
            raise ValueError(f"tau is {self.time_constant}; the Euler step of 1 needs tau of at least 1")

    @classmethod
    def random(cls, config: EchoStateConfig, task: FlipFlop | TrialTask | None = None) -> EchoStateNetwork:
        """An untrained network: W_r ~ N(0, gain^2 / N), W_fb and B uniform, W_out zero."""
        rng = np.random.default_rng(config.seed)
        n = config.units
        W_r = rng.standard_normal((n, n)) * (config.gain / np.sqrt(n))
        W_fb = rng.uniform(-config.feedback, config.feedback, (n, config.n_output))
        B = rng.uniform(-config.input_scale, config.input_scale, (n, config.n_input))
        W_out = np.zeros((config.n_output, n))
        return cls(W_r, W_fb, W_out, B, tau=config.tau, activation=config.activation, task=task)

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a checkpoint gives them."""
        return {key: np.asarray(getattr(self, key)) for key in WEIGHTS}

    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides the weights."""
        return {"tau": self.time_constant, "activation": self.activation}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], settings: dict[str, Any], task: Any = None) -> EchoStateNetwork:
        return cls(*(arrays[key] for key in WEIGHTS), **settings, task=task)

    def with_readout(self, W_out: Array) -> EchoStateNetwork:
        """The same network with other readout weights, such as a snapshot of training."""
        return EchoStateNetwork(
            self.W_r, self.W_fb, W_out, self.B, tau=self.time_constant, activation=self.activation, task=self.task
        )

    def drive(self, u: Tensor) -> Tensor:
        return u @ self.B.T

    def enclosed_drive(self, y: Enclosed, u: Tensor) -> Enclosed:
        return y.constant(u).affine(self.B)

    def readout(self, x: Tensor) -> Tensor:
        return self.rates(x) @ self.W_out.T

    def task_trajectories(self, steps: int, runs: int, seed: int) -> Tensor | None:
        """Runs of the task from random states, each with its own pulses; the first hundred steps are left out."""
        if self.task is None:
            return None
        warm_up = 100
        trials = [self.task.trial(steps + warm_up, seed=[seed, run]) for run in range(runs)]
        inputs = torch.as_tensor(np.stack([trial.inputs for trial in trials], axis=1))
        x = torch.as_tensor(np.random.default_rng(seed).standard_normal((runs, self.n_state)) * 0.5)
        return simulate(self, x.to(self.W), inputs.to(self.W))[warm_up:]

    def states_of_outputs(self, z: Tensor) -> Tensor:
        """W_fb z, where the feedback of an output z drives the units (Jang, section 6)."""
        return z @ self.W_fb.T

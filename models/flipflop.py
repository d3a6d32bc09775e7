"""The flip-flop task (seed 003, section 6): every output holds the sign of the last pulse on its own input.

And the recipes by which an echo state network is trained on it: one that works, and the paper's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynsys.models.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.force import Force, OnProgress, OnSnapshot, TrainingRecord, simulate, train_force

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Under less noise tanh networks keep false memories between the true ones; under as much, logistic ones forget.
NOISE = {"tanh": 1.0, "logistic": 0.3}
LEARNED = 0.99  # settled bit accuracy from which on a network counts as one that has learned the task


@dataclass(frozen=True)
class FlipFlop:
    """When pulses come. ``overlap=False``: one pulse at a time on a random channel, gaps exponentially distributed.

    With ``overlap=True`` every channel starts a pulse at each step with probability 1 / ``gap`` (the paper's task).
    All lengths are in steps.
    """

    bits: int = 3
    pulse: int = 20
    gap: float = 100.0
    settle: int = 40  # a bit counts as settled this long after a pulse began
    overlap: bool = False

    def __post_init__(self) -> None:
        if self.bits < 1 or self.pulse < 1 or self.settle < self.pulse or not self.gap > 0:
            raise ValueError(
                f"flip-flop with bits={self.bits}, pulse={self.pulse}, gap={self.gap}, settle={self.settle}; "
                "it needs bits >= 1, pulse >= 1, gap > 0 and settle >= pulse"
            )

    @property
    def transitions(self) -> int:
        """How many things there are to learn: from each of 2^bits memories, what either pulse on each channel does."""
        return 2 * self.bits << self.bits

    def trial(self, steps: int, seed: int) -> Trial:
        """A run of ``steps`` steps; the same seed gives the same run."""
        rng = np.random.default_rng(seed)
        inputs, target = np.zeros((steps, self.bits)), np.zeros((steps, self.bits))
        quiet = np.full(steps, self.settle)  # steps since the last pulse began, on any channel
        for start, channel, sign in self._pulses(steps, rng):
            inputs[start : start + self.pulse, channel] = sign
            target[start:, channel] = sign
            quiet[start:] = np.arange(steps - start)
        return Trial(inputs, target, settled=quiet >= self.settle)

    def _pulses(self, steps: int, rng: np.random.Generator) -> list[tuple[int, int, float]]:
        if self.overlap:
            starts = np.argwhere(rng.random((steps, self.bits)) < 1 / self.gap)
            return [(int(start), int(channel), float(rng.choice([-1.0, 1.0]))) for start, channel in starts]
        pulses, start = [], 0
        while start < steps:
            pulses.append((start, int(rng.integers(self.bits)), float(rng.choice([-1.0, 1.0]))))
            start += self.pulse + int(rng.exponential(self.gap))
        return pulses


@dataclass(frozen=True)
class Trial:
    """Inputs (T, bits), target (T, bits), and where (T,) the last pulse is long enough ago to judge the memory."""

    inputs: Array
    target: Array
    settled: Mask

    def score(self, output: Array) -> dict[str, float]:
        """MSE over all steps, and MSE and bit accuracy where settled, which leave out bits not pulsed yet.

        The plain MSE has a floor: the target jumps at once and no network can. Where nothing settles, the other two
        are NaN.
        """
        judged = self.settled[:, None] & (self.target != 0)
        right = np.sign(output) == self.target
        squared = (output - self.target) ** 2
        return {
            "mse": float(np.mean(squared)),
            "settled_mse": float(np.mean(squared[judged])) if judged.any() else float("nan"),
            "settled_bit_accuracy": float(np.mean(right[judged])) if judged.any() else float("nan"),
        }


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run and its test: ``practice`` is trained on for ``steps``, ``task`` is tested."""

    network: EchoStateConfig
    practice: FlipFlop
    task: FlipFlop
    force: Force
    steps: int
    test_steps: int


@dataclass(frozen=True)
class Trained:
    """A network with its learned readout, the record of its training, and its scores on held-out input."""

    network: EchoStateNetwork
    record: TrainingRecord
    metrics: dict[str, float]  # see Trial.score

    @property
    def learned(self) -> bool:
        """Whether it remembers; False as well where the test had nothing to judge."""
        return self.metrics["settled_bit_accuracy"] >= LEARNED


def default_recipe(bits: int = 3, units: int = 1000, activation: str = "tanh", seed: int = 0) -> Recipe:
    """Trains reliably: see ``benchmarks/flipflop_recipe.py``.

    What has to be learned is transitions, so practice packs its pulses closer than the task does, and lasts until
    each transition has come fifteen times or so.
    """
    practice = FlipFlop(bits, gap=30.0)
    return Recipe(
        network=EchoStateConfig(units, bits, bits, activation=activation, seed=seed),
        practice=practice,
        task=FlipFlop(bits),
        force=Force(noise=NOISE[activation], seed=seed),
        steps=int(15 * practice.transitions * (practice.pulse + practice.gap)),
        test_steps=10_000,
    )


def paper_recipe(bits: int = 3, units: int = 1000, activation: str = "tanh", seed: int = 0) -> Recipe:
    """Table 1 and section 6 of the seed: g 1.5, alpha 1, tau 10, and pulses of 10 steps anywhere, 0.02 per step.

    The range of the feedback and input weights is not in the text: [-1, 1] here.
    """
    task = FlipFlop(bits, pulse=10, gap=50.0, overlap=True)
    return Recipe(
        network=EchoStateConfig(units, bits, bits, 1.5, 1.0, 1.0, tau=10.0, activation=activation, seed=seed),
        practice=task,
        task=task,
        force=Force(interval=2, alpha=1.0, noise=0.0, seed=seed),
        steps=30_000,
        test_steps=5_000,
    )


PRESETS: dict[str, Callable[..., Recipe]] = {"default": default_recipe, "paper": paper_recipe}


def train_flipflop(
    recipe: Recipe, on_snapshot: OnSnapshot | None = None, on_progress: OnProgress | None = None
) -> Trained:
    """Draw a network, train its readout, and test it from another random state on pulses it has not seen.

    Raises FloatingPointError when the weights leave the finite numbers.
    """
    trial_seed, test_seed, state_seed = np.random.SeedSequence(recipe.force.seed).generate_state(3).tolist()
    untrained = EchoStateNetwork.random(recipe.network, recipe.task)
    trial = recipe.practice.trial(recipe.steps, trial_seed)
    record = train_force(untrained, trial.inputs, trial.target, recipe.force, on_snapshot, on_progress)
    network = untrained.with_readout(record.W_out)
    test = recipe.task.trial(recipe.test_steps, test_seed)
    x = np.random.default_rng(state_seed).standard_normal(network.n_state) * recipe.force.initial_state
    return Trained(network, record, test.score(simulate(network, test.inputs, x)))

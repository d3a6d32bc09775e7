"""Recipes by which FORCE trains an echo state network: on the flip-flop this project's and Jang's, and on trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop, Trial
from dynsys.models.tasks.trials import Trials, TrialTask
from dynsys.models.training.by_force.force import Force, OnProgress, OnSnapshot, TrainingRecord, simulate, train_force
from dynsys.numerics.deadline import ENDLESS, Cut, Deadline, Part

Array = NDArray[np.float64]
Task = TypeVar("Task", FlipFlop, TrialTask)

# Under less noise tanh networks keep false memories between the true ones; under as much, logistic ones forget.
NOISE = {"tanh": 1.0, "logistic": 0.3}


@dataclass(frozen=True)
class Recipe(Generic[Task]):
    """All that decides a training run and its test: ``practice`` is trained on for ``steps``, ``task`` is tested."""

    network: EchoStateConfig
    practice: Task
    task: Task
    force: Force
    steps: int
    test_steps: int

    def describe(self) -> dict[str, Any]:
        """The recipe as plain values, for the checkpoint."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Trained:
    """A network with its learned readout, the record of its training, and its scores on held-out input."""

    network: EchoStateNetwork
    record: TrainingRecord
    metrics: dict[str, float]  # see Trial.score, and the ``scores`` of a task of trials
    learned: bool  # False as well where the test had nothing to judge
    inputs: Array  # (T, m) of the training run
    target: Array  # (T, o) of it
    test: Trial | Trials
    test_output: Array  # (..., o), as the test has them
    cut: Cut | None = None  # by time, before its last step


def default_recipe(bits: int = 3, units: int = 1000, activation: str = "tanh", seed: int = 0) -> Recipe[FlipFlop]:
    """Trains reliably: see ``benchmarks/flipflop_recipe.py``.

    What has to be learned is transitions, so practice packs its pulses closer than the task does, and lasts until
    each transition has come fifteen times or so.
    """
    practice = FlipFlop(bits, gap=30.0)
    return Recipe(
        network=EchoStateConfig(units, bits, bits, activation=activation, seed=seed),
        practice=practice,
        task=FlipFlop(bits),
        force=Force(noise=NOISE.get(activation, 0.0), seed=seed),  # the network refuses an activation without one
        steps=int(15 * practice.transitions * (practice.pulse + practice.gap)),
        test_steps=10_000,
    )


def paper_recipe(bits: int = 3, units: int = 1000, activation: str = "tanh", seed: int = 0) -> Recipe[FlipFlop]:
    """Table 1 of Jang's paper, with this project's numbers where the text has none.

    Jang's: N = 1000, g = 1.5, alpha = 1, tau = 10, an update every 2 steps, 30,000 steps of training and 5,000 of
    testing, and that W_out alone is learned, on the task that is tested. Not in its text, and ours: W_fb and B in
    [-3, 3], the range of the default recipe (with [-1, 1] tanh networks do not learn: ``docs/facts.md``); W_out(0) = 0
    and P(0) = I / alpha; x(0) ~ N(0, 0.5^2); pulses of 10 steps ("pulse briefly at random intervals") that begin on
    each channel at any step with a probability of 0.02; Euler steps of 1, so that tau is 10 steps.
    """
    task = FlipFlop(bits, pulse=10, gap=50.0, overlap=True)
    return Recipe(
        network=EchoStateConfig(units, bits, bits, gain=1.5, tau=10.0, activation=activation, seed=seed),
        practice=task,
        task=task,
        force=Force(interval=2, alpha=1.0, noise=0.0, seed=seed),
        steps=30_000,
        test_steps=5_000,
    )


def trials_recipe(task: TrialTask, units: int, activation: str = "tanh", seed: int = 0) -> Recipe[TrialTask]:
    """Trials one after the other, and for the test others from a random state."""
    usual = task.practice
    network = EchoStateConfig(
        units,
        task.n_input,
        task.n_output,
        gain=usual.force_gain,
        feedback=usual.force_scale,
        input_scale=usual.force_scale,
        activation=activation,
        seed=seed,
    )
    force = Force(alpha=1.0, noise=usual.force_noise, seed=seed)
    return Recipe(network, task, task, force, usual.force_steps, test_steps=0)


PRESETS: dict[str, Callable[..., Recipe[FlipFlop]]] = {"default": default_recipe, "paper": paper_recipe}


def train_esn(
    recipe: Recipe[Any],
    on_snapshot: OnSnapshot | None = None,
    on_progress: OnProgress | None = None,
    start: EchoStateNetwork | None = None,
    deadline: Deadline = ENDLESS,
    begun: Mapping[str, Array] | None = None,
) -> Trained:
    """Draw a network, train its readout, and test it from another random state on inputs it has not seen.

    A network to ``start`` from is trained instead of the one that the recipe draws; for ``deadline`` and ``begun`` see
    ``train_force``. Raises FloatingPointError when the weights leave the finite numbers.
    """
    trial_seed, _, _ = _seeds(recipe)
    untrained = start or EchoStateNetwork.random(recipe.network, recipe.task)
    trial = recipe.practice.trial(recipe.steps, trial_seed)
    how = (recipe.force, on_snapshot, on_progress, deadline, begun)
    mask = trial.mask if isinstance(trial, Trials) else None
    record = train_force(untrained, trial.inputs, trial.target, *how, mask=mask)
    network = untrained.with_readout(record.W_out)
    test, output = held_out(network, recipe)
    metrics = recipe.task.scores(test, output)
    done = len(record.output)
    cut = deadline.cut(Part(done, recipe.steps, "steps of training"))
    shown, learned = (trial.inputs[:done], trial.target[:done]), recipe.task.learned(metrics)
    return Trained(network, record, metrics, learned, *shown, test, output, cut)


def held_out(network: EchoStateNetwork, recipe: Recipe[Any]) -> tuple[Any, Array]:
    """The test of the recipe: inputs that its training has not seen, and what (..., o) the network makes of them.

    Trials come one after the other, as they do in training.
    """
    _, test_seed, state_seed = _seeds(recipe)
    task = recipe.task
    test = task.trial(recipe.test_steps, test_seed) if isinstance(task, FlipFlop) else task.test(test_seed)
    x = np.random.default_rng(state_seed).standard_normal(network.n_state) * recipe.force.initial_state
    output = simulate(network, test.inputs.reshape(-1, network.n_input), x)
    return test, output.reshape(test.target.shape)


def _seeds(recipe: Recipe[Any]) -> list[int]:
    """Of the training run, of the test, and of the state in which the test begins."""
    seeds: list[int] = np.random.SeedSequence(recipe.force.seed).generate_state(3).tolist()
    return seeds

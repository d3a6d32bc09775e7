"""Which networks can learn which task, and what can be chosen: a new one is one line in ``LEARNERS``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dynsys.models.networks.leaky import FORMS
from dynsys.models.networks.recurrent import CELLS
from dynsys.models.registry import TASKS
from dynsys.models.tasks.trials import TrialTask, fields_of
from dynsys.models.training.beginning import USUAL
from dynsys.models.training.by_force.recipes import PRESETS, Recipe, trials_recipe
from dynsys.models.training.flipflop import BEGIN, flipflop_course
from dynsys.models.training.learning import Learned, OnProgress
from dynsys.models.training.optimisers import ADAM, rate_beside_adam
from dynsys.models.training.patterns import TASKS as PATTERN_TASKS
from dynsys.models.training.patterns import patterns_course
from dynsys.models.training.retrieval import FAST, IDENTITY, retrieval_course, usual_recipe
from dynsys.models.training.run import run_training
from dynsys.models.training.schedule import Wanted, every_or_at
from dynsys.models.training.trials import trials_course
from dynsys.numerics.deadline import Deadline

Learn = Callable[..., Learned]

NAMES = {"rate": "eta", "decay": "lambda", "reach": "range"}  # what the papers and the command line call them


@dataclass(frozen=True)
class Learner:
    """``learn(folder, snapshots, on_progress, deadline, **choices)``, with the choices it takes."""

    learn: Learn
    choices: Mapping[str, Any]

    def __call__(
        self,
        folder: str | Path,
        *,
        snapshots: Wanted = 0,
        on_progress: OnProgress | None = None,
        seconds: float | Deadline | None = None,
        **choices: Any,
    ) -> Learned:
        """Train into the folder, for so many ``seconds`` at most; the same call goes on from where they were over.

        Raises ValueError for a choice that this network does not have.
        """
        deadline = Deadline.of(seconds)
        unknown = [name for name in choices if name not in self.choices]
        if unknown:
            legal = ", ".join(NAMES.get(name, name) for name in self.choices)
            raise ValueError(f"{NAMES.get(unknown[0], unknown[0])} is no choice of this network; it has {legal}")
        return self.learn(Path(folder), snapshots, on_progress, deadline, **{**self.choices, **choices})


def _esn(
    folder: Path,
    snapshots: Wanted,
    on_progress: OnProgress | None,
    deadline: Deadline,
    *,
    preset: str,
    bits: int,
    units: int,
    activation: str,
    gain: float | None,
    steps: int | None,
    seed: int,
) -> Learned:
    recipe = PRESETS[preset](bits, units, activation, seed)
    network = recipe.network if gain is None else dataclasses.replace(recipe.network, gain=gain)
    recipe = dataclasses.replace(recipe, network=network, steps=steps or recipe.steps)
    return _by_force(recipe, folder, snapshots, on_progress, deadline)


def _trials_by_force(
    kind: type[TrialTask],
    folder: Path,
    snapshots: Wanted,
    on_progress: OnProgress | None,
    deadline: Deadline,
    *,
    options: Mapping[str, str],
    units: int | None,
    activation: str,
    gain: float | None,
    steps: int | None,
    seed: int,
) -> Learned:
    task = kind(**fields_of(kind, options))
    recipe = trials_recipe(task, units or task.practice.force_units, activation, seed)
    network = recipe.network if gain is None else dataclasses.replace(recipe.network, gain=gain)
    recipe = dataclasses.replace(recipe, network=network, steps=steps or recipe.steps)
    return _by_force(recipe, folder, snapshots, on_progress, deadline)


def _by_force(
    recipe: Recipe[Any], folder: Path, snapshots: Wanted, on_progress: OnProgress | None, deadline: Deadline
) -> Learned:
    every, at = every_or_at(snapshots, recipe.steps)
    force = dataclasses.replace(recipe.force, snapshot_every=every, snapshot_steps=at)
    trained = run_training(dataclasses.replace(recipe, force=force), folder, on_progress, deadline=deadline)
    return Learned(trained.network, trained.metrics, trained.learned, len(trained.target), cut=trained.cut)


def _trials(
    kind: type[TrialTask],
    model: str,
    folder: Path,
    snapshots: Wanted,
    on_progress: OnProgress | None,
    deadline: Deadline,
    *,
    options: Mapping[str, str],
    **choices: Any,
) -> Learned:
    chosen = fields_of(kind, options)
    return trials_course(kind, model, chosen=chosen, **choices).run(folder, snapshots, on_progress, deadline)


def _flipflop(
    cell: str, folder: Path, snapshots: Wanted, on_progress: OnProgress | None, deadline: Deadline, **choices: Any
) -> Learned:
    return flipflop_course(cell, **choices).run(folder, snapshots, on_progress, deadline)


def _patterns(
    kind: str,
    cell: str,
    folder: Path,
    snapshots: Wanted,
    on_progress: OnProgress | None,
    deadline: Deadline,
    **choices: Any,
) -> Learned:
    return patterns_course(kind, cell, **choices).run(folder, snapshots, on_progress, deadline)


def _retrieval(
    model: str,
    folder: Path,
    snapshots: Wanted,
    on_progress: OnProgress | None,
    deadline: Deadline,
    *,
    steps: int | None,
    batch: int | None,
    learning_rate: float | None,
    optimizer: str,
    momentum: float | None,
    **choices: Any,
) -> Learned:
    usual = usual_recipe(model, choices["units"], choices.get("start"))
    rate = usual.rate * rate_beside_adam(optimizer) if learning_rate is None else learning_rate
    sizes = {"steps": steps or usual.steps, "batch": batch or usual.batch}
    recipe = dataclasses.replace(usual, rate=rate, optimizer=optimizer, momentum=momentum, **sizes)
    return retrieval_course(model, recipe=recipe, **choices).run(folder, snapshots, on_progress, deadline)


_ESN = {"preset": "default", "bits": 3, "units": 1000, "activation": "tanh", "gain": None, "steps": None, "seed": 0}
_BACKPROP = {"steps": None, "learning_rate": None, "optimizer": ADAM, "momentum": None, "seed": 0}
_SHAPE = {"layers": 1, "bidirectional": False}
_FLIPFLOP = {"bits": 3, "units": 64, **_SHAPE, **_BACKPROP}
_PATTERNS = {"patterns": 8, "length": 20, "channels": 2, "noise": None, "units": 64, **_SHAPE, **_BACKPROP, "batch": 64}
_RETRIEVAL = {"units": 50, **_BACKPROP, "batch": None, "pairs": 4}
_AT_IDENTITY = {"identity": None, "begin": USUAL, "reach": None}  # where W begins at a multiple of the identity
_FAST = {**_RETRIEVAL, **_AT_IDENTITY, "inner": 1, "rate": None, "decay": 0.95, "normalise": "all", "start": None}
_TRIALS: dict[str, Any] = {"options": {}, "units": None, **_BACKPROP, "batch": None}
_LEAKY = {**_TRIALS, "alpha": None, "state_noise": None, "dale": None, "activation": "tanh"}
_FORCE: dict[str, Any] = {"options": {}, "units": None, "activation": "tanh", "gain": None, "steps": None, "seed": 0}


def _learners_of_trials(kind: type[TrialTask]) -> dict[str, Learner]:
    cells = {cell: {**_TRIALS, "layers": 1, **(_AT_IDENTITY if cell in BEGIN else {})} for cell in CELLS}
    models = {**cells, **dict.fromkeys(FORMS, _LEAKY)}
    return {
        "esn": Learner(partial(_trials_by_force, kind), _FORCE),
        **{model: Learner(partial(_trials, kind, model), choices) for model, choices in models.items()},
    }


LEARNERS: dict[str, dict[str, Learner]] = {
    "flipflop": {
        "esn": Learner(_esn, _ESN),
        **{
            cell: Learner(partial(_flipflop, cell), {**_FLIPFLOP, **(_AT_IDENTITY if cell in BEGIN else {})})
            for cell in CELLS
        },
    },
    "retrieval": {
        FAST: Learner(partial(_retrieval, FAST), _FAST),
        **{
            cell: Learner(
                partial(_retrieval, cell), {**_RETRIEVAL, **_SHAPE, **(_AT_IDENTITY if cell in IDENTITY else {})}
            )
            for cell in CELLS
        },
    },
    **{
        kind: {
            cell: Learner(partial(_patterns, kind, cell), {**_PATTERNS, **(_AT_IDENTITY if cell in BEGIN else {})})
            for cell in CELLS
        }
        for kind in PATTERN_TASKS
    },
    **{name: _learners_of_trials(kind) for name, kind in TASKS.items() if issubclass(kind, TrialTask)},
}


def train(task: str, model: str, folder: str | Path, **choices: Any) -> Learned:
    """What ``dynsys train TASK MODEL -o FOLDER`` does, with its options as arguments: the network with its scores.

    Raises ValueError for a task, network or choice that there is not.
    """
    return learner(task, model)(folder, **choices)


def learner(task: str, model: str) -> Learner:
    """The learner of that task and network; raises ValueError where there is none."""
    known = LEARNERS.get(task)
    if known is None:
        raise ValueError(f"there is no task {task!r}; the tasks are {', '.join(LEARNERS)}")
    if model not in known:
        raise ValueError(f"{task} is learned by {', '.join(known)}, not by {model!r}")
    return known[model]

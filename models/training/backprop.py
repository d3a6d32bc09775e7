"""Training by backpropagation through time: clipped gradients, a cosine decay, validation, early stopping.

The trainer knows no network and no task. A ``Lesson`` gives the loss of step t, which depends on the seed and on t
alone, and the error on validation data; so a run that was interrupted goes on from its last snapshot as if nothing had
happened.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dynsys.io.checked import content_of
from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.io.provenance import differing
from dynsys.io.record import ALL_OTHERS, Record, axes
from dynsys.models.training.optimisers import ADAM, MU, OPTIMISERS, check_optimiser
from dynsys.numerics.deadline import ENDLESS, Deadline

STATE = "training_state.safetensors"
AFRESH = "train into another folder, or delete the file to begin afresh"


class Lesson(Protocol):
    """What is to be learned."""

    def loss(self, network: nn.Module, step: int) -> Tensor:
        """The mean loss on the batch of this step, a scalar."""

    def error(self, network: nn.Module) -> float:
        """The error on validation data: what is to be small."""


class TrainingDiverged(FloatingPointError):
    """The loss is no longer a number. The network has the weights of the best validation, of step ``kept``; 0: none."""

    def __init__(self, step: int, settings: Backprop, kept: int) -> None:
        super().__init__(
            f"training diverged at step {step}: the loss is not finite. Lower the learning rate "
            f"({settings.learning_rate:g}) or the norm at which gradients are clipped ({settings.clip:g})"
            + (f"; the weights of step {kept} are kept" if kept else "")
        )
        self.kept = kept


@dataclass(frozen=True)
class Backprop:
    """How to train: by one of ``OPTIMISERS`` under a cosine decay from ``learning_rate`` to ``last_rate`` of it.

    ``momentum`` is mu of the optimizer of that name; None is 0.9.
    ``clip`` is the largest norm of the whole gradient. The network is validated every ``validate_every`` steps; where
    ``patience`` is more than 0, training ends when so many validations in a row were not better than the best, or when
    one is at most ``enough``. The best weights are kept.
    """

    steps: int = 2000
    learning_rate: float = 1e-2
    last_rate: float = 0.01
    warmup: int = 0
    clip: float = 1.0
    validate_every: int = 100
    patience: int = 0
    enough: float = 0.0
    seed: int = 0
    optimizer: str = ADAM
    momentum: float | None = None

    def __post_init__(self) -> None:
        check_optimiser(self.optimizer, self.momentum)
        whole = {"steps": self.steps, "validate_every": self.validate_every}
        for name, value in whole.items():
            if value < 1:
                raise ValueError(f"{name} is {value}; it has to be 1 or more")
        if not (self.learning_rate > 0 and self.clip > 0):
            raise ValueError(f"learning_rate is {self.learning_rate} and clip {self.clip}; both have to be above 0")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.learning_rate * (self.last_rate + (1 - self.last_rate) * 0.5 * (1 + math.cos(math.pi * share)))


@dataclass
class Progress:
    """Where a training stands; callbacks get it after every step."""

    network: nn.Module
    step: int = 0  # steps done
    losses: list[float] = field(default_factory=list)
    validated: list[tuple[int, float]] = field(default_factory=list)  # (steps done, error)
    best_step: int = 0
    best_error: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    finished: bool = False


Callback = Callable[[Progress], None]


def train(
    network: nn.Module,
    lesson: Lesson,
    settings: Backprop,
    *,
    callbacks: Sequence[Callback] = (),
    folder: str | Path | None = None,
    about: Mapping[str, Any] | None = None,
    deadline: Deadline = ENDLESS,
) -> Progress:
    """Train ``network`` in place and leave it with the weights of the best validation.

    When the time of ``deadline`` is over after some step, training ends there, unfinished: with the weights as they are
    where nothing was validated yet.

    With a ``folder`` the whole state is written there at every validation and when time is over, and a run of the same
    settings that finds one there goes on from it; ``about`` names what else makes it the same run. Raises
    TrainingDiverged, and CheckpointError where the state in the folder is that of another run.
    """
    mu = MU if settings.momentum is None else settings.momentum
    optimiser = OPTIMISERS[settings.optimizer](network.parameters(), mu)
    progress, kept = Progress(network), None if folder is None else Path(folder) / STATE
    same = {**dataclasses.asdict(settings), **(about or {})}
    if kept is not None and kept.is_file():
        _resume(kept, progress, optimiser, same)
    while not progress.finished:
        _one_step(progress, lesson, optimiser, settings)
        if progress.step % settings.validate_every == 0 or progress.step == settings.steps:
            _validate(progress, lesson, settings)
            if kept is not None:
                _keep(kept, progress, optimiser, same)
        for callback in callbacks:
            callback(progress)
        if deadline.is_over and not progress.finished:
            if kept is not None:
                _keep(kept, progress, optimiser, same)
            break
    if progress.best:
        network.load_state_dict(progress.best)
    return progress


def _one_step(progress: Progress, lesson: Lesson, optimiser: torch.optim.Optimizer, settings: Backprop) -> None:
    for group in optimiser.param_groups:
        group["lr"] = settings.rate(progress.step)
    loss = lesson.loss(progress.network, progress.step)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(progress.network.parameters(), settings.clip)
    value = float(loss.detach())
    if not (math.isfinite(value) and bool(torch.isfinite(norm))):
        _give_up(progress, settings)
    optimiser.step()
    progress.step += 1
    progress.losses.append(value)


def _give_up(progress: Progress, settings: Backprop) -> None:
    if progress.best:
        progress.network.load_state_dict(progress.best)
    raise TrainingDiverged(progress.step, settings, progress.best_step)


def _validate(progress: Progress, lesson: Lesson, settings: Backprop) -> None:
    with torch.no_grad():
        error = lesson.error(progress.network)
    if math.isnan(error):
        _give_up(progress, settings)
    progress.validated.append((progress.step, error))
    if error < progress.best_error or not progress.best:
        progress.best_error, progress.best_step = error, progress.step
        progress.best = {key: value.clone() for key, value in progress.network.state_dict().items()}
    quiet = [at for at, _ in progress.validated if at > progress.best_step]
    impatient = 0 < settings.patience <= len(quiet)
    progress.finished = progress.step >= settings.steps or impatient or error <= settings.enough


@dataclass(frozen=True, eq=False)
class State(Record, schema="dynsys.training_state/1", what="state of a training", remedy=AFRESH):
    """Everything that the next step depends on: ``arrays`` are the network's weights, the best ones, and moments."""

    losses: NDArray[np.float64] = field(metadata=axes("f S"))
    validated: NDArray[np.float64] = field(metadata=axes("f V 2"))
    settings: dict[str, Any]
    step: int
    best_step: int
    finished: bool
    arrays: Arrays = field(metadata=ALL_OTHERS)


def _keep(path: Path, progress: Progress, optimiser: torch.optim.Optimizer, same: dict[str, Any]) -> None:
    moments = optimiser.state_dict()["state"]
    arrays = {
        **{f"network/{key}": _array(value) for key, value in progress.network.state_dict().items()},
        **{f"best/{key}": _array(value) for key, value in progress.best.items()},
        **{
            f"optimiser/{i}/{key}": _array(value)
            for i, state in moments.items()
            for key, value in state.items()
            if value is not None  # the velocity of plain descent
        },
    }
    State(
        losses=np.array(progress.losses),
        validated=np.array(progress.validated, dtype=np.float64).reshape(-1, 2),
        settings=same,
        step=progress.step,
        best_step=progress.best_step,
        finished=progress.finished,
        arrays=arrays,
    ).save(path)


def _resume(path: Path, progress: Progress, optimiser: torch.optim.Optimizer, same: dict[str, Any]) -> None:
    kept = State.load(path)
    other = differing(kept.settings, same)
    if other:
        wrong = f"it is the state of a training with another {', '.join(other)}"
        raise CheckpointError(path, wrong, AFRESH)
    try:
        progress.network.load_state_dict(_part(kept.arrays, "network"))
        progress.best = _part(kept.arrays, "best")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(kept.arrays, "optimiser").items():
            i, key = name.split("/")
            state.setdefault(int(i), {})[key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    except (RuntimeError, ValueError) as error:
        wrong = f"it is the state of another network ({str(error).splitlines()[0]})"
        raise CheckpointError(path, wrong, AFRESH) from error
    with content_of(path, State.what, AFRESH):
        progress.step, progress.best_step, progress.finished = kept.step, kept.best_step, kept.finished
        progress.losses = kept.losses.tolist()
        progress.validated = [(int(step), float(error)) for step, error in kept.validated]
        progress.best_error = dict(progress.validated)[progress.best_step] if progress.best else math.inf


def _part(tensors: Arrays, name: str) -> dict[str, Tensor]:
    start = f"{name}/"
    return {key.removeprefix(start): torch.as_tensor(value) for key, value in tensors.items() if key.startswith(start)}


def _array(value: Tensor) -> Any:
    return value.detach().cpu().numpy()

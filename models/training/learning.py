"""A network learns by backpropagation, on disk: snapshots and the state to go on from as they come, then the rest.

What a run leaves in its folder: ``checkpoint.safetensors`` (the network of the best validation),
``training.safetensors`` (its curves) and, where asked for, ``snapshots/step_*.safetensors`` (all weights). An
interrupted run leaves ``training_state.safetensors`` instead, and one whose time was over both; from it the same call
goes on.

A bidirectional network is no dynamical system: its checkpoint holds its weights by torch's names and nothing else, and
commands take one half of it (``--direction``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn

from dynsys.io.files import Arrays, check_writable, write_bytes
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.loading.run_folder import FILE_NAME, check_room_for_network
from dynsys.models.training.backprop import STATE, Backprop, Lesson, Progress, TrainingDiverged, train
from dynsys.models.training.run import CURVES, Curves, forget_snapshots, in_stretches, write_snapshot
from dynsys.models.training.schedule import Wanted, every_or_at
from dynsys.numerics.deadline import ENDLESS, Cut, Deadline, Part
from dynsys.numerics.threads import alone
from dynsys.systems.system import System

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Learned:
    """A trained network, its scores on what it has not seen, and whether that counts as learned.

    The network is None where it is bidirectional, and so no dynamical system; its halves are in the checkpoint.
    """

    network: System | None
    metrics: dict[str, float]
    learned: bool
    steps: int
    validation_error: float | None = None  # the least; None where nothing is validated
    enough: float = 0.0  # at which training ends
    cut: Cut | None = None  # by time, before its last step


@dataclass(frozen=True)
class Course:
    """One run of learning: the torch ``network``, its ``lesson``, how to train, and what becomes of it.

    ``system`` makes the dynamical system of the network as it stands, None where it is none, and ``weights`` are then
    what is kept of it; ``judge`` gives its scores and whether they will do, ``curves`` what is shown of a test beside
    the curves of training. ``about`` are the choices that make the run.
    """

    network: nn.Module
    lesson: Lesson
    settings: Backprop
    system: Callable[[], System | None]
    judge: Callable[[], tuple[dict[str, float], bool]]
    curves: Callable[[], dict[str, Any]]
    about: Mapping[str, Any]
    weights: Callable[[], Mapping[str, Tensor]] | None = None

    def run(
        self,
        folder: str | Path,
        snapshots: Wanted = 0,
        on_progress: OnProgress | None = None,
        deadline: Deadline = ENDLESS,
    ) -> Learned:
        """Train, test and write; raises OutputError, TrainingDiverged and CheckpointError as ``train`` does.

        Of a training that diverged the network of the best validation is written, if there was one.
        """
        folder = Path(folder)
        check_room_for_network(folder)
        check_writable(folder)
        watched = _Watched(self, folder, *every_or_at(snapshots, self.settings.steps), on_progress)
        if not (folder / STATE).is_file():
            forget_snapshots(folder)
            watched.begin()
        with alone():
            try:
                with torch.enable_grad():
                    progress = train(
                        self.network,
                        self.lesson,
                        self.settings,
                        callbacks=[watched],
                        folder=folder,
                        about=self.about,
                        deadline=deadline,
                    )
            except TrainingDiverged as diverged:
                if diverged.kept:
                    self._judge_and_save(folder)
                raise
            done = Part(progress.step, self.settings.steps, "steps of training")
            cut = None if progress.finished else deadline.cut(done)
            metrics, learned = self._judge_and_save(folder, cut)
            shown = self.curves()
        Curves({**learning_curves(progress), **shown}).save(folder / CURVES)
        if cut is None:
            (folder / STATE).unlink(missing_ok=True)
        validated = progress.best_error if progress.validated else None
        return Learned(self.system(), metrics, learned, progress.step, validated, self.settings.enough, cut)

    def _judge_and_save(self, folder: Path, cut: Cut | None = None) -> tuple[dict[str, float], bool]:
        metrics, learned = self.judge()
        about = {"metrics": metrics, "recipe": dict(self.about), "learned": learned}
        about |= {} if cut is None else {"cut": cut.to_json()}
        system = self.system()
        if system is None:
            write_bytes(folder / FILE_NAME, save(self.arrays()))
        else:
            save_checkpoint(folder / FILE_NAME, system, about)
        return metrics, learned

    def arrays(self) -> Arrays:
        """The weights as they stand."""
        system = self.system()
        if system is not None:
            return system.arrays()  # type: ignore[attr-defined]
        held = self.network.state_dict() if self.weights is None else self.weights()
        return {key: np.ascontiguousarray(value.detach().numpy()) for key, value in held.items()}


@dataclass
class _Watched:
    """Writes snapshots and tells how far it is."""

    course: Course
    folder: Path
    every: int
    at: tuple[int, ...]  # where training ends before the last of these, its end stands for those that did not come
    on_progress: OnProgress | None

    def begin(self) -> None:
        if 0 in self.at:
            self._keep(0)

    def __call__(self, progress: Progress) -> None:
        if self.on_progress is not None:
            self.on_progress(progress.step, self.course.settings.steps)
        step, early = progress.step, progress.finished and bool(self.at) and progress.step < self.at[-1]
        if step in self.at or early or (self.every and step % self.every == 0):
            self._keep(step)

    def _keep(self, step: int) -> None:
        write_snapshot(self.folder, step, self.course.arrays())


def learning_curves(progress: Progress) -> dict[str, Any]:
    """step and loss (S,), means over stretches of the run; validated_step and validation_error (V,)."""
    step, loss = in_stretches(np.array(progress.losses))
    validated = np.array(progress.validated, dtype=np.float64).reshape(-1, 2)
    return {
        "step": step,
        "loss": loss,
        "validated_step": validated[:, 0],
        "validation_error": validated[:, 1],
    }

"""The main job: from nothing to the fixed points and the phase portrait of a flip-flop network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dynsys.analyses.run import Progress, draw, search_and_save
from dynsys.models.checkpoint import FILE_NAME
from dynsys.models.recipe import PRESETS, Trained
from dynsys.models.training_run import run_training
from dynsys.points import FixedPoints

PORTRAIT = "portrait.html"


@dataclass(frozen=True)
class Demo:
    """Settings of the whole job on a fresh flip-flop network."""

    bits: int = 3
    units: int = 1000
    activation: str = "tanh"
    seed: int = 0
    n_starts: int = 512


@dataclass(frozen=True)
class DemoResult:
    """What the job came to."""

    trained: Trained
    points: FixedPoints
    folder: Path


def run(settings: Demo, folder: str | Path, progress: Progress) -> DemoResult:
    """Train, search, classify, draw; each result is written as soon as it is there."""
    folder = Path(folder)
    recipe = PRESETS["default"](settings.bits, settings.units, settings.activation, settings.seed)
    trained = run_training(recipe, folder, lambda done, total: progress("train", done, total))
    points = search_and_save(
        trained.network, folder, folder / FILE_NAME, progress, n_starts=settings.n_starts, seed=settings.seed
    )
    progress("draw", 0, 1)
    draw("phase", folder, folder / PORTRAIT, seed=settings.seed)
    progress("draw", 1, 1)
    return DemoResult(trained, points, folder)

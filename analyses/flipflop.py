"""The main job: from nothing to the fixed points and the phase portrait of a flip-flop network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dynsys.analyses.point_table import point_rows
from dynsys.analyses.report import Report, Section, write_report
from dynsys.analyses.run import PICTURES, Progress, draw, search_and_save
from dynsys.errors import typed
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.recipe import PRESETS, Trained
from dynsys.models.training_run import run_training
from dynsys.points import FixedPoints
from dynsys.words import search_lines, summary

SCHEMA = "dynsys.flipflop/1"
PROVED = "A * marks the points that are proved to exist, and to be alone within their error bounds."
PORTRAIT = "portrait.html"
PICTURES_SHOWN = {"Phase portrait": "phase", "Eigenvalues": "spectrum", "Training": "training"}


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
    result = DemoResult(trained, points, folder)
    progress("draw", 0, 2)
    draw("phase", folder, folder / PORTRAIT, seed=settings.seed)
    progress("draw", 1, 2)
    _report(settings, result)
    progress("draw", 2, 2)
    return result


def _report(settings: Demo, result: DemoResult) -> None:
    """The page of the whole job."""
    trained, points, folder = result.trained, result.points, result.folder
    found = summary(points)
    sentences = [f"The network remembers {trained.metrics['settled_bit_accuracy']:.1%} of its bits and has {found}."]
    drawn = {
        title: PICTURES[name](folder, None, settings.seed, "points")
        for title, name in PICTURES_SHOWN.items()
        if name != "spectrum" or len(points)
    }
    report = Report(
        f"What a flip-flop network of {settings.units} units has learned",
        typed("demo", "-o", folder, "--bits", settings.bits, "--units", settings.units, "--seed", settings.seed),
        [*sentences, *search_lines(points)],
        dataclasses.asdict(settings),
        [Section(title, figures=[figure]) for title, figure in drawn.items()]
        + [Section("Points", PROVED, table=point_rows(points))],
        ["sussillo2013", "sussillo2009", "jang"],
    )
    write_report(report, {"schema": SCHEMA, "metrics": trained.metrics, "found": found}, folder)

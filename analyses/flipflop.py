"""The main job: from nothing to the fixed points and the phase portrait of a flip-flop network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynsys.analyses.pictures import Asked, draw, figure_of
from dynsys.analyses.report import Report, Section, cut_short, write_report
from dynsys.analyses.run import search_and_save
from dynsys.io.errors import typed
from dynsys.io.progress import Progress
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.training.by_force.recipes import PRESETS, Trained
from dynsys.models.training.run import run_training
from dynsys.numerics.deadline import Cut, Deadline, Part
from dynsys.result.fixed_points import FixedPoints
from dynsys.result.summary import course_lines, search_lines, summary
from dynsys.result.table import point_rows
from dynsys.search.known.stopping import Stop

SCHEMA = "dynsys.flipflop/1"
PROVED = "A * marks the points that are proved to exist, and to be alone within their error bounds."
PORTRAIT = "portrait.html"
PARTS = "parts (training, search)"
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
    cut: Cut | None = None  # by time, in the search


def run(settings: Demo, folder: str | Path, progress: Progress, seconds: float | Deadline | None = None) -> DemoResult:
    """Train, search, classify, draw; each result is written as soon as it is there.

    After so many ``seconds`` the search ends with what it has. Where the training is not over by then CutShort is
    raised, and the same call goes on with it.
    """
    folder, deadline = Path(folder), Deadline.of(seconds)
    recipe = PRESETS["default"](settings.bits, settings.units, settings.activation, settings.seed)
    trained = run_training(recipe, folder, lambda done, total: progress("train", done, total), deadline=deadline)
    if trained.cut is not None:
        asked = dataclasses.asdict(settings)
        raise cut_short(trained.cut, _title(settings), _command(settings, folder), asked, SCHEMA, folder)
    given: dict[str, Any] = {"n_starts": settings.n_starts, "seed": settings.seed, "seconds": deadline}
    points = search_and_save(trained.network, folder, folder / FILE_NAME, progress, **given)
    late = points.search.stopped == Stop.TIME
    result = DemoResult(trained, points, folder, deadline.cut(Part(1, 1 + late, PARTS), goes_on=False))
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
        title: figure_of(name, Asked(folder, seed=settings.seed if name == "phase" else None))[0]
        for title, name in PICTURES_SHOWN.items()
        if name != "spectrum" or len(points)
    }
    report = Report(
        _title(settings),
        _command(settings, folder),
        [*([] if result.cut is None else [result.cut.sentence]), *sentences, *search_lines(points)],
        dataclasses.asdict(settings),
        [Section(title, figures=[figure]) for title, figure in drawn.items()]
        + [Section("Points", PROVED, table=point_rows(points)), Section("How the search went", course_lines(points))],
        ["sussillo2013", "sussillo2009", "jang"],
        [folder / FILE_NAME],
    )
    cut = None if result.cut is None else result.cut.to_json()
    write_report(report, {"schema": SCHEMA, "cut": cut, "metrics": trained.metrics, "found": found}, folder)


def _title(settings: Demo) -> str:
    return f"What a flip-flop network of {settings.units} units has learned"


def _command(settings: Demo, folder: Path) -> str:
    return typed("demo", "-o", folder, "--bits", settings.bits, "--units", settings.units, "--seed", settings.seed)

"""The main job: from nothing, or from a checkpoint, to the fixed points and the phase portrait of a network."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.errors import CheckpointError
from dynsys.files import check_writable, write_json
from dynsys.models.checkpoint import FILE_NAME, load
from dynsys.models.recipe import PRESETS, Trained
from dynsys.models.training_run import read_curves, run_training
from dynsys.points import FixedPoints
from dynsys.search import SearchInterrupted, find_fixed_points
from dynsys.starts import states_in_box
from dynsys.system import System
from dynsys.trajectory import relax, step_length

Progress = Callable[[str, int, int], None]
Array = NDArray[np.float64]
Fit = Literal["points", "trajectories"]

POINTS = "fixed_points"  # .safetensors and .json, in the folder of a run
PORTRAIT = "portrait.html"
RELEASES = 24  # trajectories let go from random states inside and outside the memory cube (the seed's figure 6)
TITLES = {"esn": "Echo state network", "simple-rnn": "Simple RNN"}
OUTSIDE = 1.8  # how far the random outputs reach, the memories being at +-1
TASK_STEPS, TASK_RUNS = 2500, 4


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
    draw("phase", folder, folder / PORTRAIT, seed=settings.seed)
    return DemoResult(trained, points, folder)


def search_and_save(
    system: System, folder: str | Path, checkpoint: str | Path, progress: Progress, **settings: Any
) -> FixedPoints:
    """Find the points and write them; on Ctrl-C those found so far are written and SearchInterrupted goes on up."""
    check_writable(folder)
    try:
        points = _with_checkpoint(find_fixed_points(system, progress=progress, **settings), checkpoint)
    except SearchInterrupted as interrupt:
        interrupt.points = _with_checkpoint(interrupt.points, checkpoint)
        save_points(interrupt.points, folder)
        raise
    save_points(points, folder)
    return points


def save_points(points: FixedPoints, folder: str | Path) -> None:
    """Write ``fixed_points.safetensors`` and the same in words as ``fixed_points.json``."""
    points.save(Path(folder) / f"{POINTS}.safetensors")
    write_json(Path(folder) / f"{POINTS}.json", points.to_json())


def _with_checkpoint(points: FixedPoints, checkpoint: str | Path) -> FixedPoints:
    path = Path(checkpoint)
    return dataclasses.replace(
        points, about={**points.about, "checkpoint": str(path.resolve() if path.exists() else path)}
    )


def load_run(folder: str | Path) -> tuple[FixedPoints, System]:
    """The points in a run's folder and the system they belong to; raises CheckpointError."""
    folder = Path(folder)
    path = folder / f"{POINTS}.safetensors" if folder.is_dir() else folder
    if folder.is_dir() and not path.is_file():
        raise CheckpointError(
            folder, f"the folder has no {path.name} in it", "run 'dynsys find CHECKPOINT -o RUN' first"
        )
    points = FixedPoints.load(path)
    system = load(points.about.get("checkpoint") or path.parent / FILE_NAME)
    return dataclasses.replace(points, system=system), system


def portrait(points: FixedPoints, system: System, seed: int = 0, fit: Fit = "points") -> Any:
    """The phase portrait as a plotly figure: a run of the task, releases from random states, and the points."""
    from dynsys.plots import phase_portrait

    u = torch.as_tensor(points.inputs[:1]) if len(points) else torch.zeros(1, system.n_input, dtype=torch.float64)
    task = system.task_trajectories(TASK_STEPS, TASK_RUNS, seed)
    return phase_portrait(
        points,
        trajectories=None if task is None else np.asarray(task),
        releases=releases(system, u, seed),
        fit=fit,
        title=f"{TITLES.get(system.name, system.name)}, {system.n_state} units",
    )


def draw(
    picture: str,
    run: str | Path,
    path: str | Path,
    png: str | Path | None = None,
    chosen: list[int] | None = None,
    seed: int = 0,
    fit: Fit = "points",
) -> None:
    """Draw one of ``PICTURES`` of a run's folder into one self-contained HTML file, and into a PNG where asked."""
    from dynsys.plots import save_html, save_png

    figure = PICTURES[picture](Path(run), chosen, seed, fit)
    save_html(figure, path)
    if png is not None:
        save_png(figure, png)


def _phase(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    points, system = load_run(run)
    return portrait(_some(points, chosen), system, seed, fit)


def _spectrum(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import spectrum

    return spectrum(load_run(run)[0], chosen)


def _training(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import training_curves

    return training_curves(read_curves(run))


def _plane(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import phase_plane

    points, system = load_run(run)
    return phase_plane(system, _some(points, chosen))


PICTURES = {"phase": _phase, "spectrum": _spectrum, "training": _training, "plane": _plane}


def _some(points: FixedPoints, chosen: list[int] | None) -> FixedPoints:
    if chosen is None:
        return points
    wrong = [i for i in chosen if not 0 <= i < len(points)]
    if wrong:
        raise ValueError(f"there is no point {wrong[0]}; this run has points 0 to {len(points) - 1}")
    return points[chosen]


def releases(system: System, u: torch.Tensor, seed: int) -> list[Array]:
    """Trajectories, each (T, n), let go where random outputs put the network, or in its box.

    Each ends where it has left the scene: a picture has no room for infinity.
    """
    rng = np.random.default_rng(seed)
    x = system.states_of_outputs(torch.as_tensor(rng.uniform(-OUTSIDE, OUTSIDE, (RELEASES, system.n_output))))
    if x is None:
        x = states_in_box(system, u, RELEASES, rng)
    steps = int(np.clip(30 / step_length(system), 50, 400))
    paths = torch.cat([x.unsqueeze(0), relax(system, x, u, steps)])
    inside = (paths.norm(dim=2) <= 3 * float(x.norm(dim=1).max())).cummin(dim=0).values
    return [np.asarray(paths[inside[:, i], i]) for i in range(len(x))]


def summary(points: FixedPoints) -> str:
    """What was found, in words: '27 fixed points: 8 stable, 12 saddles with 1 unstable direction, ...'."""
    fixed = points[points.verdict == "fixed"]
    kinds: Counter[tuple[str, int]] = Counter()
    for word, unstable in zip(fixed.stability, fixed.n_unstable, strict=True):
        kinds[("stable", 0) if word.startswith("stable") else (str(word), int(unstable))] += 1
    listed = ", ".join(_counted(count, kind) for kind, count in kinds.items())
    n_slow = len(points) - len(fixed)
    slow = f", and {n_slow} slow point{'s' * (n_slow != 1)}" if n_slow else ""
    return f"{len(fixed)} fixed point{'s' * (len(fixed) != 1)}{': ' + listed if listed else ''}{slow}"


def _counted(count: int, kind: tuple[str, int]) -> str:
    word, unstable = kind
    if word == "saddle":
        return f"{count} saddle{'s' * (count != 1)} with {unstable} unstable direction{'s' * (unstable != 1)}"
    return f"{count} {word}"

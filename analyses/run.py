"""A run's folder: search a network and write what was found, read it back, draw its pictures."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.analyses.portrait import Fit, portrait, title_of
from dynsys.analyses.recorded import Recorded
from dynsys.errors import CheckpointError, typed
from dynsys.files import check_writable, write_json
from dynsys.iterated import Iterated
from dynsys.memory.basins import Basins
from dynsys.memory.connections import Connections
from dynsys.models.loading.checkpoint import load
from dynsys.models.loading.run_folder import check_room_for_points, network_of_points, note_of
from dynsys.models.retrieval import Retrieval
from dynsys.models.training_run import read_curves
from dynsys.points import FixedPoints
from dynsys.search import SearchInterrupted, find_fixed_points
from dynsys.spectra.modes import Modes, linear_modes
from dynsys.starts import resting_states
from dynsys.system import Kind, System

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

POINTS = "fixed_points"  # .safetensors and .json, in the folder of a run
MODES = "modes.safetensors"
CONNECTIONS, BASINS, MEMORY = "connections.safetensors", "basins.safetensors", "memory.json"
LEAST, MOST, NUMBERS = 64, 512, 2**15  # states that are let go for stable points: as many as make up such numbers
RECORDED = "trajectories.safetensors"  # those that a search began from
OF_POINTS = (MODES, CONNECTIONS, BASINS, MEMORY, RECORDED)  # what belongs to the points beside them, and to no others


def search_and_save(
    system: System,
    folder: str | Path,
    checkpoint: str | Path,
    progress: Progress,
    loading: dict[str, Any] | None = None,
    noted: dict[str, Any] | None = None,
    recorded: list[Array] | None = None,
    **settings: Any,
) -> FixedPoints:
    """Find the points and write them; on Ctrl-C those found so far are written and SearchInterrupted goes on up.

    ``loading`` are the choices with which the network was loaded from ``checkpoint``: they are noted in the result, so
    that it is loaded in the same way when the points are drawn. What else a picture has to know is ``noted`` there too.
    Of the trajectories (T_i, n) that were ``recorded`` enough are kept to be drawn.
    """
    told = {"assumed": list(system.assumed), "unread": list(system.unread)}
    noted = {**note_of(checkpoint, loading), **{k: v for k, v in told.items() if v}, **(noted or {})}
    check_room_for_points(folder, noted)
    folder, was_there = Path(folder), Path(folder).exists()
    check_writable(folder)
    try:
        points = _noting(find_fixed_points(system, progress=progress, **settings), noted)
    except SearchInterrupted as interrupt:
        interrupt.points = _noting(interrupt.points, noted)
        save_points(interrupt.points, folder, recorded)
        raise
    except ValueError:
        if not was_there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    save_points(points, folder, recorded)
    return points


def at_rest(system: System, seed: int) -> dict[str, Any]:
    """Settings of a search for stable points alone: where the network comes to rest from its task and from every corner
    of its outputs, which takes seconds and finds no saddles."""
    n = min(MOST, max(LEAST, NUMBERS // system.n_state))
    u = torch.zeros(1, system.n_input, dtype=torch.float64)
    return {"starts": resting_states(system, u, n, seed), "closure": False, "verify": False}


def save_points(points: FixedPoints, folder: str | Path, recorded: list[Array] | None = None) -> None:
    """Write ``fixed_points.safetensors`` and the same in words as ``fixed_points.json``."""
    for name in OF_POINTS:
        (Path(folder) / name).unlink(missing_ok=True)
    points.save(Path(folder) / f"{POINTS}.safetensors")
    write_json(Path(folder) / f"{POINTS}.json", points.to_json())
    kept = Recorded.of(recorded or [], Kind(points.about["kind"]))
    if kept.runs:
        kept.save(Path(folder) / RECORDED)


def save_modes(points: FixedPoints, folder: str | Path, progress: Progress) -> Modes:
    """The leading modes of every point, written beside them."""
    progress("modes", 0, 1)
    modes = linear_modes(points)
    modes.save(Path(folder) / MODES)
    progress("modes", 1, 1)
    return modes


def modes_to_json(modes: Modes) -> list[dict[str, Any]]:
    """One object for each point."""
    return [modes.to_json(i) for i in range(len(modes))]


def _noting(points: FixedPoints, noted: dict[str, Any]) -> FixedPoints:
    return dataclasses.replace(points, about={**points.about, **noted})


def load_run(folder: str | Path) -> tuple[FixedPoints, System]:
    """The points in a run's folder and the system they belong to; raises CheckpointError."""
    folder = Path(folder)
    path = folder / f"{POINTS}.safetensors" if folder.is_dir() else folder
    if folder.is_dir() and not path.is_file():
        raise CheckpointError(
            folder, f"the folder has no {path.name} in it", "run 'dynsys find CHECKPOINT -o RUN' first"
        )
    points = FixedPoints.load(path)
    network = network_of_points(points.about, path)
    system = load(network.path, **network.loading)
    period = points.search.period
    return dataclasses.replace(points, system=Iterated(system, period) if period > 1 else system), system


def draw(
    picture: str | None,
    run: str | Path,
    path: str | Path,
    png: str | Path | None = None,
    chosen: list[int] | None = None,
    seed: int = 0,
    fit: Fit = "points",
    starts: bool = False,
) -> str:
    """Draw one of ``PICTURES`` of a run into a self-contained page, and a still where asked; returns the caption.

    None is the phase portrait, or the portrait of retrieval for a network that learned it. The phase portrait may show
    the ``starts`` of the search.
    """
    from dynsys.plots import save_html, save_picture

    check_places(path, png)
    picture = picture or _usual(Path(run))
    if picture in WITHOUT_POINTS and chosen is not None:
        raise ValueError(f"the picture {picture!r} shows no points; leave out the choice of points")
    if starts and picture != "phase":
        raise ValueError(f"the picture {picture!r} shows no starts of a search; the picture 'phase' does")
    figure = _phase(Path(run), chosen, seed, fit, starts) if starts else PICTURES[picture](Path(run), chosen, seed, fit)
    save_html(figure, path)
    if png is not None:
        save_picture(IN_PRINT[picture](Path(run)) if picture in IN_PRINT else figure, png)
    (caption,) = (note.text for note in figure.layout.annotations if note.name == "caption")
    return str(caption).replace("<br>", "\n")


def check_places(path: str | Path, png: str | Path | None) -> None:
    """Raise ValueError now where the page or the still could not be written in the end."""
    from dynsys.plots.export import check_page, check_picture

    check_page(path)
    if png is not None:
        check_picture(png)


def _usual(run: Path) -> str:
    return "retrieval" if isinstance(getattr(load_run(run)[1], "task", None), Retrieval) else "phase"


def _phase(run: Path, chosen: list[int] | None, seed: int, fit: Fit, starts: bool = False) -> Any:
    points, system = load_run(run)
    followed = Connections.load(run / CONNECTIONS) if chosen is None and (run / CONNECTIONS).is_file() else None
    known = followed is not None and followed.are_of(points)
    recorded = Recorded.load(run / RECORDED) if (run / RECORDED).is_file() else None
    return portrait(_some(points, chosen), system, seed, fit, followed if known else None, recorded, starts)


def _spectrum(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import spectrum

    points, system = load_run(run)
    return spectrum(points, _numbers(points, chosen), title=title_of(system))


def _training(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import learning_curves, training_curves

    curves = read_curves(run)
    if "test_output" in curves:
        return training_curves(curves)
    return learning_curves({"": {run.resolve().name: curves}})


def _confusion(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import confusions

    return confusions({run.resolve().name: read_curves(run)})


def _plane(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import phase_plane

    points, system = load_run(run)
    return phase_plane(system, _some(points, chosen))


def _modes(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import modes

    points, system = load_run(run)
    return modes(points, _numbers(points, chosen), title=title_of(system))


def _graph(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import memory_graph

    if not (run / CONNECTIONS).is_file():
        raise CheckpointError(run, "nobody has followed its saddles yet", f"first: {typed('basins', run)}")
    basins = Basins.load(run / BASINS) if (run / BASINS).is_file() else None
    _, system = load_run(run)
    return memory_graph(Connections.load(run / CONNECTIONS), basins, title=title_of(system))


def _retrieval(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.analyses.retrieval.settling_pictures import retrieval_picture

    points, system = load_run(run)
    return retrieval_picture(_some(points, chosen), system, seed, "states" if fit == "trajectories" else "readouts")


def _convergence(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.analyses.retrieval.settling_pictures import convergence_picture

    return convergence_picture(run)


def _evolution(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.analyses.evolve.report import moving_portrait

    return moving_portrait(run)


def _still_evolution(run: Path) -> Any:
    from dynsys.analyses.evolve.report import still_portraits

    return still_portraits(run)


def _bifurcations(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.analyses.evolve.report import drawn_bifurcations

    return drawn_bifurcations(run)


IN_PRINT = {"evolution": _still_evolution}  # what a PNG shows of a picture that moves
WITHOUT_POINTS = ("training", "confusion", "convergence", "evolution", "bifurcations")
PICTURES = {
    "bifurcations": _bifurcations,
    "confusion": _confusion,
    "convergence": _convergence,
    "evolution": _evolution,
    "graph": _graph,
    "modes": _modes,
    "phase": _phase,
    "retrieval": _retrieval,
    "spectrum": _spectrum,
    "training": _training,
    "plane": _plane,
}


def _some(points: FixedPoints, chosen: list[int] | None) -> FixedPoints:
    if chosen is None:
        return points
    return points[_numbers(points, chosen)]


def _numbers(points: FixedPoints, chosen: list[int] | None) -> list[int] | None:
    wrong = [i for i in chosen or () if not 0 <= i < len(points)]
    if wrong:
        raise ValueError(f"there is no point {wrong[0]}; this run has points 0 to {len(points) - 1}")
    return chosen

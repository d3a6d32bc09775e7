"""A run's folder: search a network and write what was found, read it back, draw its pictures."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

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
from dynsys.starts import states_in_box
from dynsys.system import System
from dynsys.trajectory import relax

Array = NDArray[np.float64]
Fit = Literal["points", "trajectories"]
Progress = Callable[[str, int, int], None]

POINTS = "fixed_points"  # .safetensors and .json, in the folder of a run
MODES = "modes.safetensors"
CONNECTIONS, BASINS, MEMORY = "connections.safetensors", "basins.safetensors", "memory.json"
OF_POINTS = (MODES, CONNECTIONS, BASINS, MEMORY)  # what belongs to the points beside them, and to no others
RELEASES = 24  # trajectories let go from random states inside and outside the memory cube (the seed's figure 6)
RELEASE_STEPS = 300  # of a tenth of a time constant, or of a map
TITLES = {"esn": "Echo state network", "simple-rnn": "Simple RNN", "rnn": "Vanilla RNN", "gru": "GRU", "lstm": "LSTM"}
OUTSIDE = 1.8  # how far the random outputs reach, the memories being at +-1
TASK_STEPS, TASK_RUNS = 2500, 4
DRIVEN_STEPS = 1000  # of a network whose task is not known: more would hide the points


def search_and_save(
    system: System,
    folder: str | Path,
    checkpoint: str | Path,
    progress: Progress,
    loading: dict[str, Any] | None = None,
    noted: dict[str, Any] | None = None,
    **settings: Any,
) -> FixedPoints:
    """Find the points and write them; on Ctrl-C those found so far are written and SearchInterrupted goes on up.

    ``loading`` are the choices with which the network was loaded from ``checkpoint``: they are noted in the result, so
    that it is loaded in the same way when the points are drawn. What else a picture has to know is ``noted`` there too.
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
        save_points(interrupt.points, folder)
        raise
    except ValueError:
        if not was_there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    save_points(points, folder)
    return points


def save_points(points: FixedPoints, folder: str | Path) -> None:
    """Write ``fixed_points.safetensors`` and the same in words as ``fixed_points.json``."""
    for name in OF_POINTS:
        (Path(folder) / name).unlink(missing_ok=True)
    points.save(Path(folder) / f"{POINTS}.safetensors")
    write_json(Path(folder) / f"{POINTS}.json", points.to_json())


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


def portrait(
    points: FixedPoints,
    system: System,
    seed: int = 0,
    fit: Fit = "points",
    connections: Connections | None = None,
) -> Any:
    """The phase portrait as a plotly figure: a run of the task, releases from random states, and the points."""
    from dynsys.plots import phase_portrait

    u = torch.as_tensor(points.inputs[:1]) if len(points) else torch.zeros(1, system.n_input, dtype=torch.float64)
    task = system.task_trajectories(TASK_STEPS, TASK_RUNS, seed)
    if task is not None and getattr(system, "task", None) is None:
        task = task[:DRIVEN_STEPS, ::2]  # driven at random: every other run by pulses, the rest by what shows no order
    return phase_portrait(
        points,
        trajectories=None if task is None else np.asarray(task),
        releases=releases(system, u, seed),
        connections=connections,
        fit=fit,
        title=_title(system),
    )


def _title(system: System) -> str:
    counted = "state variables" if system.name == "lstm" else "units"  # an LSTM's unit has two
    return f"{TITLES.get(system.name, system.name)}, {system.n_state} {counted}"


def draw(
    picture: str | None,
    run: str | Path,
    path: str | Path,
    png: str | Path | None = None,
    chosen: list[int] | None = None,
    seed: int = 0,
    fit: Fit = "points",
) -> str:
    """Draw one of ``PICTURES`` of a run into a self-contained page, and a still where asked; returns the caption.

    None is the phase portrait, or the portrait of retrieval for a network that learned it.
    """
    from dynsys.plots import save_html, save_picture

    check_places(path, png)
    picture = picture or _usual(Path(run))
    if picture in WITHOUT_POINTS and chosen is not None:
        raise ValueError(f"the picture {picture!r} shows no points; leave out the choice of points")
    figure = PICTURES[picture](Path(run), chosen, seed, fit)
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


def _phase(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    points, system = load_run(run)
    followed = Connections.load(run / CONNECTIONS) if chosen is None and (run / CONNECTIONS).is_file() else None
    known = followed is not None and followed.are_of(points)
    return portrait(_some(points, chosen), system, seed, fit, followed if known else None)


def _spectrum(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import spectrum

    points, system = load_run(run)
    return spectrum(points, _numbers(points, chosen), title=_title(system))


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
    return modes(points, _numbers(points, chosen), title=_title(system))


def _graph(run: Path, chosen: list[int] | None, seed: int, fit: Fit) -> Any:
    from dynsys.plots import memory_graph

    if not (run / CONNECTIONS).is_file():
        raise CheckpointError(run, "nobody has followed its saddles yet", f"first: {typed('basins', run)}")
    basins = Basins.load(run / BASINS) if (run / BASINS).is_file() else None
    _, system = load_run(run)
    return memory_graph(Connections.load(run / CONNECTIONS), basins, title=_title(system))


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


def releases(system: System, u: torch.Tensor, seed: int) -> list[Array]:
    """Trajectories, each (T, n), let go where random outputs put the network, or in its box.

    Each ends where it has left the scene: a picture has no room for infinity.
    """
    rng = np.random.default_rng(seed)
    x = system.states_of_outputs(torch.as_tensor(rng.uniform(-OUTSIDE, OUTSIDE, (RELEASES, system.n_output))))
    if x is None:
        x = states_in_box(system, u, RELEASES, rng)
    paths = torch.cat([x.unsqueeze(0), relax(system, x, u, RELEASE_STEPS)])
    inside = (paths.norm(dim=2) <= 3 * float(x.norm(dim=1).max())).cummin(dim=0).values
    return [np.asarray(paths[inside[:, i], i]) for i in range(len(x))]

"""A run's folder: search a network and write what was found, and read it back."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError
from dynsys.io.files import check_writable, write_json
from dynsys.io.progress import Progress
from dynsys.models.loading.checkpoint import load
from dynsys.models.loading.run_folder import check_room_for_points, network_of_points, note_of
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.known.stopping import Stop
from dynsys.search.starts import resting_states
from dynsys.stability.modes import Modes, linear_modes
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import System
from dynsys.trajectories.recorded import RECORDED, Recorded, remembering

if TYPE_CHECKING:
    from dynsys.continuous_attractors.slow_curve import SlowCurve

Array = NDArray[np.float64]
POINTS = "fixed_points"  # .safetensors and .json, in the folder of a run
MODES = "modes.safetensors"
CONNECTIONS, BASINS, MEMORY = "connections.safetensors", "basins.safetensors", "memory.json"
CERTIFIED, FLIPS = "certified.safetensors", "flip.safetensors"
LEAST, MOST, NUMBERS = 64, 512, 2**15  # states that are let go for stable points: as many as make up such numbers
CURVE = "slow_curve.safetensors"
EXPONENTS, TOLD = "exponents.safetensors", "report.json"  # what 'dynsys report' keeps, and how long it took for it
OF_POINTS = (
    MODES,
    CONNECTIONS,
    BASINS,
    MEMORY,
    CERTIFIED,
    FLIPS,
    RECORDED,
    EXPONENTS,
    TOLD,
    CURVE,
)  # what belongs to the points beside them, and to no others


def search_and_save(
    system: System,
    folder: str | Path,
    checkpoint: str | Path,
    progress: Progress,
    loading: dict[str, Any] | None = None,
    noted: dict[str, Any] | None = None,
    recorded: Recorded | None = None,
    inputs: Any = None,
    **settings: Any,
) -> FixedPoints:
    """Find the points and write them; on Ctrl-C those found so far are written and SearchInterrupted goes on up.

    ``loading`` are the choices with which the network was loaded from ``checkpoint``: they are noted in the result, so
    that it is loaded in the same way when the points are drawn. What else a picture has to know is ``noted`` there too.
    The trajectories ``recorded`` are kept beside the points. ``inputs``
    (G, n_input) are searched at one after the other. A search of this network that was cut short in that folder is gone
    on with: the points that it found are known from the beginning.
    """
    from dynsys.search.find import SearchInterrupted  # here, as pictures of a run need no search

    told = {"assumed": list(system.assumed), "unread": list(system.unread)}
    noted = {**note_of(checkpoint, loading), **{k: v for k, v in told.items() if v}, **(noted or {})}
    check_room_for_points(folder, noted)
    folder, was_there = Path(folder), Path(folder).exists()
    check_writable(folder)
    try:
        cut = None if settings.get("tolerances") else _cut_short(folder, noted, settings.get("period", 1))
        points = _noting(_searched(system, inputs, cut, progress=progress, **settings), noted)
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


def _cut_short(folder: Path, noted: dict[str, Any], period: int) -> FixedPoints | None:
    """The points in the folder where their search was cut short, of this network and of cycles of this period."""
    path = folder / f"{POINTS}.safetensors"
    if not path.is_file():
        return None
    points = FixedPoints.load(path, find_system=False)
    same = all(points.about.get(key) == noted.get(key) for key in ("checkpoint", "sha256", "loading"))
    early = points.search.interrupted or Stop.TIME in points.search.stopped
    return points[points.verdict == "fixed"] if same and early and points.search.period == period else None


def _known(cut: FixedPoints | None, u: Any, system: System) -> dict[str, Any]:
    """Those under the input u (n_input,), zeros if None, for a search to begin with."""
    if cut is None:
        return {}
    held = np.zeros(system.n_input) if u is None else np.asarray(u, dtype=np.float64)
    return {"known": cut.states[(cut.inputs == held).all(axis=1)]}


def _searched(
    system: System,
    inputs: Any,
    cut: FixedPoints | None,
    *,
    searches: int | None = None,
    seconds: float | None = None,
    **settings: Any,
) -> FixedPoints:
    """The points under each of the inputs (G, n_input), as if it were alone, or with so many ``searches`` and the rest
    carried from these; those of several are labelled.

    Raises ValueError for an input that is given twice. Of several inputs each has its share of the ``seconds``, and an
    interrupted search has the points of the inputs before it as well.
    """
    from dynsys.continuation.carried import Carrier, order_of
    from dynsys.search.find import SearchInterrupted, find_fixed_points

    if inputs is None or len(inputs) == 1:
        if searches is not None:
            raise ValueError(
                f"searches is {searches}; there is one input, which is searched at: give several, or leave it"
            )
        held = {} if inputs is None else {"input": inputs[0]}
        return find_fixed_points(system, seconds=seconds, **held, **_known(cut, held.get("input"), system), **settings)
    wrong = [len(u) for u in inputs if len(u) != system.n_input]
    if wrong:
        raise ValueError(f"an input of {wrong[0]} numbers is given; {system.name} takes {system.n_input} input values")
    twice = [list(u) for i, u in enumerate(map(list, inputs)) if u in list(map(list, inputs[:i]))]
    if twice:
        raise ValueError(f"input {', '.join(f'{value:g}' for value in twice[0])} is given twice; give each once")
    parts: dict[int, FixedPoints] = {}
    share = None if seconds is None else seconds / len(inputs)
    carrier = Carrier(system, settings.get("seed", 0))
    rest = {name: value for name, value in settings.items() if name != "seed"}
    for i, source in order_of(np.asarray(inputs, dtype=np.float64), len(inputs) if searches is None else searches):
        try:
            if source is None:
                known = _known(cut, inputs[i], system)
                parts[i] = find_fixed_points(system, input=inputs[i], seconds=share, **known, **settings)
            else:
                parts[i] = carrier.carried(parts[source], inputs[i], seconds=share, **rest)
        except SearchInterrupted as interrupt:
            parts[i] = interrupt.points
            interrupt.points = FixedPoints.concatenate([parts[k] for k in sorted(parts)])
            raise
    return FixedPoints.concatenate([parts[k] for k in sorted(parts)])


def at_rest(system: System, seed: int) -> dict[str, Any]:
    """Settings of a search for stable points alone: where the network comes to rest from its task and from every corner
    of its outputs, which takes seconds and finds no saddles."""
    n = min(MOST, max(LEAST, NUMBERS // system.n_state))
    u = torch.zeros(1, system.n_input, dtype=torch.float64)
    return {"starts": resting_states(system, u, n, seed), "closure": False, "verify": False}


def save_points(points: FixedPoints, folder: str | Path, recorded: Recorded | None = None) -> None:
    """Write ``fixed_points.safetensors`` and the same in words as ``fixed_points.json``."""
    for name in OF_POINTS:
        (Path(folder) / name).unlink(missing_ok=True)
    points.save(Path(folder) / f"{POINTS}.safetensors")
    write_json(Path(folder) / f"{POINTS}.json", points.to_json())
    if recorded is not None:
        recorded.save(Path(folder) / RECORDED)


def save_modes(points: FixedPoints, folder: str | Path, progress: Progress) -> Modes:
    """The leading modes of every point, written beside them."""
    progress("modes", 0, 1)
    modes = linear_modes(points)
    modes.save(Path(folder) / MODES)
    progress("modes", 1, 1)
    return modes


def save_curve(points: FixedPoints, folder: str | Path, along: int | str, progress: Progress) -> SlowCurve:
    """The slow curve along a readout or the leading mode, written beside the points."""
    from dynsys.continuous_attractors.least_speed import slow_curve

    progress("slow curve", 0, 1)
    curve = slow_curve(points, along)
    curve.save(Path(folder) / CURVE)
    progress("slow curve", 1, 1)
    return curve


def modes_to_json(modes: Modes) -> list[dict[str, Any]]:
    """One object for each point."""
    return [modes.to_json(i) for i in range(len(modes))]


def _noting(points: FixedPoints, noted: dict[str, Any]) -> FixedPoints:
    return dataclasses.replace(points, about={**points.about, **noted})


def points_of(folder: str | Path, *, find_system: bool = False) -> tuple[FixedPoints, Path]:
    """The points in a run's folder, with their system where ``find_system``, and the file that they are in; raises
    CheckpointError."""
    folder = Path(folder)
    path = folder / f"{POINTS}.safetensors" if folder.is_dir() else folder
    if folder.is_dir() and not path.is_file():
        raise CheckpointError(
            folder, f"the folder has no {path.name} in it", "run 'dynsys find CHECKPOINT -o RUN' first"
        )
    return FixedPoints.load(path, find_system=find_system), path


def load_run(folder: str | Path) -> tuple[FixedPoints, System]:
    """The points in a run's folder and the system they belong to; raises CheckpointError."""
    points, path = points_of(folder)
    network = network_of_points(points.about, path)
    system = remembering(load(network.path, **network.loading), path.parent)
    period = points.search.period
    return dataclasses.replace(points, system=Iterated(system, period) if period > 1 else system), system

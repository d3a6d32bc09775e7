"""From one file to all that it can tell: points, modes, where memory flows, exponents where it does not settle.

Every part is kept in a run's folder as soon as it is there, and a second call takes what it finds. What was cut by time
is done again when more time is given: the folder says for how long each part was worked on. Ctrl-C leaves what was
finished, and a page about that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.analyses.memory_flow import MemoryFlow, branches, shares
from dynsys.analyses.one_network.wandering import exponents_of, wandering, wanders
from dynsys.analyses.run import BASINS, CONNECTIONS, EXPONENTS, MODES, POINTS, TOLD, load_run, search_and_save
from dynsys.attractors.basins import Basins
from dynsys.attractors.connections import Connections
from dynsys.exponents.lyapunov import INTERRUPTED, ExponentsInterrupted
from dynsys.exponents.spectrum import Exponents
from dynsys.io.errors import CheckpointError
from dynsys.io.files import write_json
from dynsys.io.progress import Progress
from dynsys.io.text import sentence
from dynsys.models.loading.checkpoint import describe_checkpoint, load_and_tell
from dynsys.models.loading.run_folder import network_of, note_of
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.find import SearchInterrupted
from dynsys.search.known.stopping import Stop
from dynsys.stability.modes import Modes, linear_modes
from dynsys.systems.system import System

HERE = "dynsys.analyses.one_network"
STARTS = 512  # of the search, as many as 'dynsys find' takes
TIMELESS = "for want of time"  # how connections count the branches that were not followed
SCHEMA = "dynsys.report/1"


@dataclass(frozen=True)
class Whole:
    """Settings: the seed of everything random, the seconds that each part may take (None: no limit), and the choices
    with which the network is loaded."""

    seed: int = 0
    seconds: float | None = 60.0
    loading: Mapping[str, Any] = field(default_factory=dict)

    @property
    def flow(self) -> MemoryFlow:
        return MemoryFlow(seconds=self.seconds, seed=self.seed)


@dataclass
class Told:
    """What is known of the network so far; ``undone`` says of each part that is not there why."""

    checkpoint: Path
    folder: Path
    recognised: dict[str, Any]
    points: FixedPoints
    system: System
    modes: Modes | None = None
    connections: Connections | None = None
    basins: Basins | None = None
    exponents: Exponents | None = None
    undone: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def not_told(self) -> list[str]:
        """A sentence of each part that is not there, or not whole."""
        return [sentence(HERE, "undone", part, why) for part, why in self.undone.items()]


def folder_for(checkpoint: str | Path, page: str | Path) -> Path:
    """Where all is kept: a run's folder itself; for a file ``PAGE_run`` beside ``PAGE.html``."""
    path, page = Path(checkpoint), Path(page)
    return path if path.is_dir() and network_of(path) is not None else page.with_name(f"{page.stem}_run")


def tell(checkpoint: str | Path, folder: Path, settings: Whole, progress: Progress) -> Told:
    """All of it; on Ctrl-C what was finished, with ``interrupted`` set."""
    recognised = describe_checkpoint(checkpoint, **settings.loading)
    kept = Kept(folder, settings.seconds)
    interrupted = False
    if not _has_points(checkpoint, settings, kept):
        interrupted = _search(checkpoint, settings, kept, progress)
    points, system = load_run(folder)
    told = Told(Path(checkpoint), folder, recognised, points, system, interrupted=interrupted)
    for name, part in PARTS.items():
        if told.interrupted:
            told.undone[name] = "it was interrupted"
            continue
        try:
            part(told, settings, kept, progress)
        except KeyboardInterrupt:
            told.interrupted, told.undone[name] = True, "it was interrupted"
        except (ValueError, ArithmeticError) as error:  # a system without what the part needs
            told.undone[name] = str(error)
    return told


def _has_points(checkpoint: str | Path, settings: Whole, kept: Kept) -> bool:
    """Whether the folder holds the points of this network; raises CheckpointError where it is about another."""
    path = kept.folder / f"{POINTS}.safetensors"
    if not path.is_file():
        return False
    points = FixedPoints.load(path, find_system=False)
    if kept.folder == Path(checkpoint):  # a run's own folder: what its user searched for is what is told
        return not settings.loading or _same_loading(points, settings.loading)
    noted = note_of(checkpoint, settings.loading)
    if any(points.about.get(key) != noted.get(key) for key in ("sha256", "loading")):
        if kept.is_ours:
            return False
        raise CheckpointError(kept.folder, "it holds the points of another network", "give the page another name")
    if kept.is_ours and (points.search.interrupted or points.search.seed != settings.seed):
        return False
    return not kept.asks_again("search", points.search.stopped == Stop.TIME)


def _same_loading(points: FixedPoints, loading: Mapping[str, Any]) -> bool:
    return all(points.about.get("loading", {}).get(key) == value for key, value in loading.items())


def _search(checkpoint: str | Path, settings: Whole, kept: Kept, progress: Progress) -> bool:
    """Whether it was interrupted; raises KeyboardInterrupt where nothing was found yet."""
    choices = dict(settings.loading)
    system, found = load_and_tell(checkpoint, **choices)
    if found is not None and found.choices is not None:
        choices = dict(found.choices)
    limits: dict[str, Any] = {"seed": settings.seed, "seconds": settings.seconds, "n_starts": STARTS}
    try:
        search_and_save(system, kept.folder, checkpoint, progress, loading=choices, **limits)
    except SearchInterrupted:
        return True
    finally:
        if (kept.folder / f"{POINTS}.safetensors").is_file():
            kept.took("search")
    return False


def _modes(told: Told, settings: Whole, kept: Kept, progress: Progress) -> None:
    """Of as many points as there is time for, the most stable first."""
    path, k = told.folder / MODES, len(told.points)
    if path.is_file():
        told.modes = Modes.load(path)
        if not kept.asks_again("modes", len(told.modes) < k):
            return
    if not k:
        return
    progress("modes", 0, k)
    room = k if settings.seconds is None else _room(told.points, settings.seconds)
    found = linear_modes(told.points, np.arange(room))
    found.save(path)
    kept.took("modes")
    progress("modes", k, k)
    told.modes = found
    if room < k:
        told.undone["modes"] = f"there was time for the modes of {room} of {k} points"


def _room(points: FixedPoints, seconds: float) -> int:
    """For the modes of how many points there is time; one at least."""
    each = np.inf
    for _ in range(2):  # the first time takes longer
        began = time.monotonic()
        linear_modes(points, [0])
        each = min(each, time.monotonic() - began)
        if len(points) * each < seconds:
            return len(points)
    return max(1, int(seconds / each))


def _branches(told: Told, settings: Whole, kept: Kept, progress: Progress) -> None:
    path = told.folder / CONNECTIONS
    found = Connections.load(path) if path.is_file() else None
    if found is None or not found.are_of(told.points) or kept.asks_again("branches", TIMELESS in found.left_out):
        found = branches(settings.flow, told.points, told.folder, progress)
        kept.took("branches")
    told.connections = found


def _basins(told: Told, settings: Whole, kept: Kept, progress: Progress) -> None:
    if told.connections is None:
        return
    path = told.folder / BASINS
    found = Basins.load(path) if path.is_file() else None
    if found is None or kept.asks_again("basins", any(one.n < one.asked for one in found.all_shares)):
        found = shares(settings.flow, told.points, told.connections, told.folder, progress)
        kept.took("basins")
    told.basins = found


def _exponents(told: Told, settings: Whole, kept: Kept, progress: Progress) -> None:
    """Only where trajectories do not settle: at points and in cycles multipliers tell more."""
    path = told.folder / EXPONENTS
    found = Exponents.load(path) if path.is_file() else None
    if found is None and not wanders(told.points, told.basins):
        return
    if found is None or found.stopped == INTERRUPTED or kept.asks_again("exponents", bool(found.stopped)):
        restless = wandering(told.points, told.system, settings.seed)
        if not len(restless.states):
            told.undone["exponents"] = (
                f"what does not settle is rare: of {restless.followed} trajectories let go again all did"
            )
            return
        try:
            longer = exponents_of(restless, told.points, told.system, settings.seed, settings.seconds, progress)
        except ExponentsInterrupted as interrupt:
            told.exponents = _longer(found, interrupt.exponents, kept)
            raise
        found = _longer(found, longer, kept)
    told.exponents = found


def _longer(one: Exponents | None, other: Exponents, kept: Kept) -> Exponents:
    """Of exponents that were cut short those of more steps, written."""
    found = other if one is None or not other.stopped or other.steps >= one.steps else one
    found.save(kept.folder / EXPONENTS)
    kept.took("exponents")
    return found


PARTS: dict[str, Callable[[Told, Whole, Kept, Progress], None]] = {
    "modes": _modes,
    "branches": _branches,
    "basins": _basins,
    "exponents": _exponents,
}


class Kept:
    """The folder of one network and the ``seconds`` that each part may take now (None: no limit)."""

    def __init__(self, folder: Path, seconds: float | None) -> None:
        self.folder, self.seconds = folder, seconds

    @property
    def is_ours(self) -> bool:
        """Whether a report searched here, and not the user."""
        return (self.folder / TOLD).is_file()

    def asks_again(self, part: str, cut: bool) -> bool:
        """Whether a part that was ``cut`` short has more time now than it had; the user's own parts are left alone."""
        given = self._given()
        return cut and part in given and (self.seconds is None or self.seconds > given[part])

    def took(self, part: str) -> None:
        """That it was worked on for the seconds that there are now."""
        given = self._given() | {part: -1.0 if self.seconds is None else self.seconds}
        write_json(self.folder / TOLD, {"schema": SCHEMA, "seconds": given})

    def _given(self) -> dict[str, float]:
        try:
            told = json.loads((self.folder / TOLD).read_text())
            return {str(part): float(seconds) for part, seconds in told["seconds"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none, or no file of ours: nothing is known
            return {}

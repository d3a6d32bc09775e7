"""How the phase portrait forms: the fixed points of a network at every snapshot of its training (Jang, 6.1).

The points are followed from one snapshot to the next, so that their births, deaths and changes of stability have a
time and a name.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dynsys
from dynsys.analyses.evolve.completeness import KINKS
from dynsys.analyses.evolve.evolution import DIAGRAM, FOLDER, FRAMES, SCHEMA, Evolution, Evolve
from dynsys.analyses.evolve.frames import Frames, Origin, load_frames, make_frames, origin_of, save_frames
from dynsys.analyses.evolve.report import command, write_evolution
from dynsys.analyses.evolve.words import begins, outlook
from dynsys.analyses.report import cut_short
from dynsys.continuation.diagram import Diagram
from dynsys.continuation.follow import follow
from dynsys.io.errors import CheckpointError
from dynsys.io.files import check_writable
from dynsys.io.progress import Progress
from dynsys.io.provenance import digest, digest_of
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.loading.snapshot import FOLDER as SNAPSHOTS
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.training.snapshots import Snapshots, read_snapshots
from dynsys.numerics.deadline import Cut, CutShort, Deadline, Part
from dynsys.search.find import SearchInterrupted

PICTURES = Part(0, 1, "sets of pictures over training")


def quiet(line: str) -> None:
    """Nobody is told."""


def run(
    settings: Evolve,
    run_folder: str | Path,
    folder: str | Path | None,
    progress: Progress,
    again: bool = False,
    seconds: float | Deadline | None = None,
    tell: Callable[[str], None] = quiet,
) -> Evolution:
    """Follow, simulate, draw; writes the diagram, ``results.json`` and ``report.html`` into ``folder``.

    ``tell`` is given two sentences: how many snapshots are followed, and, after the first searches, how long it takes.
    That is RUN/evolve if not given. What an earlier run of the same settings on the same snapshots has left there is
    not computed again, unless by another version of this library, or with ``again``. After so many ``seconds`` nothing
    more is begun: the diagram is of what was followed by then, and is made anew by the next call; one that was whole,
    with the pictures missing, is kept. Raises CheckpointError where the
    run has no snapshots or they do not fit its network, ValueError for settings that make no sense, CutShort where
    time was over before anything was found, and OutputError.
    """
    run_folder, deadline = Path(run_folder), Deadline.of(seconds)
    folder = run_folder / FOLDER if folder is None else Path(folder)
    family = read_snapshots(run_folder, settings.input)
    check_writable(folder)
    mark = fingerprint(settings, run_folder)
    diagram = None if again else _known_diagram(folder / DIAGRAM, mark)
    resumed = diagram is not None
    if diagram is None:
        tell(begins(family, settings.searches))
        found = _followed(family, settings, progress, deadline, tell)
        if not found.searched.any():
            raise _cut_short(found, settings, run_folder, folder)
        kinks = family.system(0.0).pieces(family.u) is not None
        diagram = dataclasses.replace(found, about={**found.about, "made_from": mark, KINKS: kinks})
        diagram.save(folder / DIAGRAM)
    known = load_frames(folder / FRAMES, mark) if resumed else None
    frames, origin = known or _seen(family, diagram, settings.seed, folder / FRAMES, mark, progress, deadline)
    flipflop = isinstance(getattr(family.network, "task", None), FlipFlop)
    cut = deadline.cut(PICTURES) if frames is None else None
    evolution = Evolution(diagram, frames, origin, family.network.name, flipflop, folder, resumed, cut)
    progress("draw", 0, 1)
    write_evolution(evolution, settings, run_folder)
    progress("draw", 1, 1)
    return evolution


def _cut_short(found: Diagram, settings: Evolve, run_folder: Path, folder: Path) -> CutShort:
    told = found.about["cut"]
    cut = Cut(told["seconds"], tuple(Part(**part) for part in told["reached"]), told["goes_on"])
    given = {key: value for key, value in dataclasses.asdict(settings).items() if value is not None}
    return cut_short(cut, "How its phase portrait forms", command(folder, settings, run_folder), given, SCHEMA, folder)


def _followed(
    family: Snapshots, settings: Evolve, progress: Progress, deadline: Deadline, tell: Callable[[str], None]
) -> Diagram:
    """A search that is interrupted leaves points of one snapshot only, of which nothing is written here."""
    given: dict[str, Any] = {"searches": settings.searches, "workers": settings.jobs, "seed": settings.seed}
    try:
        return follow(
            family, **given, seconds=deadline, progress=progress, on_outlook=lambda ahead: tell(outlook(ahead))
        )
    except SearchInterrupted as interrupt:
        raise KeyboardInterrupt from interrupt


def fingerprint(settings: Evolve, run_folder: Path) -> str:
    """Of everything that the diagram depends on: the settings but the number of threads, the network, its snapshots,
    and the library: its version, and all that its code says, which may change between two versions."""
    networks = [run_folder / FILE_NAME, *sorted((run_folder / SNAPSHOTS).glob("step_*.safetensors"))]
    return digest(
        version("dynsys-rnn"),
        *(path.read_bytes() for path in sorted(_sources(next(iter(dynsys.__path__))))),
        json.dumps([settings.input, settings.searches, settings.seed]),
        *(f"{path.name} {digest_of(path)}" for path in networks),
    )


def _sources(folder: str) -> list[Path]:
    """The Python files of a package; in a checkout some of its folders are links."""
    walked = os.walk(folder, followlinks=True)
    return [Path(here) / name for here, _, names in walked for name in names if name.endswith(".py")]


def _known_diagram(path: Path, mark: str) -> Diagram | None:
    """That of an earlier run, if it is of the same snapshots and settings."""
    try:
        diagram = Diagram.load(path)
    except CheckpointError:
        return None
    whole = "cut" not in diagram.about and diagram.about.get("made_from") == mark
    return diagram if whole else None


def _seen(
    family: Snapshots, diagram: Diagram, seed: int, path: Path, mark: str, progress: Progress, deadline: Deadline
) -> tuple[Frames | None, Origin | None]:
    """All of it, or nothing where time is over before."""
    try:
        seen = make_frames(family, diagram, seed, progress, deadline), origin_of(family, diagram, progress, deadline)
    except CutShort:
        return None, None
    save_frames(path, *seen, mark)
    return seen

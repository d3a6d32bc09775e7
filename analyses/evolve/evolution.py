"""What a study of how the phase portrait forms is asked for, what it comes to, and where that lies on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynsys.analyses.evolve.frames import Frames, Origin, load_frames
from dynsys.continuation.diagram import Diagram
from dynsys.continuation.follow import SEARCHES
from dynsys.io.errors import CheckpointError, typed
from dynsys.numerics.deadline import Cut

SCHEMA = "dynsys.evolution/1"
FOLDER = "evolve"  # in the folder of the run
DIAGRAM, FRAMES = "diagram.safetensors", "frames.safetensors"


@dataclass(frozen=True)
class Evolve:
    """Settings: the ``input`` that is held (None: zeros), how many snapshots are searched, threads, and the seed."""

    input: tuple[float, ...] | None = None
    searches: int = SEARCHES
    jobs: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Evolution:
    """What a study came to. ``flipflop``: the network's outputs stand for bits. ``resumed`` where the points had been
    followed before and were read from the folder. ``frames`` are None where there was no time for them, as ``cut``
    says."""

    diagram: Diagram
    frames: Frames | None
    origin: Origin | None
    network: str
    flipflop: bool
    folder: Path
    resumed: bool
    cut: Cut | None = None

    @property
    def cut_told(self) -> dict[str, Any] | None:
        """Where time was over: while points were followed, or while pictures were made of them."""
        found = self.diagram.about.get("cut")
        return found if found is not None or self.cut is None else self.cut.to_json()


def studied(folder: Path) -> tuple[Diagram, Frames]:
    """What a finished study has left in its folder, or in RUN/evolve of a run's; raises CheckpointError."""
    folder = folder if (folder / DIAGRAM).is_file() else folder / FOLDER
    if not (folder / DIAGRAM).is_file():
        run = folder.parent
        raise CheckpointError(run, "its training has not been studied yet", f"first: {typed('evolve', run)}")
    diagram = Diagram.load(folder / DIAGRAM)
    known = load_frames(folder / FRAMES, str(diagram.about.get("made_from")))
    if known is None:
        if not (folder / FRAMES).is_file():
            raise CheckpointError(folder, "there was no time for its pictures", "run 'dynsys evolve' again")
        raise CheckpointError(
            folder / FRAMES, "it does not belong to the diagram beside it", "run 'dynsys evolve' again"
        )
    return diagram, known[0]

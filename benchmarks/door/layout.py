"""A layout: a way in which a tool, or a person, keeps a recurrent network in a file, and what the file holds in truth.

A layout is a function that writes one such file and gives back the network's own equation. Nothing here knows how
dynsys reads files; what the equations say was taken from the documentation of the tools.
"""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Step = Callable[[Array, Array], Array]  # x (n_state,), u (n_input,) -> the next x of a map, dx/dt of a flow

OPEN, LINE, SAID, REFUSED = "open", "line", "said", "refused"
SIZES = ((7, 3), (12, 2), (9, 4))  # units and inputs of each seed: no two of the numbers can be taken for each other


@dataclass(frozen=True)
class Network:
    """The network in a file: its sizes, its step, and what only its owner knows.

    ``known`` are choices that no file of this layout says and that its owner adds to any line (the form of the
    equation, f, alpha); ``said`` is the whole line that the owner would write, where the layout has to be said at all.
    ``way_out`` is a pattern of which a refusal has to hold something. ``step`` is None where no network can be read.
    ``harm`` is a file that exists only if code from the file was run. A ``module`` in memory stands for the file where
    ``dynsys.wrap`` is to open it, with the arguments ``wrapping``.
    """

    path: Path
    step: Step | None = None
    n_state: int = 0
    n_input: int = 0
    flow: bool = False
    readout: Callable[[Array], Array] | None = None
    known: Mapping[str, Any] = field(default_factory=dict)
    said: Mapping[str, Any] | None = None
    way_out: str = "--matrix|--form"
    harm: Path | None = None
    module: Any = None
    wrapping: Mapping[str, Any] = field(default_factory=dict)


Write = Callable[[Path, np.random.Generator, int, int], Network]


@dataclass(frozen=True)
class Layout:
    """``must`` is how it has to come in: OPEN with no option, LINE with the line that the refusal prints, SAID with the
    owner's own line, or REFUSED with a way out. Coming in more easily is always right."""

    name: str
    kind: str
    must: str
    write: Write
    needs: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """The package without which the file cannot be made or read."""
        return next((name for name in self.needs if importlib.util.find_spec(name) is None), None)

    def make(self, folder: Path, seed: int) -> Network:
        n, m = SIZES[seed % len(SIZES)]
        place = folder / f"{self.name}_{seed}"
        place.mkdir(parents=True)
        return self.write(place, np.random.default_rng([seed, zlib.crc32(self.name.encode())]), n, m)


LAYOUTS: dict[str, Layout] = {}


def layout(kind: str, must: str, *needs: str) -> Callable[[Write], Write]:
    """Enter the function below under its own name."""

    def enter(write: Write) -> Write:
        name = write.__name__
        if name in LAYOUTS:
            raise ValueError(f"there are two layouts called {name}")
        LAYOUTS[name] = Layout(name, kind, must, write, needs)
        return write

    return enter


def enter(name: str, kind: str, must: str, write: Write, *needs: str) -> None:
    """Enter one of several layouts that differ in a word."""
    write.__name__ = name
    layout(kind, must, *needs)(write)

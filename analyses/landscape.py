"""The landscape of a memory with continuous states, in the plane of some of its patterns, with runs that go down it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.analyses.memory.nets import in_words
from dynsys.analyses.memory.pattern_files import Patterns
from dynsys.analyses.portrait import title_of
from dynsys.models.associative.continuous import ContinuousHopfield
from dynsys.models.associative.dense import DenseMemory
from dynsys.models.associative.descent import PatternDescent
from dynsys.models.loading.checkpoint import read_checkpoint
from dynsys.plots import energy_landscape
from dynsys.plots.portrait.slices import Plane
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.held import Held
from dynsys.systems.system import System
from dynsys.trajectories.simulate import relax

Array = NDArray[np.float64]

RUNS, STEPS = 40, 400  # trajectories, and steps of a tenth of a time constant, or of a map
SPREAD = 1.5  # how far out they begin, in units of the patterns' distance from the middle


def landscape(
    system: System,
    names: Sequence[str] | None = None,
    points: FixedPoints | None = None,
    patterns: Sequence[int] | None = None,
    seed: int = 0,
) -> Any:
    """The figure; ``patterns`` are two or three by number, the first three or both where None, ``names`` those of all.

    Raises ValueError for a system that is no such memory, or does not know its patterns, and for numbers there are not.
    """
    points = points if points is not None and len(points) else None
    height, S, quantity = _descended(system, points)
    chosen = list(range(min(len(S), 3))) if patterns is None else list(patterns)
    wrong = [p for p in chosen if not 0 <= p < len(S)]
    if wrong:
        raise ValueError(f"there is no pattern {wrong[0]}; this memory stores patterns 0 to {len(S) - 1}")
    plane = Plane.through(S[chosen])
    rng = np.random.default_rng(seed)
    begun = torch.as_tensor(plane.states(rng.uniform(-SPREAD, SPREAD, (RUNS, 2))))
    u = torch.zeros(1, system.n_input, dtype=torch.float64) if points is None else torch.as_tensor(points.inputs[:1])
    runs = torch.cat([begun.unsqueeze(0), relax(Held(system, u), begun, STEPS)])
    known = names or [f"pattern {p}" for p in range(len(S))]
    return energy_landscape(
        height,
        S[chosen],
        [known[p] for p in chosen],
        runs=runs,
        points=points,
        point_names=[] if points is None else point_names(system, points, names),
        quantity=quantity,
        title=title_of(system),
    )


def point_names(system: System, points: FixedPoints, names: Sequence[str] | None = None) -> list[str]:
    """What each point is to the stored patterns, by the ``names`` of these; none where they are not bipolar."""
    if not isinstance(system, ContinuousHopfield | DenseMemory) or system.S is None:
        return []
    S = np.asarray(system.S)
    if not np.isin(S, (-1.0, 1.0)).all():
        return []
    stored = Patterns(tuple(names or map(str, range(len(S)))), S, (1, S.shape[1]))
    outputs = points.readouts if isinstance(system, ContinuousHopfield) else points.states
    return [in_words(end, stored) for end in outputs]


def _descended(system: System, points: FixedPoints | None) -> tuple[Callable[[Array], Array], Array, str]:
    """What the memory goes down, its patterns, and what that is called."""
    if isinstance(system, ContinuousHopfield):
        if system.S is None:
            raise ValueError("this network does not tell which patterns it stores; give it S, or draw another picture")
        u = None if points is None else points.inputs[0]
        return (lambda x: system.energy(x, u)), system.S, "energy"
    if isinstance(system, DenseMemory):
        return system.energy, np.asarray(system.S), "energy"
    if isinstance(system, PatternDescent):
        return system.value, np.asarray(system.S), "f"
    raise ValueError(
        f"{system.name} is no memory that goes down a landscape; a landscape is drawn of continuous-hopfield, "
        "dense-memory and pattern-descent"
    )


def names_in(checkpoint: str | Path) -> list[str] | None:
    """Of the patterns, as 'dynsys memory recall' left them in the file; None where it did not."""
    about = read_checkpoint(checkpoint)[2].get("about")
    names = about.get("patterns") if isinstance(about, dict) else None
    return [str(name) for name in names] if isinstance(names, list) and names else None

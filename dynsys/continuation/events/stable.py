"""Which events of a diagram concern a stable point: of hundreds, those in which memories come and go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dynsys.continuation.diagram import Branch, Diagram

BESIDE = 1e-9  # of the time of an event, within which a row of a branch is at it and not beside it


def of_stable_points(diagram: Diagram) -> NDArray[np.bool_]:
    """Whether at each event (E,) one of its branches is stable, just before or just after it."""
    branches = {branch.id: branch for branch in diagram.branches}
    return np.array(
        [any(_stable_beside(branches[i], event.time) for i in event.branches) for event in diagram.events], dtype=bool
    )


def _stable_beside(branch: Branch, time: float) -> bool:
    room = BESIDE * max(1.0, abs(time))
    before, after = np.flatnonzero(branch.s < time - room)[-1:], np.flatnonzero(branch.s > time + room)[:1]
    rows = np.concatenate([before, after])
    return bool((branch.n_unstable[rows] == 0).any())

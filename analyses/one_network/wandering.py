"""Where trajectories come to no rest: which they are, and the exponents of what they do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.attractors.attractor import UNSETTLED
from dynsys.attractors.basins import Basins
from dynsys.exponents.lyapunov import ExponentsInterrupted, lyapunov_exponents
from dynsys.exponents.spectrum import Exponents
from dynsys.io.progress import Progress
from dynsys.numerics.deadline import Deadline
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.starts import first_starts
from dynsys.systems.system import System
from dynsys.trajectories.settling import Ending, settle

Array = NDArray[np.float64]

RESTLESS = (Ending.UNSETTLED, Ending.GIVEN_UP, Ending.CIRCLING)
FOLLOWED = 64  # trajectories, of which those that do not settle are gone on with
SMALL = 1_000  # numbers of all states and frames: as many trajectories as make up so many, 32 at most
MOST = 32


class TimeOver(KeyboardInterrupt):
    """The clock's own Ctrl-C: what was added up so far is kept."""


@dataclass(frozen=True)
class Wandering:
    """Of so many trajectories that were ``followed`` the last states (B, n) of those that did not settle."""

    states: Array
    followed: int


def wanders(points: FixedPoints, basins: Basins | None) -> bool:
    """Whether any trajectory of the search or of the basins neither came to rest nor into a cycle."""
    settling = points.search.settling
    missed = settling is not None and any(settling["not_settled"].get(str(kind)) for kind in RESTLESS)
    return missed or (basins is not None and any(one.counts.get(UNSETTLED) for one in basins.all_shares))


def wandering(points: FixedPoints, system: System, seed: int) -> Wandering:
    """Trajectories are let go again under the input of the points, to see which do not settle."""
    u = _input(points, system)
    x = first_starts(system, u, FOLLOWED, seed)
    stable = points.stable
    settled = settle(system, x, u, points=torch.as_tensor(stable.states), leading=stable.leading_eigenvalue)
    restless = np.isin(settled.kind, [str(kind) for kind in RESTLESS])
    return Wandering(settled.end[restless], len(x))


def exponents_of(
    found: Wandering, points: FixedPoints, system: System, seed: int, seconds: float | None, progress: Progress
) -> Exponents:
    """Of what they do from there on; raises ValueError where the time was over too soon."""
    deadline = Deadline(seconds)

    def watched(stage: str, done: int, total: int) -> None:
        progress(stage, done, total)
        if deadline.is_over:
            raise TimeOver

    room = min(MOST, max(1, SMALL // system.n_state))
    u = np.asarray(_input(points, system))[0]
    try:
        return lyapunov_exponents(system, inputs=u, starts=found.states[:room], seed=seed, progress=watched)
    except ExponentsInterrupted as interrupt:
        if not deadline.is_over:
            raise
        return dataclasses.replace(interrupt.exponents, stopped="the seconds given were used up")
    except TimeOver:
        raise ValueError("the seconds given were used up before growth was added up") from None


def _input(points: FixedPoints, system: System) -> torch.Tensor:
    held = points.search.inputs
    return torch.as_tensor(np.array(held[:1] or [[0.0] * system.n_input]), dtype=torch.float64).reshape(1, -1)

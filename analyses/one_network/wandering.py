"""Where trajectories come to no rest: whether there are such, and the exponents of what they do."""

from __future__ import annotations

import dataclasses

import numpy as np

from dynsys.attractors.attractor import UNSETTLED
from dynsys.attractors.basins import Basins
from dynsys.exponents.lyapunov import ExponentsInterrupted, lyapunov_exponents
from dynsys.exponents.spectrum import Exponents
from dynsys.io.progress import Progress
from dynsys.numerics.deadline import Deadline
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import System
from dynsys.trajectories.settling import Ending

RESTLESS = (Ending.UNSETTLED, Ending.GIVEN_UP, Ending.CIRCLING)


class TimeOver(KeyboardInterrupt):
    """The clock's own Ctrl-C: what was added up so far is kept."""


def wanders(points: FixedPoints, basins: Basins | None) -> bool:
    """Whether any trajectory that was followed neither came to rest nor into a cycle."""
    settling = points.search.settling
    missed = settling is not None and any(settling["not_settled"].get(str(kind)) for kind in RESTLESS)
    return missed or (basins is not None and any(one.counts.get(UNSETTLED) for one in basins.all_shares))


def exponents_of(
    points: FixedPoints, system: System, seed: int, seconds: float | None, progress: Progress
) -> Exponents:
    """Of what trajectories do under the input of the points; raises ValueError where the time was over too soon."""
    deadline = Deadline(seconds)

    def watched(stage: str, done: int, total: int) -> None:
        progress(stage, done, total)
        if deadline.is_over:
            raise TimeOver

    inputs = np.array(points.search.inputs[0]) if points.search.inputs else None
    try:
        return _moving(lyapunov_exponents(system, inputs=inputs, seed=seed, progress=watched))
    except ExponentsInterrupted as interrupt:
        if not deadline.is_over:
            raise
        return _moving(dataclasses.replace(interrupt.exponents, stopped="the seconds given were used up"))
    except TimeOver:
        raise ValueError("the seconds given were used up before growth was added up") from None


def _moving(found: Exponents) -> Exponents:
    """Those of the motion that comes to no rest, where several attractors were met."""
    restless = [one for one in found.others if not one.period]
    if not found.period or not restless:
        return found
    first, *rest = sorted(restless, key=lambda one: -one.starts)
    return dataclasses.replace(first, others=[dataclasses.replace(found, others=[]), *rest])

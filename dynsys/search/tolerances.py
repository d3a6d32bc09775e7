"""A search by tolerances alone, as the literature counts points: by how small q is, and how far states lie apart.

Sussillo and Barak (2013), Jang (section 9.1) and most tools after them let a solver run from every start, call what
it comes to a point where q is small enough, and two states one point where they are near enough. How many points there
are then depends on these numbers. The search of ``find_fixed_points`` without tolerances decides by rounding and error
bounds instead, makes starts of its own, and says what may be missing.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.proof.kantorovich import Assessed, assess
from dynsys.result.consistency import agreed
from dynsys.result.describe import describe
from dynsys.result.fixed_points import FixedPoints, SearchReport
from dynsys.search.course import Exploration
from dynsys.search.descent import Descent, Outcome, descend
from dynsys.search.known.zeros import Zeros
from dynsys.search.landing import Rejection
from dynsys.search.slow_points.minimum import Minimum
from dynsys.systems.angles import distances, wrapped
from dynsys.systems.held import Held
from dynsys.systems.speed import gradient, q_of

COUNTED = "counted by tolerance"
DENSE = 2048  # variables, up to which |J^-1| is computed from a factorisation


@dataclass(frozen=True)
class Tolerances:
    """``q``: a solver stops where it has come to so little, and the state is a fixed point (1e-12 unless given).

    ``dq``: a solver stops where a step changes q by no more than this share of it; 0 for never. ``unique``: states
    within this distance of each other are one point, that of the least q (1e-3 unless given).
    """

    q: float = 1e-12
    dq: float = 0.0
    unique: float = 1e-3

    def __post_init__(self) -> None:
        if not (0 < self.q < math.inf and 0 <= self.dq < 1 and 0 <= self.unique < math.inf):
            raise ValueError(
                f"tolerances are q={self.q:g}, dq={self.dq:g}, unique={self.unique:g}; q has to be positive, dq a "
                "share from 0 to below 1, unique a distance of 0 or more"
            )

    def __str__(self) -> str:
        return f"q of at most {self.q:g}, one point within {self.unique:g}"


def points_by_tolerance(search: Exploration, tolerances: Tolerances, full_spectrum: bool) -> FixedPoints:
    """What the starts given come to, counted by the tolerances: no starts are made, nothing is polished or proved.

    An error bound says within which distance there is a true zero, where |F| and J tell that there is one (an
    estimate). Slow points are the other states that a solver stopped at with q up to the limit of the search.
    """
    system, settings = search.system, search.settings
    x, groups, u = search.own, search.own_groups, search.catalogue.inputs[search.own_groups]
    ended = _ended(search, x, u, tolerances)
    states, q = wrapped(ended.x, system.periods), q_of(ended.F)
    inside = torch.isfinite(q) & search.harvest.descender.inside(states, groups)
    fixed = distinct(states, q, groups, inside & (q <= tolerances.q), tolerances.unique, system.periods)
    slow = inside & (q > tolerances.q) & (q <= settings.slow_q)
    slow &= _apart(states, groups, fixed, tolerances.unique, system.periods)
    slow_rows = distinct(states, q, groups, slow, tolerances.unique, system.periods)

    zeros = Zeros.of(_assessed(search, states[fixed], u[fixed]), groups[fixed].tolist(), f"{COUNTED}: {tolerances}")
    search.minima.points = [_slow(search, states[i : i + 1], u[i : i + 1], float(q[i])) for i in slow_rows.tolist()]
    search.minima.groups = groups[slow_rows].tolist()
    report = _report(search, tolerances, len(zeros), ended, q, inside)
    points = describe(system, zeros, search.minima, report, full_spectrum, settings.workers, settings.progress)
    reasons = np.where(points.verdict == "slow", f"{COUNTED}: q is above {tolerances.q:g}", points.reasons)
    starts = np.asarray(x.float().cpu())
    return agreed(dataclasses.replace(points, reasons=reasons.astype(np.str_), starts=starts))


def _ended(search: Exploration, x: Tensor, u: Tensor, tolerances: Tolerances) -> Descent:
    """Where every start has come to, wave after wave."""
    parts = []
    for rows in torch.split(torch.arange(len(x), device=x.device), search.plan.wave):
        held = Held(search.system, u[rows], search.catalogue.unit)
        parts.append(descend(search.solver, held, x[rows], tolerances.q, tolerances.dq))
        search.settings.progress("search", int(rows[-1]) + 1, len(x))
    return Descent(*(torch.cat([getattr(part, f.name) for part in parts]) for f in dataclasses.fields(Descent)))


def distinct(x: Tensor, q: Tensor, groups: Tensor, which: Tensor, unique: float, periods: Tensor | None) -> Tensor:
    """Of the states chosen (B,), one of each lot that is together, that of the least q: their rows."""
    rows = which.nonzero().squeeze(1)
    rows = rows[torch.argsort(q[rows], stable=True)]
    kept: list[int] = []
    near = (distances(x[rows], x[rows], periods) <= unique) & (groups[rows].unsqueeze(1) == groups[rows])
    for i, row in enumerate(near.tolist()):
        if not any(row[k] for k in kept):
            kept.append(i)
    return rows[torch.tensor(kept, dtype=torch.long, device=rows.device)]


def _apart(x: Tensor, groups: Tensor, points: Tensor, unique: float, periods: Tensor | None) -> Tensor:
    """Which states (B,) are within ``unique`` of none of the points, by their rows."""
    near = (distances(x, x[points], periods) <= unique) & (groups.unsqueeze(1) == groups[points])
    return ~near.any(dim=1)


def _assessed(search: Exploration, x: Tensor, u: Tensor) -> Assessed:
    """States as they are, with the distance 2 |J^-1| |F| within which Newton and Kantorovich find a zero, or none."""
    held = Held(search.system, u, search.catalogue.unit)
    if not len(x):
        return search.catalogue.points  # none as well
    dense = x.shape[1] <= DENSE
    near = Assessed.joined([assess(held[i : i + 1], x[i : i + 1], dense) for i in range(len(x))])
    F = held.velocity(x)
    reach = 2 * near.inverse_norm * (vector_norm(F, dim=1) + near.noise)
    sure = torch.isfinite(near.error_bound) & (2 * near.inverse_norm * near.curvature * reach <= 0.5)
    bound = torch.where(sure, reach, torch.inf)
    return dataclasses.replace(near, x=x, F=F, q=q_of(F), error_bound=bound, index=torch.where(sure, near.index, 0))


def _slow(search: Exploration, x: Tensor, u: Tensor, q: float) -> Minimum:
    slope = float(gradient(Held(search.system, u), x).norm()) * search.catalogue.unit / max(q, 1e-300)
    return Minimum(x, q, slope, math.nan, math.inf, np.zeros(x.shape[1], dtype=np.int8))


def _report(
    search: Exploration, tolerances: Tolerances, found: int, ended: Descent, q: Tensor, inside: Tensor
) -> SearchReport:
    """What became of the starts; those that gave no point are counted by how their solver stopped."""
    lost = ~inside | (q > max(tolerances.q, search.settings.slow_q))
    diverged = lost & ~torch.isfinite(q) | (ended.outcome == Outcome.DIVERGED)
    rest = lost & ~diverged
    rejected = Counter(search.harvest.rejected) + Counter(
        {
            Rejection.DIVERGED: int(diverged.sum()),
            Rejection.OUTSIDE: int((rest & ~inside).sum()),
            Rejection.STUCK: int((rest & inside & (ended.outcome == Outcome.STUCK)).sum()),
            Rejection.OUT_OF_STEPS: int((rest & inside & (ended.outcome == Outcome.OUT_OF_STEPS)).sum()),
        }
    )
    return SearchReport(
        starts=len(q),
        closure_starts=0,
        solver=search.solver.name,
        seconds=0.0,
        found=found,
        slow=len(search.minima.points),
        rejected={str(reason): count for reason, count in sorted(rejected.items()) if count},
        estimated_missed=None,
        index_sum=None,
        discovery=[],
        seed=search.settings.seed,
        inputs=search.catalogue.inputs.tolist(),
        given=search.given,
        stopped="every start went its whole way",
        tolerances=str(tolerances),
        left_out=[f"whether these are all, and each of them one: points were counted by tolerance ({tolerances})"],
    )

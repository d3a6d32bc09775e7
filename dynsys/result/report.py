"""What a search comes to: its points described, and the report of what was done, what is missing, what settles where.

The report answers two questions that points alone leave open. Are these all? (``dynsys.search.known.missing``) And
is it they that the network goes to? (``dynsys.trajectories.settling``: a memory may be kept in a cycle.)
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsys.attractors.attractor import Attractor
from dynsys.attractors.periodic import periodic
from dynsys.result.consistency import agreed
from dynsys.result.describe import describe
from dynsys.result.fixed_points import FixedPoints, SearchReport
from dynsys.search.course import Exploration
from dynsys.search.known.missing import Missing
from dynsys.search.known.stopping import Source, Stop
from dynsys.search.known.zeros import Zeros
from dynsys.search.refine import zeros_of
from dynsys.stability.classification import index
from dynsys.systems.iterated import Iterated
from dynsys.trajectories.settlement import settlement, settling_summary
from dynsys.trajectories.settling import settle
from dynsys.trajectories.simulate import states_at

JOINED = 3  # times that trajectories are looked at for points that the search did not find
FOLLOWED, FOLLOWED_LARGE = 64, 16  # starts followed to where they settle
LARGE = 1024  # units, above which it is the fewer


def outcome(search: Exploration, full_spectrum: bool) -> FixedPoints:
    """Everything that the search has found so far, classified and reported.

    Stable points at which trajectories come to rest and to which no start had led join it, and so does what starts made
    from them find; then trajectories are looked at again, ``JOINED`` times at most.
    """
    points = _described(search, full_spectrum)
    if not search.settings.verify or search.stopped is Stop.INTERRUPTED:
        return agreed(points)
    for again in range(JOINED + 1):
        settling, found = _settling(search, points)
        if again == JOINED or search.is_late or not search.settings.closure:  # then only what was given is searched
            break
        index_sum = None if search.plan.jacobians else _index_sum_of(points, search, proved=False)
        if not search.join(*found) and (index_sum is None or not search.doubt(index_sum)):
            break
        points = _described(search, full_spectrum)
    return agreed(dataclasses.replace(points, search=dataclasses.replace(points.search, settling=settling)))


def _described(search: Exploration, full_spectrum: bool) -> FixedPoints:
    """The points known and the report, without a look at trajectories."""
    system, settings = search.system, search.settings
    zeros = zeros_of(search.catalogue, settings.verify, search.regions, search.boxes, settings.slow_q)
    report = dataclasses.replace(_report(search), found=len(zeros), left_out=_left_out(search, zeros))
    points = describe(system, zeros, search.minima, report, full_spectrum, settings.workers, settings.progress)
    if not search.plan.jacobians:  # no determinants were computed on the way
        report = dataclasses.replace(report, index_sum=_index_sum_of(points, search, proved=True))
    missing = _counted(search.missing(report.index_sum), zeros)
    report = dataclasses.replace(report, estimated_missed=missing.estimate, missing=missing.told(report.period))
    used = search.sample[0][: search.discovery.tried[Source.OWN]]
    return dataclasses.replace(points, search=report, starts=np.asarray(used.float().cpu()))


def _left_out(search: Exploration, zeros: Zeros) -> list[str]:
    regions = [f"of the linear regions: {r.left_out}" for r in search.regions.values() if r.left_out]
    boxes = [proof.left_out for proof in search.boxes.values() if proof.left_out]
    unproved = [search.unproved] if search.unproved else []
    return [*dict.fromkeys(regions), *dict.fromkeys(boxes), *unproved, *zeros.left_out]


def _report(search: Exploration) -> SearchReport:
    tried, known = search.discovery.tried, search.catalogue
    return SearchReport(
        starts=tried[Source.OWN],
        given=search.given,
        scattered_starts=tried[Source.SCATTERED],
        closure_starts=tried[Source.MADE],
        fiber_starts=tried[Source.FIBER],
        solver=" then ".join(search.solvers),
        stopped=str(search.stopped),
        seconds=0.0,
        found=len(known),
        slow=len(search.minima.points),
        rejected={str(reason): count for reason, count in sorted(search.harvest.rejected.items())},
        estimated_missed=None,
        inputs=known.inputs.tolist(),
        index_sum=known.index_sum(),
        discovery=search.discovery.curve,
        seed=search.settings.seed,
        interrupted=search.stopped is Stop.INTERRUPTED,
        complete=search.is_proved,
        boxes=sum(proof.boxes for proof in search.boxes.values()),
        before=search.before,
        open_boxes=sum(len(proof.open) for proof in search.boxes.values()),
        period=search.system.k if isinstance(search.system, Iterated) else 1,
    )


def _counted(missing: Missing, zeros: Zeros) -> Missing:
    """A complete list counts what is reported: isolated points, and manifolds of others."""
    if not missing.complete:
        return missing
    known = int((zeros.manifold < 0).sum())
    lines = zeros.manifolds
    more = any(line["dimension"] > 1 for line in lines)
    return dataclasses.replace(missing, known=known, least=known, most=known, manifolds=len(lines), has_surfaces=more)


def _settling(search: Exploration, points: FixedPoints) -> tuple[dict[str, Any] | None, tuple[Tensor, Tensor]]:
    """Where some of the starts given, or of recorded trials their own states, go: at the stable points found,
    elsewhere, or nowhere; None without starts.

    With it come states (k, n) of points at which they come to rest, or of orbits of the period that is searched for,
    that were not found, and the inputs they belong to.
    """
    system = search.system.system if isinstance(search.system, Iterated) else search.system
    x, groups = search.sample
    n = FOLLOWED if system.n_state <= LARGE else FOLLOWED_LARGE
    recorded = system.recorded if len(search.catalogue.inputs) == 1 else None
    x, groups = x[:n], groups[:n]
    if recorded is not None:  # the user's own states, without the noise of starts
        x = states_at(recorded.to(x), min(n, len(recorded)), search.settings.seed)
        groups = groups.new_zeros(len(x))
    if not len(x):
        return None, (x, groups)
    search.settings.progress("settling", 0, 1)
    stable = np.flatnonzero((points.verdict == "fixed") & np.char.startswith(points.stability, "stable"))
    known = points[stable if search.system is system else stable[:0]]
    settled = settle(
        system,
        x,
        search.catalogue.inputs[groups],
        points=torch.as_tensor(known.states).to(x),
        point_inputs=torch.as_tensor(known.inputs).to(x),
        leading=known.leading_eigenvalue,
        workers=search.settings.workers,
    )
    search.settings.progress("settling", 1, 1)
    told = settlement(settled, lambda attractors: periodic(system, attractors, search.catalogue.unit))
    told["recorded"] = recorded is not None
    for end in told["ends"]:
        end["point"] = None if end["point"] is None else int(stable[end["point"]])
    k = search.system.k if isinstance(search.system, Iterated) else 1
    new = [a for a in settled.attractors if a.index < 0 and (_rests(a) if k == 1 else a.period == k)]
    return {**told, "sentence": settling_summary(told)}, _as_states(search, new)


def _rests(attractor: Attractor) -> bool:
    """Whether it is a point, and no oscillation of a flow."""
    return attractor.period <= 1 and len(attractor.states) == 1 and np.isfinite(attractor.excess)


def _as_states(search: Exploration, new: list[Attractor]) -> tuple[Tensor, Tensor]:
    inputs = search.catalogue.inputs
    x = torch.as_tensor(np.array([a.states[0] for a in new]).reshape(len(new), search.system.n_state)).to(inputs)
    u = torch.as_tensor(np.array([a.input for a in new]).reshape(len(new), inputs.shape[1])).to(inputs)
    return x, (u.unsqueeze(1) - inputs).abs().sum(dim=2).argmin(dim=1)


def _index_sum_of(points: FixedPoints, search: Exploration, *, proved: bool) -> int | None:
    """The index sum of points whose eigenvalues are known; None where it tells nothing, or proves nothing."""
    fixed = points[points.verdict == "fixed"]
    sure = np.isfinite(fixed.error_bound).all() and not (fixed.stability == "marginal").any()
    if (proved and not search.system.box_is_trapping) or len(search.catalogue.inputs) > 1 or not len(fixed) or not sure:
        return None
    return sum(index(values, search.system.kind) for values in fixed.eigenvalues)

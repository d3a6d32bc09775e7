"""What a search comes to: its points described, and the report of what was done, what is missing, what settles where.

The report answers two questions that points alone leave open. Are these all? (``dynsys.missing``) And is it they that
the network goes to? (``dynsys.attractors.settling``: a memory may be kept in a cycle.)
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from dynsys.attractors.settlement import settlement, settling_summary
from dynsys.attractors.settling import settle
from dynsys.description import describe
from dynsys.discovery import Source, Stop
from dynsys.exploration import Exploration
from dynsys.findings import zeros_of
from dynsys.iterated import Iterated
from dynsys.missing import Missing
from dynsys.points import FixedPoints, SearchReport
from dynsys.stability import index
from dynsys.zeros import Zeros

FOLLOWED, FOLLOWED_LARGE = 64, 16  # starts followed to where they settle
LARGE = 1024  # units, above which it is the fewer


def outcome(search: Exploration, full_spectrum: bool) -> FixedPoints:
    """Everything that the search has found so far, classified and reported."""
    system, settings = search.system, search.settings
    zeros = zeros_of(system, search.catalogue, settings.verify, search.regions)
    report = dataclasses.replace(_report(search), found=len(zeros), left_out=_left_out(search, zeros))
    points = describe(system, zeros, search.minima, report, full_spectrum, settings.workers, settings.progress)
    if not search.plan.jacobians:  # no determinants were computed on the way
        report = dataclasses.replace(report, index_sum=_index_sum_of(points, search))
    missing = _counted(search.missing(report.index_sum), zeros)
    report = dataclasses.replace(report, estimated_missed=missing.estimate, missing=_told(missing, report.period))
    if settings.verify and search.stopped is not Stop.INTERRUPTED:
        report = dataclasses.replace(report, settling=_settling(search, points))
    return dataclasses.replace(points, search=report)


def _left_out(search: Exploration, zeros: Zeros) -> list[str]:
    regions = [f"of the linear regions: {r.left_out}" for r in search.regions.values() if r.left_out]
    return [*dict.fromkeys(regions), *zeros.left_out]


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


def _told(missing: Missing, period: int) -> dict[str, Any]:
    """The estimate as JSON; of cycles it counts the fixed points of the map applied ``period`` times, all of them.

    A complete list of cycles has only those whose least period that is.
    """
    told = missing.to_json()
    if period > 1:
        those = f"that come back after {period} steps" if not missing.complete else f"of cycles of period {period}"
        told["sentence"] = f"Of the points {those}: {told['sentence']}"
    return told


def _settling(search: Exploration, points: FixedPoints) -> dict[str, Any] | None:
    """Where some of the starts given go: at the stable points found, elsewhere, or nowhere; None without starts."""
    system = search.system.system if isinstance(search.system, Iterated) else search.system
    x, groups = search.sample
    n = FOLLOWED if system.n_state <= LARGE else FOLLOWED_LARGE
    x, groups = x[:n], groups[:n]
    if not len(x):
        return None
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
    )
    search.settings.progress("settling", 1, 1)
    told = settlement(settled)
    for end in told["ends"]:
        end["point"] = None if end["point"] is None else int(stable[end["point"]])
    return {**told, "sentence": settling_summary(told)}


def _index_sum_of(points: FixedPoints, search: Exploration) -> int | None:
    """The index sum of points whose eigenvalues are known; None where it tells nothing."""
    fixed = points[points.verdict == "fixed"]
    sure = np.isfinite(fixed.error_bound).all() and not (fixed.stability == "marginal").any()
    if not search.system.box_is_trapping or len(search.catalogue.inputs) > 1 or not len(fixed) or not sure:
        return None
    return sum(index(values, search.system.kind) for values in fixed.eigenvalues)

"""The sentences of one result, made to agree before anyone reads them.

They come from different places: points and proofs from ``findings``, the index sum from determinants on the way, what
is missing from how often starts met what, where trajectories settle from trajectories. Each is right about what it saw,
and together they may claim too much. So a result is compared with itself at the end, and where two of its statements
cannot both hold, the one that is only inferred gives way: points that are listed and what is proved of them stand, a
trajectory at rest is a fact, and "all" and "complete" are conclusions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.result.fixed_points import FixedPoints, SearchReport
from dynsys.search.known.missing import Missing
from dynsys.search.known.stopping import Stop
from dynsys.search.landing import Rejection
from dynsys.stability.classification import index
from dynsys.systems.angles import checked_periods, distances
from dynsys.systems.system import Kind
from dynsys.trajectories.settlement import settling_summary
from dynsys.trajectories.settling import Ending

SAME = 1e-6  # of the size of a state: nearer than this a state on an orbit is one that is listed
LOST = 0.2  # of the starts, that may end at slow states which nobody followed, before nothing is called all
NOWHERE = (Rejection.NOT_FOLLOWED, Rejection.NOT_CONVERGED, Rejection.OUT_OF_STEPS)
UNPROVED = "the proof speaks of no point that is listed"
OVERRULED = "a proof that no point is missing: trajectories rest where none is listed, or the indices speak against it"


def agreed(points: FixedPoints) -> FixedPoints:
    """``points`` with a report that contradicts neither them nor itself; the same again where it does not yet."""
    points = _proofs_of_points(points)
    report = points.search
    for rule in RULES:
        report = rule(points, report)
    return dataclasses.replace(points, search=report)


def _proofs_of_points(points: FixedPoints) -> FixedPoints:
    """A certificate is that of a fixed point, with a bound."""
    of_no_point = points.certified & ~((points.verdict == "fixed") & np.isfinite(points.error_bound))
    if not of_no_point.any():
        return points
    reasons = np.where(of_no_point, UNPROVED, points.reasons)
    return dataclasses.replace(points, certified=points.certified & ~of_no_point, reasons=reasons)


def _counts(points: FixedPoints, report: SearchReport) -> SearchReport:
    fixed = int((points.verdict == "fixed").sum())
    return dataclasses.replace(report, found=fixed, slow=len(points) - fixed)


def _index_sum(points: FixedPoints, report: SearchReport) -> SearchReport:
    """The sum of what the points that are listed say themselves; none where one of them is degenerate."""
    fixed = points[points.verdict == "fixed"]
    if report.index_sum is None or report.period > 1:
        return report
    if points.manifolds or ((fixed.kinks > 0) & (fixed.stability == "marginal")).any():
        return dataclasses.replace(report, index_sum=None)
    if (fixed.stability == "marginal").any() or not np.isfinite(fixed.eigenvalues).any(axis=1).all():
        return report
    kind = Kind(points.about["kind"])
    return dataclasses.replace(report, index_sum=sum(index(row[np.isfinite(row)], kind) for row in fixed.eigenvalues))


def _ends(points: FixedPoints, report: SearchReport) -> SearchReport:
    """Where trajectories end, by the stable points that are listed."""
    if report.settling is None or report.period > 1:
        return report
    stable = set(np.flatnonzero(_is_stable(points)).tolist())
    ends = [{**end, "point": end["point"] if end["point"] in stable else None} for end in report.settling["ends"]]
    told = {**report.settling, "ends": ends, "stable_points": len(stable)}
    return dataclasses.replace(report, settling={**told, "sentence": settling_summary(told)})


def _complete(points: FixedPoints, report: SearchReport) -> SearchReport:
    """A list is complete where nothing is known that it lacks."""
    by_index = report.index_sum not in (1, None) and not (points.kinks > 0).any()
    claimed = report.complete or report.stopped == Stop.PROVED
    if not claimed or not (by_index or points_beside(report) or orbits_beside(points, report)):
        return report
    left_out = [*report.left_out, OVERRULED]
    return dataclasses.replace(report, complete=False, stopped=str(Stop.OVERRULED), left_out=left_out)


def _stopped(points: FixedPoints, report: SearchReport) -> SearchReport:
    if report.stopped == Stop.FLAT and report.index_sum not in (1, None):
        return dataclasses.replace(report, stopped=str(Stop.INCOMPLETE))
    return report


def _missing(points: FixedPoints, report: SearchReport) -> SearchReport:
    """What is missing, of all that the rest of the report tells."""
    if report.missing is None:
        return report
    missing = Missing.of_json(report.missing)
    certain = 0 if report.complete or report.index_sum is None else abs(report.index_sum - 1)
    known = missing.known if report.period > 1 else _isolated(points, report)
    unmet = max(missing.unmet, unlisted(points, report))
    none = max(0, missing.known - known)  # counted by the search, and found to be ends of lines or parts of others
    least = known if report.complete else max(missing.least - none, known + max(certain, unlisted(points, report)))
    unresolved = 0 if report.complete or report.period > 1 else _unresolved(points)
    most = known if report.complete else None if unresolved or missing.most is None else missing.most - none
    nothing = none > 0 and not known and not report.complete
    missing = dataclasses.replace(
        missing,
        known=known,
        estimate=None
        if missing.estimate is None or nothing
        else 0.0
        if report.complete
        else max(missing.estimate, certain),
        least=least,
        most=None if most is None else max(most, least),
        certain=certain,
        complete=report.complete,
        balanced=report.index_sum == 1,
        early=missing.early or any(report.stopped == stop for stop in Stop if stop.is_early),
        unmet=0 if report.complete else unmet,
        lost=_share_lost(report) > LOST,
        unresolved=unresolved,
    )
    return dataclasses.replace(report, missing=missing.told(report.period), estimated_missed=missing.estimate)


Rule = Callable[[FixedPoints, SearchReport], SearchReport]
RULES: tuple[Rule, ...] = (_counts, _index_sum, _ends, _complete, _stopped, _missing)


def points_beside(report: SearchReport) -> int:
    """How many stable points trajectories have come to that are not in the list."""
    if report.settling is None or report.period > 1:
        return 0
    return sum(end["kind"] == Ending.POINT and end["point"] is None for end in report.settling["ends"])


def orbits_beside(points: FixedPoints, report: SearchReport) -> int:
    """How many orbits of the period that was searched for trajectories have come to that are not in the list."""
    if report.settling is None or report.period == 1:
        return 0
    ends = [end for end in report.settling["ends"] if end["kind"] == Ending.CYCLE and end["period"] == report.period]
    return sum(not _lists(points, np.array(end["states"][0])) for end in ends if end.get("states"))


def _lists(points: FixedPoints, state: NDArray[np.float64]) -> bool:
    x, listed = torch.as_tensor(state).reshape(1, -1), torch.as_tensor(points.states)
    given = points.about.get("periods")
    apart = distances(x, listed, None if given is None else checked_periods(given, x.shape[1]))
    return bool((apart <= SAME * max(1.0, float(x.norm()))).any())


def unlisted(points: FixedPoints, report: SearchReport) -> int:
    """Those, and one more where states rest that nothing draws in, and no point is listed that could hold them."""
    rests = report.settling is not None and report.settling["not_settled"].get(str(Ending.RESTING), 0) > 0
    return (
        points_beside(report) + orbits_beside(points, report) + (report.period == 1 and rests and not _may_hold(points))
    )


def _may_hold(points: FixedPoints) -> bool:
    """Whether a point is listed at which a state may rest that nothing draws in: any but a stable one."""
    return bool(((points.verdict == "fixed") & ~_is_stable(points)).any())


def _is_stable(points: FixedPoints) -> Any:
    return (points.verdict == "fixed") & np.char.startswith(points.stability.astype(np.str_), "stable")


def _unresolved(points: FixedPoints) -> int:
    """The points on no manifold of which it is not known whether another is beside them."""
    return int(((points.verdict == "fixed") & (points.manifold < 0) & ~np.isfinite(points.error_bound)).sum())


def _isolated(points: FixedPoints, report: SearchReport) -> int:
    """The points that are known to have no other beside them; of a complete list all that are on no manifold."""
    alone = (points.verdict == "fixed") & (points.manifold < 0)
    return int((alone if report.complete else alone & np.isfinite(points.error_bound)).sum())


def _share_lost(report: SearchReport) -> float:
    """Of the starts, those that ended slow, and of which nothing more is known."""
    tried = report.starts + report.scattered_starts + report.closure_starts + report.fiber_starts
    return sum(report.rejected.get(str(reason), 0) for reason in NOWHERE) / max(tried, 1)

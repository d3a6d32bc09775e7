"""A result in plain words: what was found, how sure that is, where the network goes, what may be missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsys.search.missing import milestones
from dynsys.search.slow_points.slowness import slow_summary
from dynsys.trajectories.settlement import periodic_ends
from dynsys.trajectories.settling import Ending

if TYPE_CHECKING:
    from dynsys.result.fixed_points import FixedPoints


def summary(points: FixedPoints) -> str:
    """What was found, in words: '27 fixed points: 8 stable, 12 saddles with 1 unstable direction, ...'."""
    cycles = points.search.period > 1
    fixed = points[(points.verdict == "fixed") & (points.manifold < 0)]
    if cycles:  # one of each
        fixed = fixed[np.unique(fixed.orbit, return_index=True)[1]]
    kinds: Counter[tuple[int, str]] = Counter()
    for word, unstable in zip(fixed.stability, fixed.n_unstable, strict=True):
        kinds[(int(unstable), "stable" if word.startswith("stable") else str(word))] += 1
    listed = ", ".join(_counted(kinds[kind], kind) for kind in sorted(kinds))
    name = f"cycle{'s' * (len(fixed) != 1)} of period {points.search.period}" if cycles else "fixed point"
    if points.search.tolerances:
        name = f"point{'s' * (len(fixed) != 1)} counted as fixed by tolerance"
    found = [f"{len(fixed)} {name}{'s' * (len(fixed) != 1 and name == 'fixed point')}{': ' + listed if listed else ''}"]
    found += [str(manifold["sentence"]) for manifold in points.manifolds]
    found += _attractors_beside(points)
    n_slow = int((points.verdict == "slow").sum())
    if n_slow:
        found.append(f"{n_slow} slow point{'s' * (n_slow != 1)}")
    return ", and ".join(found)


def _attractors_beside(points: FixedPoints) -> list[str]:
    """Orbits and cycles in which trajectories end, but those that were searched for."""
    settling = points.search.settling
    if settling is None:
        return []
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for end in settling["ends"]:
        if end["kind"] in (Ending.CYCLE, Ending.OSCILLATION) and end["period"] != points.search.period:
            found.setdefault((end["kind"], f"{end['period']:.3g}"), []).append(end)
    return [periodic_ends(ends, settling["unit"]) for ends in found.values()]


def _counted(count: int, kind: tuple[int, str]) -> str:
    unstable, word = kind
    if word == "saddle":
        return f"{count} saddle{'s' * (count != 1)} with {unstable} unstable direction{'s' * (unstable != 1)}"
    return f"{count} {word}"


def search_lines(points: FixedPoints) -> list[str]:
    """What was left out, how well the points are known, where the network goes, what was done, what may be missing."""
    search = points.search
    lines = [f"left out: {what}" for what in search.left_out]
    lines += filter(None, [slow_summary(points)])
    lines += _proofs(points)
    on_kinks = int((points.kinks > 0).sum())
    if on_kinks:
        lines.append(
            f"{on_kinks} of them on a kink, where the Jacobian is one on each side: the word is that of all sides, or "
            "marginal"
        )
    if search.settling is not None:
        lines.append(search.settling["sentence"] + _further(points))
    if search.missing is not None:
        lines.append(search.missing["sentence"] + _indices(search.index_sum))
    used = f"{search.starts} of {search.given} starts" if search.starts < search.given else f"{search.starts} starts"
    others = {
        "scattered": search.scattered_starts,
        "made from points found": search.closure_starts,
        "from directional fibers": search.fiber_starts,
    }
    listed = ", ".join([used, *(f"{count} {kind}" for kind, count in others.items() if count)])
    lines.append(f"{listed}; by {search.solver}, in {search.seconds:.1f} s; stopped: {search.stopped}")
    if len(search.discovery) > 1:
        lines.append(milestones(search.discovery))
    if search.rejected:
        lines.append("no point from: " + "; ".join(f"{count} that {why}" for why, count in search.rejected.items()))
    return lines


def _proofs(points: FixedPoints) -> list[str]:
    """How many points are proved, and why the others are not."""
    fixed = points[points.verdict == "fixed"]
    proved = int(fixed.certified.sum())
    if not len(fixed):
        return []
    if proved == len(fixed):
        return [f"* all {proved} are proved to exist, and to be alone within their error bounds"]
    reasons = Counter(str(reason) for reason, sure in zip(fixed.reasons, fixed.certified, strict=True) if not sure)
    why = "; ".join(f"{count}: {reason}" for reason, count in reasons.most_common())
    if points.search.tolerances:
        near = int(np.isfinite(fixed.error_bound).sum())
        return [f"{near} of {len(fixed)} have a zero of F within their error bounds, by estimate"]
    return [
        f"* {proved} of {len(fixed)} are proved to exist, and to be alone within their error bounds; not proved {why}"
    ]


def _further(points: FixedPoints) -> str:
    """What to do where the network goes to cycles that were not searched for."""
    ends = points.search.settling["ends"] if points.search.settling else []
    periods = sorted({int(end["period"]) for end in ends if end["kind"] == Ending.CYCLE and end["period"] > 1})
    if points.search.period > 1 or not periods:
        return ""
    reasons = Counter(end["reason"] for end in ends if end["kind"] == Ending.CYCLE and end.get("reason"))
    why = "".join(f" Not proved: {reason}." for reason in reasons)
    return f"{why} --period {periods[0]} searches for such cycles, stable and not."


def _indices(index_sum: int | None) -> str:
    if index_sum is None:
        return ""
    if index_sum == 1:
        return " Their indices sum to 1, as those of a complete set do."
    return f" The indices of the fixed points sum to {index_sum}, not 1, so that some are certainly missing."

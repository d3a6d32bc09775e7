"""A result in plain words: what was found, how sure that is, where the network goes, what may be missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsys.io.text import paragraphs, sentence
from dynsys.search.known.missing import milestones
from dynsys.search.known.stopping import Stop
from dynsys.search.slow_points.slowness import across, slow_summary
from dynsys.trajectories.settling import Ending

if TYPE_CHECKING:
    from dynsys.result.fixed_points import FixedPoints

HERE = "dynsys.result"


def summary(points: FixedPoints) -> str:
    """What was found, in words: '27 fixed points: 8 stable, 12 saddles with 1 unstable direction, ...'."""
    fixed = points[(points.verdict == "fixed") & (points.manifold < 0)]
    if points.search.period > 1:  # one of each cycle
        fixed = fixed[np.unique(fixed.orbit, return_index=True)[1]]
    words = ["stable" if word.startswith("stable") else word for word in fixed.stability.tolist()]
    kinds = Counter(zip(fixed.n_unstable.tolist(), words, strict=True))
    listed = [(unstable, word, kinds[unstable, word]) for unstable, word in sorted(kinds)]
    slow = int((points.verdict == "slow").sum())
    facts = (len(fixed), points.search, listed, points.manifolds, _attractors_beside(points), slow)
    return sentence(HERE, "summary", *facts)


def _attractors_beside(points: FixedPoints) -> list[list[Mapping[str, Any]]]:
    """Orbits and cycles in which trajectories end, by kind and period, but those that were searched for."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for end in points.search.settling["ends"] if points.search.settling else ():
        if end["kind"] in (Ending.CYCLE, Ending.OSCILLATION) and end["period"] != points.search.period:
            found.setdefault((end["kind"], f"{end['period']:.3g}"), []).append(end)
    return list(found.values())


def search_lines(points: FixedPoints) -> list[str]:
    """Where the network goes, what may be missing, what was left out, how well the points are known."""
    fixed = points[points.verdict == "fixed"]
    reasons = Counter(fixed.reasons[~fixed.certified].tolist()).most_common()
    return paragraphs(
        HERE,
        "search",
        points.search,
        slow_summary(points) or "",
        across(points),
        len(fixed),
        int(fixed.certified.sum()),
        int(np.isfinite(fixed.error_bound).sum()),
        reasons,
        int((points.kinks > 0).sum()),
        _further(points),
        points.search.stopped not in [str(stop) for stop in Stop if stop.is_usual],
    )


def course_lines(points: FixedPoints) -> list[str]:
    """How the search went: starts, solver, why it stopped, discovery, and what became of starts without a point."""
    curve = points.search.discovery
    return paragraphs(HERE, "course", points.search, milestones(curve) if len(curve) > 1 else "")


def _further(points: FixedPoints) -> dict[str, list[Any]]:
    """The periods of cycles that the network goes to and that were not searched for, and why some are not proved."""
    ends = points.search.settling["ends"] if points.search.settling else []
    cycles = [end for end in ends if end["kind"] == Ending.CYCLE]
    periods = sorted({int(end["period"]) for end in cycles if end["period"] > 1})
    if points.search.period > 1 or not periods:
        return {"periods": [], "reasons": []}
    return {"periods": periods, "reasons": list(dict.fromkeys(end["reason"] for end in cycles if end.get("reason")))}

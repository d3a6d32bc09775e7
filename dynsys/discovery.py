"""When a search has found what it can find, and what it may have missed.

The rule. A search goes on until all of these hold:
1. ``QUIET_CLOSURE`` rounds of starts made from the points found, one after the other, have brought nothing new; one
   is enough where the indices of the points must sum to 1 (see ``Catalogue.index_sum``) and do;
2. since the last new point ``QUIET_STARTS`` starts that were not made from points have reached known points, the point
   that is reached most not counted, as everything falls into it; a start that failed says nothing and does not count;
3. where the indices must sum to 1, they do: then a quarter of 2. is enough; otherwise four times as much is asked for;
4. where more than ``HIGH_FAILURE`` of the starts have failed, or 3. speaks against it, the second engine has been asked
   and ``QUIET_CLOSURE`` of its rounds have brought nothing new either.
Or until its starts and ``EFFORT`` times as many made ones are used up: then it has not flattened, and says so.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

QUIET_CLOSURE = 2
QUIET_STARTS = 128
HIGH_FAILURE = 0.5
STUBBORN = 4.0  # times the quiet starts that are asked for while the indices prove that points are missing
EFFORT = 64  # times the starts given that may be made besides
LEAST_EFFORT = 64 * 256


class Stop(enum.StrEnum):
    """Why a search ended."""

    FLAT = "discovery has flattened"
    USED_UP = "the starts are used up, and discovery had not flattened"
    NO_POINTS = "no start led to a point"
    INTERRUPTED = "interrupted"


class Source(enum.StrEnum):
    """Where starts come from."""

    OWN = "search"
    SCATTERED = "search from scattered states"
    MADE = "search from points found"
    FIBER = "directional fibers"

    @property
    def is_independent(self) -> bool:
        """Whether it knows nothing of the points found, so that its hits tell what may be missing."""
        return self in (Source.OWN, Source.SCATTERED)


@dataclass
class Discovery:
    """The history of a search: the curve of discovery and the counts that the rule needs."""

    curve: list[tuple[int, int]] = field(default_factory=list)  # starts tried, points known
    tried: dict[Source, int] = field(default_factory=lambda: dict.fromkeys(Source, 0))
    failed: int = 0  # of starts not made from points
    quiet_rounds: dict[Source, int] = field(default_factory=lambda: dict.fromkeys(Source, 0))
    telling: int = 0  # hits by such starts since the last new point, the most hit point left out

    def record(self, source: Source, starts: int, failed: int, telling: int, new: int, known: int) -> None:
        """One round of ``starts``; ``telling`` are its hits on points other than the most hit one."""
        self.tried[source] += starts
        self.quiet_rounds[source] += 1
        if source.is_independent:
            self.failed += failed
            self.telling += telling
        if new:
            self.quiet_rounds = dict.fromkeys(Source, 0)
            self.telling = 0
        self.curve.append((sum(self.tried.values()), known))

    def made(self) -> int:
        """Starts that the user did not give."""
        return sum(count for source, count in self.tried.items() if source is not Source.OWN)

    def fails_often(self) -> bool:
        independent = sum(count for source, count in self.tried.items() if source.is_independent)
        return self.failed > HIGH_FAILURE * independent

    def closure_is_quiet(self, index_sum: int | None) -> bool:
        return self.quiet_rounds[Source.MADE] >= (1 if index_sum == 1 else QUIET_CLOSURE)

    def second_engine_is_wanted(self, index_sum: int | None) -> bool:
        doubtful = self.fails_often() or index_sum not in (1, None)
        return doubtful and self.quiet_rounds[Source.FIBER] < QUIET_CLOSURE

    def own_are_quiet(self, index_sum: int | None) -> bool:
        """Point 2 and 3 of the rule."""
        asked = QUIET_STARTS * (0.25 if index_sum == 1 else 1.0 if index_sum is None else STUBBORN)
        return self.telling >= asked


def estimated_missed(hits: list[int], groups: list[int] | None = None) -> float | None:
    """Chao's (1984) lower bound on the points that no start has hit, from those hit once and twice, for each input."""
    if not any(hits):
        return None
    missed, groups = 0.0, groups or [0] * len(hits)
    for group in set(groups):
        own = [hit for hit, of in zip(hits, groups, strict=True) if of == group]
        once, twice = own.count(1), own.count(2)
        missed += once * (once - 1) / (2 * (twice + 1))
    return missed

"""When a search has found what it can find.

The rule. A search goes on until all of these hold:
1. ``QUIET_CLOSURE`` rounds of starts made from the points found, one after the other, have brought nothing new, and as
   many starts as there are points; one round is enough where the indices of the points must sum to 1 (see
   ``Catalogue.index_sum``) and do; ``MORE_ROUNDS`` are added while more than ``SEEN_ONCE`` of the points have been
   reached by only one start of any kind;
2. since the last new point ``QUIET_STARTS`` starts that were not made from points, and 4 times as many as there are
   points, have reached known points, the point that is reached most not counted, as everything falls into it; a start
   that failed says nothing and does not count;
3. where the indices must sum to 1, they do: then a quarter of 2. is enough; otherwise four times as much is asked for;
4. where more than ``HIGH_FAILURE`` of the starts have failed, or 3. speaks against it, the second engine has been asked
   and ``QUIET_CLOSURE`` of its rounds have brought nothing new either. It is asked when ``QUIET_STARTS`` of the first
   (``STUBBORN`` times as many while these rarely fail) have brought nothing new; a failed one counts a quarter.
When the starts given are used up before that, scattered ones follow. It gives up, and says so, when ``PATIENCE`` times
the starts given have brought nothing new in a row (``STUBBORN`` times that while 3. speaks against it), or ``EFFORT``
times as many have been made. A start that failed counts a quarter there; a scattered one in full as long as no point is
known. Then a few rounds of scattered starts test how much it knows (``dynsys.search.known.missing``).

A search that still finds points ends when it has made ``WORK`` starts, each of which counts n / ``USUAL`` times in a
system of n > ``USUAL`` variables: half a minute or so of one core, long after what trained networks ask for. The limit
is counted and not timed, so that the same seed gives the same points on any machine. Where seconds are given they are
the limit instead, and the points depend on the machine.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

QUIET_CLOSURE = 2
QUIET_STARTS, PER_POINT = 128, 4
SEEN_ONCE, MORE_ROUNDS = 0.02, 2
HIGH_FAILURE = 0.5
STUBBORN = 4  # times as much of everything while the indices prove that points are missing
PATIENCE, EFFORT = 1, 64  # in units of the starts given, or of ``FEW`` if those are fewer
FEW = 512
FAILED_COUNTS = 0.25  # of a start, towards patience; of a scattered one only once there are points
WORK, USUAL = 16_384, 256  # starts of a search that still finds points, and variables of a system
DRY = 64  # starts, for which a round counts when its source has no more to give


class Stop(enum.StrEnum):
    """Why a search ended."""

    PROVED = "every linear region, or every box of latent variables, was solved or proved to hold no point"
    FLAT = "no new points in the last rounds"
    INCOMPLETE = "nothing new for long, although the indices prove that points are missing"
    DOUBTED = "nothing new for long, although trajectories all come back and the indices do not sum to 1"
    USED_UP = "the starts are used up, and the last rounds still brought new points"
    SPENT = "nothing new for long, though few of the starts reached points"
    TIME = "the seconds given were used up"
    LONG = "long enough, while points were still being found; give seconds for more"
    OVERRULED = "every linear region was solved, and yet a point is missing"
    INTERRUPTED = "interrupted"
    CARRIED = "points were carried from another input, and sought nowhere but where trajectories rest"

    @property
    def is_usual(self) -> bool:
        """Whether there is nothing to say of it."""
        return self in (Stop.PROVED, Stop.FLAT)

    @property
    def is_early(self) -> bool:
        """Whether more might have come: nothing is known of what would have."""
        return self in (Stop.TIME, Stop.LONG, Stop.INTERRUPTED)


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
    rounds: dict[Source, int] = field(default_factory=lambda: dict.fromkeys(Source, 0))
    failed: int = 0  # of starts not made from points
    quiet_rounds: dict[Source, int] = field(default_factory=lambda: dict.fromkeys(Source, 0))
    independent: int = 0  # starts not made from points
    telling: int = 0  # hits by such starts since the last new point, the most hit point left out
    since_new: float = 0.0  # starts of any kind since then, the failed at a discount
    quiet_made: int = 0  # starts made from points since then
    points: int = 0  # isolated ones, known so far
    seen_once: int = 0  # of these

    def record(
        self, source: Source, starts: int, failed: int, telling: int, points: int, seen_once: int, known: int
    ) -> None:
        """One round of ``starts``; ``telling`` are its hits on points other than the most hit one.

        After it ``points`` isolated ones are known, and ``known`` with those that have no error bound.
        """
        new, self.points, self.seen_once = points > self.points, points, seen_once
        self.tried[source] += starts
        self.rounds[source] += 1
        self.quiet_rounds[source] += 1
        cheap = points > 0 or source is Source.OWN
        self.since_new += (starts or DRY) - failed * (1 - FAILED_COUNTS) * cheap
        self.quiet_made += (starts or DRY) if source is Source.MADE else 0
        if source.is_independent:
            self.independent += starts
            self.failed += failed
            self.telling += telling
        if new:
            self.reopen(points)
        self.curve.append((sum(self.tried.values()), known))

    def reopen(self, points: int) -> None:
        """As after a round that brought new points, which no start had."""
        self.points = points
        self.quiet_rounds = dict.fromkeys(Source, 0)
        self.telling = self.quiet_made = 0
        self.since_new = 0.0

    def forget_failures(self) -> None:
        """Count them afresh, with another solver."""
        self.failed = self.independent = 0

    def fails_often(self) -> bool:
        return self.failed > HIGH_FAILURE * self.independent

    def closure_is_quiet(self, index_sum: int | None) -> bool:
        """Point 1 of the rule."""
        rounds = 1 if index_sum == 1 else QUIET_CLOSURE
        rounds += MORE_ROUNDS if self.seen_once > SEEN_ONCE * self.points else 0
        return self.quiet_rounds[Source.MADE] >= rounds and self.quiet_made >= self.points

    def is_doubtful(self, index_sum: int | None) -> bool:
        """Point 4 of the rule: whether the second engine should be asked, which is worth it when the first is quiet."""
        if self.fails_often():
            return self.since_new >= QUIET_STARTS
        return index_sum not in (1, None) and self.since_new >= STUBBORN * QUIET_STARTS

    def lacking(self, index_sum: int | None) -> float:
        """How many more telling hits points 2 and 3 of the rule ask for."""
        factor = 0.25 if index_sum == 1 else 1.0 if index_sum is None else STUBBORN
        return factor * max(QUIET_STARTS, PER_POINT * self.points) - self.telling

    def is_spent(self, given: int, index_sum: int | None) -> bool:
        """Whether nothing has come for long, or for very long where something is known to be missing."""
        made = sum(count for source, count in self.tried.items() if source is not Source.OWN)
        return self.since_new >= self.patience(given, index_sum) or made >= EFFORT * max(given, FEW)

    def is_long(self, n_state: int) -> bool:
        """Whether as many starts have been made as a search may make that goes on finding points."""
        return sum(self.tried.values()) * max(1.0, n_state / USUAL) >= WORK

    def patience(self, given: int, index_sum: int | None) -> int:
        """How many starts in a row may bring nothing new."""
        return max(given, FEW, self.points) * (PATIENCE if index_sum in (1, None) else STUBBORN * PATIENCE)

"""How many fixed points a search may have missed, from how often its starts have met the same point.

Only starts that know nothing of the points found can tell. Two estimates are made of them, neither with the point that
is met most, as everything falls into it:

* abundance: points met once and twice tell of those met never (Chao 1984, Scand. J. Statist. 11; 1987, Biometrics 43);
* recapture: of the points met after others were made from points found (closure, fibers), how many were known by then
  (Chapman 1951; limits from the hypergeometric distribution).

Both are lower bounds in the mean where some points are harder to reach than others. ``docs/missing.md`` has what their
intervals cover on networks whose points are all known.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from dynsys.io.text import sentence

LEVEL = 0.95  # of the interval
FEWEST, COVERED = 5, 0.5  # hits, and share of them on points hit before, without which abundance bounds nothing
FEW = 5  # points, or a quarter of those known: a limit this near says that all seem to be found
MOST = 0.8  # of those known, from which most are missing: the bound gives nine tenths of the points (docs/missing.md)
SLIGHT = 0.1  # of those known: an estimate beneath it is no ground to doubt where the indices sum to 1
BEYOND = 10**9  # points, above which nothing is bounded

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Tally:
    """How often each of k isolated points of one input has been met, (k,) each.

    ``hits`` by starts that knew nothing of the points; ``tests`` those of them that came after starts made from points;
    ``crossings`` by directional fibers; ``fresh`` where a test was the first visit of all.
    """

    hits: Counts
    tests: Counts
    crossings: Counts
    fresh: NDArray[np.bool_]

    def without_dominant(self) -> Tally:
        """Without the point that is hit most: its hits say nothing about the others."""
        if len(self.hits) == 0 or not self.hits.any():
            return self
        kept = np.arange(len(self.hits)) != self.hits.argmax()
        return Tally(self.hits[kept], self.tests[kept], self.crossings[kept], self.fresh[kept])


class Verdict(enum.StrEnum):
    """Whether a list of points seems to be whole."""

    UNKNOWN = "Nothing is known"
    MOST = "Most points are missing"
    SOME = "Points are missing"
    SEEMING = "Points seem to be missing"
    POSSIBLE = "Points may be missing"
    NONE = "All points seem to be found"


@dataclass(frozen=True)
class Missing:
    """What a search knows and what it may lack; every number is of isolated fixed points.

    ``estimate`` is a lower bound on the number missing, None where no start led to a point. With ``LEVEL`` there are
    between ``least`` and ``most`` points in all, those known included; ``most`` is None where they cannot be bounded.
    ``certain`` of them are missing for sure, as the indices do not sum to 1. ``tests`` counts the hits by which
    independent starts have tested what starts made from points had found. ``overlap`` is the number in all that the
    two engines agree on, None where one of them did not run. ``balanced`` says that the indices sum to 1, as those of
    all points do. ``complete`` says that a search proved to have them all, those that lie on ``manifolds`` (as many
    lines, rings, surfaces) apart; ``has_surfaces`` where these have more than one dimension. ``early`` says that the
    search was ended while it may still have found points, ``unmet`` how many points were met by no start at all, but by
    trajectories that came to rest there; ``doubted`` that the indices do not sum to 1, as they do where all
    trajectories come back, which was seen but not proved; ``lost`` that many starts ended at slow states of which no
    more is known; ``unresolved`` how many points are listed besides that may be several, or of a line: no distance is
    known within which they are alone. Then nothing seems to be all, and nothing bounds it. ``boxes`` of latent
    variables were looked at by a proof (``dynsys.proof.latent_boxes``). Where no box bounds the states, ``within`` is
    the norm up to which the search looked: of what lies farther out its starts tell nothing.
    """

    known: int
    estimate: float | None
    least: int
    most: int | None
    certain: int = 0
    tests: int = 0
    overlap: float | None = None
    complete: bool = False
    balanced: bool = False
    manifolds: int = 0
    has_surfaces: bool = False
    early: bool = False
    unmet: int = 0
    doubted: bool = False
    lost: bool = False
    unresolved: int = 0
    boxes: int = 0
    within: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The least and the greatest number of points in all; the greatest is inf where it cannot be bounded."""
        return self.least, np.inf if self.most is None else self.most

    @property
    def seems_whole(self) -> bool:
        """Whether the list is proved to be whole, or seems so."""
        return self.complete or self._verdict() is Verdict.NONE

    @property
    def sentence(self) -> str:
        """In plain words."""
        return self._told_of(1)

    def _told_of(self, period: int) -> str:
        in_all = None
        if self.estimate is not None:
            open_end = self.unresolved or self.most is None
            least = max(self.known + self.estimate, self.least) if open_end else self.least
            in_all = _rounded(least), None if self.most is None else _rounded(self.most)
        return sentence("dynsys.result", "missing", self, self._verdict(), LEVEL, in_all, period)

    def _verdict(self) -> Verdict:
        """How much seems to be missing, by what is known beside the estimate."""
        if self.estimate is None:
            return Verdict.UNKNOWN
        if self.estimate > MOST * self.known:
            return Verdict.MOST
        if self.certain or self.least > self.known:
            return Verdict.SOME
        if self.early or self.unmet or self.doubted or self.lost or self.unresolved:
            return Verdict.SEEMING if self.estimate >= 1 else Verdict.POSSIBLE
        near = max(FEW if self.tests else 0, self.known // 4)
        narrow = self.most is not None and self.most <= self.known + near
        if self.balanced and narrow:  # starts that met a few points rarely are no proof against the indices
            slight = self.estimate < max(1.0, SLIGHT * self.known)
            return Verdict.NONE if slight else Verdict.POSSIBLE
        if self.estimate >= 1:
            return Verdict.SEEMING
        return Verdict.NONE if narrow else Verdict.POSSIBLE

    def to_json(self) -> dict[str, Any]:
        """The fields, the ends of the interval among them, and the sentence."""
        return self.told(1)

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Missing:
        """What ``to_json`` or ``told`` gave."""
        return cls(**{f.name: told[f.name] for f in dataclasses.fields(cls) if f.name in told})

    def told(self, period: int) -> dict[str, Any]:
        """As JSON; of cycles it counts the fixed points of the map applied ``period`` times, all of them.

        A complete list of cycles has only those whose least period that is.
        """
        return {**dataclasses.asdict(self), "sentence": self._told_of(period)}


def _rounded(number: float) -> float:
    """To two digits where it is an estimate of thousands, else as it is."""
    digits = len(str(int(number)))
    return round(number, 2 - digits) if digits > 3 else round(number)


def estimated(tallies: Sequence[Tally], index_sum: int | None = None, *, complete: bool = False) -> Missing:
    """What is missing of the points of one or more inputs, whose estimates and limits add up.

    ``index_sum`` is 1 when all points of a single input's trapping box are known, None where it tells nothing;
    ``complete`` where a proof was given.
    """
    known = sum(len(tally.hits) for tally in tallies)
    certain = 0 if index_sum is None else abs(index_sum - 1)
    if complete:
        return Missing(known, 0.0, known, known, complete=True)
    estimates = [_at_least(tally) for tally in tallies if tally.hits.any()]
    least, most = sum(_least(tally) for tally in tallies), [_most(tally) for tally in tallies]
    limit = None if None in most else sum(value for value in most if value is not None)
    overlaps = [_overlap(tally) for tally in tallies]
    return Missing(
        known=known,
        estimate=max(sum(estimates), float(certain)) if estimates else None,
        least=max(least, known + certain),
        most=None if limit is None else limit + certain,
        certain=certain,
        tests=sum(int(tally.tests.sum()) for tally in tallies),
        overlap=None if None in overlaps else sum(value for value in overlaps if value is not None),
        balanced=index_sum == 1,
    )


def chao(once: int, twice: int) -> float:
    """Chao's (1984) lower bound on the number of points never hit, in the bias-corrected form."""
    return once * (once - 1) / (2 * (twice + 1))


def chao_least(hits: Counts, level: float = LEVEL) -> float:
    """The lower end of Chao's (1987) log-normal interval, in all; the number of points hit where it tells no more."""
    seen, once, twice = (int(count) for count in ((hits > 0).sum(), (hits == 1).sum(), (hits == 2).sum()))
    unseen = chao(once, twice)
    if unseen == 0:
        return float(seen)
    if twice == 0:
        variance = unseen + once * (2 * once - 1) ** 2 / 4 - once**4 / (4 * (seen + unseen))
    else:
        b = 2 * (twice + 1)
        variance = unseen + once * (2 * once - 1) ** 2 / b**2 + once**2 * twice * (once - 1) ** 2 / (b**2 / 2) ** 2
    spread = np.sqrt(np.log1p(variance / unseen**2)) * NormalDist().inv_cdf((1 + level) / 2)
    return seen + unseen / float(np.exp(spread))


def chao_most(hits: Counts, level: float = LEVEL) -> float | None:
    """As many points in all as Chao's bound gives for the most that were met once and the fewest met twice.

    Both are limits of Poisson counts. None for fewer than ``FEWEST`` hits, or where less than ``COVERED`` of the hits
    (Good 1953) fell on points that were hit again: then nearly all may be unseen (Chao & Lee 1992, JASA 87).
    """
    total, once, twice = int(hits.sum()), int((hits == 1).sum()), int((hits == 2).sum())
    if total < FEWEST or total - once < COVERED * total:
        return None
    tail = (1 - level) / 2
    most_once = float(scipy.special.gammaincinv(once + 1, 1 - tail))  # of a gamma variable: Garwood (1936)
    fewest_twice = float(scipy.special.gammaincinv(twice, tail)) if twice else 0.0
    return float((hits > 0).sum()) + most_once * (most_once - 1) / (2 * (fewest_twice + 1))


def chapman(first: int, second: int, both: int) -> float:
    """Points in all when ``first`` were found one way, ``second`` another and ``both`` by either (Chapman 1951)."""
    return (first + 1) * (second + 1) / (both + 1) - 1


def recapture_limits(first: int, second: int, both: int, level: float = LEVEL) -> tuple[int, int | None]:
    """The least and the most points in all that explain such an overlap: ``both`` is hypergeometric.

    None for no overlap, which bounds nothing.
    """
    tail, union = (1 - level) / 2, first + second - both
    least = _first(lambda n: in_common(both, n, first, second) >= tail, union)
    if both == 0:
        return least or union, None
    beyond = _first(lambda n: 1 - in_common(both - 1, n, first, second) < tail, union)
    return least or union, None if beyond is None else max(beyond - 1, union)


def in_common(most: int, n: int, first: int, second: int) -> float:
    """The probability that of n points ``first`` and ``second`` drawn independently have ``most`` in common, or fewer.

    >>> in_common(1, 5, 2, 2)  # all but the one pair of 10
    0.9
    """
    k = np.arange(max(0, first + second - n), min(first, second) + 1)
    ratios = (first - k) * (second - k) / ((k + 1) * (n - first - second + k + 1))  # of a probability to the one before
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios[:-1]))])
    ways = np.exp(logs - logs.max())
    return round(float(ways[k <= most].sum() / ways.sum()), 12)


def _first(holds: Callable[[int], bool], low: int) -> int | None:
    """The smallest n >= low for which a condition holds that stays true once it is; None above ``BEYOND``."""
    if holds(low):
        return low
    step = 1
    while not holds(low + step):
        low, step = low + step, 2 * step
        if low > BEYOND:
            return None
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _tested(tally: Tally) -> tuple[int, int, int]:
    """Points known without the tests, points tested, and both; the dominant one left out."""
    rest = tally.without_dominant()
    tested = rest.tests > 0
    return int((~rest.fresh).sum()), int(tested.sum()), int((tested & ~rest.fresh).sum())


def _at_least(tally: Tally) -> float:
    """The greater of the two lower bounds on the number missing."""
    rest = tally.without_dominant()
    unseen = chao(int((rest.hits == 1).sum()), int((rest.hits == 2).sum())) - int((tally.hits == 0).sum())
    first, second, both = _tested(tally)
    return max(unseen, chapman(first, second, both) - (first + second - both) if second else 0.0, 0.0)


def _least(tally: Tally) -> int:
    """The lower end of the interval for the points of one input."""
    first, second, both = _tested(tally)
    unknown = recapture_limits(first, second, both)[0] - (first + second - both) if second else 0
    return max(len(tally.hits) + unknown, int(chao_least(tally.hits)))


def _most(tally: Tally) -> int | None:
    """The upper end: the nearer of the limits by recapture and by abundance, which counts unless more are known."""
    known, rest = len(tally.hits), tally.without_dominant()
    first, second, both = _tested(tally)
    limits = []
    recaptured = recapture_limits(first, second, both)[1] if second else None
    if recaptured is not None:
        limits.append(known + recaptured - (first + second - both))
    counted = chao_most(rest.hits if len(rest.hits) else tally.hits)
    if counted is not None:
        total = round(counted) + bool(len(rest.hits))  # the dominant one is left out where there are others
        limits += [total] if total >= known else []
    return min(limits, default=None)


def _overlap(tally: Tally) -> float | None:
    """Chapman's estimate of the points in all from the hits of the first engine and the crossings of the second."""
    rest = tally.without_dominant()
    hit, crossed = rest.hits > 0, rest.crossings > 0
    if not hit.any() or not crossed.any():
        return None
    return chapman(int(hit.sum()), int(crossed.sum()), int((hit & crossed).sum())) + len(tally.hits) - len(rest.hits)


def milestones(curve: Sequence[tuple[int, int]], shares: Sequence[float] = (1 / 8, 1 / 4, 1 / 2, 1.0)) -> str:
    """A discovery curve of (starts tried, points known) in one line, at the rounds where these shares were tried."""
    tried = np.array([starts for starts, _ in curve])
    rounds = np.unique(np.searchsorted(tried, np.asarray(shares) * tried[-1])).tolist() if curve else []
    return sentence("dynsys.result", "milestones", [curve[i] for i in rounds])

"""Trials that fail: without any noise, and the level at which half of them have lost a memory or their bits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dynsys.io.text import sentence

HERE = "dynsys.analyses.noise"
RIGHT = 0.9  # of the settled bits: with fewer a network has failed at its task

Trials = Sequence[Sequence[float | None]]


def of_memories(first_loss: Sequence[Sequence[float | None]], levels: Sequence[float]) -> dict[str, Any]:
    """``half``, as ``HalfLoss.to_json``, and the ``lost`` share of the trials at each level."""
    return _told([(float(low or 0.0), math.inf if high is None else high) for low, high in first_loss], levels)


def of_bits(accuracy: Trials, levels: Sequence[float]) -> dict[str, Any] | None:
    """The same where a trial has failed below ``RIGHT``; None where no bit could be judged."""
    if not accuracy or any(value is None for trial in accuracy for value in trial):
        return None
    return _told([_first_below(trial, levels) for trial in accuracy], levels)


def in_words(half: Mapping[str, Any]) -> str:
    """Between which levels, and the band.

    >>> in_words({"between": [0.01, 0.02], "band": [0.01, None], "level": 0.014})
    '0.01 to 0.02 (95 % band: 0.01 to beyond the last)'
    """
    return sentence(HERE, "placed_between", half)


def placed(half: Mapping[str, Any]) -> str:
    """The same after "at a level".

    >>> placed({"between": [0.0, 0.01], "band": [0.0, None], "level": 0.01})
    'below 0.01 (too few trials for a band)'
    >>> placed({"between": [0.01, None], "band": [0.0, None], "level": 0.01})
    'above 0.01, if at any (too few trials for a band)'
    """
    return sentence(HERE, "placed", half)


def between(half: Mapping[str, Any]) -> str:
    return sentence(HERE, "levels", half["between"])


def band(half: Mapping[str, Any]) -> str:
    return sentence(HERE, "band", half)


def _told(losses: list[tuple[float, float]], levels: Sequence[float]) -> dict[str, Any]:
    shares = [dataclasses.asdict(share) for share in lost_shares(losses, levels)]
    return {
        "half": half_loss(losses).to_json(),
        "lost": {key: [share[key] for share in shares] for key in ("share", "low", "high", "trials")},
    }


def _first_below(trial: Sequence[float | None], levels: Sequence[float]) -> tuple[float, float]:
    edges = [0.0, *levels, math.inf]
    first = next((i for i, value in enumerate(trial) if value is not None and value < RIGHT), len(levels))
    return edges[first], edges[first + 1]


Array = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class HalfLoss:
    """The level at which half of the trials have lost a memory.

    It lies within ``between`` as far as the levels tell, and ``band`` holds it with the given confidence. An end is
    infinite where so many trials lost none, and 0 where they lost one below the first level.
    """

    level: float  # the geometric middle of ``between``; its end that is known where the other is 0 or infinite
    between: Interval
    band: Interval
    trials: int
    lost: int  # trials that lost a memory at any level
    confidence: float

    def to_json(self) -> dict[str, Any]:
        """Numbers for JSON, which knows no infinity: None."""
        return {
            "level": _plain(self.level),
            "between": [_plain(v) for v in self.between],
            "band": [_plain(v) for v in self.band],
            "trials": self.trials,
            "lost": self.lost,
            "confidence": self.confidence,
        }


@dataclass(frozen=True)
class Share:
    """Of the trials at one level: how many have lost a memory, their share, and its confidence interval (Wilson).

    ``trials`` are those of which it is known there; where it is of none, there is no share.
    """

    level: float
    lost: int
    trials: int
    share: float | None
    low: float | None
    high: float | None


def half_loss(losses: Sequence[Interval], confidence: float = 0.95) -> HalfLoss:
    """From the levels between which each trial lost its first memory, as ``Survival.first_loss`` gives them.

    (low, inf) is a trial that lost none up to ``low``, with nothing known beyond; (0, high) one that lost it below the
    first level. Raises ValueError where there is no trial, or an interval that is not one.

    >>> half_loss([(0.01, 0.02), (0.02, 0.04), (0.02, 0.04), (0.04, 0.08), (0.04, 0.08)]).between
    (0.02, 0.04)
    """
    edges = _checked(losses)
    lower, upper = np.sort(edges, axis=0).T
    half = (len(edges) + 1) // 2 - 1
    between = (float(lower[half]), float(upper[half]))
    lost = int(np.isfinite(upper).sum())
    band = (_band(lower, confidence)[0], _band(upper, confidence)[1])
    return HalfLoss(_middle(between), between, band, len(edges), lost, confidence)


def lost_shares(losses: Sequence[Interval], levels: Sequence[float], confidence: float = 0.95) -> list[Share]:
    """The share of trials that have lost a memory at each of the ``levels``, with Wilson's interval (1927).

    A trial whose interval has the level inside counts neither way there.
    """
    edges = _checked(losses)
    return [_share(float(level), edges, confidence) for level in levels]


def _share(level: float, edges: Array, confidence: float) -> Share:
    lost = int((edges[:, 1] <= level).sum())
    trials = lost + int((edges[:, 0] >= level).sum())
    if not trials:
        return Share(level, 0, 0, None, None, None)
    interval = stats.binomtest(lost, trials).proportion_ci(confidence, method="wilson")
    return Share(level, lost, trials, lost / trials, float(interval.low), float(interval.high))


def _checked(losses: Sequence[Interval]) -> Array:
    edges = np.asarray(losses, dtype=np.float64)
    if edges.ndim != 2 or edges.shape[1] != 2 or not len(edges):
        raise ValueError(f"losses have shape {edges.shape}; one (low, high) of levels is needed for each trial")
    if not ((edges[:, 0] >= 0) & (edges[:, 0] < edges[:, 1])).all():
        raise ValueError("a loss lies between two levels, low < high, with low at least 0; high may be infinite")
    return edges


def _band(ordered: Array, confidence: float) -> Interval:
    """The ends of the band of the median among the ordered values (n,); 0 and infinity where n is too small for one."""
    held = stats.quantile_test(np.arange(len(ordered)), p=0.5).confidence_interval(confidence)
    low, high = held.low, held.high  # ranks, since scipy interpolates nothing; NaN where there is none
    return (0.0 if np.isnan(low) else float(ordered[int(low)]), np.inf if np.isnan(high) else float(ordered[int(high)]))


def _middle(between: Interval) -> float:
    low, high = between
    if not np.isfinite(high) or low == 0:
        return low if low > 0 else high
    return float(np.sqrt(low * high))


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def is_able(trial: Mapping[str, Any]) -> bool:
    """Whether at least ``RIGHT`` of the settled bits are right without noise; where no bit is judged, it may be."""
    right = trial["noiseless"].get("settled_bit_accuracy")
    return right is None or bool(right >= RIGHT)


def failing_alone(trials: Mapping[int, Any]) -> list[int]:
    """The numbers of those that fail without noise."""
    return sorted(number for number, trial in trials.items() if not is_able(trial))


def comparable(ours: Mapping[int, Any], theirs: Mapping[int, Any]) -> list[int]:
    """The numbers of the trials that both networks did, and in which both do the task without noise."""
    return sorted(n for n in set(ours) & set(theirs) if is_able(ours[n]) and is_able(theirs[n]))

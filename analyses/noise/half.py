"""The levels of noise at which half of the trials have failed: lost a memory, or got too few of their bits right."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from dynsys.analyses.noise.memory_loss import half_loss, lost_shares
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

"""The trials in which a network does its task without any noise: the others say nothing of what noise does.

A network may fail in a run by itself, from a first state or by inputs that it does not bear.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynsys.analyses.noise.half import RIGHT


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

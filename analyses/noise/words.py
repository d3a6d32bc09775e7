"""What a noise study found, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dynsys.analyses.noise.half import HERE, RIGHT
from dynsys.continuation.track import Fate
from dynsys.io.text import paragraphs

Network = Mapping[str, Any]


def summary(results: Mapping[str, Any]) -> list[str]:
    """What was done, which networks fail by themselves, then a sentence or two of each network."""
    networks = results["networks"]
    bare = {network["model"] for network in networks if not has_task(network) and not network["outputs"]}
    return paragraphs(HERE, "summary", results, RIGHT, list(map(_unknown, networks)), sorted(bare))


def alone(results: Mapping[str, Any]) -> list[str]:
    """Of networks that fail at their task without noise."""
    return paragraphs(HERE, "alone", results["networks"], RIGHT)


def fewer(results: Mapping[str, Any]) -> list[str]:
    """Of comparisons that are not of all trials."""
    return paragraphs(HERE, "fewer", results["comparisons"])


def has_task(network: Network) -> bool:
    return bool(network["compared_with"] == "target")


def _unknown(network: Network) -> dict[str, Any] | None:
    """The trials with points that could not be followed, neither kept nor lost, and the fates of all."""
    fates = (network["survival"] or {}).get("fate", [])
    unknown = sum(bool(fate.get(Fate.UNKNOWN)) for fate in fates)
    total: Counter[str] = Counter()
    for fate in fates:
        total.update(fate)
    return {"trials": unknown, "of": len(fates), "fates": total} if unknown else None

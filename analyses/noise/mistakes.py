"""Which memory is mistaken for which under noise: what a flip-flop's outputs say, against what they ought to say.

Counted are the steps at which every bit has settled. Memories are numbered in binary order of their bits, and a count
is kept as (right memory, memory given, steps), of those that came up. Outputs of which one is nearer to zero than half
a bit say no memory: their number is that of memories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.analyses.flipflop_memories import CLEAR
from dynsys.analyses.noise.failures import HERE, RIGHT, is_able
from dynsys.io.text import paragraphs
from dynsys.models.tasks.flipflop import Trial

Counts = NDArray[np.int64]
Triples = list[list[int]]

NONE = "none"
SHOWN = 12  # mistakes of a network that the table lists


def mistakes(trial: Trial, output: NDArray[np.float64]) -> Triples:
    """The counts of one run, outputs (T, bits)."""
    counts = trial.confusion(output, CLEAR)
    return [[int(i), int(j), int(counts[i, j])] for i, j in np.argwhere(counts)]


def summed(done: Sequence[Mapping[str, Any]], levels: int) -> list[Triples] | None:
    """Over the trials in which the network does its task without noise, at no noise and at each level.

    None where no bits are judged, or where a trial of an earlier version did not count them.
    """
    if not done or not all(trial.get("mistakes") for trial in done):
        return None
    able = [trial["mistakes"] for trial in done if is_able(trial)]
    told = []
    for level in range(levels + 1):
        total: Counter[tuple[int, int]] = Counter()
        for one in able:
            total.update({(i, j): count for i, j, count in one[level]})
        told.append([[i, j, count] for (i, j), count in sorted(total.items())])
    return told


def names(bits: int) -> list[str]:
    """Of the memories, by their numbers, and of none."""
    return [*(format(number, f"0{bits}b") for number in range(1 << bits)), NONE]


def matrix(triples: Triples, bits: int) -> Counts:
    """(2^bits, 2^bits + 1): right memories by those given, the last column for none."""
    counts = np.zeros((1 << bits, (1 << bits) + 1), dtype=np.int64)
    for i, j, count in triples:
        counts[i, j] = count
    return counts


def judged(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The networks of which it is counted."""
    return [network for network in results["networks"] if any(network.get("mistakes") or ())]


def level_shown(results: Mapping[str, Any]) -> int:
    """The first at which a network gives the right memory at fewer than ``RIGHT`` of the steps, else the last: before,
    there are hardly any mistakes."""
    for level, right in enumerate(zip(*(_right(network) for network in judged(results)), strict=True)):
        if min(right) < RIGHT:
            return level
    return len(results["settings"]["levels"]) - 1


def _right(network: Mapping[str, Any]) -> list[float]:
    """The share of right answers at each level."""
    shares = []
    for triples in network["mistakes"][1:]:
        total = sum(count for _, _, count in triples)
        shares.append(sum(count for i, j, count in triples if i == j) / total if total else 1.0)
    return shares


def rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The commonest mistakes of each network at the level that is shown."""
    level, told = level_shown(results), []
    for network in judged(results):
        called, triples = names(network["outputs"]), network["mistakes"][level + 1]
        wrong = sorted(((count, i, j) for i, j, count in triples if i != j), key=lambda one: (-one[0], *one[1:]))
        asked = Counter[int]()
        for i, _, count in triples:
            asked[i] += count
        told += [
            {
                "network": network["name"],
                "right memory": called[i],
                "given": called[j],
                "bits that differ": None if called[j] == NONE else (i ^ j).bit_count(),
                "of its steps": f"{count / asked[i]:.1%}",
            }
            for count, i, j in wrong[:SHOWN]
        ]
    return told


def sentences(results: Mapping[str, Any]) -> list[str]:
    """Of each network at that level: how much is wrong, and how near what is given is to what is right."""
    level = level_shown(results)
    counted = [_counted(network, level) for network in judged(results)]
    return paragraphs(HERE, "mistakes", results["settings"]["levels"][level], counted)


def _counted(network: Mapping[str, Any], level: int) -> dict[str, Any]:
    """Its steps at a level, and of these the wrong ones, those with no memory, and those that are off by one bit."""
    triples, n = network["mistakes"][level + 1], 1 << network["outputs"]
    wrong = [(i, j, count) for i, j, count in triples if i != j]
    return {
        "name": network["name"],
        "total": sum(count for _, _, count in triples),
        "wrong": sum(count for _, _, count in wrong),
        "none": sum(count for _, j, count in wrong if j == n),
        "in_one_bit": sum(count for i, j, count in wrong if j < n and (i ^ j).bit_count() == 1),
    }

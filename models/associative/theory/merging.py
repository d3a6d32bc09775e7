"""At which beta the patterns of a dense memory merge: below it one point is left, near the mean of all of them.

The update contracts while beta times the largest variance of the patterns, under whatever weights, is below 1; no
variance is above D^2 / 4 for patterns at most D apart (Popoviciu 1935). So for beta < 4 / D^2 there is one fixed point.
From there up the points are followed, and the lowest bifurcation is where the merging ends: of two patterns of one
length a pitchfork in the middle, of most others a fold, away from the point that stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynsys.continuation.diagram import Bifurcation, Diagram
from dynsys.continuation.follow import follow
from dynsys.models.associative.dense import DenseMemory
from dynsys.models.associative.patterns import Array
from dynsys.systems.family import FamilyOf

BELOW = 0.9  # of the least beta at which anything can happen, where the diagram begins
SNAPSHOTS = 7
DOUBLED = 40  # times, until patterns that stay together are taken to do so at any beta
ITERATED = 3000  # updates from each pattern, by which it is seen where it leads


@dataclass(frozen=True, eq=False)
class Merging:
    """The ``beta`` of it, where the points meet (n,), how, and the whole diagram, whose parameter is ln beta."""

    beta: float
    state: Array
    kind: Bifurcation
    diagram: Diagram


def single_point_below(S: Any) -> float:
    """4 / D^2, below which the update contracts, so that one fixed point is proved to be all."""
    patterns = np.asarray(DenseMemory(S).S)
    apart = float(np.linalg.norm(patterns[:, None] - patterns[None], axis=2).max())
    if apart == 0:
        raise ValueError("all patterns are one and the same; there is one fixed point, that pattern, at every beta")
    return 4 / apart**2


def merging(S: Any, *, snapshots: int = SNAPSHOTS, seed: int = 0) -> Merging:
    """Where the patterns S (P, n) merge into one point as beta falls.

    It is the lowest bifurcation of the points found; that no other pair is born and lost still lower is proved below
    ``single_point_below`` alone. Raises ValueError for patterns that do not come apart at any beta.
    """
    least = single_point_below(S)
    most = _apart(S, least)
    family = FamilyOf(
        lambda s: DenseMemory(S, float(np.exp(s)), kind="flow"),
        np.linspace(np.log(BELOW * least), np.log(most), snapshots),
        parameter="ln beta",
    )
    diagram = follow(family, searches=2, seed=seed)
    if not diagram.events:
        raise ValueError(f"no bifurcation was found between beta = {BELOW * least:.6g} and {most:.6g}")
    first = min(diagram.events, key=lambda event: event.time)
    return Merging(float(np.exp(first.time)), first.state, first.kind, diagram)


def _apart(S: Any, least: float) -> float:
    """A beta at which the patterns lead to more than one point."""
    for k in range(1, DOUBLED):
        memory = DenseMemory(S, 2.0**k * least)
        ends = np.asarray(memory.S)
        for _ in range(ITERATED):
            before, ends = ends, memory.step(ends)
            if np.abs(ends - before).max() < 1e-13 * memory.length:
                break
        if np.linalg.norm(ends - ends[0], axis=1).max() > 1e-3 * memory.length:
            return 2.0**k * least
    raise ValueError(
        f"the patterns lead to one point at every beta up to {2.0**DOUBLED * least:.3g}; they do not come apart"
    )

"""Eigenvalues along curves: read where something may happen, and kept; crossings between two nodes that were read."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch

from dynsys.continuation.curve import Curve, Node
from dynsys.continuation.events.crossings import Crossing, Stretch
from dynsys.continuation.events.readings import Reading, read
from dynsys.continuation.family_curve import FamilyCurve
from dynsys.numerics.threads import in_order
from dynsys.stability.spectrum import VECTORS_LIMIT
from dynsys.systems.held import Held

AHEAD = 4  # snapshots, of which one is read before the others

Readings = dict[Node, Reading]


class Reader:
    """Reads eigenvalues at nodes and finds crossings between them; what has been read is kept."""

    def __init__(self, newton: FamilyCurve, workers: int) -> None:
        self.newton, self.family, self.workers = newton, newton.family, workers
        self.readings: Readings = {}
        self._crowded: set[Node] = set()  # whose neighbours no Krylov space could tell: it is not tried there

    def read(self, nodes: Iterable[Node]) -> None:
        """Read all nodes not yet read, those of one snapshot together."""
        groups: dict[float, list[Node]] = {}
        for node in dict.fromkeys(nodes):
            if node not in self.readings:
                groups.setdefault(node.p, []).append(node)
        for group, found in zip(
            groups.values(), in_order(self._read_group, list(groups.values()), self.workers), strict=True
        ):
            self.readings.update(zip(group, found, strict=True))

    def _read_group(self, group: list[Node]) -> list[Reading]:
        x, p = torch.stack([node.x for node in group]), group[0].p
        crowded = [node in self._crowded for node in group]
        return read(Held(self.family.system(p), self.family.u.expand(len(x), -1).contiguous()), x, crowded)

    def read_curves(self, curves: list[Curve]) -> None:
        """All nodes of small systems; of large ones those at snapshots, and others where something happens."""
        if self.family.n_state <= VECTORS_LIMIT:
            self.read(node for curve in curves for node in curve.nodes)
            return
        at = [
            [i for i, node in enumerate(curve.nodes) if node.snapshot >= 0 or i in (0, len(curve.nodes) - 1)]
            for curve in curves
        ]
        self.read(curve.nodes[i] for curve, some in zip(curves, at, strict=True) for i in {*some[::AHEAD], some[-1]})
        for curve in curves:
            self._mark_crowded(curve)
        self.read(curve.nodes[i] for curve, some in zip(curves, at, strict=True) for i in some)
        while wanted := [node for curve in curves for node in self._undecided(curve)]:
            for curve in curves:
                self._mark_crowded(curve)
            self.read(wanted)

    def _mark_crowded(self, curve: Curve) -> None:
        """Nodes between two that needed all eigenvalues, which others will need as well."""
        read = [i for i, node in enumerate(curve.nodes) if node in self.readings]
        for i, j in itertools.pairwise(read):
            if self.readings[curve.nodes[i]].whole and self.readings[curve.nodes[j]].whole:
                self._crowded.update(curve.nodes[i + 1 : j])

    def _undecided(self, curve: Curve) -> list[Node]:
        """Nodes to be read next: both beside a change of sign, and the middle ones of where another change must be."""
        nodes = curve.nodes
        flips = [i for i, (a, b) in enumerate(itertools.pairwise(nodes)) if a.det != b.det or a.way != b.way]
        wanted = {k for i in flips for k in (i, i + 1) if nodes[k] not in self.readings}
        if wanted:
            return [nodes[k] for k in sorted(wanted)]
        at = [i for i, node in enumerate(nodes) if node in self.readings]
        return [
            nodes[(i + j) // 2]
            for i, j in itertools.pairwise(at)
            if j > i + 1 and self.readings[nodes[i]].n_unstable != self.readings[nodes[j]].n_unstable
        ]

    def crossings(self, curve: Curve) -> list[Crossing]:
        """All crossings along a curve that has been read; raises Leap where it is no one curve."""
        read = [i for i, node in enumerate(curve.nodes) if node in self.readings]
        jobs = [(curve, i) for i, j in itertools.pairwise(read) if j == i + 1]
        return [crossing for found in in_order(self._after, jobs, self.workers) for crossing in found]

    def _after(self, job: tuple[Curve, int]) -> list[Crossing]:
        curve, i = job
        a, b = curve.nodes[i], curve.nodes[i + 1]
        ends = self.readings[a], self.readings[b]
        if ends[0].n_unstable == ends[1].n_unstable and a.way == b.way:
            return []
        return Stretch(self.newton, a, b, i, ends).crossings()

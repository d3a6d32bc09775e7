"""The skeleton of a network's dynamics: its fixed points, each with its index and what it reads out, and which saddle
leads to which attractor. Two skeletons are equal where a renaming of the points makes one the other.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.attractors.attractor import NO_ATTRACTOR, Node
from dynsys.attractors.connections import Connections
from dynsys.result.fixed_points import FixedPoints

READ = 0.5  # of the largest readout at a stable point: a smaller one says neither yes nor no
MOST_RENAMED = 4  # outputs, up to which every order and sign of them is tried

Label = tuple[int, ...]
Kind = tuple[str, int, tuple[float, ...]]  # what it is, its unstable directions, the input where there are several
Renaming = tuple[tuple[int, ...], Label]  # which output stands where, and its sign


@dataclass(frozen=True)
class Skeleton:
    """Nodes by ``kinds`` and ``labels``, of which ``rows`` tells the number of the point (-1: an attractor that is no
    point); ``edges`` are pairs of nodes, None where connections are not known. ``is_sure`` says that every branch that
    was to be followed has come to an end.
    """

    kinds: tuple[Kind, ...]
    labels: tuple[Label, ...]
    rows: tuple[int, ...]
    edges: frozenset[tuple[int, int]] | None
    is_sure: bool = True

    def __len__(self) -> int:
        return len(self.kinds)

    @staticmethod
    def of(points: FixedPoints, connections: Connections | None = None) -> Skeleton:
        """That of a result; a cycle or a manifold of points is one node. Raises ValueError for connections of other
        points."""
        if connections is not None and not connections.are_of(points):
            raise ValueError("the connections were followed from other points; follow them again (dynsys basins RUN)")
        rows = _one_of_each(points)
        labels = _labels(points)
        several = len(np.unique(points.inputs, axis=0)) > 1
        kinds = [_kind(points, i, several) for i in rows]
        named = [labels[i] for i in rows]
        if connections is None:
            return Skeleton(tuple(kinds), tuple(named), tuple(rows), None)
        nodes: dict[str, int] = {str(Node("point", i)): k for k, i in enumerate(rows)}
        scale = _scale(points)
        for other in connections.others:
            nodes[str(other.name)] = len(kinds)
            kinds.append(("cycle", 0, ()))
            named.append(_label(np.asarray(other.readout), scale))
        ends = [(f"point {source}", end) for source, end in zip(connections.source, connections.end, strict=True)]
        edges = frozenset((nodes[a], nodes[b]) for a, b in ends if a in nodes and b in nodes)
        sure = not connections.left_out and not any(end in NO_ATTRACTOR for _, end in ends)
        return Skeleton(tuple(kinds), tuple(named), (*rows, *[-1] * len(connections.others)), edges, sure)

    def renamed(self, renaming: Renaming) -> Skeleton:
        """With the outputs in another order and with other signs."""
        order, signs = renaming
        labels = tuple(tuple(s * label[j] for j, s in zip(order, signs, strict=True)) for label in self.labels)
        return Skeleton(self.kinds, labels if order else self.labels, self.rows, self.edges, self.is_sure)

    @functools.cached_property
    def count(self) -> Counter[tuple[Kind, Label]]:
        """How many nodes of each kind and label."""
        return Counter(zip(self.kinds, self.labels, strict=True))

    @functools.cached_property
    def arrows(self) -> Counter[tuple[tuple[Kind, Label], tuple[Kind, Label]]]:
        """How many edges between nodes of each two kinds."""
        nodes = list(zip(self.kinds, self.labels, strict=True))
        return Counter((nodes[a], nodes[b]) for a, b in self.edges or ())

    @functools.cached_property
    def form(self) -> str:
        """The same for equal skeletons, in whatever order their points are (Weisfeiler & Leman 1968)."""
        colours = [_digest(node) for node in zip(self.kinds, self.labels, strict=True)]
        for _ in range(len(self)):
            after, before = [[c] for c in colours], [[c] for c in colours]
            for a, b in self.edges or ():
                after[a].append(colours[b])
                before[b].append(colours[a])
            colours = [_digest((c, sorted(x), sorted(y))) for c, x, y in zip(colours, after, before, strict=True)]
        return _digest(sorted(colours))

    def is_like(self, other: Skeleton) -> bool:
        """Whether some renaming of the points makes them equal, labels as they are."""
        if self.count != other.count or self.arrows != other.arrows:
            return False
        if not self.edges:
            return True
        same = _networkx().is_isomorphic
        return bool(same(self._graph(), other._graph(), node_match=lambda a, b: a["kind"] == b["kind"]))

    def _graph(self) -> Any:
        graph = _networkx().DiGraph()
        for i, node in enumerate(zip(self.kinds, self.labels, strict=True)):
            graph.add_node(i, kind=str(node))
        graph.add_edges_from(self.edges or ())
        return graph


def renamings(n_output: int) -> Iterator[Renaming]:
    """Every order and sign of the outputs, as they are first; no other where these are many."""
    as_it_is = tuple(range(n_output)), (1,) * n_output
    yield as_it_is
    if 0 < n_output <= MOST_RENAMED:
        signs = list(itertools.product((1, -1), repeat=n_output))
        every = itertools.product(itertools.permutations(range(n_output)), signs)
        yield from (one for one in every if one != as_it_is)


def _one_of_each(points: FixedPoints) -> list[int]:
    """The fixed points, and one of each cycle and of each manifold."""
    rows, seen = [], set()
    for i in np.flatnonzero(points.verdict == "fixed").tolist():
        of = ("orbit", int(points.orbit[i])) if points.orbit[i] >= 0 else ("manifold", int(points.manifold[i]))
        if of[1] >= 0 and of in seen:
            continue
        seen.add(of)
        rows.append(i)
    return rows


def _kind(points: FixedPoints, i: int, several: bool) -> Kind:
    word = "marginal" if points.stability[i] == "marginal" else "point"
    if points.manifold[i] >= 0:
        word = f"manifold of {points.manifolds[points.manifold[i]]['dimension']} dimensions"
    return word, int(points.n_unstable[i]), tuple(points.inputs[i].tolist()) if several else ()


def _scale(points: FixedPoints) -> NDArray[np.float64]:
    stable = np.char.startswith(points.stability.astype(np.str_), "stable") & (points.verdict == "fixed")
    read = np.abs(points.readouts[stable] if stable.any() else points.readouts)
    return np.asarray(read.max(axis=0, initial=0.0))


def _labels(points: FixedPoints) -> list[Label]:
    scale = _scale(points)
    return [_label(z, scale) for z in points.readouts]


def _label(z: NDArray[np.float64], scale: NDArray[np.float64]) -> Label:
    """What a readout says: 1, -1, or 0 where it is less than half of the largest one at a stable point."""
    if len(z) != len(scale):
        return (0,) * len(scale)
    return tuple((np.sign(z) * (np.abs(z) > READ * scale)).astype(int).tolist())


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _networkx() -> Any:
    try:
        return importlib.import_module("networkx")
    except ImportError as error:
        raise ImportError("skeletons need networkx: pip install networkx") from error

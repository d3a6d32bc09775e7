"""Where memory flows: from each saddle along its unstable modes, both ways, to the attractor where it ends.

The branches are approximations of the saddle's unstable manifold: they start on its tangent, so near the saddle that
the nonlinear part of the growth is small against the linear one (``dynsys.attractors.unstable_branches``).
"""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.attractors.attractor import NO_ATTRACTOR, POINT, Attractor, Node
from dynsys.attractors.ends import Ends, iterated
from dynsys.attractors.unstable_branches import leaving
from dynsys.attractors.unstable_manifolds import follow
from dynsys.io.provenance import digest
from dynsys.io.record import PARTS, Record, axes, said
from dynsys.io.shown import Shown, Sight
from dynsys.io.text import sentence
from dynsys.numerics.deadline import Deadline
from dynsys.numerics.threads import alone
from dynsys.result.fixed_points import FixedPoints

Array = NDArray[np.float64]

HERE = "dynsys.attractors"
SCHEMA = "dynsys.connections/1"
LIMIT = 4096  # branches


@dataclass(frozen=True, eq=False, repr=False)
class Connections(Shown, Record, schema=SCHEMA, what="set of connections", remedy="follow the branches again"):
    """b branches from the unstable points among k, each with where it ends.

    ``source`` (b,) is the point it leaves along ``mode`` (b,) with ``sign`` (b,); ``part`` (b,) is "real", or "real"
    and "imaginary" of a complex mode. ``end`` (b,) names a node: "point 3", one of ``others``, "unsettled" or
    "escaped". ``time`` (b,) is what it takes from 1 % of the way off the source to 1 % of the way before the end, in
    steps of a map or in the time of a flow, NaN where it does not come so near. ``paths`` (b, d, n) are for drawing:
    d states along the way, each at most once for a map, the last one repeated.
    """

    source: NDArray[np.int64] = field(metadata=axes("i b"))
    mode: NDArray[np.int64] = field(metadata=axes("i b"))
    part: NDArray[np.str_] = field(metadata=axes("s b"))
    sign: NDArray[np.int64] = field(metadata=axes("i b"))
    end: NDArray[np.str_] = field(metadata=axes("s b"))
    time: Array = field(metadata=axes("f b"))
    paths: NDArray[np.float32] = field(metadata=axes("f b d n"))
    n_unstable: NDArray[np.int64] = field(metadata=axes("i k"))  # of all points, as in FixedPoints
    stability: NDArray[np.str_] = field(metadata=axes("s k"))
    readouts: Array = field(metadata=axes("f k o"))
    orbit: NDArray[np.int64] = field(metadata=axes("i k"))  # of points that are phases of cycles, else -1
    others: list[Attractor] = field(default_factory=list, metadata=PARTS)
    # branches that were not followed, by the reason
    left_out: dict[str, int] = field(default_factory=dict, metadata=said(needed=True))
    kind: str = field(default="flow", metadata=said(needed=True))
    points: str = field(default="", metadata=said(needed=True))  # the digest of the points' states

    def __len__(self) -> int:
        return len(self.source)

    def headline(self) -> str:
        return self.summary()

    def sight(self) -> Sight:
        """A row for each pair that is connected."""
        rows = [
            {"from": source, "to": end, "branches": str(len(branches))}
            for (source, end), branches in self.edges().items()
        ]
        return Sight(rows, [self.summary()], right=["branches"])

    def are_of(self, points: FixedPoints) -> bool:
        """Whether they were followed from these very points, whose numbers they bear."""
        return self.points == digest(points.states)

    @property
    def ends(self) -> list[Node]:
        """Where each branch ends."""
        return [Node(name) for name in self.end.tolist()]

    @property
    def attractors(self) -> list[Node]:
        """The nodes where something can stay: the stable points, then the others."""
        stable = np.flatnonzero((self.n_unstable == 0) & (self.stability != "marginal"))
        reached = {node.point for node in self.ends if node.point is not None and self.n_unstable[node.point] == 0}
        return [Node(POINT, i) for i in sorted({*stable.tolist(), *reached})] + [other.name for other in self.others]

    def readout_of(self, node: str) -> Array:
        """What the network says at a node (n_output,), empty where nothing is known."""
        for other in self.others:
            if other.name == node:
                return other.readout
        point = Node(node).point
        return np.zeros(0) if point is None else np.asarray(self.readouts[point])

    def ends_of(self, point: int) -> list[str]:
        """The nodes that the branches of one point reach, each once, in their order."""
        return list(dict.fromkeys(self.end[self.source == point].tolist()))

    def n_unstable_of(self, node: Node) -> int:
        """Unstable directions of a point; an attractor has none, nor has what is no state."""
        return 0 if node.point is None else int(self.n_unstable[node.point])

    def graph(self) -> Any:
        """A networkx.DiGraph, with an edge for every pair that is connected.

        Nodes have ``kind`` ("attractor", "saddle" or "end"), ``n_unstable`` and ``readout``; edges the number of
        ``branches``, their ``modes`` and the shortest ``time``. networkx comes with every torch; ImportError says so
        where it is missing.
        """
        try:
            nx: Any = importlib.import_module("networkx")
        except ImportError as error:
            raise ImportError("the graph needs networkx: pip install networkx (to_json() gives the edges)") from error
        graph = nx.DiGraph()
        for name in self.nodes():
            n_unstable = self.n_unstable_of(name)
            kind = "end" if name in NO_ATTRACTOR else "saddle" if n_unstable else "attractor"
            graph.add_node(name, kind=kind, n_unstable=n_unstable, readout=self.readout_of(name).tolist())
        for (source, end), rows in self.edges().items():
            times = self.time[rows]
            shortest = float(np.nanmin(times)) if np.isfinite(times).any() else float("nan")
            modes = sorted(set(self.mode[rows].tolist()))
            graph.add_edge(source, end, branches=len(rows), modes=modes, time=shortest)
        return graph

    def nodes(self) -> list[Node]:
        """Sources by number, then attractors, then the other ends that were reached."""
        sources = [Node(POINT, i) for i in np.unique(self.source).tolist()]
        reached = sorted(set(self.ends), key=lambda node: node.order)
        return list(dict.fromkeys([*sources, *self.attractors, *reached]))

    def edges(self) -> dict[tuple[Node, Node], list[int]]:
        """The branches (their rows) of each connected pair of nodes."""
        found: dict[tuple[Node, Node], list[int]] = {}
        for row, (source, end) in enumerate(zip(self.source.tolist(), self.ends, strict=True)):
            found.setdefault((Node(POINT, source), end), []).append(row)
        return found

    def summary(self) -> str:
        """In words: what was left out, then '19 saddles lead to 8 attractors along 76 branches; ...'."""
        ends, attractors = Counter(self.ends), set(self.attractors)
        reached = [node for node in self.attractors if ends[node]]
        orbits = {-1 if node.point is None else int(self.orbit[node.point]) for node in reached}
        single = [self.ends_of(int(i)) for i in np.unique(self.source) if self.n_unstable[i] == 1]
        pairs = [len(pair) for pair in single if set(pair) <= attractors]
        at_saddles = sum(n for node, n in ends.items() if node.point is not None and node not in reached)
        return sentence(
            HERE,
            "connections",
            self.left_out,
            len(np.unique(self.source)),
            len(self),
            len(reached),
            0 if -1 in orbits else len(orbits),
            len(single),
            pairs.count(2),
            pairs.count(1),
            at_saddles,
            [(what, ends[node]) for node, what in NO_ATTRACTOR.items() if ends[node]],
        )

    def to_json(self) -> dict[str, Any]:
        """The attractors, every branch and what was left out, without the paths."""
        rows = zip(self.source, self.mode, self.part, self.sign, self.end, self.time, strict=True)
        return {
            "schema": SCHEMA,
            "summary": self.summary(),
            "left_out": self.left_out,
            "attractors": [
                {"name": name, "readout": self.readout_of(name).tolist(), "period": self._period(name)}
                for name in self.attractors
            ],
            "branches": [
                {
                    "source": int(source),
                    "mode": int(mode),
                    "part": str(part),
                    "sign": int(sign),
                    "end": str(end),
                    "time": float(time) if np.isfinite(time) else None,
                }
                for source, mode, part, sign, end, time in rows
            ],
        }

    def _period(self, name: str) -> float:
        return next((other.period for other in self.others if other.name == name), 0.0)

    def check(self) -> None:
        b, k = len(self), len(self.n_unstable)
        nodes = {Node(POINT, i) for i in range(k)} | {other.name for other in self.others} | set(NO_ATTRACTOR)
        if not set(self.end.tolist()) <= nodes:
            raise ValueError("its branches end where it has nothing")
        if b and not 0 <= self.source.min() <= self.source.max() < k:
            raise ValueError(f"its branches come from points beyond its {k}")


def connections(
    points: FixedPoints,
    *,
    limit: int = LIMIT,
    max_steps: int | None = None,
    budget_seconds: float | Deadline | None = None,
) -> Connections:
    """Follow both ways along every unstable mode of the points, each branch to where it ends.

    Points with few unstable directions come first; branches beyond ``limit``, of slow points and along modes that are
    not known are left out and counted, and so is what ``budget_seconds`` do not suffice for. ``max_steps`` (steps of a
    map, time constants of a flow) is how long a branch may take to settle. Raises ValueError where the points have no
    system.

    >>> from dynsys import Flow, find_fixed_points
    >>> cubic = Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2))
    >>> found = connections(find_fixed_points(cubic))
    >>> found.summary()
    '1 unstable point leads to 2 attractors along 2 branches; it separates two attractors.'
    """
    if points.system is None:
        raise ValueError("these points were loaded without their system; give it: FixedPoints.load(path, system)")
    if limit < 2:
        raise ValueError(f"limit is {limit}; a point has two branches at least")
    system, deadline = iterated(points), Deadline.of(budget_seconds)
    ends = Ends(system, points)
    with alone():
        leave = leaving(system, points, limit)
        followed = follow(ends, leave, max_steps, deadline)
    done, left_out = slice(len(followed.end)), dict(leave.left_out)
    if len(followed.end) < len(leave.source):
        left_out["for want of time"] = len(leave.source) - len(followed.end)
    return Connections(
        source=leave.source[done],
        mode=leave.mode[done],
        part=leave.part[done],
        sign=leave.sign[done],
        end=np.array(followed.end, dtype=np.str_),
        time=followed.time,
        paths=followed.paths,
        n_unstable=points.n_unstable,
        stability=points.stability,
        readouts=points.readouts,
        orbit=points.orbit,
        others=ends.others,
        left_out=left_out,
        kind=str(system.kind),
        points=digest(points.states),
    )

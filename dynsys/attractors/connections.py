"""Where memory flows: from each saddle along its unstable modes, both ways, to the attractor where it ends.

The branches are approximations of the saddle's unstable manifold: they start on its tangent, so near the saddle that
the nonlinear part of the growth is small against the linear one (``dynsys.attractors.unstable_branches``).
"""

from __future__ import annotations

import hashlib
import importlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.attractors.ends import NO_ATTRACTOR, Ends, Other, iterated, packed, unpacked
from dynsys.attractors.unstable_branches import leaving
from dynsys.attractors.unstable_manifolds import follow
from dynsys.io.files import read_tensors, write_tensors
from dynsys.numerics.deadline import Deadline
from dynsys.numerics.threads import alone
from dynsys.result.fixed_points import FixedPoints
from dynsys.result.header import check_arrays, checked, content_of

Array = NDArray[np.float64]

SCHEMA = "dynsys.connections/1"
LIMIT = 4096  # branches


@dataclass(frozen=True, eq=False)
class Connections:
    """b branches from the unstable points among k, each with where it ends.

    ``source`` (b,) is the point it leaves along ``mode`` (b,) with ``sign`` (b,); ``part`` (b,) is "real", or "real"
    and "imaginary" of a complex mode. ``end`` (b,) names a node: "point 3", one of ``others``, "unsettled" or
    "escaped". ``time`` (b,) is what it takes from 1 % of the way off the source to 1 % of the way before the end, in
    steps of a map or in the time of a flow, NaN where it does not come so near. ``paths`` (b, d, n) are for drawing:
    d states along the way, each at most once for a map, the last one repeated.
    """

    source: NDArray[np.int64]
    mode: NDArray[np.int64]
    part: NDArray[np.str_]
    sign: NDArray[np.int64]
    end: NDArray[np.str_]
    time: Array
    paths: NDArray[np.float32]
    n_unstable: NDArray[np.int64]  # (k,) of all points, as in FixedPoints
    stability: NDArray[np.str_]
    readouts: Array
    orbit: NDArray[np.int64]  # (k,) of points that are phases of cycles, else -1
    others: list[Other] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)  # branches that were not followed, by the reason
    kind: str = "flow"
    points: str = ""  # the fingerprint of the points' states

    def __len__(self) -> int:
        return len(self.source)

    def are_of(self, points: FixedPoints) -> bool:
        """Whether they were followed from these very points, whose numbers they bear."""
        return self.points == _fingerprint(points)

    @property
    def attractors(self) -> list[str]:
        """The nodes where something can stay: the stable points, then the others."""
        stable = np.flatnonzero((self.n_unstable == 0) & (self.stability != "marginal"))
        reached = [int(name.split()[1]) for name in set(self.end.tolist()) if name.startswith("point ")]
        marginal = [i for i in reached if self.n_unstable[i] == 0]
        return [f"point {i}" for i in sorted({*stable.tolist(), *marginal})] + [other.name for other in self.others]

    def readout_of(self, node: str) -> Array:
        """What the network says at a node (n_output,), empty where nothing is known."""
        for other in self.others:
            if other.name == node:
                return other.readout
        if node.startswith("point "):
            return np.asarray(self.readouts[int(node.split()[1])])
        return np.zeros(0)

    def ends_of(self, point: int) -> list[str]:
        """The nodes that the branches of one point reach, each once, in their order."""
        return list(dict.fromkeys(self.end[self.source == point].tolist()))

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
            point = int(name.split()[1]) if name.startswith("point ") else -1
            n_unstable = int(self.n_unstable[point]) if point >= 0 else 0
            kind = "end" if name in NO_ATTRACTOR else "saddle" if n_unstable else "attractor"
            graph.add_node(name, kind=kind, n_unstable=n_unstable, readout=self.readout_of(name).tolist())
        for (source, end), rows in self.edges().items():
            times = self.time[rows]
            shortest = float(np.nanmin(times)) if np.isfinite(times).any() else float("nan")
            modes = sorted(set(self.mode[rows].tolist()))
            graph.add_edge(source, end, branches=len(rows), modes=modes, time=shortest)
        return graph

    def nodes(self) -> list[str]:
        """Sources by number, then attractors, then the other ends that were reached."""
        sources = [f"point {i}" for i in np.unique(self.source)]
        reached = sorted(set(self.end.tolist()), key=_order)
        return list(dict.fromkeys([*sources, *self.attractors, *reached]))

    def edges(self) -> dict[tuple[str, str], list[int]]:
        """The branches (their rows) of each connected pair of nodes."""
        found: dict[tuple[str, str], list[int]] = {}
        for row, (source, end) in enumerate(zip(self.source.tolist(), self.end.tolist(), strict=True)):
            found.setdefault((f"point {source}", end), []).append(row)
        return found

    def summary(self) -> str:
        """In words: what was left out, then '19 saddles lead to 8 attractors along 76 branches; ...'."""
        left_out = f"Left out: {self._told_left_out()}. " if self.left_out else ""
        if not len(self):
            return left_out + "No unstable point has a branch to follow."
        ends = Counter(self.end.tolist())
        reached = [name for name in self.attractors if ends[name]]
        saddles = len(np.unique(self.source))
        parts = [
            f"{_plural(saddles, 'unstable point')} lead{'s' * (saddles == 1)} to "
            f"{self._counted(reached)} along {_plural(len(self), 'branch', 'branches')}"
        ]
        parts += self._separatrices()
        at_saddles = sum(n for name, n in ends.items() if name.startswith("point ") and name not in reached)
        at_another = "ends at another unstable point" if at_saddles == 1 else "end at other unstable points"
        lost = [(at_saddles, at_another), *((ends[name], what) for name, what in NO_ATTRACTOR.items())]
        parts += [f"{_plural(count, 'branch', 'branches')} {what}" for count, what in lost if count]
        return left_out + "; ".join(parts) + "."

    def _told_left_out(self) -> str:
        """'34 branches beyond the limit, 6 of slow points'."""
        (first, count), *rest = self.left_out.items()
        return ", ".join([f"{_plural(count, 'branch', 'branches')} {first}", *(f"{n:,} {what}" for what, n in rest)])

    def _counted(self, attractors: list[str]) -> str:
        """'8 attractors', or where these are phases of cycles, '16 phases of 8 orbits'."""
        orbits = [int(self.orbit[int(name.split()[1])]) if name.startswith("point ") else -1 for name in attractors]
        if attractors and min(orbits) >= 0:
            return f"{_plural(len(orbits), 'phase')} of {_plural(len(set(orbits)), 'orbit')}"
        return _plural(len(attractors), "attractor")

    def _separatrices(self) -> list[str]:
        """How many of the saddles with one unstable direction lie between two attractors."""
        single = [int(i) for i in np.unique(self.source) if self.n_unstable[i] == 1]
        ends = [self.ends_of(i) for i in single]
        between = sum(len(pair) == 2 and set(pair) <= set(self.attractors) for pair in ends)
        alone = sum(len(ends_of) == 1 and set(ends_of) <= set(self.attractors) for ends_of in ends)
        if alone == len(single) > 1:
            return [f"both branches of each of the {alone} with one unstable direction end in the same attractor"]
        if not between:
            return []
        if between == len(single) == 1:
            return ["it separates two attractors"]
        if between == len(single):
            return [f"each of the {between} with one unstable direction separates two attractors"]
        return [
            f"{between} of the {len(single)} with one unstable direction separate{'s' * (between == 1)} two attractors"
        ]

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

    def save(self, path: str | Path) -> Path:
        """Write everything to one safetensors file; raises OutputError where it cannot be written."""
        others, about = packed(self.others)
        header = {
            "schema": SCHEMA,
            "kind": self.kind,
            "points": self.points,
            "left_out": self.left_out,
            "others": about,
            **{key: getattr(self, key).tolist() for key in WORDS},
        }
        tensors = {key: np.ascontiguousarray(getattr(self, key)) for key in SHAPES}
        return write_tensors(path, {**tensors, **others}, header)

    @classmethod
    def load(cls, path: str | Path) -> Connections:
        """Read a file of ``save`` back; raises CheckpointError where it is not one."""
        tensors, header = read_tensors(path, SCHEMA)
        with content_of(path, "set of connections", "follow the branches again"):
            sizes = check_arrays(tensors, SHAPES)
            words: dict[str, Any] = {
                key: np.array(checked(list[str], header[key], key), dtype=np.str_) for key in WORDS
            }
            found = cls(
                **{key: tensors[key] for key in SHAPES},
                **words,
                others=unpacked(tensors, header["others"]),
                left_out=checked(dict[str, int], header["left_out"], "left_out"),
                kind=checked(str, header["kind"], "kind"),
                points=checked(str, header["points"], "points"),
            )
            found._check(sizes["b"], sizes["k"])
            return found

    def _check(self, b: int, k: int) -> None:
        """Raise ValueError where its words and numbers do not fit together."""
        nodes = {f"point {i}" for i in range(k)} | {other.name for other in self.others} | set(NO_ATTRACTOR)
        if not (len(self.part) == len(self.end) == b and len(self.stability) == k and set(self.end.tolist()) <= nodes):
            raise ValueError("its words are not as many as its branches and points, or name ends that it does not have")
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
        points=_fingerprint(points),
    )


SHAPES = {
    **dict.fromkeys(("source", "mode", "sign"), "i b"),
    "time": "f b",
    "paths": "f b d n",
    **dict.fromkeys(("n_unstable", "orbit"), "i k"),
    "readouts": "f k o",
}
WORDS = ("part", "end", "stability")


def _fingerprint(points: FixedPoints) -> str:
    return hashlib.sha256(np.ascontiguousarray(points.states).tobytes()).hexdigest()


def _order(name: str) -> tuple[bool, str, int]:
    """Points by number, then the others by name and number, then those without a number."""
    word, _, number = name.rpartition(" ")
    return not number.isdigit(), word, int(number) if number.isdigit() else 0


def _plural(n: int, noun: str, nouns: str | None = None) -> str:
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"

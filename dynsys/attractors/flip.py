"""What it takes to flip a memory: bounds on the least push of the state from each stable point to each other.

From below by the ball that is proved to belong to the first (``dynsys.lyapunov.basins``): no push as short as its
radius ends anywhere else. From above by a push that does it, the shortest one found along the edge
(``dynsys.attractors.edge``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.attractors.attractor import POINT, Node
from dynsys.attractors.edge import Edges, Pushes
from dynsys.attractors.ends import Ends, iterated
from dynsys.io.record import Record, axes
from dynsys.io.shown import Shown, Sight
from dynsys.io.text import sentence
from dynsys.lyapunov.basins import certified_basins
from dynsys.numerics.deadline import Deadline
from dynsys.numerics.threads import alone
from dynsys.result.fixed_points import FixedPoints

Array = NDArray[np.float64]

HERE = "dynsys.attractors"
SCHEMA = "dynsys.flips/1"
TOGETHER = 64  # pairs that are pushed side by side, and after which the time is looked at
AT_SADDLE = 0.05  # of the push, up to which the slowest state of the way counts as at a saddle


@dataclass(frozen=True, eq=False, repr=False)
class Flips(Shown, Record, schema=SCHEMA, what="set of flips", remedy="run dynsys flip again"):
    """For the k stable points with the numbers ``memories`` (k,) among all points.

    ``lower`` (k,) is the radius of the ball that is proved to be held (0: none is), ``upper`` (k, k) the length of the
    shortest push found from the row's memory to the column's, infinite where none was found, and ``pushed`` (k, k, n)
    the state that it leads to (NaN where there is none). ``saddle`` (k, k) is the number of the unstable point that the
    edge state beside it is, -1 where it is none of the points. ``reasons`` (k,) says why a ball is missing.
    """

    memories: NDArray[np.int64] = field(metadata=axes("i k"))
    lower: Array = field(metadata=axes("f k"))
    upper: Array = field(metadata=axes("f k k"))
    pushed: Array = field(metadata=axes("f k k n"))
    saddle: NDArray[np.int64] = field(metadata=axes("i k k"))
    reasons: NDArray[np.str_] = field(metadata=axes("s k"))
    left_out: int = 0  # pairs whose turn did not come in the time given

    @property
    def nearest(self) -> Array:
        """(k,) the shortest push found out of each memory to another."""
        return np.where(np.eye(len(self.lower), dtype=bool), np.inf, self.upper).min(axis=1, initial=np.inf)

    def headline(self) -> str:
        return self.summary()

    def sight(self) -> Sight:
        """A row for each memory: the proved radius, then the shortest push found into each of the others."""
        rows = [
            {"from": f"point {memory}", "at least": f"{self.lower[i]:.3g}"}
            | {f"to {other}": f"{self.upper[i, j]:.3g}" for j, other in enumerate(self.memories.tolist()) if j != i}
            for i, memory in enumerate(self.memories.tolist())
        ]
        return Sight(rows, [self.summary()], right=[column for row in rows[:1] for column in row])

    def summary(self) -> str:
        """In words: between which lengths the least push lies, and which memory is the easiest to flip."""
        return sentence(HERE, "flips", self.facts())

    def facts(self) -> dict[str, Any]:
        found, k = np.isfinite(self.upper), len(self.memories)
        both = found & (self.lower > 0)[:, None]
        ratios = (self.upper / np.where(self.lower > 0, self.lower, 1.0)[:, None])[both]
        weakest = int(np.argmin(self.nearest)) if k > 1 else 0
        known = k > 1 and bool(np.isfinite(self.nearest[weakest]))
        return {
            "k": k,
            "pairs": k * (k - 1),
            "found": int(found.sum()),
            "left_out": self.left_out,
            "proved": int((self.lower > 0).sum()),
            "ratio": float(ratios.max()) if len(ratios) else None,
            "weakest": int(self.memories[weakest]) if known else None,
            "into": int(self.memories[int(np.argmin(self.upper[weakest]))]) if known else None,
            "least": float(self.lower[weakest]) if known else None,
            "most": float(self.nearest[weakest]) if known else None,
        }

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "from": int(self.memories[i]),
                "to": int(self.memories[j]),
                "lower": float(self.lower[i]),
                "upper": float(self.upper[i, j]) if np.isfinite(self.upper[i, j]) else None,
                "saddle": int(self.saddle[i, j]) if self.saddle[i, j] >= 0 else None,
            }
            for i in range(len(self.memories))
            for j in range(len(self.memories))
            if i != j
        ]
        reasons = {str(i): str(why) for i, why in zip(self.memories, self.reasons, strict=True) if why}
        return {"schema": SCHEMA, "summary": self.summary(), "pairs": rows, "not_proved": reasons}


def flips(points: FixedPoints, *, budget_seconds: float | Deadline | None = None) -> Flips:
    """Both bounds for every two stable points under one input; each push was followed to the memory that it ends at.

    When ``budget_seconds`` are over, balls and pairs whose turn has not come are left out. Raises ValueError where the
    points have no system or more than one input, and where fewer than two of them are stable.
    """
    if points.system is None:
        raise ValueError("these points were loaded without their system; give it: FixedPoints.load(path, system)")
    if len(np.unique(points.inputs, axis=0)) > 1:
        raise ValueError("the points were found under several inputs; give points[mask] of one input")
    system = iterated(points)
    ends = Ends(system, points)
    rows = ends.stable
    if len(rows) < 2:
        raise ValueError(f"a memory is flipped into another, and {len(rows)} of the points attract; it takes two")
    deadline = Deadline.of(budget_seconds)
    edges = Edges(system, torch.as_tensor(points.states[rows]), torch.as_tensor(points.inputs[:1]))
    proved = certified_basins(points, system, budget_seconds=deadline)  # of all: a complete list proves more
    k, n = len(rows), system.n_state
    upper, saddle = np.full((k, k), np.inf), np.full((k, k), -1)
    pushed = np.full((k, k, n), np.nan)
    pairs = torch.tensor([(i, j) for i in range(k) for j in range(k) if i != j])
    left_out = 0
    with alone():
        for some in torch.split(pairs, TOGETHER):
            if deadline.is_over:
                left_out += len(some)
                continue
            found = edges.pushes(some)
            i, j = some.T.numpy()
            there = _arrive(ends, rows, found, some, edges.u)
            upper[i, j] = np.where(there, found.lengths, np.inf)
            pushed[i, j] = np.where(there[:, None], found.states, np.nan)
            saddle[i, j] = np.where(there, _saddles(points, found), -1)
    return Flips(rows, proved.radius[rows], upper, pushed, saddle, proved.reasons[rows], left_out)


def _arrive(ends: Ends, rows: NDArray[np.int64], found: Pushes, pairs: Tensor, u: Tensor) -> NDArray[np.bool_]:
    """Whether the states end at the memory meant, as they settle by steps whose error is controlled."""
    nodes = ends.of(found.states, u.expand(len(pairs), -1))
    return np.array([node == Node(POINT, int(rows[j])) for node, j in zip(nodes, pairs[:, 1].tolist(), strict=True)])


def _saddles(points: FixedPoints, found: Pushes) -> NDArray[np.int64]:
    """The unstable points at which the ways were slowest; -1 where none was near."""
    unstable = np.flatnonzero((points.n_unstable > 0) & (points.verdict == "fixed"))
    if not len(unstable):
        return np.full(len(found.lengths), -1)
    distance, which = torch.cdist(found.slowest, torch.as_tensor(points.states[unstable])).min(1)
    near = np.asarray(distance <= AT_SADDLE * found.lengths)
    return np.where(near, unstable[which.numpy()], -1)

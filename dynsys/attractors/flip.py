"""What it takes to flip a memory: bounds on the least push of the state from each stable point to each other.

From below by the ball that is proved to belong to the first (``dynsys.lyapunov.basins``): no push as short as its
radius ends anywhere else. From above by a push that does it, the shortest one found along the edge
(``dynsys.attractors.edge``).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.attractors.attractor import POINT, Node
from dynsys.attractors.edge import Edges
from dynsys.attractors.ends import Ends, iterated
from dynsys.attractors.pulses import Pulses, held_pulses
from dynsys.attractors.weight_turns import Direction, weight_turns
from dynsys.io.record import ABSENT, Record, axes
from dynsys.io.shown import Shown, Sight
from dynsys.io.text import sentence
from dynsys.lyapunov.basins import certified_basins
from dynsys.numerics.deadline import Deadline
from dynsys.numerics.threads import alone
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import System

Array = NDArray[np.float64]

HERE = "dynsys.attractors"
SCHEMA = "dynsys.flips/1"
TOGETHER = 64  # pairs that are pushed side by side, and after which the time is looked at
STRETCHES = 1.0, 1 + 1e-6, 1 + 1e-4  # of a push that ends too near to the edge to be followed to the other memory
AT_SADDLE = 0.05  # of the push, up to which the slowest state of the way counts as at a saddle


@dataclass(frozen=True, eq=False, repr=False)
class Flips(Shown, Record, schema=SCHEMA, what="set of flips", remedy="run dynsys flip again"):
    """For the k stable points with the numbers ``memories`` (k,) among all points.

    ``lower`` (k,) is the radius of the ball that is proved to be held (0: none is), ``upper`` (k, k) the length of the
    shortest push found from the row's memory to the column's, infinite where none was found, and ``pushed`` (k, k, n)
    the state that it leads to (NaN where there is none). ``saddle`` (k, k) is the number of the unstable point that the
    edge state beside it is, -1 where it is none of the points. ``reasons`` (k,) says why a ball is missing.

    Where they were asked for: ``pulses`` (k, k, m) are the shortest pulses of the input found, of lengths
    ``pulse_upper``; all pulses shorter than ``pulse_lower`` (k,) are proved to be held (0: nothing is proved). A pulse
    lasts a step, of a flow ``duration`` time constants. ``weight_upper`` (k, k) are signed sizes of changes of the
    weights along Hebb's direction.
    """

    memories: NDArray[np.int64] = field(metadata=axes("i k"))
    lower: Array = field(metadata=axes("f k"))
    upper: Array = field(metadata=axes("f k k"))
    pushed: Array = field(metadata=axes("f k k n"))
    saddle: NDArray[np.int64] = field(metadata=axes("i k k"))
    reasons: NDArray[np.str_] = field(metadata=axes("s k"))
    left_out: int = 0  # pairs whose turn did not come in the time given
    pulse_lower: Array = field(default=ABSENT, metadata=axes("f k", 0.0))
    pulse_upper: Array = field(default=ABSENT, metadata=axes("f k k", np.nan))
    pulses: Array = field(default=ABSENT, metadata=axes("f k k u", np.nan))
    duration: float = 1.0
    weight_upper: Array = field(default=ABSENT, metadata=axes("f k k", np.nan))

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
        (found, proved, ratio), k = _spread(self.lower, self.upper), len(self.memories)
        pulses = _spread(self.pulse_lower, self.pulse_upper)
        weakest = int(np.argmin(self.nearest)) if k > 1 else 0
        known = k > 1 and bool(np.isfinite(self.nearest[weakest]))
        return {
            "k": k,
            "pairs": k * (k - 1),
            "found": found,
            "left_out": self.left_out,
            "proved": proved,
            "ratio": ratio,
            "pulses": pulses if self.has_pulses else None,
            "weights": int(np.isfinite(self.weight_upper).sum()) if self.has_weights else None,
            "weakest": int(self.memories[weakest]) if known else None,
            "into": int(self.memories[int(np.argmin(self.upper[weakest]))]) if known else None,
            "least": float(self.lower[weakest]) if known else None,
            "most": float(self.nearest[weakest]) if known else None,
        }

    @property
    def has_pulses(self) -> bool:
        """Whether they were asked for."""
        return not bool(np.isnan(self.pulse_upper).all())

    @property
    def has_weights(self) -> bool:
        """Whether changes of the weights were asked for."""
        return not bool(np.isnan(self.weight_upper).all())

    def _besides(self, i: int, j: int) -> dict[str, Any]:
        """Of a pair, what was asked for besides pushes of the state."""
        told: dict[str, Any] = {}
        if self.has_pulses:
            known = bool(np.isfinite(self.pulse_upper[i, j]))
            told["pulse_lower"] = float(self.pulse_lower[i]) if self.pulse_lower[i] > 0 else None
            told["pulse_upper"] = float(self.pulse_upper[i, j]) if known else None
            told["pulse"] = self.pulses[i, j].tolist() if known else None
        if self.has_weights:
            known = bool(np.isfinite(self.weight_upper[i, j]))
            told["weight_upper"] = float(self.weight_upper[i, j]) if known else None
        return told

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "from": int(self.memories[i]),
                "to": int(self.memories[j]),
                "lower": float(self.lower[i]),
                "upper": float(self.upper[i, j]) if np.isfinite(self.upper[i, j]) else None,
                "saddle": int(self.saddle[i, j]) if self.saddle[i, j] >= 0 else None,
                **self._besides(i, j),
            }
            for i in range(len(self.memories))
            for j in range(len(self.memories))
            if i != j
        ]
        reasons = {str(i): str(why) for i, why in zip(self.memories, self.reasons, strict=True) if why}
        return {"schema": SCHEMA, "summary": self.summary(), "pairs": rows, "not_proved": reasons}


def _spread(lower: Array, upper: Array) -> tuple[int, int, float | None]:
    """How many pairs were found, how many memories have a bound, and the largest ratio of the two."""
    found = np.isfinite(upper)
    both = found & (lower > 0)[:, None]
    ratios = (upper / np.where(lower > 0, lower, 1.0)[:, None])[both]
    return int(found.sum()), int((lower > 0).sum()), float(ratios.max()) if len(ratios) else None


def flips(
    points: FixedPoints,
    *,
    pulse: float | None = None,
    weights: Direction | None = None,
    budget_seconds: float | Deadline | None = None,
) -> Flips:
    """Both bounds for every two stable points under one input; each push was followed to the memory that it ends at.

    With ``pulse`` pulses of the input too, which last a step of a map, and so many time constants of a flow; with
    ``weights`` changes of these, too.
    When ``budget_seconds`` are over, balls and pairs whose turn has not come are left out. Raises ValueError where the
    points have no system or more than one input, and where fewer than two of them are stable.
    """
    system, ends = _checked(points, pulse is not None or weights is not None)
    rows = ends.stable
    if len(rows) < 2:
        raise ValueError(f"a memory is flipped into another, and {len(rows)} of the points attract; it takes two")
    deadline = Deadline.of(budget_seconds)
    homes, u = torch.as_tensor(points.states[rows]), torch.as_tensor(points.inputs[:1])
    edges = Edges(system, homes, u)
    proved = certified_basins(points, system, budget_seconds=deadline)  # of all: a complete list proves more
    with alone():
        by_state, slowest, left_out = _followed(edges, ends, rows, deadline)
        upper, pushed = by_state.lengths, by_state.states
        found = Flips(rows, proved.radius[rows], upper, pushed, _saddles(points, upper, slowest), proved.reasons[rows])
        if pulse is not None:
            lower = held_pulses(system, proved, points.inputs, pulse)[rows]
            by_pulse, _, more = _followed(Pulses(system, homes, u, pulse), ends, rows, deadline)
            found = dataclasses.replace(
                found,
                pulse_lower=lower,
                pulse_upper=by_pulse.lengths,
                pulses=by_pulse.pushes,
                duration=pulse,
            )
            left_out += more
        if weights is not None:
            found = dataclasses.replace(found, weight_upper=weight_turns(edges, weights, deadline))
    return dataclasses.replace(found, left_out=left_out)


def _checked(points: FixedPoints, at_rest: bool) -> tuple[System, Ends]:
    if points.system is None:
        raise ValueError("these points were loaded without their system; give it: FixedPoints.load(path, system)")
    if len(np.unique(points.inputs, axis=0)) > 1:
        raise ValueError("the points were found under several inputs; give points[mask] of one input")
    if at_rest and points.search.period > 1:
        raise ValueError("these memories are cycles; pulses and changes of the weights are sought for memories at rest")
    system = iterated(points)
    return system, Ends(system, points)


@dataclass(frozen=True)
class _Matrix:
    """For k memories: lengths (k, k) of the pushes (k, k, m) found, and the states (k, k, n) that they lead to."""

    lengths: Array
    pushes: Array
    states: Array


def _followed(edges: Edges, ends: Ends, rows: NDArray[np.int64], deadline: Deadline) -> tuple[_Matrix, Array, int]:
    """The shortest pushes found that end where they are meant to; the slowest states of their ways; pairs left out."""
    k, n = edges.homes.shape
    found = _Matrix(np.full((k, k), np.inf), np.full((k, k, edges.width), np.nan), np.full((k, k, n), np.nan))
    slowest, left_out = np.full((k, k, n), np.nan), 0
    pairs = torch.tensor([(i, j) for i in range(k) for j in range(k) if i != j])
    for some in torch.split(pairs, TOGETHER):
        if deadline.is_over:
            left_out += len(some)
            continue
        best = edges.pushes(some)
        i, j = some.T.numpy()
        slowest[i, j] = best.slowest
        left = torch.nonzero(torch.isfinite(best.lengths)).squeeze(1)
        for stretch in STRETCHES:
            pushes = stretch * best.pushes[left]
            states = edges.finely(edges.homes[some[left, 0]], pushes)
            there = _arrive(ends, rows, states, some[left], edges.u)
            i, j = some[left[there]].T.numpy()
            found.lengths[i, j] = stretch * best.lengths[left[there]]
            found.pushes[i, j], found.states[i, j] = pushes[there], states[there]
            left = left[~there]
    return found, slowest, left_out


def _arrive(ends: Ends, rows: NDArray[np.int64], states: Tensor, pairs: Tensor, u: Tensor) -> NDArray[np.bool_]:
    """Whether the states end at the memory meant, as they settle by steps whose error is controlled."""
    nodes = ends.of(states, u.expand(len(pairs), -1)) if len(pairs) else []
    return np.array(
        [node == Node(POINT, int(rows[j])) for node, j in zip(nodes, pairs[:, 1].tolist(), strict=True)], dtype=np.bool_
    )


def _saddles(points: FixedPoints, lengths: Array, slowest: Array) -> NDArray[np.int64]:
    """(k, k) the unstable points at which the ways were slowest; -1 where none was near."""
    unstable = np.flatnonzero((points.n_unstable > 0) & (points.verdict == "fixed"))
    if not len(unstable):
        return np.full(lengths.shape, -1)
    apart = np.linalg.norm(slowest[:, :, None] - points.states[unstable], axis=-1)
    distance = np.where(np.isfinite(apart), apart, np.inf)
    near = np.isfinite(lengths) & (distance.min(-1) <= AT_SADDLE * lengths)
    return np.where(near, unstable[distance.argmin(-1)], -1)

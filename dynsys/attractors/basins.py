"""How much of the state space belongs to each attractor: by random starts in the reachable box, and by the task's own
states, each with the 95 % interval of the share (Wilson 1927)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.attractors.attractor import NO_ATTRACTOR, POINT, Attractor, Node
from dynsys.attractors.ends import Ends, iterated
from dynsys.io.record import PARTS, Record
from dynsys.io.shown import Shown, Sight
from dynsys.io.text import sentence
from dynsys.numerics.deadline import Deadline
from dynsys.numerics.threads import alone
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import System
from dynsys.trajectories.projection import as_array

HERE = "dynsys.attractors"
SCHEMA = "dynsys.basins/1"
CONFIDENCE = 0.95
TASK_STEPS, TASK_RUNS = 400, 8  # of the network's own task, from which states are drawn
TOGETHER = 256  # starts followed side by side, and after which the time is looked at
BOX, AROUND = "random starts in the reachable box", "random starts in the box around {}"
TASK, DRIVEN, GIVEN = "the task's states", "the states under random inputs", "the states given"
RECORDED = "the recorded states"


@dataclass(frozen=True, repr=False)
class Shares(Shown):
    """Of n starts of one kind (``of`` says which), how many ended at each node; ``asked`` were wanted."""

    of: str
    n: int
    asked: int
    counts: dict[str, int]

    def share(self, node: str) -> float:
        return self.counts.get(node, 0) / self.n if self.n else float("nan")

    def interval(self, node: str) -> tuple[float, float]:
        """The ends of Wilson's 95 % interval of the share: of no start at all it is (0, 1)."""
        if not self.n:
            return 0.0, 1.0
        from scipy.stats import binomtest  # here, as it takes as long to load as half of torch

        found = binomtest(self.counts.get(node, 0), self.n).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)

    def headline(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """In words: '1,024 random starts in the reachable box end in 2 attractors: 50.2 % (47.1 to 53.3) point 1, ...'.

        Of more than four attractors the largest and the smallest share are told.
        """
        return sentence(HERE, "shares", self.facts())

    def facts(self) -> dict[str, Any]:
        """Its ends by their shares, and what did not settle."""
        nodes = sorted((node for node in self.counts if node not in NO_ATTRACTOR), key=lambda node: -self.counts[node])
        share = ("node", "share", "low", "high")
        ends = [dict(zip(share, (node, self.share(node), *self.interval(node)), strict=True)) for node in nodes]
        return {
            "of": self.of,
            "visited": self.of in (TASK, DRIVEN, GIVEN, RECORDED),
            "n": self.n,
            "asked": self.asked,
            "known": len(nodes),
            "reached": sum(self.counts[node] > 0 for node in nodes),
            "ends": ends,
            "lost": [(what, self.counts[node]) for node, what in NO_ATTRACTOR.items() if self.counts.get(node)],
        }

    def to_json(self) -> dict[str, Any]:
        rows = {
            node: {"count": count, "share": self.share(node), "interval": list(self.interval(node))}
            for node, count in self.counts.items()
        }
        return {"of": self.of, "starts": self.n, "asked": self.asked, "ends": rows}


@dataclass(frozen=True, eq=False, repr=False)
class Basins(Shown, Record, schema=SCHEMA, what="set of basins", remedy="sample the basins again"):
    """Shares of the random starts (``box``) and of the task's states (``task``): None where there are none.

    Every attractor that is known has a row, reached or not; what did not settle, what ran off and what came to rest
    where nothing draws it in are rows of their own.
    """

    box: Shares
    task: Shares | None
    others: list[Attractor] = field(default_factory=list, metadata=PARTS)  # attractors that are none of the points

    @property
    def all_shares(self) -> list[Shares]:
        return [self.box] if self.task is None else [self.box, self.task]

    @property
    def attractors(self) -> list[Node]:
        return [Node(name) for name in self.box.counts if name not in NO_ATTRACTOR]

    def headline(self) -> str:
        return self.summary()

    def sight(self) -> Sight:
        """A row for each attractor: its share of the starts of either kind, with the interval."""
        rows: dict[str, dict[str, str]] = {}
        for shares in self.all_shares:
            column = f"{shares.n:,} {'of ' if shares.facts()['visited'] else ''}{shares.of}"
            for node in shares.counts:
                low, high = shares.interval(node)
                told = f"{shares.share(node):.1%} ({100 * low:.1f} to {100 * high:.1f})"
                rows.setdefault(node, {"attractor": node})[column] = told
        return Sight(list(rows.values()), [self.summary()])

    def summary(self) -> str:
        """In words, what was left out first."""
        return sentence(HERE, "basins", [shares.facts() for shares in self.all_shares])

    def to_json(self) -> dict[str, Any]:
        shares = {"box": self.box.to_json(), "task": None if self.task is None else self.task.to_json()}
        return {"schema": SCHEMA, "summary": self.summary(), "confidence": CONFIDENCE, **shares}

    def check(self) -> None:
        for one in self.all_shares:
            if min(one.counts.values(), default=0) < 0 or sum(one.counts.values()) != one.n or one.n > one.asked:
                raise ValueError(f"its counts of {one.of} do not add up to {one.n}")


def basins(
    points: FixedPoints,
    n: int = 1024,
    *,
    states: Any = None,
    others: Sequence[Attractor] = (),
    seed: int = 0,
    budget_seconds: float | Deadline | None = None,
    max_steps: int | None = None,
) -> Basins:
    """Where n random starts and n of the task's states end, under the one input at which the points were found.

    The random starts are uniform in the reachable box; where the system has none, in the least box around the task's
    states. These are ``states`` (..., n_state) where given, else those recorded, else of the system's own
    trajectories; each is taken once.
    ``others`` are attractors beside the points that have names already, as in ``Connections.others``. When
    ``budget_seconds`` are over, the rest is left out; ``max_steps`` (time constants of a flow) is the time to settle.

    Raises ValueError where the points have no system or more than one input, and where there is neither a box nor a
    state of the task.
    """
    if points.system is None:
        raise ValueError("these points were loaded without their system; give it: FixedPoints.load(path, system)")
    if n < 1:
        raise ValueError(f"n is {n}; give at least one start")
    system, u = iterated(points), _input(points)
    visited, which = _visited(system, states, seed), _which(points.system, states)
    around = BOX if _box(system, u) is not None else AROUND.format(which)
    starts = {around: _in_box(system, u, visited, n, seed)}
    if visited is not None:
        order = np.random.default_rng(seed).permutation(len(visited))[:n]
        starts[which] = visited[torch.as_tensor(order)]
    ends = Ends(system, points, list(others))
    deadline = Deadline.of(budget_seconds)
    counted: dict[str, Counter[Node]] = {of: Counter() for of in starts}
    with alone():
        for of, chunk in _in_turns(starts):
            if counted[of] and deadline.is_over:
                continue
            counted[of].update(ends.of(chunk, u.expand(len(chunk), -1), max_steps))
    shares = [Shares(of, counted[of].total(), len(starts[of]), _rows(ends, counted[of])) for of in starts]
    return Basins(shares[0], shares[1] if len(shares) > 1 else None, ends.others)


def _input(points: FixedPoints) -> Tensor:
    """The one input (1, m) of the points."""
    found = points.inputs if len(points) else np.array(points.search.inputs).reshape(len(points.search.inputs), -1)
    inputs = np.unique(found, axis=0)
    if len(inputs) > 1:
        raise ValueError(
            f"the points were found under {len(inputs)} inputs; basins belong to one: give points[mask] of one input"
        )
    return torch.as_tensor(np.asarray(inputs, dtype=np.float64))


def _which(system: System, states: Any) -> str:
    """What the states that are visited are: a network whose task is not known drives itself at random."""
    if states is not None:
        return GIVEN
    inner = system.system if isinstance(system, Iterated) else system
    if inner.recorded is not None:
        return RECORDED
    return TASK if getattr(inner, "task", None) is not None else DRIVEN


def _visited(system: System, states: Any, seed: int) -> Tensor | None:
    """The states (B, n) that the network goes through, each once."""
    if states is None:
        found = system.states_visited(TASK_STEPS, TASK_RUNS, seed)
        if found is None:
            return None
        states = found
    array = as_array(states)
    if array.ndim < 2 or array.shape[-1] != system.n_state or not array.size:
        raise ValueError(f"states has shape {array.shape}; this system needs (..., {system.n_state})")
    if not np.isfinite(array).all():
        raise ValueError("states are not all finite")
    return torch.as_tensor(np.unique(array.reshape(-1, system.n_state), axis=0))


def _box(system: System, u: Tensor) -> tuple[Tensor, Tensor] | None:
    box = system.box(u)
    return box if box is not None and all(bool(torch.isfinite(edge).all()) for edge in box) else None


def _in_box(system: System, u: Tensor, visited: Tensor | None, n: int, seed: int) -> Tensor:
    box = _box(system, u)
    if box is None:
        if visited is None:
            raise ValueError(
                "this system has neither a reachable box nor a task; give states, around which random starts are drawn"
            )
        box = visited.amin(dim=0)[None], visited.amax(dim=0)[None]
    low, high = box
    share: NDArray[np.float64] = np.random.default_rng(seed).uniform(0.0, 1.0, (n, system.n_state))
    return low + (high - low) * torch.as_tensor(share)


def _in_turns(starts: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Pieces of each kind in turn, so that a budget leaves something of both."""
    for i in range(0, max(map(len, starts.values())), TOGETHER):
        for of, x in starts.items():
            if i < len(x):
                yield of, x[i : i + TOGETHER]


def _rows(ends: Ends, counted: Counter[Node]) -> dict[str, int]:
    nodes = [Node(POINT, i) for i in ends.stable.tolist()] + [other.name for other in ends.others]
    beside = {node for node in counted if node.point is not None} - set(nodes)  # marginal, or on a separatrix
    nodes += sorted(beside, key=lambda node: node.order)
    rows: dict[str, int] = {node: counted[node] for node in nodes}
    return rows | {node: counted[node] for node in NO_ATTRACTOR if counted[node]}

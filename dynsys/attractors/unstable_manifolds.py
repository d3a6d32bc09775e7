"""Branches followed to their ends: each walks until it is near something known, and is then asked where it settles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.attractors.attractor import ESCAPED, NO_ATTRACTOR, OSCILLATION, POINT, UNSETTLED, Node
from dynsys.attractors.ends import Ends
from dynsys.attractors.unstable_branches import Leaving, nearest
from dynsys.numerics.deadline import Deadline
from dynsys.systems.held import Held
from dynsys.systems.system import Kind
from dynsys.trajectories.paths import Walk

Array = NDArray[np.float64]

NEAR = 0.01  # of the way from source to end: where a branch has left, and where it has arrived
AT_SADDLE = 1e-4  # of the way: a branch that comes so near to an unstable point ends there
CLOSE = 0.01  # of the distance from a point to the nearest other, that counts as near at most
FAR, DRAWN_TO = 1e4, 3.0  # times the extent of the points: where a branch is asked whether it escapes, and drawn
FIRST_STEPS, MORE_STEPS = 128, 4096  # of a walk: before the end is known, and after
ROUNDS = 4  # of walking and asking, should a branch pass near an attractor that is not its own
TOGETHER = 256  # branches that walk side by side, and after which the time is looked at
BYTES, WALKED = 512 * 2**20, 512  # for the paths of branches that walk side by side, most of so many steps
DRAWN = 96  # states of a path that are kept


@dataclass(frozen=True, eq=False)
class Followed:
    """Of b branches: the names of their ends, the times (b,) taken, NaN where unknown, and paths (b, DRAWN, n)."""

    end: list[Node]
    time: Array
    paths: NDArray[np.float32]


def follow(ends: Ends, leave: Leaving, max_steps: int | None, deadline: Deadline) -> Followed:
    """Branches to their ends, the first of them where the time does not do for all; ``ends`` learns every attractor."""
    n = leave.start.shape[1]
    together = max(1, min(TOGETHER, BYTES // (4 * n * WALKED)))
    everyone = torch.arange(len(leave.source))
    parts: list[Followed] = []
    for i in range(0, len(everyone), together):
        if parts and deadline.is_over:
            break
        parts.append(_Course(ends, leave, everyone[i : i + together], max_steps).run())
    return Followed(
        [name for part in parts for name in part.end],
        np.concatenate([part.time for part in parts] or [np.zeros(0)]),
        np.concatenate([part.paths for part in parts] or [np.zeros((0, DRAWN, n), dtype=np.float32)]),
    )


class _Course:
    """Some of the branches on their way: ``at`` (b,) is the point that each is near to, -1 for none."""

    def __init__(self, ends: Ends, leave: Leaving, row: Tensor, max_steps: int | None) -> None:
        points = ends.points
        self.ends, self.leave, self.row, self.max_steps = ends, leave, row, max_steps
        self.source = torch.as_tensor(leave.source)[row]
        self.states = torch.as_tensor(points.states)
        self.u = torch.as_tensor(points.inputs)[self.source]
        self.stable = torch.zeros(len(points), dtype=torch.bool)
        self.stable[torch.as_tensor(ends.stable)] = True
        self.extent = float(vector_norm(self.states - self.states.mean(dim=0), dim=1).max())
        apart = torch.as_tensor(nearest(points, ends.system))
        self.reach = self._reach(torch.as_tensor(points.inputs), apart)
        scale = apart[self.source]
        self.extent = max(self.extent, float(scale.max()) if len(scale) else 0.0)
        self.walk = Walk(Held(ends.system, self.u), leave.start[row], scale)
        self.at = torch.full_like(self.source, -1)
        self.not_its_own = torch.full_like(self.source, -1)  # the stable point where it was found to settle elsewhere
        self.end = [UNSETTLED] * len(row)

    def _reach(self, inputs: Tensor, nearest: Tensor) -> Tensor:
        """How near to each point (b, k) a branch is at it; never at its source, or at points of other inputs."""
        way = torch.cdist(self.states[self.source], self.states)
        reach = torch.minimum(torch.where(self.stable, NEAR, AT_SADDLE) * way, CLOSE * nearest)
        reach[(inputs[self.source].unsqueeze(1) != inputs).any(dim=2)] = -1.0
        reach[torch.arange(len(way)), self.source] = -1.0
        return reach

    def run(self) -> Followed:
        rows, steps = torch.arange(len(self.row)), FIRST_STEPS
        for _ in range(ROUNDS):
            self.walk.advance(rows, steps, self._stop)
            rows, steps = self._told(rows), MORE_STEPS
            if not len(rows):
                break
        drawn = [self._drawn(i, *path) for i, path in enumerate(self.walk.paths())]
        return Followed(self.end, np.array([time for time, _ in drawn]), np.stack([path for _, path in drawn]))

    def _stop(self, rows: Tensor, x: Tensor) -> Tensor:
        near = torch.cdist(x, self.states) <= self.reach[rows]
        own = self.not_its_own[rows]
        near[own >= 0, own[own >= 0]] = False
        self.at[rows] = torch.where(near.any(dim=1), near.to(torch.uint8).argmax(dim=1), -1)
        told = torch.tensor([self.end[row] != UNSETTLED for row in rows.tolist()])
        stop = near.any(dim=1) | self._is_far(x) & ~told | ~torch.isfinite(x).all(dim=1)
        for name in {self.end[row] for row in rows.tolist()} - {UNSETTLED}:
            mine = torch.tensor([self.end[row] == name for row in rows.tolist()])
            target, gap = self._target(name)
            way = torch.cdist(self.states[self.source[rows[mine]]], target).amin(dim=1)
            stop[mine] |= torch.cdist(x[mine], target).amin(dim=1) <= (NEAR * way).clamp_min(gap)
        return stop

    def _is_far(self, x: Tensor) -> Tensor:
        return ~(vector_norm(x - self.states.mean(dim=0), dim=1) <= FAR * self.extent)

    def _target(self, name: Node) -> tuple[Tensor, float]:
        """The states (p, n) of an attractor, and the greatest distance between two that follow along a loop."""
        if name.point is not None:
            return self.states[name.point][None], 0.0
        other = next(other for other in self.ends.others if other.name == name)
        gap = np.linalg.norm(np.diff(other.states, axis=0), axis=1).max() if name.kind == OSCILLATION else 0.0
        return torch.as_tensor(other.states), float(gap)

    def _told(self, rows: Tensor) -> Tensor:
        """Ends of the rows that have walked; returns those that walk on, towards the end that they have been told."""
        x, at = self.walk.x[rows], self.at[rows]
        at_unstable = (at >= 0) & ~self.stable[at]
        for row in rows[at_unstable].tolist():
            self.end[row] = Node(POINT, int(self.at[row]))
        lost = ~torch.isfinite(x).all(dim=1)
        for row in rows[lost & ~at_unstable].tolist():
            self.end[row] = ESCAPED
        asked = rows[~at_unstable & ~lost]
        names = self.ends.of(self.walk.x[asked], self.u[asked], self.max_steps)
        on = []
        for row, name in zip(asked.tolist(), names, strict=True):
            at_name = Node(POINT, int(self.at[row]))
            known_before, self.end[row] = self.end[row], name
            if name in NO_ATTRACTOR or name in (at_name, known_before):
                continue
            self.not_its_own[row] = self.at[row]
            on.append(row)
        return torch.tensor(on, dtype=torch.long)

    def _drawn(self, i: int, times: Tensor, states: Tensor) -> tuple[float, NDArray[np.float32]]:
        """The time of one branch, and its path from its source on, up to its end where it comes near to that."""
        source, end = self.states[self.source[i]], self.end[i]
        states = torch.cat([source[None].to(states.dtype), states])
        from_source = vector_norm(states - source, dim=1)
        time, until = math.nan, len(states)
        final: list[Tensor] = []
        if end not in NO_ATTRACTOR:
            target, gap = self._target(end)
            way = float(torch.cdist(source[None], target).min())
            to_end = torch.cdist(states, target.to(states.dtype)).amin(dim=1)
            arrived = _last(to_end > max(NEAR * way, gap)) + 1
            if arrived < len(states):
                until = arrived + 1
                time = self._passed(times, to_end[1:], arrived - 1, max(NEAR * way, gap))
                time -= self._left(i, times, from_source[1:until], NEAR * way)
            last = torch.cdist(states[until - 1 : until], target.to(states.dtype)).argmin()
            final = [target[last][None]]
        elif end == ESCAPED:
            until = min(until, _last(from_source <= DRAWN_TO * self.extent) + 2)
        path = torch.cat([states[: until : self._stride(i)], *final])
        kind = self.ends.system.kind
        return time * self._unit_of_time(), thinned(path.numpy(), kind, DRAWN)

    def _left(self, i: int, times: Tensor, distance: Tensor, off: float) -> float:
        """When the branch was ``off`` its source: of one that starts farther away, by the linear growth before."""
        if float(distance[0]) <= off:
            return self._passed(times, distance, min(_last(distance <= off) + 1, len(distance) - 1), off)
        return -math.log(float(distance[0]) / off) / float(self.leave.rate[int(self.row[i])])

    def _passed(self, times: Tensor, distance: Tensor, k: int, level: float) -> float:
        """When the distance (t,) passed a level between the states k - 1 and k: of a map, the later of the two."""
        after = float(times[k])
        if k == 0 or self.ends.system.kind is Kind.MAP:
            return after
        before, first, last = float(times[k - 1]), *(math.log(max(float(d), 1e-300)) for d in distance[k - 1 : k + 1])
        return after if first == last else before + (after - before) * (math.log(level) - first) / (last - first)

    def _unit_of_time(self) -> float:
        """A flow's time constant, or the steps of the map that one step here makes."""
        system = self.ends.system
        return system.time_constant if system.kind is Kind.FLOW else getattr(system, "k", 1)

    def _stride(self, i: int) -> int:
        """Steps between states that are drawn: those of an orbit, or of an eigenvalue below -1, would go to and fro."""
        period = next((int(o.period) for o in self.ends.others if o.name == self.end[i]), 1)
        if self.ends.system.kind is Kind.FLOW:
            return 1
        return math.lcm(2 if self.leave.flips[int(self.row[i])] else 1, max(period, 1))


def _last(where: Tensor) -> int:
    """The last index where it is true; -1 where it is nowhere."""
    found = where.nonzero()
    return int(found[-1]) if len(found) else -1


def thinned(path: Array, kind: Kind, n: int) -> NDArray[np.float32]:
    """n states evenly along a path (t, n_state): those of a map are among its own, each at most once, then the last."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], n)
    if kind is Kind.MAP:
        rows = np.unique(np.searchsorted(length, at * (1 - 1e-6)))
        rows = np.concatenate([rows, np.full(n - len(rows), len(path) - 1)])
        return path[rows].astype(np.float32)
    right = np.clip(np.searchsorted(length, at), 1, len(path) - 1) if len(path) > 1 else np.zeros(n, dtype=np.int64)
    if len(path) < 2:
        return path[right].astype(np.float32)
    share = (at - length[right - 1]) / np.maximum(length[right] - length[right - 1], 1e-300)
    return (path[right - 1] + share[:, None] * (path[right] - path[right - 1])).astype(np.float32)

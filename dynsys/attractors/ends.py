"""Where trajectories of one system end: its attractors as they are met, each with a name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.attractors.attractor import ESCAPED, ORBIT, OSCILLATION, POINT, RESTING, STATE, UNSETTLED, Attractor, Node
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import Kind, System
from dynsys.trajectories.paths import Walk
from dynsys.trajectories.settling import Ending, settle
from dynsys.trajectories.simulate import relax

Array = NDArray[np.float64]

LOOP_STEPS = 2000  # of one turn of an oscillation
SHORT_STEPS, SHORT_STEP = 64, 0.1  # of the time constant, by which it is seen whether a slow state of a flow rests
SLOW, DIED_OUT = 1e-4, 0.1  # speed relative to the state that is slow, and what short steps leave of it at rest
SAME = 1e-6  # of the size of its states, that two records of one orbit may differ
SAME_LOOP = 0.02  # of its size, that a state may lie off the loop of the oscillation that it belongs to


@dataclass
class Ends:
    """The attractors of one system met so far: the stable ones among the points, and ``others``."""

    system: System
    points: FixedPoints
    others: list[Attractor] = field(default_factory=list)

    @property
    def stable(self) -> NDArray[np.int64]:
        """Numbers of the points that attract."""
        fixed = self.points.verdict == "fixed"
        return np.flatnonzero(fixed & (self.points.n_unstable == 0) & (self.points.stability != "marginal"))

    def of(self, x: Tensor, u: Tensor, max_steps: int | None = None) -> list[Node]:
        """Where each state x (B, n) ends under u (B, m): at a point or other attractor, or one of NO_ATTRACTOR."""
        rows = self.stable
        settled = settle(
            self.system,
            x,
            u,
            points=torch.as_tensor(self.points.states[rows]),
            point_inputs=torch.as_tensor(self.points.inputs[rows]),
            leading=self.points.leading_eigenvalue[rows],
            max_steps=max_steps,
        )
        names = [Node(POINT, i) for i in rows.tolist()]
        names += [self._name(found) for found in settled.attractors[len(rows) :]]
        found = [names[owner] if owner >= 0 else UNSETTLED for owner in settled.attractor.tolist()]
        lost = np.flatnonzero(settled.attractor < 0)
        resting = (settled.kind[lost] == Ending.RESTING) | self._rests(settled.end[lost], u[lost])
        for i, rests in zip(lost.tolist(), resting, strict=True):
            if settled.kind[i] == Ending.ESCAPED:
                found[i] = ESCAPED
            elif rests:
                found[i] = self._point_at(settled.end[i], np.asarray(u[i]))
        return found

    def _rests(self, x: Array, u: Tensor) -> NDArray[np.bool_]:
        """Whether a flow's states (B, n) lie on a line of fixed points, to the error with which they were followed.

        The error of long steps keeps the velocity from vanishing there; in short ones it dies out, and where nothing is
        left that would lead away the state rests.
        """
        if self.system.kind is not Kind.FLOW or not len(x):
            return np.zeros(len(x), dtype=np.bool_)
        start = torch.as_tensor(x)
        sizes = [Held(self.system, u[i : i + 1]).measured(start[i : i + 1]).unit for i in range(len(x))]
        size = torch.tensor(sizes, dtype=start.dtype)
        slow = vector_norm(self.system.velocity(start, u), dim=1) <= SLOW * size
        rests = torch.zeros(len(x), dtype=torch.bool)
        if bool(slow.any()):
            end = relax(Held(self.system, u[slow]), start[slow], SHORT_STEPS, SHORT_STEP)[-1]
            speeds = [vector_norm(self.system.velocity(y, u[slow]), dim=1) for y in (start[slow], end)]
            rests[slow] = (speeds[1] <= SAME * size[slow]) & (speeds[1] <= DIED_OUT * speeds[0])
        return np.asarray(rests)

    def _point_at(self, end: Array, u: Array) -> Node:
        """The point at which a trajectory rests that nothing draws in."""
        distance = np.linalg.norm(self.points.states - end, axis=1)
        distance[(self.points.inputs != u).any(axis=1)] = np.inf
        bound = np.where(np.isfinite(self.points.error_bound), self.points.error_bound, 0.0)
        size = Held(self.system, torch.as_tensor(u)[None]).measured(torch.as_tensor(end)[None]).unit
        near = np.flatnonzero(distance <= 10 * SAME * size + bound)
        return Node(POINT, int(near[distance[near].argmin()])) if len(near) else RESTING

    def _name(self, found: Attractor) -> Node:
        """The name of an attractor that is none of the points; it is entered where it has none yet."""
        for other in self.others:
            if _is_same(found, other, self.system):
                return other.name
        turning = found.period > 0 and self.system.kind is Kind.FLOW
        if turning:
            word, kind = OSCILLATION, OSCILLATION
        elif found.period:
            word, kind = ORBIT, f"stable orbit of period {int(found.period)}"
        else:
            word, kind = STATE, "stable point found on the way"
        states = self._turn(found) if turning else found.states
        readout = np.asarray(self.system.readout(torch.as_tensor(states)).mean(dim=0))
        name = Node(word, sum(other.name.kind == word for other in self.others))
        period = found.period * (self.system.time_constant if turning else 1)
        self.others.append(replace(found, name=name, kind=kind, period=period, states=states, readout=readout))
        return name

    def _turn(self, found: Attractor) -> Array:
        """States (p, n) along one turn of an oscillation."""
        x, u = torch.as_tensor(found.states), torch.as_tensor(found.input)[None]
        walk = Walk(Held(self.system, u), x, vector_norm(x, dim=1).clamp_min(1e-300))
        walk.advance(torch.arange(1), LOOP_STEPS, lambda rows, x: walk.time[rows] >= found.period)
        ((_, states),) = walk.paths()
        return np.asarray(states, dtype=np.float64)


def iterated(points: FixedPoints) -> System:
    """The system whose fixed points they are: of cycles, the map applied as often as the search did."""
    assert points.system is not None
    k = points.search.period if points.search is not None else 1
    return points.system if k == 1 or isinstance(points.system, Iterated) else Iterated(points.system, k)


def _is_same(found: Attractor, other: Attractor, system: System) -> bool:
    if not np.array_equal(found.input, other.input):
        return False
    apart = np.linalg.norm(other.states - found.states[0], axis=1).min()
    size = np.linalg.norm(other.states - other.states.mean(axis=0), axis=1).max()
    if system.kind is Kind.FLOW and found.period:
        gap = np.linalg.norm(np.diff(other.states, axis=0), axis=1).max(initial=0.0)
        return bool(other.period > 0 and apart <= SAME_LOOP * size + gap)
    at = Held(system, torch.as_tensor(found.input)[None]).measured(torch.as_tensor(found.states[:1])).unit
    return bool(found.period == other.period and apart <= SAME * (size + at))

"""Fixed points of a network followed while its held input changes, along a path through the space of inputs.

The path goes straight from one vertex to the next. A closed path comes back to the points that it began with; what a
memory has become by then, if the input moves so slowly that the state keeps up, is told for each of them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsys.continuation.diagram import Array, Branch, Diagram, Event, Integers, PointsAt
from dynsys.continuation.follow import SEARCHES, follow
from dynsys.io.progress import Progress, shown
from dynsys.io.shown import Sight
from dynsys.numerics.deadline import Deadline
from dynsys.systems.family import Family
from dynsys.systems.held import HeldInput
from dynsys.systems.system import System
from dynsys.trajectories.settling import Ending, settle

FEWEST = 9  # places at which points are looked for: shorter paths are cut finer between their vertices
BEYOND = 1e-3  # of the way to the next vertex, beyond the end of its branch, at which a state is let go
NEAR = 0.02  # of the size of states, between where it comes to rest and the branch that it has come to
MOST_SHOWN = 4  # outputs of a point that are told beside its number
INPUT = "place on the path of inputs"


class InputPath(Family):
    """The family of a system under the inputs of a path (K, n_input); vertex k is the value k of the parameter."""

    parameter = INPUT

    def __init__(self, network: System, path: Array) -> None:
        self.network, self.path = network, path
        self.parts = -(-FEWEST // (len(path) - 1)) if len(path) - 1 < FEWEST else 1
        super().__init__(np.arange((len(path) - 1) * self.parts + 1) / self.parts)

    def at(self, s: float) -> System:
        return HeldInput(self.network, torch.as_tensor(self.input(s))[None])

    def input(self, s: float) -> Array:
        """Under which the network is at the value s of the parameter, (n_input,)."""
        return on_path(self.path, s)

    def told(self, s: float) -> str:
        return told_input(self.input(s))

    def velocities(self, x: Tensor, p: Tensor) -> Tensor:
        held = torch.as_tensor(np.array([self.input(self.time(place)) for place in p.tolist()]))
        return self.network.velocity(x, held)

    def rate(self, x: Tensor, p: float, cell: int) -> Tensor:
        i = min(cell // self.parts, len(self.path) - 2)
        change = torch.as_tensor((self.path[i + 1] - self.path[i]) / self.parts)
        held = torch.as_tensor(self.input(self.time(min(max(p, cell), cell + 1))))[None]
        return (self.network.input_jacobian(x[None], held) @ change)[0]

    def is_odd(self) -> bool:
        return False  # not where the input is not zero


def on_path(path: Array, s: float) -> Array:
    """The input (n_input,) at s, which counts vertices."""
    i = min(max(int(s), 0), len(path) - 2)
    return np.asarray(path[i] + (s - i) * (path[i + 1] - path[i]))


def told_input(input: Array) -> str:
    return f"input ({', '.join(f'{value:.6g}' for value in input)})"


@dataclass(frozen=True, eq=False, repr=False)
class InputEvent(Event):
    """An event, and the ``input`` (n_input,) at which it happens."""

    input: Array


@dataclass(frozen=True, eq=False, repr=False)
class InputDiagram(Diagram):
    """A diagram over a path of inputs ``path`` (K, n_input); ``time`` and ``s`` count its vertices.

    Where the path is closed ``carried`` (k,) tells for each stable point at the first vertex which point at the last
    one it has become when the input has gone slowly once around: the number of that point in ``points_at(-1)``, -1
    where the state had come to none of them.
    """

    path: Array = field(default_factory=lambda: np.zeros((0, 0)))
    carried: Integers | None = None

    def points_at(self, i: int) -> PointsAt:
        """The points at the i-th vertex of the path; -1 is the last."""
        K = len(self.path)
        if not -K <= i < K:
            raise IndexError(f"there is no vertex {i}; this path has 0 to {K - 1}")
        return super().points_at(i % K * ((len(self.steps) - 1) // (K - 1)))

    def at_place(self, i: int) -> PointsAt:
        """The points at the i-th of the ``steps``, between vertices too."""
        return super().points_at(i)

    def input_at(self, s: float) -> Array:
        """The input (n_input,) at the place s on the path, which counts vertices."""
        return on_path(self.path, s)

    @property
    def is_closed(self) -> bool:
        return bool((self.path[0] == self.path[-1]).all())

    @property
    def sentence(self) -> str:
        """What a closed path does to each memory; the number of events of an open one."""
        if self.carried is None:
            events, first, last = len(self.events), len(self.points_at(0)), len(self.points_at(-1))
            at = f"{first} point{'s' * (first != 1)} at its beginning, {last} at its end"
            return f"{events} event{'s' * (events != 1)} on the path, {at}."
        a, b = (_numbered(self.points_at(k)) for k in (0, -1))
        moved = [f"{a[i]} to {b[j]}" if j >= 0 else f"{a[i]} to none of the points" for i, j in enumerate(self.carried)]
        return f"Once around, slowly, takes the stable points {', '.join(moved)}." if moved else "No point is stable."

    def headline(self) -> str:
        return f"of {len(self.branches)} branches: {self.sentence}"

    def sight(self) -> Sight:
        """A row for each vertex of the path; what happens, in its order."""
        rows = []
        for k, at in enumerate(self.path):
            points = self.points_at(k)
            shown, stable = ", ".join(f"{value:g}" for value in at), int((points.stability == "stable").sum())
            row = {"vertex": str(k), "input": shown, "points": str(len(points)), "stable": str(stable)}
            rows.append(row | ({"marginal": str(n)} if (n := int((points.stability == "marginal").sum())) else {}))
        sentences = [*(event.sentence for event in self.events), self.sentence, *self.notes]
        return Sight(rows, sentences, right=("vertex", "points", "stable"))

    def to_json(self) -> dict[str, Any]:
        at = {"path": self.path.tolist(), "carried": None if self.carried is None else self.carried.tolist()}
        events = [
            {**words, "input": event.input.tolist()}
            for words, event in zip(Diagram.to_json(self)["events"], self.inputs_of_events(), strict=True)
        ]
        return {**Diagram.to_json(self), **at, "events": events, "sentence": self.sentence}

    def inputs_of_events(self) -> tuple[InputEvent, ...]:
        return self.events  # type: ignore[return-value]

    def save(self, path: str | Path) -> Path:
        """Write everything to one safetensors file; raises OutputError where it cannot be written."""
        carried = None if self.carried is None else self.carried.tolist()
        about = {**self.about, "path": self.path.tolist(), "carried": carried}
        plain = tuple(_without_input(event) for event in self.inputs_of_events())
        diagram = {f.name: getattr(self, f.name) for f in dataclasses.fields(Diagram)}
        return Diagram(**{**diagram, "events": plain, "about": about}).save(path)

    @classmethod
    def load(cls, path: str | Path) -> InputDiagram:
        """Read a diagram back; raises CheckpointError where the file is not one."""
        return of_diagram(Diagram.load(path))


def _numbered(points: PointsAt) -> list[str]:
    """The number of each point and, of a few outputs, what it reads out."""
    if not 0 < points.readouts.shape[1] <= MOST_SHOWN:
        return [str(i) for i in range(len(points))]
    return [f"{i} ({', '.join(f'{z:+.2f}' for z in row)})" for i, row in enumerate(points.readouts)]


def of_diagram(diagram: Diagram) -> InputDiagram:
    """A diagram whose ``about`` has the path, with the input of each event."""
    about = dict(diagram.about)
    path, carried = np.asarray(about.pop("path"), dtype=np.float64), about.pop("carried", None)
    fields = {f.name: getattr(diagram, f.name) for f in dataclasses.fields(Diagram)}
    events = tuple(_with_input(event, path) for event in diagram.events)
    carried = None if carried is None else np.asarray(carried, dtype=np.int64)
    return InputDiagram(**{**fields, "events": events, "about": about}, path=path, carried=carried)


def _with_input(event: Event, path: Array) -> InputEvent:
    input = on_path(path, event.time)
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(Event)}
    return InputEvent(**{**fields, "sentence": f"At {told_input(input)}: {event.sentence}"}, input=input)


def _without_input(event: InputEvent) -> Event:
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(Event)}
    return Event(**{**fields, "sentence": event.sentence.partition("): ")[2]})


def follow_inputs(
    system: System,
    path: Any,
    *,
    searches: int = SEARCHES,
    verify: bool = False,
    workers: int | None = None,
    seed: int = 0,
    seconds: float | Deadline | None = None,
    progress: Progress | bool | None = None,
) -> InputDiagram:
    """Follow the fixed points of ``system`` while its held input goes along ``path`` (K, n_input), K at least 2.

    The network is searched at ``searches`` places, the ends and others evenly between; from the points found it is
    followed, and at all other places (at least 9) trajectories are let go to see whether they rest where nothing is
    known. Events (folds, pitchforks, Hopf bifurcations, flips) are dated by the ``input`` at which they happen;
    ``points_at(k)`` are the points at the k-th vertex, -1 the last. ``notes`` says what is not known to be complete.
    The other arguments are those of ``dynsys.continuation.follow``. Raises ValueError for a path of another width, with
    fewer than two vertices, with NaN, or with two equal vertices after one another.

    >>> from dynsys import Flow
    >>> fold = Flow(lambda x, u: u[:, :1] - x**2, n_state=1, n_input=1, bounds=(-3, 3))
    >>> diagram = follow_inputs(fold, [[1.0], [-1.0]])
    >>> [(str(event.kind), abs(round(float(event.input[0]), 8))) for event in diagram.events]
    [('fold', 0.0)]
    """
    vertices = _checked(system, path)
    family = InputPath(system, vertices)
    with shown(progress) as show:
        diagram = follow(
            family, searches=searches, verify=verify, workers=workers, seed=seed, seconds=seconds, progress=show
        )
    found = of_diagram(dataclasses.replace(diagram, about={**diagram.about, "path": vertices.tolist()}))
    return dataclasses.replace(found, carried=_carried(family, found)) if found.is_closed else found


def _checked(system: System, path: Any) -> Array:
    if system.n_input == 0:
        raise ValueError(f"{system.name} takes no input: there is no path to follow its points along")
    try:
        vertices = np.asarray(path, dtype=np.float64)
    except ValueError:
        sizes = ", ".join(str(np.size(vertex)) for vertex in path)
        raise ValueError(
            f"the vertices of the path have {sizes} numbers; {system.name} takes inputs of {system.n_input}"
        ) from None
    if vertices.ndim != 2 or vertices.shape[1] != system.n_input or len(vertices) < 2:
        raise ValueError(
            f"the path has shape {vertices.shape}; {system.name} takes inputs of {system.n_input}, so give vertices "
            f"(K, {system.n_input}), 2 at least"
        )
    if not np.isfinite(vertices).all():
        raise ValueError("the path holds NaN or infinity")
    still = np.flatnonzero((np.diff(vertices, axis=0) == 0).all(axis=1))
    if len(still):
        raise ValueError(f"vertices {still[0]} and {still[0] + 1} of the path are one input: leave one of them out")
    return vertices


def _carried(family: InputPath, diagram: InputDiagram) -> Integers:
    """Which point at the last vertex each stable point at the first has become, -1 where the path does not decide it.

    The state stays on its branch while that is stable. Where the branch ends in a fold it is let go just beyond, and
    goes on along the branch that it comes to rest on. Where the branch goes on without being stable, chance decides.
    """
    branches = {branch.id: branch for branch in diagram.branches}
    first, last = diagram.points_at(0), diagram.points_at(-1)
    ends = {int(branch): number for number, branch in enumerate(last.branch)}
    found = []
    for number in first.branch[first.n_unstable == 0]:
        branch, s = branches.get(int(number)), 0.0
        while branch is not None and not _is_left(branch, s) and branch.died is not None:
            s = min(float(branch.s[-1]) + BEYOND, float(np.floor(branch.s[-1]) + 1), len(diagram.path) - 1.0)
            branch = branches.get(_caught(family, diagram, branch, s))
        known = branch is not None and not _is_left(branch, s)
        found.append(ends.get(branch.id, -1) if known and branch is not None else -1)
    return np.array(found, dtype=np.int64)


def _is_left(branch: Branch, s: float) -> bool:
    """Whether a branch goes on beyond s without being stable, or where is not known."""
    return bool((branch.n_unstable[branch.s >= s][:-1] > 0).any() or branch.lost)


def _caught(family: InputPath, diagram: InputDiagram, left: Branch, s: float) -> int:
    """The stable branch at s on which a state comes to rest that is let go where another branch ended; -1 if none."""
    ends = settle(family.network, left.states[-1:], family.input(s)[None])
    if ends.kind[0] != Ending.POINT:
        return -1
    size = max(float(np.ptp(np.concatenate([branch.states for branch in diagram.branches]), axis=0).max()), 1e-300)
    near: list[tuple[float, int]] = []
    for branch in diagram.branches:
        if branch.s[0] <= s <= branch.s[-1] and branch.id != left.id:
            row = min(int(np.searchsorted(branch.s, s)), len(branch) - 1)
            state = np.array([np.interp(s, branch.s, values) for values in branch.states.T])
            near.append((float(np.abs(state - ends.end[0]).max()), branch.id if branch.n_unstable[row] == 0 else -1))
    away, found = min(near, default=(np.inf, -1))
    return found if away <= NEAR * size else -1

"""A bifurcation diagram: branches of fixed points over one parameter, and the events at which they begin or change."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.checked import content_of
from dynsys.io.record import Record, axes, said
from dynsys.io.shown import Shown, Sight
from dynsys.stability.spectrum import excess
from dynsys.systems.system import Kind

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
ComplexArray = NDArray[np.complex128]

SCHEMA = "dynsys.bifurcations/1"
ON_BOUNDARY = 1e-5  # of the largest excess of an eigenvalue, which that of a double zero is below


class Bifurcation(enum.StrEnum):
    """What happens to the points of a family at one value of its parameter (Kuznetsov 2004, chapters 2 to 4)."""

    FOLD = "fold"  # two points are born together, or lost
    PITCHFORK = "pitchfork"  # a point changes its stability, and two more are there on one side
    TRANSCRITICAL = "transcritical"  # two points pass through each other and exchange their stability
    BRANCH_POINT = "branch point"  # a real eigenvalue crosses without a turn, and what else meets there is not known
    HOPF = "Hopf"  # a complex pair crosses the imaginary axis: a cycle is born or lost
    FLIP = "flip"  # an eigenvalue of a map passes -1: an orbit of twice the period is born or lost
    NEIMARK_SACKER = "Neimark-Sacker"  # a complex pair of a map crosses the unit circle: a closed curve is born or lost


@dataclass(frozen=True, eq=False, repr=False)
class Branch(Shown):
    """K fixed points that go over into each other as the parameter changes, in the order of the parameter.

    Shapes: ``s`` (K,) rising, ``states`` (K, n), ``n_unstable`` (K,), ``eigenvalues`` (K, m) leading first and NaN
    where they were not wanted, ``readouts`` (K, o), ``snapshot`` (K,) the number of the snapshot that a row is at, -1
    between two. ``born`` and ``died`` are the ids of the events at its lower and upper end; None where it goes on to
    the end of the parameter's range, or where it was lost, as ``lost`` then says.
    """

    id: int
    s: Array
    states: Array
    n_unstable: Integers
    eigenvalues: ComplexArray
    readouts: Array
    snapshot: Integers
    born: int | None = None
    died: int | None = None
    lost: str = ""

    def __len__(self) -> int:
        return len(self.s)

    def headline(self) -> str:
        if not len(self):
            return f"{self.id}: no points"
        unstable = sorted(set(self.n_unstable.tolist()))
        return f"{self.id}: {len(self)} points from {self.s[0]:.4g} to {self.s[-1]:.4g}, unstable directions {unstable}"

    def at(self, snapshot: int) -> int | None:
        """The row at a snapshot; None where the branch is not there."""
        rows = np.nonzero(self.snapshot == snapshot)[0]
        return int(rows[0]) if len(rows) else None


@dataclass(frozen=True, eq=False, repr=False)
class Event(Shown):
    """What happened: its ``kind``, the value ``time`` of the parameter, the two snapshots around it, the branches.

    ``state`` (n,) is where, ``eigenvalue`` the one that crosses, there. ``sentence`` says what was born, lost or
    changed.
    """

    id: int
    kind: Bifurcation
    time: float
    between: tuple[float, float]
    branches: tuple[int, ...]
    state: Array
    eigenvalue: complex
    sentence: str

    def headline(self) -> str:
        return f"{self.id}: {self.sentence}"


@dataclass(frozen=True, eq=False, repr=False)
class PointsAt(Shown):
    """The k points at one snapshot: states (k, n), n_unstable (k,), eigenvalues (k, m), readouts (k, o), the id (k,) of
    the ``branch`` that each is on, and ``stability`` (k,): stable, unstable, or marginal where a bifurcation is."""

    states: Array
    n_unstable: Integers
    eigenvalues: ComplexArray
    readouts: Array
    branch: Integers
    stability: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.states)

    def headline(self) -> str:
        told = f"of {len(self)} points, {int((self.stability == 'stable').sum())} of them stable"
        marginal = int((self.stability == "marginal").sum())
        return told + (f", {marginal} marginal" if marginal else "")


@dataclass(frozen=True, eq=False, repr=False)
class Diagram(Shown):
    """Branches and events over the snapshots at ``steps`` (S,).

    ``index_sums`` (S,) add up sign det(-J) over the points of a snapshot; where ``index_known``, all points of the
    system together give 1, so that another sum proves points missing. ``searched`` (S,) are the snapshots at which a
    full search was made, ``notes`` what is not proved complete and what could not be followed.
    """

    steps: Array
    branches: tuple[Branch, ...]
    events: tuple[Event, ...]
    index_sums: Integers
    searched: NDArray[np.bool_]
    seconds: float
    notes: tuple[str, ...] = ()
    index_known: bool = False
    about: dict[str, Any] = field(default_factory=dict)

    def headline(self) -> str:
        return f"of {len(self.branches)} branches and {len(self.events)} events over {len(self.steps)} snapshots"

    def sight(self) -> Sight:
        """A row for each snapshot; what happens, in its order."""
        totals, stable = self.counts().sum(axis=1), self.counts()[:, 0]
        columns = ("step", "points", "stable")
        rows = [
            dict(zip(columns, (f"{step:g}", str(n), str(k)), strict=True))
            for step, n, k in zip(self.steps, totals, stable, strict=True)
        ]
        return Sight(rows, [f"{self.headline()}.", *(event.sentence for event in self.events), *self.notes], columns)

    def points_at(self, i: int) -> PointsAt:
        """The points at the i-th snapshot, those with the fewest unstable directions first."""
        if not 0 <= i < len(self.steps):
            raise IndexError(f"there is no snapshot {i}; this diagram has 0 to {len(self.steps) - 1}")
        on = [(branch, row) for branch in self.branches if (row := branch.at(i)) is not None]
        on.sort(key=lambda pair: (int(pair[0].n_unstable[pair[1]]), pair[0].id))
        n, m, o = _widths(self.branches)
        on_boundary = [bool(marginal(self.branches, b, self.about.get("kind", Kind.FLOW))[k]) for b, k in on]
        return PointsAt(
            np.array([b.states[k] for b, k in on]).reshape(len(on), n),
            np.array([b.n_unstable[k] for b, k in on], dtype=np.int64),
            np.array([b.eigenvalues[k] for b, k in on], dtype=np.complex128).reshape(len(on), m),
            np.array([b.readouts[k] for b, k in on]).reshape(len(on), o),
            np.array([b.id for b, _ in on], dtype=np.int64),
            np.array(
                [
                    "marginal" if there else "unstable" if b.n_unstable[k] else "stable"
                    for (b, k), there in zip(on, on_boundary, strict=True)
                ],
                dtype=np.str_,
            ),
        )

    def counts(self) -> Integers:
        """Points at each snapshot by their number of unstable directions, (S, most + 1)."""
        most = max((int(b.n_unstable.max()) for b in self.branches if len(b)), default=0)
        table = np.zeros((len(self.steps), most + 1), dtype=np.int64)
        for branch in self.branches:
            on = branch.snapshot >= 0
            np.add.at(table, (branch.snapshot[on], branch.n_unstable[on]), 1)
        return table

    def to_json(self) -> dict[str, Any]:
        """Events, counts and notes as one object; the branches themselves are in the file."""
        return {
            "schema": SCHEMA,
            "steps": self.steps.tolist(),
            "points": self.counts().sum(axis=1).tolist(),
            "branches": len(self.branches),
            "events": [_event_header(event) for event in self.events],
            "index_sums": self.index_sums.tolist(),
            "index_known": self.index_known,
            "searched": self.searched.tolist(),
            "seconds": self.seconds,
            "notes": list(self.notes),
            "system": self.about,
        }

    def save(self, path: str | Path) -> Path:
        """Write everything to one safetensors file; raises OutputError where it cannot be written."""
        n, m, o = _widths(self.branches)
        joined: dict[str, list[Any]] = {key: [getattr(b, key) for b in self.branches] for key in PER_ROW}
        return _Flat(
            **{key: np.concatenate([_EMPTY[key](n, m, o), *parts]) for key, parts in joined.items()},
            steps=self.steps,
            index_sums=self.index_sums,
            searched=self.searched,
            event_states=np.array([e.state for e in self.events]).reshape(len(self.events), n),
            branches=[
                {"id": b.id, "rows": len(b), "born": b.born, "died": b.died, "lost": b.lost} for b in self.branches
            ],
            events=[_event_header(event) for event in self.events],  # type: ignore[misc]
            seconds=self.seconds,
            notes=self.notes,
            index_known=self.index_known,
            about=self.about,
        ).save(path)

    @classmethod
    def load(cls, path: str | Path) -> Diagram:
        """Read a diagram back; raises CheckpointError where the file is not one."""
        flat = _Flat.load(path)
        with content_of(path, _Flat.what, _Flat.remedy):
            events = tuple(
                Event(**{**e, "kind": Bifurcation(e["kind"]), "eigenvalue": complex(*e["eigenvalue"])}, state=state)  # type: ignore[arg-type]
                for e, state in zip(flat.events, flat.event_states, strict=True)
            )
            diagram = cls(
                flat.steps, flat.parts(), events, flat.index_sums, flat.searched,
                flat.seconds, flat.notes, flat.index_known, flat.about,
            )  # fmt: skip
            diagram._check()
            return diagram

    def _check(self) -> None:
        """Raise ValueError where events and branches name each other wrongly, or snapshots that there are not."""
        branches, events = {branch.id for branch in self.branches}, {event.id for event in self.events}
        if len(branches) < len(self.branches) or len(events) < len(self.events):
            raise ValueError("two of its branches or events have one number")
        if any(not event.branches or not set(event.branches) <= branches for event in self.events):
            raise ValueError("its events name branches that it does not have")
        if not {end for branch in self.branches for end in (branch.born, branch.died)} <= {*events, None}:
            raise ValueError("its branches end in events that it does not have")
        if not len(self.steps) or any((branch.snapshot >= len(self.steps)).any() for branch in self.branches):
            raise ValueError("its branches are at snapshots that it does not have")


def marginal(branches: Sequence[Branch], branch: Branch, kind: str) -> NDArray[np.bool_]:
    """Whether each point (K,) of one of the branches has an eigenvalue on the boundary, beside those of all of them."""

    def nearest(one: Branch) -> tuple[Array, float]:
        beyond = np.abs(excess(torch.as_tensor(one.eigenvalues), Kind(kind)).numpy())
        return np.nanmin(beyond, axis=1, initial=np.inf), float(np.nanmax(beyond, initial=0.0))

    usual = max((nearest(one)[1] for one in branches), default=0.0)
    return np.asarray(nearest(branch)[0] <= ON_BOUNDARY * usual)


class _BranchWords(TypedDict):
    id: int
    rows: int
    born: int | None
    died: int | None
    lost: str


class _EventWords(TypedDict):
    id: int
    kind: str
    time: float
    between: tuple[float, float]
    branches: tuple[int, ...]
    eigenvalue: tuple[float, float]
    sentence: str


class _Network(TypedDict):
    name: str
    kind: Literal["map", "flow"]
    n_state: int


class _Family(_Network, total=False):
    parameter: str


@dataclass(frozen=True, eq=False)
class _Flat(Record, schema=SCHEMA, what="diagram", remedy="follow the points again"):
    """A diagram as a file has it: the rows of all branches one after the other."""

    steps: Array = field(metadata=axes("f S"))
    index_sums: Integers = field(metadata=axes("i S"))
    searched: NDArray[np.bool_] = field(metadata=axes("b S"))
    event_states: Array = field(metadata=axes("f E n"))
    s: Array = field(metadata=axes("f K"))
    states: Array = field(metadata=axes("f K n"))
    n_unstable: Integers = field(metadata=axes("i K"))
    eigenvalues: ComplexArray = field(metadata=axes("c K m"))
    readouts: Array = field(metadata=axes("f K o"))
    snapshot: Integers = field(metadata=axes("i K"))
    branches: list[_BranchWords]
    events: list[_EventWords]
    seconds: float
    notes: tuple[str, ...]
    index_known: bool
    about: dict[str, Any] = field(metadata=said(_Family))

    def parts(self) -> tuple[Branch, ...]:
        ends = np.cumsum([0, *(b["rows"] for b in self.branches)])
        if min([b["rows"] for b in self.branches], default=0) < 0 or ends[-1] != len(self.s):
            raise ValueError(f"its branches have {ends[-1]} rows, and there are {len(self.s)}")
        return tuple(
            Branch(
                id=b["id"], born=b["born"], died=b["died"], lost=b["lost"],
                **{key: getattr(self, key)[first:last] for key in PER_ROW},
            )
            for b, first, last in zip(self.branches, ends[:-1], ends[1:], strict=True)
        )  # fmt: skip


PER_ROW = ("s", "states", "n_unstable", "eigenvalues", "readouts", "snapshot")
_EMPTY: dict[str, Callable[[int, int, int], NDArray[Any]]] = {
    "s": lambda n, m, o: np.zeros(0),
    "states": lambda n, m, o: np.zeros((0, n)),
    "n_unstable": lambda n, m, o: np.zeros(0, dtype=np.int64),
    "eigenvalues": lambda n, m, o: np.zeros((0, m), dtype=np.complex128),
    "readouts": lambda n, m, o: np.zeros((0, o)),
    "snapshot": lambda n, m, o: np.zeros(0, dtype=np.int64),
}


def _widths(branches: tuple[Branch, ...]) -> tuple[int, int, int]:
    """State variables, eigenvalues kept and outputs."""
    if not branches:
        return 0, 0, 0
    first = branches[0]
    return first.states.shape[1], first.eigenvalues.shape[1], first.readouts.shape[1]


def _event_header(event: Event) -> dict[str, Any]:
    values = dataclasses.asdict(event)
    del values["state"]
    return values | {"kind": str(event.kind), "eigenvalue": [event.eigenvalue.real, event.eigenvalue.imag]}

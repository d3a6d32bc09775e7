"""A bifurcation diagram: branches of fixed points over one parameter, and the events at which they begin or change."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from dynsys.io.files import Arrays, read_tensors, write_tensors
from dynsys.result.header import check_arrays, checked, content_of

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
ComplexArray = NDArray[np.complex128]

SCHEMA = "dynsys.bifurcations/1"


class Bifurcation(enum.StrEnum):
    """What happens to the points of a family at one value of its parameter (Kuznetsov 2004, chapters 2 to 4)."""

    FOLD = "fold"  # two points are born together, or lost
    PITCHFORK = "pitchfork"  # a point changes its stability, and two more are there on one side
    TRANSCRITICAL = "transcritical"  # two points pass through each other and exchange their stability
    BRANCH_POINT = "branch point"  # a real eigenvalue crosses without a turn, and what else meets there is not known
    HOPF = "Hopf"  # a complex pair crosses the imaginary axis: a cycle is born or lost
    FLIP = "flip"  # an eigenvalue of a map passes -1: an orbit of twice the period is born or lost
    NEIMARK_SACKER = "Neimark-Sacker"  # a complex pair of a map crosses the unit circle: a closed curve is born or lost


@dataclass(frozen=True, eq=False)
class Branch:
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

    def at(self, snapshot: int) -> int | None:
        """The row at a snapshot; None where the branch is not there."""
        rows = np.nonzero(self.snapshot == snapshot)[0]
        return int(rows[0]) if len(rows) else None


@dataclass(frozen=True, eq=False)
class Event:
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


@dataclass(frozen=True, eq=False)
class PointsAt:
    """The k points at one snapshot: states (k, n), n_unstable (k,), eigenvalues (k, m), readouts (k, o), and the id
    (k,) of the branch that each is on."""

    states: Array
    n_unstable: Integers
    eigenvalues: ComplexArray
    readouts: Array
    branch: Integers

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True, eq=False)
class Diagram:
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

    def points_at(self, i: int) -> PointsAt:
        """The points at the i-th snapshot, those with the fewest unstable directions first."""
        if not 0 <= i < len(self.steps):
            raise IndexError(f"there is no snapshot {i}; this diagram has 0 to {len(self.steps) - 1}")
        on = [(branch, row) for branch in self.branches if (row := branch.at(i)) is not None]
        on.sort(key=lambda pair: (int(pair[0].n_unstable[pair[1]]), pair[0].id))
        n, m, o = _widths(self.branches)
        return PointsAt(
            np.array([b.states[k] for b, k in on]).reshape(len(on), n),
            np.array([b.n_unstable[k] for b, k in on], dtype=np.int64),
            np.array([b.eigenvalues[k] for b, k in on], dtype=np.complex128).reshape(len(on), m),
            np.array([b.readouts[k] for b, k in on]).reshape(len(on), o),
            np.array([b.id for b, _ in on], dtype=np.int64),
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
        tensors: Arrays = {
            "steps": self.steps,
            "index_sums": self.index_sums,
            "searched": self.searched,
            "event_states": np.array([e.state for e in self.events]).reshape(len(self.events), n),
            **{key: np.concatenate([_EMPTY[key](n, m, o), *parts]) for key, parts in joined.items()},
        }
        values = np.ascontiguousarray(tensors["eigenvalues"])
        tensors["eigenvalues"] = values.view(np.float64).reshape(*values.shape, 2)  # safetensors has no complex128
        header = {
            "schema": SCHEMA,
            "branches": [{"id": b.id, "rows": len(b), "born": b.born, "died": b.died, "lost": b.lost}
                         for b in self.branches],
            "events": [_event_header(event) for event in self.events],
            "seconds": self.seconds, "notes": list(self.notes), "index_known": self.index_known, "about": self.about,
        }  # fmt: skip
        return write_tensors(path, tensors, header)

    @classmethod
    def load(cls, path: str | Path) -> Diagram:
        """Read a diagram back; raises CheckpointError where the file is not one."""
        tensors, header = read_tensors(path, SCHEMA)
        with content_of(path, "diagram", "follow the points again"):
            sizes = check_arrays(tensors, SHAPES, alone=True)
            tensors["eigenvalues"] = np.ascontiguousarray(tensors["eigenvalues"]).view(np.complex128)[..., 0]
            told = checked(list[_BranchWords], header["branches"], "branches")
            ends = np.cumsum([0, *(b["rows"] for b in told)])
            if min([b["rows"] for b in told], default=0) < 0 or ends[-1] != sizes["K"]:
                raise ValueError(f"its branches have {ends[-1]} rows, and there are {sizes['K']}")
            branches = tuple(
                _branch(b, {key: tensors[key][first:last] for key in PER_ROW})
                for b, first, last in zip(told, ends[:-1], ends[1:], strict=True)
            )
            events = tuple(
                Event(**{**e, "kind": Bifurcation(e["kind"]), "eigenvalue": complex(*e["eigenvalue"])}, state=state)  # type: ignore[arg-type]
                for e, state in zip(
                    checked(list[_EventWords], header["events"], "events"), tensors["event_states"], strict=True
                )
            )
            diagram = cls(
                tensors["steps"], branches, events, tensors["index_sums"], tensors["searched"],
                checked(float, header["seconds"], "seconds"), checked(tuple[str, ...], header["notes"], "notes"),
                checked(bool, header["index_known"], "index_known"),
                checked(_Family, header["about"], "about"),  # type: ignore[arg-type]
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


SHAPES = {
    "steps": "f S",
    "index_sums": "i S",
    "searched": "b S",
    "event_states": "f E n",
    "s": "f K",
    "states": "f K n",
    "n_unstable": "i K",
    "eigenvalues": "f K m 2",
    "readouts": "f K o",
    "snapshot": "i K",
}
PER_ROW = ("s", "states", "n_unstable", "eigenvalues", "readouts", "snapshot")
_EMPTY: dict[str, Callable[[int, int, int], NDArray[Any]]] = {
    "s": lambda n, m, o: np.zeros(0),
    "states": lambda n, m, o: np.zeros((0, n)),
    "n_unstable": lambda n, m, o: np.zeros(0, dtype=np.int64),
    "eigenvalues": lambda n, m, o: np.zeros((0, m), dtype=np.complex128),
    "readouts": lambda n, m, o: np.zeros((0, o)),
    "snapshot": lambda n, m, o: np.zeros(0, dtype=np.int64),
}


def _branch(header: _BranchWords, rows: dict[str, NDArray[Any]]) -> Branch:
    return Branch(id=header["id"], **rows, born=header["born"], died=header["died"], lost=header["lost"])


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

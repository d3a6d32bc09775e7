"""From curves, crossings and branch points to the branches and named events of a diagram."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.continuation.curve import BRANCH_POINT, CLOSED, Node
from dynsys.continuation.diagram import Bifurcation, Branch, Event
from dynsys.continuation.events.crossings import KEPT, Crossing
from dynsys.continuation.events.junctions import Followed, Junction, is_branch_point
from dynsys.continuation.events.reader import Readings
from dynsys.continuation.events.readings import Reading
from dynsys.io.text import sentence
from dynsys.systems.family import Family
from dynsys.systems.system import Kind

ComplexArray = NDArray[np.complex128]

NOT_READ: ComplexArray = np.empty(0, dtype=np.complex128)
APART = 0.05  # in snapshots and usual sizes of a state: rows nearer than this between two that were read are left out
LOOSE = "it ends at a branch point through which no other curve is known"


@dataclass(frozen=True, eq=False)
class Row:
    """One point of a piece: x (n,), its place, leading eigenvalues and number of unstable directions."""

    x: Tensor
    p: float
    eigenvalues: ComplexArray
    n_unstable: int
    snapshot: int = -1


@dataclass(eq=False)
class Piece:
    """A part of a curve on which the parameter does not turn, in the order of the parameter once ``ordered``."""

    way: int
    rows: list[Row] = field(default_factory=list)
    first: Happening | None = None
    last: Happening | None = None
    lost: list[str] = field(default_factory=list)
    id: int = -1

    def ordered(self) -> None:
        if self.way < 0:
            self.rows.reverse()
            self.first, self.last, self.way = self.last, self.first, 1


@dataclass(eq=False)
class Happening:
    """An event in the making: what crosses where, the pieces that end there and those that go through."""

    z: Tensor
    eigenvalue: complex
    ends: list[Piece] = field(default_factory=list)
    through: list[tuple[Piece, Crossing]] = field(default_factory=list)
    crossing: Crossing | None = None
    is_junction: bool = False
    id: int = -1


class Assembly:
    """Cuts curves into pieces and gathers what happens at their ends and on them; ``unit`` is a state's usual size."""

    def __init__(self, family: Family, unit: float, readings: Readings, joints: list[Junction]) -> None:
        self.family, self.unit, self.readings = family, unit, readings
        self.pieces: list[Piece] = []
        self.happenings: list[Happening] = []
        self._through: dict[Crossing, Happening] = {}
        self._ends: dict[tuple[int, int], Happening] = {}
        for joint in joints:
            crossing = joint.passing[0][1]
            happening = Happening(joint.z, crossing.eigenvalue, crossing=crossing, is_junction=True)
            self.happenings.append(happening)
            for _, passing in joint.passing:
                self._through[passing] = happening
            for followed, end in joint.arms:
                self._ends[id(followed), end] = happening

    def cut(self, followed: Followed) -> None:
        """The pieces of one curve.

        Nothing crosses between two nodes that were read one after the other, unless they are neighbours: the nodes
        between have as many unstable directions as both.
        """
        curve = followed.curve
        after: dict[int, list[Crossing]] = defaultdict(list)
        for crossing in followed.crossings:
            after[crossing.after].append(crossing)
        piece = first = self._begin(curve.nodes[0].way)
        self._end_of(piece, followed, 0, curve.head)
        for i, node in enumerate(curve.nodes):
            reading = self.readings.get(node)
            if reading is not None:
                piece.rows.append(Row(node.x, node.p, reading.eigenvalues, reading.n_unstable, node.snapshot))
            elif self._is_apart(piece.rows[-1], node):
                piece.rows.append(Row(node.x, node.p, NOT_READ, piece.rows[-1].n_unstable))
            for crossing in after[i]:
                piece = self._past(piece, crossing)
        self._end_of(piece, followed, -1, curve.tail)
        if curve.tail == CLOSED and first is not piece:
            self._joined(piece, first)

    def _is_apart(self, row: Row, node: Node) -> bool:
        away = float((node.x - row.x).norm()) / self.unit
        return max(away, abs(node.p - row.p)) > APART

    def _joined(self, last: Piece, first: Piece) -> None:
        """The last and the first piece of a closed curve, which began somewhere on a piece, made one."""
        last.rows += first.rows[1:]
        last.last = first.last
        for happening in self.happenings:
            happening.ends = [last if piece is first else piece for piece in happening.ends]
            happening.through = [(last if piece is first else piece, c) for piece, c in happening.through]
        self.pieces.remove(first)

    def _begin(self, way: int) -> Piece:
        self.pieces.append(Piece(way))
        return self.pieces[-1]

    def _end_of(self, piece: Piece, followed: Followed, end: int, why: str) -> None:
        """What a curve has at its head (0) or tail (-1), entered into its first or last piece."""
        happening = self._ends.get((id(followed), end))
        if happening is not None:
            reading = self.readings[followed.curve.nodes[end]]
            tip = _row(happening.z, Reading(NOT_READ, reading.n_unstable))
            piece.rows.append(tip)
            happening.ends.append(piece)
            if end == 0:
                piece.first = happening
            else:
                piece.last = happening
        elif why and why != CLOSED:
            piece.lost.append(LOOSE if why == BRANCH_POINT else why)

    def _past(self, piece: Piece, crossing: Crossing) -> Piece:
        """The piece that goes on after a crossing: another one where the curve turns.

        The row at a crossing without a turn is the first with what is unstable after it, in the order of the parameter.
        """
        if not crossing.turns:
            happening = self._through.get(crossing)
            if happening is None:
                happening = Happening(crossing.z, crossing.eigenvalue, crossing=crossing)
                self.happenings.append(happening)
            happening.through.append((piece, crossing))
            later = crossing.beyond if piece.way > 0 else crossing.before
            piece.rows.append(_row(happening.z, Reading(NOT_READ, later)))
            return piece
        happening = Happening(crossing.z, crossing.eigenvalue, crossing=crossing)
        self.happenings.append(happening)
        beyond = self._begin(-piece.way)
        piece.rows.append(_row(crossing.z, Reading(crossing.eigenvalues, crossing.before)))
        beyond.rows.append(_row(crossing.z, Reading(crossing.eigenvalues, crossing.beyond)))
        piece.last = beyond.first = happening
        happening.ends += [piece, beyond]
        return beyond

    def result(self) -> tuple[tuple[Branch, ...], tuple[Event, ...]]:
        """Branches in the order in which they begin, events in that in which they happen."""
        self.pieces = [piece for piece in self.pieces if piece.rows]
        for piece in self.pieces:
            piece.ordered()
        self.pieces.sort(key=lambda piece: (piece.rows[0].p, piece.rows[0].n_unstable))
        self.happenings.sort(key=lambda happening: float(happening.z[-1]))
        for number, piece in enumerate(self.pieces):
            piece.id = number
        for number, happening in enumerate(self.happenings):
            happening.id = number
        readouts = self._readouts()
        branches = tuple(self._branch(piece, readouts) for piece in self.pieces)
        return branches, tuple(named(happening, self.family) for happening in self.happenings)

    def _readouts(self) -> dict[Row, NDArray[np.float64]]:
        """The readout of every row, those of one place at once."""
        groups: dict[float, list[Row]] = defaultdict(list)
        for piece in self.pieces:
            for row in piece.rows:
                groups[row.p].append(row)
        found: dict[Row, NDArray[np.float64]] = {}
        for p, rows in groups.items():
            said = self.family.system(p).readout(torch.stack([row.x for row in rows]))
            found.update(zip(rows, said.numpy(), strict=True))
        return found

    def _branch(self, piece: Piece, readouts: dict[Row, NDArray[np.float64]]) -> Branch:
        m = min(KEPT, self.family.n_state)
        eigenvalues = np.full((len(piece.rows), m), np.nan + 0j, dtype=np.complex128)
        for k, row in enumerate(piece.rows):
            kept = row.eigenvalues[:m]
            eigenvalues[k, : len(kept)] = kept
        return Branch(
            id=piece.id,
            s=np.array([self.family.time(row.p) for row in piece.rows]),
            states=torch.stack([row.x for row in piece.rows]).numpy(),
            n_unstable=np.array([row.n_unstable for row in piece.rows], dtype=np.int64),
            eigenvalues=eigenvalues,
            readouts=np.array([readouts[row] for row in piece.rows]),
            snapshot=np.array([row.snapshot for row in piece.rows], dtype=np.int64),
            born=None if piece.first is None else piece.first.id,
            died=None if piece.last is None else piece.last.id,
            lost="; ".join(piece.lost),
        )


def _row(z: Tensor, reading: Reading) -> Row:
    return Row(z[:-1], float(z[-1]), reading.eigenvalues, reading.n_unstable)


def named(happening: Happening, family: Family) -> Event:
    """The event with its kind and its sentence."""
    p = float(happening.z[-1])
    cell = min(max(int(p), 0), len(family.steps) - 2)
    kind, *facts = _found(happening, family)
    branches = [piece.id for piece, _ in happening.through] + [piece.id for piece in happening.ends]
    return Event(
        happening.id,
        kind,
        family.time(p),
        (float(family.steps[cell]), float(family.steps[cell + 1])),
        tuple(dict.fromkeys(branches)),
        happening.z[:-1].numpy(),
        happening.eigenvalue,
        sentence("dynsys.continuation", *facts),
    )


def _found(happening: Happening, family: Family) -> tuple[Any, ...]:
    """The kind of the event, what its template calls it, and the unstable directions of what takes part in it."""
    crossing, is_map = happening.crossing, family.kind is Kind.MAP
    assert crossing is not None
    if crossing.turns:
        born = all(piece.first is happening for piece in happening.ends)
        rows = [piece.rows[0 if born else -1].n_unstable for piece in happening.ends]
        return Bifurcation.FOLD, "fold", born, sorted(rows)
    change = _change(crossing)
    if crossing.pair:
        return Bifurcation.NEIMARK_SACKER if is_map else Bifurcation.HOPF, "pair", *change, is_map
    if not is_branch_point(crossing, is_map):
        return Bifurcation.FLIP, "flip", *change
    return _at_branch_point(happening)


def _at_branch_point(happening: Happening) -> tuple[Any, ...]:
    crossings, arms = [_change(crossing) for _, crossing in happening.through], happening.ends
    if len(crossings) == 2 and not arms:
        return Bifurcation.TRANSCRITICAL, "transcritical", *crossings
    born = [piece.first is happening for piece in arms]
    if len(crossings) == 1 and len(arms) == 2 and born[0] == born[1]:
        n = arms[0].rows[0 if born[0] else -1].n_unstable
        return Bifurcation.PITCHFORK, "branch_point", *crossings[0], n, born[0]
    return Bifurcation.BRANCH_POINT, "branch_point", *crossings[0], None, False


def _change(crossing: Crossing) -> tuple[int, int]:
    """Unstable directions before and after, in the order of the parameter."""
    return (crossing.before, crossing.beyond) if crossing.way > 0 else (crossing.beyond, crossing.before)

"""Two inputs on a grid: how many points of which kind a network has in each cell, and where folds lie between cells.

The grid is followed twice as one path, row by row and column by column, so that every edge between two cells is passed
and every event on it dated by its input. A cell in which the two ways count differently is said to be undecided. From
the folds on the edges curves of folds are followed through the cells, in both inputs at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.analyses.portrait import title_of
from dynsys.continuation.diagram import Bifurcation
from dynsys.continuation.fold_curve import FoldCurve, fold_curve
from dynsys.continuation.inputs import InputDiagram, InputEvent, follow_inputs
from dynsys.io.text import capital
from dynsys.numerics.deadline import Deadline
from dynsys.systems.system import System

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

SCHEMA = "dynsys.input_grid/1"
MOST_STATES = 400  # state variables, up to which curves of folds are followed: each place costs a few factorisations
SAME = 1e-6  # of the extent of the grid, within which two events of a kind are one


@dataclass(frozen=True, eq=False)
class InputGrid:
    """``axes`` are the numbers of the two inputs, ``first`` (a,) and ``second`` (b,) their values, ``base`` (m,) what
    the others are held at. ``counts`` (a, b, 2) are the stable and the unstable points of each cell, -1 where
    undecided; ``events`` (e, 2) the inputs at which something happens on the edges, ``kinds`` the word for each;
    ``curves`` are those of folds through the cells.
    """

    axes: tuple[int, int]
    first: Array
    second: Array
    base: Array
    counts: Ints
    events: Array
    kinds: tuple[str, ...]
    notes: tuple[str, ...]
    curves: tuple[FoldCurve, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """A row for each value of the second input, the largest first, as in a picture: stable + unstable points."""
        i, j = self.axes
        told = [
            {f"input {j + 1}": f"{v:g}"}
            | {f"input {i + 1} = {u:g}": _cell(cell) for u, cell in zip(self.first, cells, strict=True)}
            for v, cells in zip(self.second, self.counts.swapaxes(0, 1), strict=True)
        ]
        return told[::-1]

    @property
    def sentence(self) -> str:
        found = {kind: self.kinds.count(kind) for kind in dict.fromkeys(self.kinds)}
        told = ", ".join(f"{n} x {kind}" for kind, n in found.items()) or "nothing happens"
        open_cells = int((self.counts[..., 0] < 0).sum())
        lost = f" {open_cells} cells are undecided: the ways through rows and columns count differently there."
        curves = f" The folds lie on {len(self.curves)} curve{'s' * (len(self.curves) != 1)}." if self.curves else ""
        cells = f"{self.counts[..., 0].size} cells, in each the number of stable + unstable points"
        return f"{cells}. On the edges between them: {told}.{curves}" + (lost if open_cells else "")

    def to_json(self) -> dict[str, Any]:
        arrays = {"first": self.first, "second": self.second, "base": self.base, "counts": self.counts}
        return {
            "schema": SCHEMA,
            "axes": list(self.axes),
            **{name: value.tolist() for name, value in arrays.items()},
            "events": [{"kind": kind, "input": at.tolist()} for kind, at in zip(self.kinds, self.events, strict=True)],
            "fold_curves": [{"inputs": curve.inputs.tolist(), "lost": curve.lost} for curve in self.curves],
            "sentence": self.sentence,
            "notes": list(self.notes),
        }


def input_grid(
    system: System,
    corner: Any,
    opposite: Any,
    shape: Sequence[int],
    *,
    seconds: float | None = None,
    **settings: Any,
) -> InputGrid:
    """The grid of ``shape`` (a, b) cells between two opposite corners (n_input,), which differ in two inputs.

    ``settings`` are those of ``follow_inputs``; rows and columns have half of the ``seconds``
    each. Raises ValueError for corners that span no rectangle.
    """
    low, high = np.asarray(corner, dtype=np.float64), np.asarray(opposite, dtype=np.float64)
    if low.shape != (system.n_input,) or high.shape != low.shape:
        sizes = f"{low.size} and {high.size} numbers"
        raise ValueError(f"the corners of the grid have {sizes}; {system.name} takes inputs of {system.n_input}")
    axes = np.flatnonzero(low != high).tolist()
    if len(axes) != 2 or min(shape) < 2:
        raise ValueError(
            f"the corners differ in {len(axes)} inputs, and the grid has {shape[0]} x {shape[1]} cells; a grid is of "
            "two inputs, 2 x 2 or more"
        )
    i, j = axes
    first, second = (np.linspace(low[k], high[k], n) for k, n in zip(axes, shape, strict=True))
    snakes = [_snake(*shape), [cell[::-1] for cell in _snake(*shape[::-1])]]
    ways, deadline, half = [], Deadline(seconds), None if seconds is None else seconds / 2
    for snake in snakes:
        path = np.tile(low, (len(snake), 1))
        path[:, i], path[:, j] = first[[a for a, _ in snake]], second[[b for _, b in snake]]
        ways.append(follow_inputs(system, path, seconds=half, **settings))
    both = [_counts(way, snake, shape) for way, snake in zip(ways, snakes, strict=True)]
    counts = np.where((both[0] == both[1]).all(axis=2, keepdims=True), both[0], -1)
    events = [event for way in ways for event in way.inputs_of_events()]
    at, kinds = _once(events, axes, np.abs(high - low)[axes])
    folds = [event for event in events if event.kind is Bifurcation.FOLD]
    curves, more = _curves(system, folds, (i, j), np.sort([low[axes], high[axes]], axis=0), deadline)
    notes = tuple(dict.fromkeys([*(note for way in ways for note in way.notes), *more]))
    return InputGrid((i, j), first, second, low, counts, at, kinds, notes, curves)


def _curves(
    system: System, folds: Sequence[InputEvent], axes: tuple[int, int], ends: Array, deadline: Deadline
) -> tuple[tuple[FoldCurve, ...], list[str]]:
    """The curves through all folds, each once, and what is not known of them; ``ends`` (2, 2) are the corners."""
    if folds and system.n_state > MOST_STATES:
        return (), [
            f"curves of folds are followed up to {MOST_STATES} state variables; here only their places are told"
        ]
    found: list[FoldCurve] = []
    notes: list[str] = []
    for k, fold in enumerate(folds):
        if deadline.is_over:
            return tuple(found), [*notes, f"{len(folds) - k} folds were not looked at for want of time"]
        at = fold.input[list(axes)]
        if any(curve.passes(fold.state, at, ends[1] - ends[0]) for curve in found):
            continue
        curve = fold_curve(system, fold.state, fold.input, axes, *ends)
        if curve.lost:
            shown = ", ".join(f"{value:.6g}" for value in at)
            notes.append(f"the curve of folds through ({shown}) ends within the grid: {curve.lost}")
        if len(curve.inputs) > 1:
            found.append(curve)
    return tuple(found), notes


def _once(events: Sequence[InputEvent], axes: list[int], extent: Array) -> tuple[Array, tuple[str, ...]]:
    """Where they happen (e, 2) and their kinds, each once: where one way turns, the other passes the same edge."""
    kept: list[tuple[str, Array]] = []
    for event in events:
        kind, at = str(event.kind), event.input[axes]
        if not any(kind == other and (np.abs(at - there) <= SAME * extent).all() for other, there in kept):
            kept.append((kind, at))
    return np.array([at for _, at in kept]).reshape(-1, 2), tuple(kind for kind, _ in kept)


def drawn(system: System, grid: InputGrid) -> Any:
    """The grid as a picture."""
    from dynsys.plots import point_map

    names = (f"input {grid.axes[0] + 1}", f"input {grid.axes[1] + 1}")
    told = [grid.sentence, *(f"{capital(note)}." for note in grid.notes)]
    return point_map(
        grid.first,
        grid.second,
        grid.counts,
        grid.events,
        grid.kinds,
        names,
        curves=[curve.inputs for curve in grid.curves],
        notes=told,
        title=title_of(system),
    )


def _snake(a: int, b: int) -> list[tuple[int, int]]:
    """The cells of each row in turn, there and back, so that each is beside the one before.

    >>> _snake(3, 2)
    [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1)]
    """
    return [(x if y % 2 == 0 else a - 1 - x, y) for y in range(b) for x in range(a)]


def _counts(way: InputDiagram, snake: list[tuple[int, int]], shape: Sequence[int]) -> Ints:
    counts = np.zeros((*shape, 2), dtype=np.int64)
    for k, cell in enumerate(snake):
        unstable = way.points_at(k).n_unstable > 0
        counts[cell] = (~unstable).sum(), unstable.sum()
    return counts


def _cell(counts: Ints) -> str:
    return "?" if counts[0] < 0 else f"{counts[0]}+{counts[1]}"

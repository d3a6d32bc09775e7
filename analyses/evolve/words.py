"""What a study of training says in sentences, tables and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from dynsys.analyses.evolve.completeness import HERE, lost_branches, of_the_indices, warnings
from dynsys.analyses.evolve.evolution import SCHEMA, Evolution
from dynsys.analyses.evolve.stable_points import StablePoint, ends_lost, stable_points
from dynsys.continuation.diagram import Bifurcation, Diagram, Event
from dynsys.continuation.events.stable import of_stable_points
from dynsys.continuation.follow import Outlook
from dynsys.io.progress import duration
from dynsys.io.text import paragraphs, sentence
from dynsys.models.training.snapshots import Snapshots

NO_MEMORY = "stable, no memory"


def step_of(time: float) -> str:
    """A time as it is written wherever one is: to a tenth of a step, as weights between snapshots are interpolated.

    >>> step_of(0.25), step_of(59.9572), step_of(1351.234), step_of(29688.06), step_of(2e6)
    ('0.25', '60', '1,351.2', '29,688.1', '2,000,000')
    """
    return f"{time:.3g}" if abs(time) < 10 else f"{round(time, 1):,.10g}"


def begins(family: Snapshots, searches: int) -> str:
    """How many snapshots there are, before the first is searched."""
    (line,) = paragraphs(HERE, "begins", len(family.steps), family.n_state, min(searches, len(family.steps)))
    return line


def outlook(ahead: Outlook) -> str:
    """How long following takes, once the searches are made."""
    (line,) = paragraphs(HERE, "outlook", ahead.points, duration(ahead.seconds))
    return line


def sentences(evolution: Evolution) -> list[str]:
    """What was found, and what of Jang's account of its figure 7 it bears out."""
    diagram = evolution.diagram
    cut = [] if evolution.cut is None or "cut" in diagram.about else [evolution.cut.sentence]
    ends = [_kinds(diagram.counts()[i].tolist()) for i in (0, -1)]
    return [
        *warnings(diagram),
        *cut,
        *paragraphs(HERE, "snapshots", diagram.steps.tolist(), *ends),
        *_of_the_origin(evolution),
        *_of_the_stable(evolution),
        *_of_the_events(diagram),
        of_the_indices(diagram),
    ]


def _kinds(counts: list[int]) -> list[tuple[int, int]]:
    """How many points there are of each number of unstable directions that there is."""
    return [(k, n) for k, n in enumerate(counts) if n]


def _of_the_origin(evolution: Evolution) -> list[str]:
    origin, steps, diagram = evolution.origin, evolution.diagram.steps, evolution.diagram
    if origin is None:
        return []
    there = np.flatnonzero(origin.n_unstable >= 0)
    unstable = [int(i) for i in there if origin.n_unstable[i] > 0]
    loss, by = None, None
    if unstable and unstable[0] > there[0]:
        loss = steps[unstable[0] - 1 : unstable[0] + 1].tolist()
        ids = _zero_branches(diagram) if origin.is_zero else {origin.branch}
        by = next((e for e in diagram.events if ids & set(e.branches) and loss[0] <= e.time <= loss[1]), None)
    whole, is_lost, end = len(there) == len(steps), False, None
    if not whole:
        branch = next(branch for branch in diagram.branches if branch.id == origin.branch)
        is_lost = ends_lost(diagram, branch)
        end = next((event for event in diagram.events if event.id == branch.died), None)
    n_unstable = origin.n_unstable[there].tolist()
    return paragraphs(HERE, "origin", origin.branch, steps[there].tolist(), n_unstable, loss, by, whole, is_lost, end)


def _zero_branches(diagram: Diagram) -> set[int | None]:
    return {b.id for b in diagram.branches if len(b) and not np.abs(b.states).max(axis=1).min() > 1e-9}


def _of_the_stable(evolution: Evolution) -> list[str]:
    """How the memories of the end came to be, and the stable points that are none."""
    found = found_stable(evolution)
    ways = [
        Counter(map(way, some)).most_common()
        for some in (found, *(_holding(found, memory) for memory in (True, False)))
    ]
    return paragraphs(HERE, "stable", float(evolution.diagram.steps[-1]), evolution.flipflop, *ways)


def _holding(found: list[StablePoint], memory: bool) -> list[StablePoint]:
    return [point for point in found if bool(point.memory) == memory]


def way(point: StablePoint) -> str:
    """How a point came to be."""
    return sentence(HERE, "way", point)


def found_stable(evolution: Evolution) -> list[StablePoint]:
    return stable_points(evolution.diagram, evolution.flipflop)


def _of_the_events(diagram: Diagram) -> list[str]:
    count = Counter(event.kind for event in diagram.events)
    all_lost = bool(diagram.branches) and len(lost_branches(diagram)) == len(diagram.branches)
    return paragraphs(HERE, "events", [(str(kind), count[kind]) for kind in Bifurcation if count[kind]], all_lost)


def event_rows(diagram: Diagram, stable_only: bool = False) -> list[dict[str, Any]]:
    """One row an event, or one at which a point is stable; mirror images, which are simultaneous, share a row.

    ``branches`` are those of the event, of each mirror image after a semicolon; ``readout`` is what the first says.
    """
    near = of_stable_points(diagram) | (not stable_only)
    alike: dict[tuple[float, str, str], list[Event]] = {}
    for event, wanted in zip(diagram.events, near, strict=True):
        if wanted:
            alike.setdefault((float(f"{event.time:.6g}"), str(event.kind), event.sentence), []).append(event)
    return [
        {
            "step": step_of(step),
            "kind": kind,
            "what": sentence + (f" ({len(events)} times)" if len(events) > 1 else ""),
            "branches": "; ".join(", ".join(map(str, event.branches)) for event in events),
            "readout": readout_text(_readout_at(diagram, events[0])),
        }
        for (step, kind, sentence), events in alike.items()
    ]


def _readout_at(diagram: Diagram, event: Event) -> list[float]:
    """What the point says at the event, by the rows of its first branch."""
    branch = next(branch for branch in diagram.branches if branch.id == event.branches[0])
    return [float(np.interp(event.time, branch.s, values)) for values in branch.readouts.T]


def readout_text(values: Iterable[float]) -> str:
    """Outputs as the tables write them.

    >>> readout_text([0.984, -1.02, -1e-9])
    '+0.98 -1.02 +0.00'
    """
    return " ".join(f"{round(value, 2) + 0.0:+.2f}" for value in values)


def of_the_list(diagram: Diagram) -> str:
    """How many events those at which a point is stable are, and how many there are besides."""
    return sentence(HERE, "list", int(of_stable_points(diagram).sum()), len(diagram.events))


def stable_rows(evolution: Evolution) -> list[dict[str, Any]]:
    """One row a point that is stable at the end."""
    kinds = {True: "memory", False: NO_MEMORY, None: "stable"}
    return [
        {
            "branch": point.branch,
            "kind": kinds[point.memory],
            "readout": readout_text(point.readout),
            "stable since step": step_of(point.since),
            "how": way(point),
        }
        for point in found_stable(evolution)
    ]


def snapshot_rows(evolution: Evolution) -> list[dict[str, Any]]:
    """One row a snapshot: points by unstable directions, the origin, the indices."""
    diagram, origin = evolution.diagram, evolution.origin
    table = diagram.counts()
    rows = []
    for i, step in enumerate(diagram.steps):
        row: dict[str, Any] = {"step": int(step), "points": int(table[i].sum()), "stable": int(table[i, 0])}
        row |= {f"{k} unstable": int(table[i, k]) for k in (1, 2, 3) if k < table.shape[1]}
        if table.shape[1] > 4:
            row["more"] = int(table[i, 4:].sum())
        if origin is not None:
            row["origin"] = int(origin.n_unstable[i]) if origin.n_unstable[i] >= 0 else None
        if diagram.index_known:
            row["index sum"] = int(diagram.index_sums[i])
        rows.append(row | {"searched": "yes" if diagram.searched[i] else ""})
    return rows


def results(evolution: Evolution) -> dict[str, Any]:
    """All of it as one JSON-able object."""
    diagram, origin = evolution.diagram, evolution.origin
    found = found_stable(evolution)
    return {
        **diagram.to_json(),
        "schema": SCHEMA,
        "cut": evolution.cut_told,
        "network": evolution.network,
        "counts": diagram.counts().tolist(),
        "origin": None
        if origin is None
        else {
            "is_zero": origin.is_zero,
            "branch": origin.branch,
            "n_unstable": origin.n_unstable.tolist(),
            "leading": [None if np.isnan(v) else [v.real, v.imag] for v in origin.eigenvalues[:, 0].tolist()],
        },
        "flipflop": evolution.flipflop,
        "memories": [_as_json(point) for point in found if point.memory],
        "stable_no_memory": [_as_json(point) for point in found if not point.memory],
        "warnings": warnings(diagram),
        "claims": {
            "origin_stable_at_first": None if origin is None else bool(origin.n_unstable[0] == 0),
            "origin_loses_stability": None
            if origin is None
            else bool(origin.n_unstable[0] == 0 and (origin.n_unstable > 0).any()),
            "memories_by_bifurcations": sum(point.event is not None for point in found if point.memory),
            "memories": sum(bool(point.memory) for point in found),
        },
        "sentences": sentences(evolution),
        "resumed": evolution.resumed,
    }


def _as_json(point: StablePoint) -> dict[str, Any]:
    return {
        "branch": point.branch,
        "readout": list(point.readout),
        "since": point.since,
        "event": None if point.event is None else str(point.event.kind),
        "born_in_it": point.born,
        "branch_lost": point.lost,
    }

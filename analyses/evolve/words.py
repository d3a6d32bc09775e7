"""What a study of training says in sentences, tables and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from dynsys.analyses.evolve.completeness import NOT_SEEN, lost_branches, of_the_indices, warnings
from dynsys.analyses.evolve.evolution import SCHEMA, Evolution
from dynsys.analyses.evolve.stable_points import StablePoint, ends_lost, stable_points
from dynsys.continuation.diagram import Bifurcation, Branch, Diagram, Event
from dynsys.continuation.stable import of_stable_points

NO_MEMORY = "stable, no memory"


def step_of(time: float) -> str:
    """A time as it is written wherever one is.

    >>> step_of(0.25), step_of(1351.234), step_of(29688.06)
    ('0.25', '1,351.23', '29,688.1')
    """
    return f"{time:,.6g}" if abs(time) < 1e6 else f"{time:,.0f}"


def sentences(evolution: Evolution) -> list[str]:
    """What was found, and what of Jang's account of its figure 7 it bears out."""
    diagram = evolution.diagram
    first, last = diagram.steps[0], diagram.steps[-1]
    told = [
        *warnings(diagram),
        *([] if evolution.cut is None or "cut" in diagram.about else [evolution.cut.sentence]),
        f"{len(diagram.steps)} snapshots from step {first:,.0f} to step {last:,.0f}: {counted(diagram, 0)} at the "
        f"first, {counted(diagram, len(diagram.steps) - 1)} at the last.",
        *_of_the_origin(evolution),
        *_of_the_stable(evolution),
        _of_the_events(diagram),
    ]
    return [*told, of_the_indices(diagram)]


def counted(diagram: Diagram, i: int) -> str:
    """The points of a snapshot by their unstable directions, in words."""
    row = diagram.counts()[i]
    total, some = int(row.sum()), [(k, int(n)) for k, n in enumerate(row) if n]
    if not total:
        return "no fixed point"
    kinds = ", ".join(f"{n} with {k}" if k else f"{n} stable" for k, n in some[:5])
    rest = sum(n for _, n in some[5:])
    unit = "" if some[-1][0] == 0 else " unstable direction" + "s" * (some[-1][0] > 1)
    return f"{total} fixed point{'' if total == 1 else 's'} ({kinds}{f', {rest} with more' if rest else ''}{unit})"


def _of_the_origin(evolution: Evolution) -> list[str]:
    origin, steps = evolution.origin, evolution.diagram.steps
    if origin is None:
        return []
    name = "The origin"
    told = []
    if not origin.is_zero:
        name = f"The point that was nearest the origin (branch {origin.branch})"
        told.append("The origin itself is no fixed point of this network.")
    there = np.flatnonzero(origin.n_unstable >= 0)
    start, end = int(origin.n_unstable[there[0]]), int(origin.n_unstable[there[-1]])
    if end == start:
        told.append(
            f"{name} has {directions(start)} at step {steps[there[0]]:,.0f} and at step {steps[there[-1]]:,.0f}."
        )
    else:
        told.append(
            f"{name} has {directions(start)} at step {steps[there[0]]:,.0f} and {directions(end)} at step "
            f"{steps[there[-1]]:,.0f}."
        )
    if start:
        told.append(f"{name} is not stable at first, before any learning.")
    else:
        told.append(_loss(evolution, name, there))
    if len(there) < len(steps):
        told.append(_end(evolution, name, float(steps[there[-1]])))
    return told


def _end(evolution: Evolution, name: str, step: float) -> str:
    """What became of a branch that is not there at the last snapshot."""
    diagram = evolution.diagram
    branch = _branch(evolution)
    if ends_lost(diagram, branch):
        return f"Its branch was lost from sight after step {step_of(step)}: what became of it is not known."
    event = next(event for event in diagram.events if event.id == branch.died)
    return f"{name} is no more from step {step_of(event.time)} on, where it is lost in a {event.kind}."


def _branch(evolution: Evolution) -> Branch:
    assert evolution.origin is not None
    wanted = evolution.origin.branch
    return next(branch for branch in evolution.diagram.branches if branch.id == wanted)


def _loss(evolution: Evolution, name: str, there: Any) -> str:
    """When a point that was stable at first ceased to be."""
    assert evolution.origin is not None
    steps, n = evolution.diagram.steps, evolution.origin.n_unstable
    lost = [i for i in there if n[i] > 0]
    if not lost:
        whole = len(there) == len(steps)
        return f"{name} is stable at first, and {'stays so' if whole else 'for as long as it was followed'}."
    i = int(lost[0])
    said = f"{name} is stable at first and loses stability between the steps {steps[i - 1]:,.0f} and {steps[i]:,.0f}"
    ids = {evolution.origin.branch} if not evolution.origin.is_zero else _zero_branches(evolution.diagram)
    by = [e for e in evolution.diagram.events if ids & set(e.branches) and steps[i - 1] <= e.time <= steps[i]]
    return f"{said} ({by[0].kind} at step {step_of(by[0].time)})." if by else f"{said}."


def _zero_branches(diagram: Diagram) -> set[int | None]:
    return {b.id for b in diagram.branches if len(b) and not np.abs(b.states).max(axis=1).min() > 1e-9}


def _of_the_stable(evolution: Evolution) -> list[str]:
    """How the memories of the end came to be, and the stable points that are none."""
    found, last = found_stable(evolution), evolution.diagram.steps[-1]
    if not found:
        return [f"No fixed point is stable at step {last:,.0f}."]
    if not evolution.flipflop:
        return [_came_about(found, STABLE, last)]
    kept = [point for point in found if point.memory]
    others = [point for point in found if not point.memory]
    told = [_came_about(kept, MEMORIES, last) if kept else f"No stable point is a memory at step {last:,.0f}."]
    return [*told, _came_about(others, OTHERS, last)] if others else told


def _came_about(points: list[StablePoint], what: str, last: float) -> str:
    told = "; ".join(f"{n} {way}" for way, n in Counter(point.way for point in points).most_common())
    return f"{len(points)} {what if len(points) != 1 else ONE[what]} at step {last:,.0f}: {told}."


STABLE, MEMORIES, OTHERS = "stable points", "memories", "points that are stable but no memory"
ONE = {STABLE: "stable point", MEMORIES: "memory", OTHERS: "point that is stable but no memory"}


def found_stable(evolution: Evolution) -> list[StablePoint]:
    return stable_points(evolution.diagram, evolution.flipflop)


def _of_the_events(diagram: Diagram) -> str:
    count = Counter(event.kind for event in diagram.events)
    told = ", ".join(f"{count[kind]} {kind}" for kind in Bifurcation if count[kind])
    if not told and diagram.branches and len(lost_branches(diagram)) == len(diagram.branches):
        return "No event was seen, but all branches were lost: of events nothing is known."
    return f"{f'{len(diagram.events)} events: {told}.' if told else 'No event.'} {NOT_SEEN}"


def directions(n: int) -> str:
    return "no unstable direction" if n == 0 else f"{n} unstable direction{'' if n == 1 else 's'}"


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
    stable, total = int(of_stable_points(diagram).sum()), len(diagram.events)
    listed = f"Listed are the events at which a point is stable: {stable} of {total}, mirror images in one line."
    others = {0: "There are no others.", 1: "The other one concerns unstable points only."}
    return f"{listed} {others.get(total - stable, f'The other {total - stable} concern unstable points only.')}"


def stable_rows(evolution: Evolution) -> list[dict[str, Any]]:
    """One row a point that is stable at the end."""
    kinds = {True: "memory", False: NO_MEMORY, None: "stable"}
    return [
        {
            "branch": point.branch,
            "kind": kinds[point.memory],
            "readout": readout_text(point.readout),
            "stable since step": step_of(point.since),
            "how": point.way,
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

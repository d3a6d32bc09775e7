"""What a study of training says in sentences, tables and numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynsys.analyses.evolve.study import Evolution
from dynsys.bifurcation.diagram import Bifurcation, Branch, Diagram, Event
from dynsys.bifurcation.stable import of_stable_points

SCHEMA = "dynsys.evolution/1"


@dataclass(frozen=True)
class Memory:
    """A point that is stable at the end: when it became so, and by what; ``event`` None: it was there at the start."""

    branch: int
    readout: tuple[float, ...]
    since: float
    event: Event | None
    born: bool  # in that event, or it was there before and became stable


def memories(diagram: Diagram) -> list[Memory]:
    """Of every branch that is stable at the last snapshot how it came to be."""
    last = len(diagram.steps) - 1
    found = []
    for branch in diagram.branches:
        row = branch.at(last)
        if row is None or branch.n_unstable[row] != 0:
            continue
        unstable = np.flatnonzero(branch.n_unstable[:row])
        event = _at_change(diagram, branch, int(unstable[-1])) if len(unstable) else _by_id(diagram, branch.born)
        since = event.time if event else float(branch.s[unstable[-1] + 1 if len(unstable) else 0])
        readout = tuple(float(value) for value in branch.readouts[row])
        found.append(Memory(branch.id, readout, since, event, not len(unstable)))
    return sorted(found, key=lambda memory: (memory.since, memory.branch))


def _by_id(diagram: Diagram, number: int | None) -> Event | None:
    return next((event for event in diagram.events if event.id == number), None)


def _at_change(diagram: Diagram, branch: Branch, row: int) -> Event | None:
    """The last event of this branch between that row and the next."""
    low, high = branch.s[row], branch.s[row + 1]
    among = [event for event in diagram.events if branch.id in event.branches and low <= event.time <= high]
    return among[-1] if among else None


def sentences(evolution: Evolution) -> list[str]:
    """What was found, and what of the seed's account of its figure 7 it bears out."""
    diagram = evolution.diagram
    first, last = diagram.steps[0], diagram.steps[-1]
    told = [
        f"{len(diagram.steps)} snapshots from step {first:,.0f} to step {last:,.0f}: {counted(diagram, 0)} at the "
        f"first, {counted(diagram, len(diagram.steps) - 1)} at the last.",
        *_of_the_origin(evolution),
        *_of_the_memories(diagram),
        _of_the_events(diagram),
    ]
    return [*told, _of_the_indices(diagram), *(f"{note[0].upper()}{note[1:].rstrip('.')}." for note in diagram.notes)]


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
        told.append(f"It is no more after step {steps[there[-1]]:,.0f}.")
    return told


def _loss(evolution: Evolution, name: str, there: Any) -> str:
    """When a point that was stable at first ceased to be."""
    assert evolution.origin is not None
    steps, n = evolution.diagram.steps, evolution.origin.n_unstable
    lost = [i for i in there if n[i] > 0]
    if not lost:
        return f"{name} is stable at first, and stays so."
    i = int(lost[0])
    said = f"{name} is stable at first and loses stability between the steps {steps[i - 1]:,.0f} and {steps[i]:,.0f}"
    ids = {evolution.origin.branch} if not evolution.origin.is_zero else _zero_branches(evolution.diagram)
    by = [e for e in evolution.diagram.events if ids & set(e.branches) and steps[i - 1] <= e.time <= steps[i]]
    return f"{said} ({by[0].kind} at step {by[0].time:,.4g})." if by else f"{said}."


def _zero_branches(diagram: Diagram) -> set[int | None]:
    return {b.id for b in diagram.branches if len(b) and not np.abs(b.states).max(axis=1).min() > 1e-9}


def _of_the_memories(diagram: Diagram) -> list[str]:
    found = memories(diagram)
    last = diagram.steps[-1]
    if not found:
        return [f"No fixed point is stable at step {last:,.0f}."]
    ways = Counter(_way(memory) for memory in found)
    told = "; ".join(f"{n} {way}" for way, n in ways.most_common())
    if len(found) == 1:
        return [f"The one stable point at step {last:,.0f} was {told.removeprefix('1 ')}."]
    return [f"Of the {len(found)} stable points at step {last:,.0f}: {told}."]


def _way(memory: Memory) -> str:
    if memory.event is None:
        return "there from the start" if memory.born else "made stable by what is not known"
    if memory.born:
        return f"born in a {memory.event.kind}"
    return f"made stable by a {memory.event.kind}"


def _of_the_events(diagram: Diagram) -> str:
    count = Counter(event.kind for event in diagram.events)
    told = ", ".join(f"{count[kind]} {kind}" for kind in Bifurcation if count[kind])
    return f"{len(diagram.events)} events: {told}." if told else "No event."


def _of_the_indices(diagram: Diagram) -> str:
    if not diagram.index_known:
        return "For this network no sum of indices is known, so that nothing proves points missing."
    wrong = [f"{step:,.0f}" for step in diagram.steps[diagram.index_sums != 1]]
    if not wrong:
        return "At every snapshot the indices of the points add up to 1, as those of all points do."
    named = ", ".join(wrong[:8]) + (f" and {len(wrong) - 8} more" if len(wrong) > 8 else "")
    return f"Points are missing at step {named}: the indices do not add up to 1 there."


def directions(n: int) -> str:
    return "no unstable direction" if n == 0 else f"{n} unstable direction{'' if n == 1 else 's'}"


def event_rows(diagram: Diagram, stable_only: bool = False) -> list[dict[str, Any]]:
    """One row an event, or one at which a point is stable; mirror images, which are simultaneous, share a row."""
    near = of_stable_points(diagram) | (not stable_only)
    alike = Counter(
        (float(f"{e.time:.6g}"), str(e.kind), e.sentence) for e, n in zip(diagram.events, near, strict=True) if n
    )
    return [
        {"step": step, "kind": kind, "what": sentence + (f" ({n} times)" if n > 1 else "")}
        for (step, kind, sentence), n in alike.items()
    ]


def memory_rows(diagram: Diagram) -> list[dict[str, Any]]:
    """One row a point that is stable at the end."""
    return [
        {
            "branch": memory.branch,
            "readout": " ".join(f"{value:+.2f}" for value in memory.readout),
            "stable since step": float(f"{memory.since:.6g}"),
            "how": _way(memory),
        }
        for memory in memories(diagram)
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
    found = memories(diagram)
    return {
        **diagram.to_json(),
        "schema": SCHEMA,
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
        "memories": [
            {
                "branch": memory.branch,
                "readout": list(memory.readout),
                "since": memory.since,
                "event": None if memory.event is None else str(memory.event.kind),
                "born_in_it": memory.born,
            }
            for memory in found
        ],
        "claims": {
            "origin_stable_at_first": None if origin is None else bool(origin.n_unstable[0] == 0),
            "origin_loses_stability": None
            if origin is None
            else bool(origin.n_unstable[0] == 0 and (origin.n_unstable > 0).any()),
            "memories_by_bifurcations": sum(memory.event is not None for memory in found),
            "memories": len(found),
        },
        "sentences": sentences(evolution),
        "resumed": evolution.resumed,
    }

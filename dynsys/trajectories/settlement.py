"""What is told of trajectories that were followed to where they settle: figures for a file, a sentence for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dynsys.attractors.attractor import Attractor
from dynsys.io.text import sentence
from dynsys.systems.system import Kind
from dynsys.trajectories.motion import steps_given
from dynsys.trajectories.settling import Ending, Settled

UNSETTLED = (Ending.RESTING, Ending.CIRCLING, Ending.ESCAPED, Ending.STUCK, Ending.GIVEN_UP, Ending.UNSETTLED)


def settlement(
    settled: Settled, known: Callable[[Sequence[Attractor]], Sequence[Mapping[str, Any]]] | None = None
) -> dict[str, Any]:
    """The figures, as JSON can hold them.

    ``ends`` has one entry for each attractor reached: its ``kind``, its ``period`` (0 for a point), the ``point``
    handed in that it is (None if it is none of them), and how many ``trajectories`` end there. ``not_settled`` counts
    the others by what became of them. What is ``known`` of orbits and cycles besides (``attractors.periodic``) is put
    into their entries.
    """
    counts = Counter(settled.attractor.tolist())
    kinds = dict(zip(settled.attractor.tolist(), settled.kind.tolist(), strict=True))
    ends: list[dict[str, Any]] = []
    for i, attractor in enumerate(settled.attractors):
        if counts[i]:
            point = attractor.index if attractor.index >= 0 else None
            end = {"kind": str(kinds[i]), "period": float(attractor.period), "point": point, "trajectories": counts[i]}
            ends.append(end)
    if known is not None:
        recur = [attractor for i, attractor in enumerate(settled.attractors) if counts[i] and attractor.period]
        for end, found in zip([end for end in ends if end["period"]], known(recur), strict=True):
            end.update(found)
    others = Counter(settled.kind.tolist())
    return {
        "trajectories": len(settled),
        "stable_points": sum(a.index >= 0 for a in settled.attractors),
        "ends": ends,
        "not_settled": {str(kind): others[str(kind)] for kind in UNSETTLED if others[str(kind)]},
        "max_steps": settled.max_steps,
        "unit": "steps" if settled.system_kind is Kind.MAP else "time constants",
    }


def settling_summary(told: Mapping[str, Any]) -> str:
    """One sentence from what ``settlement`` gives.

    >>> end = {"kind": str(Ending.CYCLE), "period": 2.0, "point": None, "trajectories": 32}
    >>> told = {"trajectories": 64, "stable_points": 0, "ends": [end] * 2, "not_settled": {}, "max_steps": 5000}
    >>> settling_summary(told | {"unit": "steps"})
    'None of the 64 trajectories settles at a point: its memories are 2 stable orbits of period 2.'
    """
    others = [(Ending(kind).name, many) for kind, many in told["not_settled"].items()]
    given = {"steps_given": steps_given(told["max_steps"]), **told}
    return sentence("dynsys.result", "settling", given, _groups(told), others)


def _groups(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How many trajectories end where, and whether that is at points: known points, other points, cycles by period."""
    listed = [end for end in told["ends"] if end["point"] is not None]
    found: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for end in told["ends"]:
        if end["point"] is None:
            found.setdefault((end["kind"], float(f"{end['period']:.3g}")), []).append(end)
    groups = [(listed, True, len(listed))] if listed else []
    groups += [(found[key], key[0] == Ending.POINT, 0) for key in sorted(found, key=lambda key: key[1])]
    return [
        {
            "trajectories": sum(end["trajectories"] for end in ends),
            "ends": ends,
            "at_points": at_points,
            "listed": known,
        }
        for ends, at_points, known in groups
    ]

"""What is told of trajectories that were followed to where they settle: figures for a file, a sentence for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dynsys.attractors.attractor import Attractor
from dynsys.systems.system import Kind
from dynsys.trajectories.motion import steps_given
from dynsys.trajectories.settling import Ending, Settled

UNSETTLED = (Ending.RESTING, Ending.CIRCLING, Ending.ESCAPED, Ending.GIVEN_UP, Ending.UNSETTLED)


def settlement(settled: Settled, known: Callable[[Attractor], Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The figures, as JSON can hold them.

    ``ends`` has one entry for each attractor reached: its ``kind``, its ``period`` (0 for a point), the ``point``
    handed in that it is (None if it is none of them), and how many ``trajectories`` end there. ``not_settled`` counts
    the others by what became of them. What is ``known`` of orbits and cycles besides (``attractors.periodic``) is put
    into their entries.
    """
    counts = Counter(settled.attractor.tolist())
    kinds = dict(zip(settled.attractor.tolist(), settled.kind.tolist(), strict=True))
    ends = []
    for i, attractor in enumerate(settled.attractors):
        if counts[i]:
            point = attractor.index if attractor.index >= 0 else None
            end = {"kind": str(kinds[i]), "period": float(attractor.period), "point": point, "trajectories": counts[i]}
            found = known(attractor) if known is not None and attractor.period else {}
            ends.append(end | dict(found))
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
    n, groups, others = told["trajectories"], _groups(told), _others(told)
    settled = sum(count for count, _, _ in groups)
    at_points = any(is_point for _, is_point, _ in groups)
    tail = "".join(f"; {other}" for other in others)
    if not groups and set(told["not_settled"]) <= {str(Ending.UNSETTLED)}:
        return f"None of the {n:,} trajectories settles within {told['max_steps']:,} {told['unit']}."
    if not groups:
        return f"None of the {n:,} trajectories settles at a stable point: {', '.join(others)}."
    if settled == n and len(groups) == 1 and at_points:
        return f"{_all(n)} {groups[0][2]}."
    where = ", ".join(f"{_percent(count, n)} {phrase}" for count, _, phrase in groups)
    if at_points:
        return f"Of {n:,} trajectories {where.replace(' %', ' % settle', 1)}{tail}."
    if len(groups) == 1:
        what = groups[0][2].removeprefix("in ")
        are = "its memory is" if what.startswith("1 ") else "its memories are"
        where = f"{are} {what}" if settled == n else f"{_percent(settled, n)} end in {what}"
    else:
        where = where.replace(" %", " % end", 1)
    return f"None of the {n:,} trajectories settles at a point: {where}{tail}."


def _groups(told: Mapping[str, Any]) -> list[tuple[int, bool, str]]:
    """How many trajectories end where, and whether that is at points: known points, other points, cycles by period."""
    listed = [end["trajectories"] for end in told["ends"] if end["point"] is not None]
    found: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for end in told["ends"]:
        if end["point"] is None:
            found.setdefault((end["kind"], float(f"{end['period']:.3g}")), []).append(end)
    groups = []
    if listed:
        all_of_them = len(listed) == told["stable_points"]
        share = f"the {_counted(len(listed), 'stable point')}".replace("the 1 ", "the ")
        which = share if all_of_them else f"{len(listed)} of the {told['stable_points']} stable points"
        groups.append((sum(listed), True, f"at {which}"))
    for (kind, _), ends in sorted(found.items(), key=lambda item: item[0][1]):
        groups.append((sum(end["trajectories"] for end in ends), kind == Ending.POINT, _found(kind, ends, told)))
    return groups


def _found(kind: str, ends: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> str:
    number = len(ends)
    if kind == Ending.POINT:
        beside = " that the search did not find" if told["stable_points"] else ""
        return f"at {_counted(number, 'stable point')}{beside}"
    return f"in {periodic_ends(ends, told['unit'])}"


def periodic_ends(ends: Sequence[Mapping[str, Any]], unit: str) -> str:
    """Orbits of one period, or cycles: how many, and how sure they are.

    >>> end = {"kind": str(Ending.CYCLE), "period": 4.0, "proved": True}
    >>> periodic_ends([end], "steps"), periodic_ends([end, end | {"proved": False}], "steps")
    ('1 stable orbit of period 4 (proved)', '2 stable orbits of period 4 (1 of 2 proved)')
    """
    first = ends[0]
    if first["kind"] == Ending.CYCLE:
        return f"{_counted(len(ends), 'stable orbit')} of period {first['period']:.0f}{_proofs(ends)}"
    sure, period = _proofs(ends), f"{first['period']:.{4 if first.get('multipliers') else 3}g}"  # as exact as it is
    if sure and len(ends) == 1 and first.get("multipliers"):
        real, imag = first["multipliers"][0]
        sure = f" (leading Floquet multiplier {abs(complex(real, imag)):.2g}{' in size' if imag else ''}; not proved)"
    return f"{_counted(len(ends), 'oscillation')} of period {period} {unit}{sure}"


def _proofs(ends: Sequence[Mapping[str, Any]]) -> str:
    """In brackets; nothing where it was not looked at."""
    if any("proved" not in end for end in ends):
        return ""
    proved = sum(bool(end["proved"]) for end in ends)
    if 0 < proved < len(ends):
        return f" ({proved} of {len(ends)} proved)"
    return f" ({'all ' if len(ends) > 1 and proved else ''}{'' if proved else 'not '}proved)"


def _others(told: Mapping[str, Any]) -> list[str]:
    words = {
        str(Ending.RESTING): "{} rest at marginal points or saddles",
        str(Ending.CIRCLING): "{} go round closed orbits that draw nothing in",
        str(Ending.ESCAPED): "{} ran off to infinity or became NaN",
        str(Ending.GIVEN_UP): "{} did not settle in " + f"{steps_given(told['max_steps']):,} steps of the integrator",
        str(Ending.UNSETTLED): "{} did not settle within " + f"{told['max_steps']:,} {told['unit']}",
    }
    return [words[kind].format(f"{count:,}") for kind, count in told["not_settled"].items()]


def _all(n: int) -> str:
    return "The only trajectory settles" if n == 1 else f"All {n:,} trajectories settle"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _percent(count: int, n: int) -> str:
    share = 100 * count / n
    return f"{share:.0f} %" if 1 <= share <= 99 or count == n else f"{share:.1f} %"

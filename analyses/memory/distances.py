"""From how far cues come home: the share that does against Hamming distance, and where the others end, by name.

Of random patterns each trial draws a set of its own and asks for one of them; of patterns that are given each is asked
for. A cue came home where its end has an overlap of 0.9 with the pattern it was made of, which a memory with a few
mistakes has too; the share of exact ones is told beside. Nets of up to 20 units are looked at state by state as well.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from dynsys.analyses.memory.nets import NETS, Choices, Net, in_words, net_of, signs_of
from dynsys.analyses.memory.pattern_files import Patterns, read_patterns
from dynsys.analyses.memory.proved import STARTS, proved_basins, rows_of_proved
from dynsys.analyses.report import Report, Section, cut_short, write_report
from dynsys.analyses.swept import swept
from dynsys.io.progress import Progress
from dynsys.io.text import paragraphs, sentence
from dynsys.models.associative.patterns import disturbed, overlaps, random_patterns
from dynsys.models.associative.theory.enumeration import enumerated
from dynsys.models.associative.theory.spurious import Name, named
from dynsys.numerics.deadline import Deadline
from dynsys.sweep import Row, Task

Array = NDArray[np.float64]

HERE = "dynsys.analyses.memory"
TITLE = "From how far cues come home"
SCHEMA = "dynsys.memory.basins/1"
HOME = 0.9  # the overlap from which on an end counts as a pattern
SMALL = 20  # units, up to which a net is looked at state by state
LISTED = 40  # attractors in the table of a small net
SHARES = tuple(round(0.05 * k, 2) for k in range(11))


class Fate(enum.StrEnum):
    """Where a cue ended."""

    HOME = "home"
    ANOTHER = "another pattern"
    NEGATIVE = "the negative of a pattern"
    MIXTURE = "a mixture of patterns"
    UNFINISHED = "units left at 0"
    OTHER = "none of these"
    MOVING = "not at rest"


@dataclass(frozen=True)
class Distances:
    """The patterns that are given (``only`` some of them), or ``loads`` of random ones of so many ``units``; the
    ``shares`` of the units that are wrong in a cue, how many cues of each, and the net."""

    patterns: str | None = None
    only: tuple[str, ...] = ()
    units: int = 200
    loads: tuple[float, ...] = (0.02, 0.05, 0.1, 0.13)
    shares: tuple[float, ...] = SHARES
    trials: int = 50
    model: str = "hopfield"
    seed: int = 0
    choices: Choices = field(default_factory=Choices)

    def __post_init__(self) -> None:
        if self.model not in NETS:
            raise ValueError(f"model is {self.model!r}; a memory is one of {', '.join(NETS)}")
        if not self.shares or not all(0 <= share <= 1 for share in self.shares):
            raise ValueError(f"distances are {self.shares}; each is the share of wrong units, between 0 and 1")
        if self.patterns is None and self.only:
            raise ValueError("--only chooses among PATTERNS; give them, or leave it out")
        if self.patterns is None:
            for load in self.loads:
                if not 0 < load < math.inf or round(load * self.units) < 1:
                    raise ValueError(f"a load is {load:g}; P / n has to be positive and to make one pattern at least")

    def stored(self) -> Patterns | None:
        """The patterns that are given; None where they are drawn."""
        if self.patterns is None:
            return None
        found = read_patterns(self.patterns)
        return found.chosen(self.only) if self.only else found

    def tasks(self, stored: Patterns | None) -> list[Task]:
        """Of given patterns one for each, of random ones one for each load and trial."""
        shared = {"model": self.model, "choices": self.choices, "shares": self.shares}
        if stored is None:
            return [
                Task(f"P={P}/trial={t}", {**shared, "units": self.units, "P": P, "cues": 1})
                for P in sorted({round(load * self.units) for load in self.loads})
                for t in range(self.trials)
            ]
        given = {"S": stored.S, "names": stored.names, "shape": stored.shape}
        return [Task(f"{name}", {**shared, **given, "own": name, "cues": self.trials}) for name in stored.names]


def fates(arguments: dict[str, Any], seed: int) -> Row:
    """The work of the sweep: where cues of one pattern end, from every distance."""
    rng = np.random.default_rng(seed)
    if "P" in arguments:
        n, P = arguments["units"], arguments["P"]
        stored = Patterns(tuple(map(str, range(P))), random_patterns(P, n, rng), (1, n))
        group, own = f"load {P / n:.3g} (P = {P})", 0
    else:
        stored = Patterns(arguments["names"], arguments["S"], arguments["shape"])
        group, own = arguments["own"], arguments["names"].index(arguments["own"])
    net = net_of(arguments["model"], stored, arguments["choices"])
    n, cues = stored.S.shape[1], arguments["cues"]
    wrong = sorted({round(share * n) for share in arguments["shares"]})
    begun = np.array([disturbed(stored.S[own], rng, mistakes=k) for k in wrong for _ in range(cues)])
    ends, rested = net.ends(begun, int(rng.integers(2**31)))
    found = [fate(end, stored.S, own, bool(still)) for end, still in zip(ends, rested, strict=True)]
    exact = [bool((signs_of(end) == stored.S[own]).all()) for end in ends]
    at = [slice(k * cues, (k + 1) * cues) for k in range(len(wrong))]
    counts = [dict(Counter(str(one) for one in found[part])) for part in at]
    row = {"group": group, "P": len(stored), "n": n, "wrong": wrong, "counts": counts}
    return {**row, "exact": [sum(exact[part]) for part in at]}


def fate(end: Array, S: Array, own: int, rested: bool) -> Fate:
    """What became of a cue of pattern ``own`` that ended there."""
    if not rested:
        return Fate.MOVING
    signs = signs_of(end)
    m = overlaps(S, signs)
    if m[own] >= HOME:
        return Fate.HOME
    if m.max() >= HOME:
        return Fate.ANOTHER
    if m.min() <= -HOME:
        return Fate.NEGATIVE
    if not signs.any():
        return Fate.UNFINISHED
    return {Name.MIXTURE: Fate.MIXTURE, Name.UNFINISHED: Fate.UNFINISHED}.get(named(signs, S).name, Fate.OTHER)


def run(
    settings: Distances,
    folder: str | Path,
    progress: Progress = lambda stage, done, total: None,
    *,
    command: str = "",
    seconds: float | Deadline | None = None,
    **sweeping: Any,
) -> dict[str, Any]:
    """Follow all cues, or go on with them, and write ``report.html`` and ``results.json``; returns the results.

    ``sweeping`` are ``jobs``, ``cluster``, ``shard`` and ``retry_failed`` of ``run_sweep``; a shard writes its rows
    only. Raises CutShort where time was over before the first cue, SweepError, OutputError.
    """
    stored = settings.stored()
    one = Patterns(("0",), np.ones((1, settings.units)), (1, settings.units))
    net = net_of(settings.model, stored or one, settings.choices)  # refuses now what it cannot store or use
    deadline = Deadline.of(seconds)
    given = {"seed": settings.seed, "seconds": deadline, "progress": progress, "stage": "following cues", **sweeping}
    rows, cut = swept(fates, settings.tasks(stored), folder, "sets of cues", **given)
    attractors = None if stored is None else attractors_of(net, stored)
    proving = stored is not None and cut is None and sweeping.get("shard") is None
    proved = proved_basins(net, stored, settings.seed, deadline) if proving and stored is not None else None
    found = {"attractors": attractors, "proved": proved, "cut": None if cut is None else cut.to_json()}
    results = {**results_of(settings, rows), **found}
    if sweeping.get("shard") is None:
        if cut is not None and not rows:
            raise cut_short(cut, TITLE, command, results["settings"], SCHEMA, folder)
        if not results["groups"]:
            raise RuntimeError(f"no cue was followed; {rows[0]['id']} ended in: {rows[0]['error']}")
        _write(results, Path(folder), command)
    return results


def results_of(settings: Distances, rows: Sequence[Row]) -> dict[str, Any]:
    """What ``results.json`` holds: of each load or pattern the fates by distance."""
    done = [row["result"] for row in rows if "result" in row]
    names = dict.fromkeys(row["group"] for row in done)
    groups = [_group([row for row in done if row["group"] == name]) for name in names]
    told = {key: value for key, value in vars(settings).items() if key != "choices" and value not in (None, ())}
    if settings.patterns is not None:
        told = {key: value for key, value in told.items() if key not in ("units", "loads")}
    failed = [{"id": row["id"], "error": row["error"]} for row in rows if "result" not in row]
    return {
        "schema": SCHEMA,
        "settings": {**told, **settings.choices.given},
        "groups": groups,
        "failed": failed,
    }


def _group(rows: Sequence[Row]) -> dict[str, Any]:
    """Fates added up over the rows of one load or pattern, home with its 95 % interval (Wilson 1927)."""
    first = rows[0]
    counts = [sum((Counter(row["counts"][k]) for row in rows), Counter()) for k in range(len(first["wrong"]))]
    totals = [sum(count.values()) for count in counts]
    intervals = [
        binomtest(count[Fate.HOME], total).proportion_ci(0.95, method="wilson")
        for count, total in zip(counts, totals, strict=True)
    ]
    home = [count[Fate.HOME] / total for count, total in zip(counts, totals, strict=True)]
    return {
        "name": first["group"],
        "P": first["P"],
        "n": first["n"],
        "wrong": first["wrong"],
        "distance": [wrong / first["n"] for wrong in first["wrong"]],
        "cues": totals[0],
        "fates": {str(one): [c[one] / t for c, t in zip(counts, totals, strict=True)] for one in Fate},
        "home": home,
        "low": [float(interval.low) for interval in intervals],
        "high": [float(interval.high) for interval in intervals],
        "exact": [sum(row["exact"][k] for row in rows) / total for k, total in enumerate(totals)],
        "half": _half(np.array(first["wrong"]) / first["n"], np.array(home)),
    }


def _half(distance: Array, home: Array) -> float | None:
    """The distance at which half of the cues still come home, on the line between two; None where it was not met."""
    fewer = np.flatnonzero(home < 0.5)
    if not len(fewer) or fewer[0] == 0:
        return None
    k = int(fewer[0])
    return float(np.interp(-0.5, -home[k - 1 : k + 1], distance[k - 1 : k + 1]))


def attractors_of(net: Net, stored: Patterns) -> list[dict[str, Any]] | None:
    """Every attractor of a small discrete net, named, with the share of all states that ends there."""
    if net.discrete is None or stored.S.shape[1] > SMALL:
        return None
    try:
        landscape = enumerated(net.discrete)
    except ValueError:  # two layers, or units of three values, have more states than can be listed
        return None
    n = stored.S.shape[1]
    found = []
    for one in landscape.attractors:
        name = in_words(one.states[0][:n], stored) if one.period == 1 else "a cycle"
        found.append({"state": name, "period": one.period, "basin": one.basin})
    return found


def sentences(results: dict[str, Any]) -> list[str]:
    """What was found."""
    return paragraphs(HERE, "basins", results)


def rows_of(results: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each load or pattern and distance: shares of the cues, of every fate that any of them met."""
    groups = results["groups"]
    met = [one for one in Fate if one != Fate.HOME and any(any(group["fates"][one]) for group in groups)]
    return [
        {
            "patterns": group["name"],
            "wrong units": group["wrong"][k],
            "distance": group["distance"][k],
            "home": group["home"][k],
            "95 %": f"{group['low'][k]:.2f} to {group['high'][k]:.2f}",
            "exactly": group["exact"][k],
            **{str(one): group["fates"][one][k] for one in met},
        }
        for group in groups
        for k in range(len(group["wrong"]))
    ]


def _write(results: dict[str, Any], folder: Path, command: str) -> None:
    from dynsys.plots import home_shares, shares_about_memories

    figure = home_shares(results["groups"], title="Which cues come home")
    sections = [Section("By distance", sentence(HERE, "of_home", HOME, results), figures=[figure])]
    if results["attractors"]:
        rows = results["attractors"]
        sections.append(Section("Every attractor", sentence(HERE, "of_attractors", rows, LISTED), table=rows[:LISTED]))
    if results["proved"]:
        rows = rows_of_proved(results["proved"])
        drawn = [row for row in results["proved"] if "share" in row]
        figures = [shares_about_memories(drawn, title="What is proved, and what comes")] if drawn else []
        told = sentence(HERE, "of_proved", STARTS)
        sections.append(Section("Proved and measured", told, table=rows, figures=figures))
    sections.append(Section("Every distance", table=rows_of(results)))
    cited = ["hopfield1982", "amit1985", "wilson1927"]
    write_report(Report(TITLE, command, sentences(results), results["settings"], sections, cited), results, folder)

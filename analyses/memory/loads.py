"""How much a memory holds: recall against load, for many sizes and seeds, with the theory beside it.

Each task of the sweep is one net, size and load with all its trials; what is done is never done again. Median, mean and
the share of collapses are told apart, and a line in 1/n says what a net without end would do.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsys.analyses.memory.capacity import COLLAPSED, CapacityCurve, Extrapolation, capacity_curve, extrapolated
from dynsys.analyses.report import Report, Section, cut_short, write_report
from dynsys.analyses.swept import swept
from dynsys.io.progress import Progress
from dynsys.io.text import capital, paragraphs, sentence
from dynsys.models.associative.theory.mean_field_of_pairs import pair_critical, pair_retrieval
from dynsys.models.associative.theory.mean_field_theory import (
    PATTERNS_STORED,
    critical_load,
    first_step_error,
    retrieval,
)
from dynsys.models.associative.theory.simulation import TRIALS
from dynsys.numerics.deadline import Deadline
from dynsys.sweep import Row, Task

if TYPE_CHECKING:
    from dynsys.plots.memory.capacity import Theory

Array = NDArray[np.float64]

HERE = "dynsys.analyses.memory"
TITLE = "How much associative memories hold"
SCHEMA = "dynsys.memory.capacity/1"
HALF = 0.5  # the share of collapses at which a size is said to have lost its memories
COARSE = 25  # patterns of the smallest step of a usual load
USUAL = {  # loads where none are given; of pairs in units of the critical one
    "hebb": np.arange(0.04, 0.1801, 0.01),
    "bidirectional": np.arange(0.3, 1.301, 0.1),
    "pseudo-inverse": np.arange(0.1, 0.951, 0.1),
    "storkey": np.arange(0.05, 0.501, 0.05),
}
CITED = {
    "hebb": ("amit1985", "hopfield1982", "mceliece1987"),
    "bidirectional": ("kosko1988", "shouno2004"),
    "pseudo-inverse": ("personnaz1985",),
    "storkey": ("storkey1997",),
}


@dataclass(frozen=True)
class Capacity:
    """Which nets, sizes and loads (None: usual ones), how many trials, the share of wrong units in the cues, and of a
    bidirectional net the ratio of its second layer to its first."""

    models: tuple[str, ...] = ("hebb",)
    sizes: tuple[int, ...] = (250, 500, 1000)
    loads: tuple[float, ...] | None = None
    trials: int = 20
    mistakes: float = 0.0
    ratio: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for model in self.models:
            if model not in TRIALS:
                raise ValueError(f"model is {model!r}; capacity is simulated of {', '.join(TRIALS)}")
        for name in ("models", "sizes", "loads"):
            values = getattr(self, name) or ()
            if len(set(values)) != len(values) or (name != "loads" and not values):
                raise ValueError(
                    f"{name} is {', '.join(map(str, values)) or 'empty'}; give each value once, one at least"
                )
        if min(self.sizes) < 2 or self.trials < 1:
            raise ValueError(
                f"sizes are {self.sizes} and trials {self.trials}; a net needs 2 units and 1 trial at least"
            )
        if not 0 <= self.mistakes < 0.5:
            raise ValueError(f"mistakes is {self.mistakes}; the share of wrong units in a cue is 0 or more, below 0.5")
        if not 0 < self.ratio < math.inf:
            raise ValueError(f"ratio is {self.ratio}; the second layer has ratio times the units of the first, above 0")
        if self.ratio != 1 and "bidirectional" not in self.models:
            raise ValueError("--ratio makes no difference to these nets; it does to bidirectional")
        for load in self.loads or ():
            if not 0 < load < math.inf or round(load * min(self.sizes)) < 1:
                raise ValueError(f"a load is {load:g}; P / n has to be positive and to make one pattern at every size")

    def counts(self, model: str, n: int) -> list[int]:
        """The numbers of patterns, rising, each once."""
        if self.loads is not None:
            return sorted({round(load * n) for load in self.loads})
        step = 1 / max(math.gcd(*self.sizes), COARSE)  # so that all sizes have the same loads
        unit = pair_critical(self.ratio).alpha if model == "bidirectional" else 1.0
        return sorted({max(1, round(round(unit * load / step) * step * n)) for load in USUAL[model].tolist()})

    def tasks(self) -> list[Task]:
        return [
            Task(f"{model}/n={n}/P={P}", self._arguments(model, n, P))
            for model in self.models
            for n in self.sizes
            for P in self.counts(model, n)
        ]

    def _arguments(self, model: str, n: int, P: int) -> dict[str, Any]:
        shared = {"model": model, "n": n, "P": P, "trials": self.trials, "mistakes": self.mistakes}
        return {**shared, "settings": {"ratio": self.ratio} if model == "bidirectional" else {}}


def recalls(arguments: dict[str, Any], seed: int) -> Row:
    """The work of the sweep: all trials of one net, size and number of patterns."""
    n, P, trials = arguments["n"], arguments["P"], arguments["trials"]
    more = {"model": arguments["model"], "mistakes": arguments["mistakes"], **arguments["settings"]}
    curve = capacity_curve(n, [P / n], trials, seed=seed, **more)
    found = {"first": curve.first[0], "errors": curve.errors[0], "settled": curve.settled[0]}
    return {**{k: arguments[k] for k in ("model", "n", "P")}, **{k: v.tolist() for k, v in found.items()}}


def run(
    settings: Capacity,
    folder: str | Path,
    progress: Progress = lambda stage, done, total: None,
    *,
    command: str = "",
    seconds: float | Deadline | None = None,
    **sweeping: Any,
) -> dict[str, Any]:
    """Do all trials, or go on with them, and write ``report.html`` and ``results.json``; returns the results.

    ``sweeping`` are ``jobs``, ``cluster``, ``shard`` and ``retry_failed`` of ``run_sweep``; a shard writes its rows
    only. Raises CutShort where time was over before the first load, SweepError, OutputError.
    """
    given = {"seed": settings.seed, "seconds": seconds, "progress": progress, "stage": "recalling", **sweeping}
    rows, cut = swept(recalls, settings.tasks(), folder, "loads", **given)
    results = {**results_of(settings, rows), "cut": None if cut is None else cut.to_json()}
    if sweeping.get("shard") is None:
        if cut is not None and not rows:
            raise cut_short(cut, TITLE, command, results["settings"], SCHEMA, folder)
        if not any("result" in row for row in rows):
            raise RuntimeError(f"no load was done; {rows[0]['id']} ended in: {rows[0]['error']}")
        _write(settings, results, Path(folder), command)
    return results


def results_of(settings: Capacity, rows: Sequence[Row]) -> dict[str, Any]:
    """What ``results.json`` holds: figures for each net, size and load, and those of a net without end."""
    done = [row["result"] for row in rows if "result" in row]
    nets = []
    for model in settings.models:
        curves = curves_of(settings, model, done)
        if curves:
            end, why_not = _to_infinity(curves)
            nets.append(
                {
                    "model": model,
                    "loads": [figures for curve in curves for figures in _figures(curve, settings.ratio)],
                    "to_infinity": [] if end is None else _end_figures(model, settings.ratio, end),
                    "not_extrapolated": why_not,
                    "half_lost": {str(curve.n): _half_lost(curve) for curve in curves},
                }
            )
    failed = [{"id": row["id"], "error": row["error"]} for row in rows if "result" not in row]
    return {"schema": SCHEMA, "settings": _told(settings), "nets": nets, "failed": failed}


def _told(settings: Capacity) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(settings).items() if value is not None}


def curves_of(settings: Capacity, model: str, done: Sequence[Row]) -> list[CapacityCurve]:
    """The curve of each size that has a load, of what was done."""
    curves = []
    for n in sorted(settings.sizes):
        mine = sorted((row for row in done if row["model"] == model and row["n"] == n), key=lambda row: row["P"])
        if mine:
            loads = np.array([row["P"] / n for row in mine])
            first, errors = (np.array([row[key] for row in mine]) for key in ("first", "errors"))
            settled = np.array([row["settled"] for row in mine], dtype=bool)
            curves.append(CapacityCurve(model, n, settings.mistakes, loads, first, errors, settled))
    return curves


WITH_THEORY = ("hebb", "bidirectional")


def theory_error(model: str, alpha: float, ratio: float = 1.0) -> float | None:
    """The share of wrong units in a net without end, None where there is no memory, or no theory."""
    if model == "hebb":
        state = retrieval(alpha)
        return None if state is None else state.error
    if model == "bidirectional":
        pair = pair_retrieval(alpha, ratio)
        return None if pair is None else (1 - pair.m) / 2
    return None


def _figures(curve: CapacityCurve, ratio: float) -> list[dict[str, Any]]:
    kept, spread = curve.of_kept()
    return [
        {
            "n": curve.n,
            "P": round(load * curve.n),
            "load": float(load),
            "first_step": float(curve.first[i].mean()),
            "median": float(curve.median[i]),
            "mean": float(curve.mean[i]),
            "collapses": float(curve.collapses[i]),
            "overlap_kept": _number(kept[i]),
            "standard_error": _number(spread[i]),
            "theory": theory_error(curve.model, float(load), ratio),
            "unsettled": int((~curve.settled[i]).sum()),
        }
        for i, load in enumerate(curve.loads)
    ]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _to_infinity(curves: Sequence[CapacityCurve]) -> tuple[Extrapolation | None, str]:
    try:
        return extrapolated(curves), ""
    except ValueError as error:
        return None, str(error)


def _end_figures(model: str, ratio: float, end: Extrapolation) -> list[dict[str, Any]]:
    """Loads at which every size has a memory; how many standard errors the overlap is from the theory."""
    found = []
    for load, m, e in zip(end.loads.tolist(), end.overlap.tolist(), end.standard_error.tolist(), strict=True):
        error = theory_error(model, load, ratio)
        gone = error is None and model in WITH_THEORY  # there no trial would keep its pattern without end
        if np.isfinite(m) and e > 0 and not gone:
            of_theory = None if error is None else 1 - 2 * error
            away = None if of_theory is None else (m - of_theory) / e
            found.append({"load": load, "overlap": m, "standard_error": e, "theory": of_theory, "away": away})
    return found


def _half_lost(curve: CapacityCurve) -> float | None:
    """The load at which half of the trials collapse, on the line between two loads; None where none was that high."""
    share, loads = curve.collapses, curve.loads
    lost = np.flatnonzero(share >= HALF)
    if not len(lost):
        return None
    k = int(lost[0])
    if k == 0:
        return float(loads[0]) if share[0] == HALF else None
    return float(np.interp(HALF, share[k - 1 : k + 1], loads[k - 1 : k + 1]))


def sentences(results: dict[str, Any]) -> list[str]:
    """What was found, for each net."""
    return paragraphs(HERE, "capacity", results)


def rows_of(net: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each size and load; errors in per cent."""
    rows = []
    for one in net["loads"]:
        row = {"n": one["n"], "P": one["P"], "load": one["load"], "first step, %": 100 * one["first_step"]}
        row |= {"median, %": 100 * one["median"], "mean, %": 100 * one["mean"], "collapsed": one["collapses"]}
        theory = {"theory, %": None if one["theory"] is None else 100 * one["theory"]}
        rows.append({**row, **(theory if net["model"] in WITH_THEORY else {})})
    return rows


def _end_rows(net: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "load": one["load"],
            "overlap, n to infinity": f"{one['overlap']:.5f}",
            "standard error": one["standard_error"],
            "mean field": None if one["theory"] is None else f"{one['theory']:.5f}",
            "standard errors away": None if one["away"] is None else f"{one['away']:+.1f}",
        }
        for one in net["to_infinity"]
    ]


def named_loads(model: str, n: int, ratio: float) -> dict[str, float]:
    """What is called the capacity, as loads of a net of n units."""
    if model == "hebb":
        stored = {name: count(n) / n for name, count in PATTERNS_STORED.items()}
        return {"mean field, above which nothing is left": critical_load(), **stored}
    return {"mean field, above which nothing is left": pair_critical(ratio).alpha} if model == "bidirectional" else {}


def theory_of(settings: Capacity, model: str, most: float) -> Theory:
    """The curves and loads that are drawn beside the trials, up to the load ``most``."""
    from dynsys.plots.memory.capacity import Theory

    n = max(settings.sizes)
    marks = named_loads(model, n, settings.ratio)
    least = min(settings.counts(model, n)) / n
    loads = np.array([])
    if marks:
        critical = marks["mean field, above which nothing is left"]
        loads = np.linspace(min(least, critical), min(most, critical), 200)
    errors = np.array([theory_error(model, float(load), settings.ratio) or 0.0 for load in loads])
    steps = np.linspace(least, most, 200)
    with_step = model == "hebb" and settings.mistakes == 0
    return Theory(loads, errors, steps if with_step else None, first_step_error(steps) if with_step else None, marks, n)


def _write(settings: Capacity, results: dict[str, Any], folder: Path, command: str) -> None:
    sections = [section for net in results["nets"] for section in _sections(settings, net)]
    cited = [name for net in results["nets"] for name in CITED[net["model"]]]
    write_report(Report(TITLE, command, sentences(results), results["settings"], sections, cited), results, folder)


def _sections(settings: Capacity, net: dict[str, Any]) -> list[Section]:
    """Of one net the picture, the table of every load, that of n to infinity, and that of what is called capacity."""
    from dynsys.plots import capacity_curves

    name, model, loads, end = capital(net["model"]), net["model"], net["loads"], net["to_infinity"]
    theory = theory_of(settings, model, max(one["load"] for one in loads))
    figure = capacity_curves(loads, theory, end, title=f"{name}: recall against load")
    named = {n: named_loads(model, n, settings.ratio) for n in sorted(settings.sizes)}
    patterns = [{"n": n, **{what: f"{load * n:.1f}" for what, load in of.items()}} for n, of in named.items() if of]
    sections = [
        Section(name, sentence(HERE, "of_errors", model, COLLAPSED), figures=[figure]),
        Section(f"{name}: every load", table=rows_of(net)),
        Section(f"{name}: n to infinity", sentence(HERE, "of_infinity"), table=_end_rows(net)),
        Section(f"{name}: what is called its capacity, in patterns", sentence(HERE, "of_capacities"), table=patterns),
    ]
    return [section for section in sections if section.table or section.figures]

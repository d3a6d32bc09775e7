"""The report of a comparison of memories: what is left, single steps, slow modes, memory curves, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.analyses.report import Report, Section, write_report
from dynsys.io.text import paragraphs
from dynsys.plots import fading_curves, fading_in_training, memory_curves

HERE = "dynsys.analyses.persistence"
CITED = ["bengio1994", "pascanu2013", "jaeger2001"]

Results = Mapping[str, Any]
Row = dict[str, Any]


def write(results: Results, folder: Path, command: str) -> Path:
    """``report.html`` and ``results.json``."""
    sections = [*_left(results), *_singular(results), *_modes(results), *_capacity(results), *_training(results)]
    title = "Memory that fades"
    files = [network["checkpoint"] for network in results["networks"] if network["checkpoint"]]
    report = Report(title, command, summary(results), results["settings"], sections, CITED, files)
    return write_report(report, results, folder)


def summary(results: Results) -> list[str]:
    """A sentence of each network under each kind of input."""
    return [line.replace(" ;", ";") for line in paragraphs(HERE, "summary", results["networks"])]


def rows(results: Results) -> list[Row]:
    """A row for each network under each kind of input."""
    return [_row(network, drive, told) for network, drive, told in _each(results)]


def _each(results: Results) -> list[tuple[Results, str, Results]]:
    return [(network, *one) for network in results["networks"] for one in network["drives"].items()]


def _row(network: Results, drive: str, told: Results) -> Row:
    row: Row = {"network": network["name"], "driven by": drive}
    if "reason" in told:
        return row | {"not told, as": told["reason"]}
    norms = told["step_norms"]
    modes, memory = network["slow_modes"], network["memory"]
    slowest = modes["time_constants"][0][0] if modes and modes["time_constants"] else "none"
    return row | {
        "norm of a step": f"{norms[2]:.3g} ({norms[0]:.3g} to {norms[4]:.3g})",
        "steps below 1": f"{told['contracting']:.0%}",
        "norm of the product": _power(told["product"][-1]),
        "left of the gradient": _power(told["gradient"][-1]) if told["gradient"] else "none",
        "below 1 % from": told["horizon"] if told["horizon"] is not None else "not yet",
        "rate": _or(told["rate"], "-inf"),
        "first exponent": _or(told["exponent"], "-inf"),
        **({"slowest mode": _or(slowest, "infinite")} if modes else {}),
        **({"memory capacity": _capacity_of(memory)} if memory else {}),
    }


def _power(value: float | None) -> str:
    return "0" if value is None else f"{10**value:.3g}" if value > -300 else f"1e{value:.0f}"


def _or(value: Any, word: str) -> Any:
    return word if value is None else value


def _capacity_of(memory: Results) -> str:
    if "reason" in memory:
        return "none"
    more = " or more" if memory["truncated"] else ""
    return ", ".join(f"{value:.3g}" for value in memory["capacity"]) + more


def _left(results: Results) -> list[Section]:
    drives = list(dict.fromkeys(drive for _, drive, _ in _each(results)))
    figures = []
    for drive in drives:
        known = [(n, told) for n, own, told in _each(results) if own == drive and "reason" not in told]
        drawn = [{**told, "name": n["name"]} for n, told in known]
        if drawn:
            figures.append(fading_curves(drawn, title=f"What is left, driven by {drive}"))
    return [Section("What is left", paragraphs(HERE, "products"), rows(results), figures)]


def _singular(results: Results) -> list[Section]:
    known = [(n["name"], drive, told) for n, drive, told in _each(results) if "reason" not in told]
    if not known:
        return []
    table = [{"network": name, "driven by": drive, **_quartiles(told["singular"])} for name, drive, told in known]
    delays = [(name, len(told["product"]) - 1) for name, _, told in known]
    return [Section("Singular values", paragraphs(HERE, "singular", delays), table)]


def _quartiles(values: Sequence[float | None]) -> Row:
    known = np.array([value for value in values if value is not None])
    lost = {"of": len(values), "below rounding": len(values) - len(known)}
    if not len(known):
        return lost
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    return {**lost, "greatest": known.max(), "upper quartile": high, "median": middle, "lower quartile": low}


def _modes(results: Results) -> list[Section]:
    table = [
        {
            "network": network["name"],
            "points": network["slow_modes"]["points"],
            "without unstable direction": network["slow_modes"]["stable"],
            "slowest modes of each": "; ".join(
                ", ".join("infinite" if time is None else f"{time:.4g}" for time in times)
                for times in network["slow_modes"]["time_constants"]
            ),
        }
        for network in results["networks"]
        if network["slow_modes"]
    ]
    return [Section("Slow modes", paragraphs(HERE, "modes"), table)] if table else []


def _capacity(results: Results) -> list[Section]:
    known = [n for n in results["networks"] if n["memory"] and "reason" not in n["memory"]]
    if not known:
        return []
    table = [
        {
            "network": n["name"],
            "capacity of each input": _capacity_of(n["memory"]),
            "independent state variables": n["memory"]["rank"],
            "floor": float(np.mean(n["memory"]["floor"])),
            "steps": n["memory"]["steps"],
        }
        for n in known
    ]
    truncated = [n["name"] for n in known if n["memory"]["truncated"]]
    figure = memory_curves([{"name": n["name"], **n["memory"]} for n in known], title="Memory curves")
    return [Section("Memory capacity", paragraphs(HERE, "capacity", truncated), table, [figure])]


def _training(results: Results) -> list[Section]:
    found = []
    for network in results["networks"]:
        told = network["snapshots"]
        if told and any("reason" not in row for row in told["rows"]):
            figure = fading_in_training(told["rows"], title=f"{network['name']} in training")
            found.append(
                Section(f"Training of {network['name']}", paragraphs(HERE, "training", told["drive"]), figures=[figure])
            )
    return found

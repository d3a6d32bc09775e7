"""The report of a noise study: figure 9, what is remembered, what survives, how far it drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from dynsys.analyses.flipflop_memories import CLEAR
from dynsys.analyses.noise.failures import HERE, RIGHT
from dynsys.analyses.noise.mistakes import judged, level_shown, matrix, names, rows, sentences
from dynsys.analyses.noise.tables import (
    alone,
    by_level,
    by_memory,
    compared,
    failing,
    fewer,
    has_task,
    summary,
    tells_failures,
)
from dynsys.analyses.points_compared import rows as point_rows
from dynsys.analyses.report import Report, Section, write_report
from dynsys.io.text import paragraphs, sentence
from dynsys.models.tasks.flipflop import of_the_error
from dynsys.plots import drift_prediction, memory_mistakes, noise_curves

WHERE = {
    "weights": "standard deviation of the noise on each weight",
    "state": "level of the noise on each state variable",
    "input": "standard deviation of the noise on each input",
}
SHARES = {
    "exist": "Points that are still there",
    "same_stability": "Points with the same stability",
    "memories": "Memories",
}


def write(results: Mapping[str, Any], folder: Path, command: str) -> Path:
    """``report.html`` and ``results.json``."""
    sections = [
        _error(results),
        *_against(results),
        *_accuracy(results),
        *_mistakes(results),
        *_survival(results),
        *_drift(results),
        *_points(results),
        Section("Level by level", "The mean over trials of each, at every level.", table=by_level(results)),
        Section("The networks", paragraphs(HERE, "loaded", results["networks"]), table=compared(results)),
        *_failures(results),
    ]
    report = Report(
        title=f"Noise on the {results['settings']['on']}",
        command=command,
        summary=summary(results),
        settings=results["settings"],
        sections=sections,
        citations=_cited(results),
        networks=[network["checkpoint"] for network in results["networks"] if network["checkpoint"]],
    )
    return write_report(report, results, folder)


def _text(about: str, *facts: Any) -> str:
    return sentence(HERE, about, *facts)


def _cited(results: Mapping[str, Any]) -> list[str]:
    """Bands are Efron's; points are continued and shares of trials have Wilson's interval where any are followed."""
    followed = any(network["survival"] for network in results["networks"])
    return ["jang", "sussillo2013", "efron1979", *(["keller1977", "govaerts2000", "wilson1927"] if followed else [])]


def _curves(results: Mapping[str, Any], name: str, ylabel: str, title: str, **options: Any) -> go.Figure:
    networks = [
        {"name": network["name"], "floor": network["noiseless"].get(name), **network["measures"][name]}
        for network in results["networks"]
        if name in network["measures"]
    ]
    settings = results["settings"]
    return noise_curves(
        networks, settings["levels"], ylabel=ylabel, xlabel=WHERE[settings["on"]], title=title, **options
    )


def _error(results: Mapping[str, Any]) -> Section:
    notes = [_text("curves"), _floor(results)]
    figure = _curves(results, "mse", "mean squared error", "Error under noise", notes=notes)
    text = [_text("error"), *alone(results)] if tells_failures(results) else alone(results)
    return Section("Error", text, failing(results), [figure])


def _floor(results: Mapping[str, Any]) -> str:
    """What the errors without noise are."""
    parts = {one["name"]: of_the_error(one["noiseless"], one["settle"]) for one in results["networks"]}
    known = {name: part for name, part in parts.items() if part}
    return _text("floor", results["networks"], all(map(has_task, results["networks"])), known)


def _against(results: Mapping[str, Any]) -> list[Section]:
    """Networks met the same noise, so that trials can be compared in pairs."""
    if not results["comparisons"]:
        return []
    first = results["comparisons"][0]["with"]
    drawn = []
    for one in results["comparisons"]:
        logs = one["log10_added_mse_ratio"]
        means = {key: [None if v is None else 10**v for v in logs[key]] for key in ("mean", "low", "high")}
        drawn.append({"name": one["network"], "values": [], **means})
    about = [_text("against", first), *fewer(results)]
    if all(mean is None for one in drawn for mean in one["mean"]):
        return [Section(f"Against {first}", [*about, "That is so at none of these levels."])]
    figure = noise_curves(
        [
            {"name": first, "values": [], **dict.fromkeys(("mean", "low", "high"), [1.0] * len(drawn[0]["mean"]))},
            *drawn,
        ],
        results["settings"]["levels"],
        ylabel=f"added error over that of {first}",
        xlabel=WHERE[results["settings"]["on"]],
        title="Pair by pair",
        notes=["Geometric mean over trials, and its 95 % band."],
    )
    return [Section(f"Against {first}", about, figures=[figure])]


def _accuracy(results: Mapping[str, Any]) -> list[Section]:
    name = "settled_bit_accuracy"
    if not all(name in network["measures"] for network in results["networks"]):
        return []
    shown: dict[str, Any] = {"logarithmic": False, "percent": True, "notes": [_text("curves"), _text("accuracy")]}
    figure = _curves(results, name, "settled bits right", "What is remembered", **shown)
    return [Section("Settled bits", figures=[figure])]


def _mistakes(results: Mapping[str, Any]) -> list[Section]:
    """Which memory is given for which, of networks of a flip-flop."""
    counted = judged(results)
    if not counted:
        return []
    bits, levels = counted[0]["outputs"], (0.0, *results["settings"]["levels"])
    matrices = {one["name"]: [matrix(triples, bits) for triples in one["mistakes"]] for one in counted}
    shown = level_shown(results) + 1
    title, notes = "Which memory is mistaken for which", [_text("mistaken", CLEAR, RIGHT)]
    figure = memory_mistakes(matrices, names(bits), levels, shown=shown, title=title, notes=notes)
    return [Section("Mistakes", sentences(results), rows(results), [figure])]


def _survival(results: Mapping[str, Any]) -> list[Section]:
    followed = [network for network in results["networks"] if network["survival"]]
    if not followed:
        return []
    figures = []
    shown = ["memories"] if results["settings"]["points"] == "memories" else list(SHARES)
    for name in shown:
        drawn = [
            {"name": n["name"], **n["survival"]["shares"][name]} for n in followed if n["survival"]["shares"][name]
        ]
        if drawn:
            figures.append(
                noise_curves(
                    drawn,
                    results["settings"]["levels"],
                    ylabel="share",
                    xlabel=WHERE["weights"],
                    title=SHARES[name],
                    logarithmic=False,
                    percent=True,
                    notes=[_text("curves"), _text(name)],
                )
            )
    lost = [{"name": n["name"], **n["survival"]["loss"]["lost"]} for n in followed if n["survival"]["loss"]]
    if lost:
        drawn = [{**one, "mean": one["share"], "values": []} for one in lost]
        figures.append(
            noise_curves(
                drawn,
                results["settings"]["levels"],
                ylabel="share of the trials",
                xlabel=WHERE["weights"],
                title="Trials that have lost a memory",
                logarithmic=False,
                percent=True,
                notes=["Band: 95 %, by Wilson's interval for a share."],
            )
        )
    return [Section("Which fixed points survive", figures=figures)]


def _drift(results: Mapping[str, Any]) -> list[Section]:
    followed = [
        network for network in results["networks"] if network["survival"] and network["survival"]["of"]["memories"]
    ]
    if not followed:
        return []
    drawn = [
        {"name": n["name"], **{key: _flat(n["survival"][key]) for key in ("predicted", "drift")}} for n in followed
    ]
    figure = drift_prediction(drawn, title="Drift of the memories", notes=["Every memory, trial and level."])
    table = by_memory(results)
    return [Section("How far memories drift", paragraphs(HERE, "drift", bool(table)), table, [figure])]


def _points(results: Mapping[str, Any]) -> list[Section]:
    """The fixed points of the networks side by side, before any noise."""
    told = {network["name"]: network["points"] for network in results["networks"] if network.get("points")}
    if not told:
        return []
    only = results["settings"]["points"] == "memories"
    return [Section("Their points without noise", paragraphs(HERE, "points", only), point_rows(told))]


def _flat(trials: Sequence[Sequence[Sequence[float | None]]]) -> list[float | None]:
    return [value for trial in trials for level in trial for value in level]


def _failures(results: Mapping[str, Any]) -> list[Section]:
    if not results["failed"]:
        return []
    return [Section("Trials that failed", "They are counted nowhere above.", table=results["failed"])]

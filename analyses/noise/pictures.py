"""The report of a noise study: figure 9, what is remembered, what survives, how far it drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from dynsys.analyses.flipflop_memories import CLEAR
from dynsys.analyses.noise.able import told
from dynsys.analyses.noise.half import RIGHT
from dynsys.analyses.noise.mistakes import judged, level_shown, matrix, names, rows, sentences
from dynsys.analyses.noise.tables import by_level, by_memory, compared, failing, tells_failures
from dynsys.analyses.noise.words import alone, fewer, has_task, summary
from dynsys.analyses.points_compared import rows as point_rows
from dynsys.analyses.report import Report, Section, write_report
from dynsys.models.tasks.flipflop import of_the_error
from dynsys.plots import drift_prediction, memory_mistakes, noise_curves

WHERE = {
    "weights": "standard deviation of the noise on each weight",
    "state": "level of the noise on each state variable",
    "input": "standard deviation of the noise on each input",
}
BAND = "Line: mean over trials; band: 95 % of the mean, whole trials resampled; faint: single trials."
MISTAKEN = (
    "Settled steps with every bit set, of the trials in which a network does its task without noise; 'none': an output "
    f"is nearer to zero than {CLEAR:g}. In the table: the commonest mistakes at the first level at which a network "
    f"gives the right memory at fewer than {RIGHT:.0%} of these steps, or else the last."
)
LEVELS = "The mean over trials of each, at every level."
TIMES = (
    "The fixed points that were followed. Times, in steps: in which the leading mode of a stable point decays e-fold, "
    "and that of another grows e-fold, the median (least to most)."
)
RESTING = (
    "A study of memories takes the points that a search left beside a network, or looks where the network comes to "
    "rest: then points that are not stable are met by chance. --points all compares all of them."
)
LOST = (
    "In the table: of each memory the trials in which it is lost, and the lowest level of noise at which it is; by "
    "interpolation where it meets another point in a fold, else the next level that was looked at."
)
SHARES = {
    "exist": ("Points that are still there", "Followed from level to level: a point that meets another and is lost "
              "in a fold has not survived, even where another point is near."),
    "same_stability": ("Points with the same stability", "Points that are there with as many unstable directions as "
                       "without noise."),
    "memories": ("Memories", "Memories that are there, stable, and read out with the signs that they had."),
}  # fmt: skip


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
        Section("Level by level", LEVELS, table=by_level(results)),
        Section("The networks", _told(results), table=compared(results)),
        *_failures(results),
    ]
    report = Report(
        title=f"Noise on the {results['settings']['on']}",
        command=command,
        summary=summary(results),
        settings=results["settings"],
        sections=sections,
        citations=_cited(results),
    )
    return write_report(report, results, folder)


def _told(results: Mapping[str, Any]) -> list[str]:
    """What had to be assumed of a network, and what its file holds that was not read."""
    lines = []
    for network in results["networks"]:
        lines += [f"{network['name']}: assumed that {line}." for line in network.get("assumed", ())]
        if network.get("unread"):
            lines.append(f"{network['name']}: not read from the file: {', '.join(network['unread'])}.")
    return lines


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
    figure = _curves(results, "mse", "mean squared error", "Error under noise", notes=[BAND, _floor(results)])
    table = "In the table: the share of the settled bits and the error without noise, and at which levels trials fail."
    text = [table, *alone(results)] if tells_failures(results) else alone(results)
    return Section("Error", text, failing(results), [figure])


def _floor(results: Mapping[str, Any]) -> str:
    """What the errors without noise are."""
    if not all(map(has_task, results["networks"])):
        return "The task is not known: this is the distance from what the network itself does without noise."
    failing = [sentence for sentence in map(told, results["networks"]) if sentence]
    if failing:
        return f"Dotted: the MSE without noise, the mean over all trials, failed ones too: {'; '.join(failing)}."
    parts = {one["name"]: of_the_error(one["noiseless"], one["settle"]) for one in results["networks"]}
    known = "; ".join(f"{name}: {part}" for name, part in parts.items() if part)
    return f"Dotted: the MSE without noise{f' ({known})' if known else ''}."


def _against(results: Mapping[str, Any]) -> list[Section]:
    """Networks met the same noise, so that trials can be compared in pairs."""
    if not results["comparisons"]:
        return []
    first = results["comparisons"][0]["with"]
    text = (
        f"What noise adds to the error, the MSE less that of the network's own run without noise, over what it adds to "
        f"that of {first} in the same trial, which met the same noise. Above 1 noise costs a network more. Shown are "
        "levels at which it adds some in every trial, beyond what single precision can tell."
    )
    drawn = []
    for one in results["comparisons"]:
        logs = one["log10_added_mse_ratio"]
        means = {key: [None if v is None else 10**v for v in logs[key]] for key in ("mean", "low", "high")}
        drawn.append({"name": one["network"], "values": [], **means})
    paragraphs = [text, *fewer(results)]
    if all(mean is None for one in drawn for mean in one["mean"]):
        return [Section(f"Against {first}", [*paragraphs, "That is so at none of these levels."])]
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
    return [Section(f"Against {first}", paragraphs, figures=[figure])]


def _accuracy(results: Mapping[str, Any]) -> list[Section]:
    name = "settled_bit_accuracy"
    if not all(name in network["measures"] for network in results["networks"]):
        return []
    text = (
        "Bits right some time after a pulse began; every bit is set before a run is judged. Guesses are right half "
        "of the time on average, but a short run has few pulses and may have most right by chance: judge by long runs."
    )
    figure = _curves(
        results, name, "settled bits right", "What is remembered", logarithmic=False, percent=True, notes=[BAND, text]
    )
    return [Section("Settled bits", figures=[figure])]


def _mistakes(results: Mapping[str, Any]) -> list[Section]:
    """Which memory is given for which, of networks of a flip-flop."""
    counted = judged(results)
    if not counted:
        return []
    bits, levels = counted[0]["outputs"], (0.0, *results["settings"]["levels"])
    matrices = {one["name"]: [matrix(triples, bits) for triples in one["mistakes"]] for one in counted}
    shown = level_shown(results) + 1
    figure = memory_mistakes(
        matrices, names(bits), levels, shown=shown, title="Which memory is mistaken for which", notes=[MISTAKEN]
    )
    return [Section("Mistakes", sentences(results), rows(results), [figure])]


def _survival(results: Mapping[str, Any]) -> list[Section]:
    followed = [network for network in results["networks"] if network["survival"]]
    if not followed:
        return []
    figures = []
    shown = ["memories"] if results["settings"]["points"] == "memories" else list(SHARES)
    for name in shown:
        title, note = SHARES[name]
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
                    title=title,
                    logarithmic=False,
                    percent=True,
                    notes=[BAND, note],
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
    text = (
        "How far each memory has moved, against |J^-1 dF|, what the implicit function theorem says of small noise. "
        "Points above the diagonal move farther than that; where a memory is lost it has no drift any more."
    )
    drawn = [
        {"name": n["name"], **{key: _flat(n["survival"][key]) for key in ("predicted", "drift")}} for n in followed
    ]
    figure = drift_prediction(drawn, title="Drift of the memories", notes=["Every memory, trial and level."])
    table = by_memory(results)
    return [Section("How far memories drift", [text, LOST] if table else text, table, [figure])]


def _points(results: Mapping[str, Any]) -> list[Section]:
    """The fixed points of the networks side by side, before any noise."""
    told = {network["name"]: network["points"] for network in results["networks"] if network.get("points")}
    if not told:
        return []
    only = results["settings"]["points"] == "memories"
    return [Section("Their points without noise", [TIMES, *([RESTING] if only else [])], point_rows(told))]


def _flat(trials: Sequence[Sequence[Sequence[float | None]]]) -> list[float | None]:
    return [value for trial in trials for level in trial for value in level]


def _failures(results: Mapping[str, Any]) -> list[Section]:
    if not results["failed"]:
        return []
    return [Section("Trials that failed", "They are counted nowhere above.", table=results["failed"])]

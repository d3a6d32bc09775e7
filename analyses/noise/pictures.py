"""The report of a noise study: figure 9, what is remembered, what survives, how far it drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from dynsys.analyses.noise.half import RIGHT, band, between, in_words
from dynsys.analyses.report import Report, Section, write_report
from dynsys.plots import drift_prediction, noise_curves

WHERE = {
    "weights": "standard deviation of the noise on each weight",
    "state": "level of the noise on each state variable",
    "input": "standard deviation of the noise on each input",
}
BAND = "Line: mean over trials; band: 95 % of the mean, whole trials resampled; faint: single trials."
SHARES = {
    "exist": ("Points that are still there", "Followed from level to level: a point that meets another and is lost "
              "in a fold has not survived, even where another point is near."),
    "memories": ("Memories", "Stable points that are there, stable, and read out with the signs that they had."),
}  # fmt: skip


def write(results: Mapping[str, Any], folder: Path, command: str) -> Path:
    """``report.html`` and ``results.json``."""
    sections = [
        _error(results),
        *_against(results),
        *_accuracy(results),
        *_survival(results),
        *_drift(results),
        *_failures(results),
    ]
    report = Report(
        title=f"Noise on the {results['settings']['on']}",
        command=command or "dynsys.analyses.noise.study.run",
        summary=summary(results),
        settings=results["settings"],
        sections=sections,
        citations=["jang", "sussillo2013"],
    )
    return write_report(report, results, folder)


def summary(results: Mapping[str, Any]) -> list[str]:
    """What was found, in sentences."""
    names = ", ".join(network["name"] for network in results["networks"])
    settings = results["settings"]
    said = [
        f"{names}: noise on the {settings['on']} at {len(settings['levels'])} levels, {settings['trials']} trials of "
        f"{settings['steps']:,} steps each" + (", the same for every network." if len(results["networks"]) > 1 else ".")
    ]
    return [*said, *map(_sentence, results["networks"])]


def _sentence(network: Mapping[str, Any]) -> str:
    if not network["trials"]:
        return f"{network['name']}: no trial was done."
    loss, bits = (network["survival"] or {}).get("loss"), network["bits"]
    said = []
    if network["survival"] and not network["survival"]["of"]["memories"]:
        said.append("no stable fixed point was found, so that no memory can be lost (a cycle may hold one)")
    if loss:
        said.append(f"half of the trials have lost a memory at a level of {in_words(loss['half'])}")
    if bits:
        said.append(f"half get fewer than {RIGHT:.0%} of the settled bits right at {in_words(bits['half'])}")
    if not said:
        at = f"{network['measures']['mse']['mean'][0]:.3g}" if network["measures"]["mse"]["mean"][0] else "not finite"
        said.append(f"the mean squared error at the lowest level is {at}")
    return f"{network['name']}: {', and '.join(said)}."


def table(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each network: without noise, and the levels at which half of the trials have failed."""
    return [_row(network) for network in results["networks"]]


def _row(network: Mapping[str, Any]) -> dict[str, Any]:
    noiseless = network["noiseless"]
    row: dict[str, Any] = {"network": network["name"], "trials": len(network["trials"])}
    row["MSE"] = noiseless.get("mse")
    if "settled_bit_accuracy" in noiseless:
        row["bits right"] = noiseless["settled_bit_accuracy"]
    if network["survival"]:
        of = network["survival"]["of"]
        row |= {"points": of["exist"], "memories": of["memories"]}
        row |= _half("half lost a memory", "95 % band", network["survival"]["loss"])
    return row | _half(f"half < {RIGHT:.0%} of bits", "its 95 % band", network["bits"])


def _half(title: str, of_band: str, loss: Mapping[str, Any] | None) -> dict[str, str]:
    return {} if loss is None else {title: between(loss["half"]), of_band: band(loss["half"])}


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
    targets = all(network["compared_with"] == "target" for network in results["networks"])
    floor = (
        "The MSE has a floor even without noise (dotted): the target jumps at once, and no network can."
        if targets
        else "The task is not known: this is the distance from what the network itself does without noise."
    )
    figure = _curves(results, "mse", "mean squared error", "Error under noise", notes=[BAND, floor])
    told = (
        "In the table: mean squared error and share of the settled bits without noise, and at which levels trials fail."
    )
    return Section("Error", [floor, told], table(results), [figure])


def _against(results: Mapping[str, Any]) -> list[Section]:
    """Networks met the same noise, so that trials can be compared in pairs."""
    if not results["comparisons"]:
        return []
    first = results["comparisons"][0]["with"]
    text = (
        f"The error over that of {first} in the same trial, which met the same noise: what trials differ in drops out. "
        "Above 1 a network suffers more."
    )
    drawn = []
    for one in results["comparisons"]:
        logs = one["log10_mse_ratio"]
        means = {key: [None if v is None else 10**v for v in logs[key]] for key in ("mean", "low", "high")}
        drawn.append({"name": one["network"], "values": [], **means})
    figure = noise_curves(
        [
            {"name": first, "values": [], **dict.fromkeys(("mean", "low", "high"), [1.0] * len(drawn[0]["mean"]))},
            *drawn,
        ],
        results["settings"]["levels"],
        ylabel=f"error over that of {first}",
        xlabel=WHERE[results["settings"]["on"]],
        title="Pair by pair",
        notes=["Geometric mean over trials, and its 95 % band."],
    )
    return [Section(f"Against {first}", text, figures=[figure])]


def _accuracy(results: Mapping[str, Any]) -> list[Section]:
    name = "settled_bit_accuracy"
    if not all(name in network["measures"] for network in results["networks"]):
        return []
    text = "Bits right some time after a pulse began; every bit is set before a run is judged. Chance is one half."
    figure = _curves(
        results, name, "settled bits right", "What is remembered", logarithmic=False, percent=True, notes=[BAND, text]
    )
    return [Section("Settled bits", text, figures=[figure])]


def _survival(results: Mapping[str, Any]) -> list[Section]:
    followed = [network for network in results["networks"] if network["survival"]]
    if not followed:
        return []
    figures = []
    for name, (title, note) in SHARES.items():
        drawn = [{"name": n["name"], **n["survival"]["shares"][name]} for n in followed if n["survival"]["of"][name]]
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
    return [Section("Which fixed points survive", [note for _, note in SHARES.values()], figures=figures)]


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
    return [Section("How far memories drift", text, figures=[figure])]


def _flat(trials: Sequence[Sequence[Sequence[float | None]]]) -> list[float | None]:
    return [value for trial in trials for level in trial for value in level]


def _failures(results: Mapping[str, Any]) -> list[Section]:
    if not results["failed"]:
        return []
    return [Section("Trials that failed", "They are counted nowhere above.", table=results["failed"])]

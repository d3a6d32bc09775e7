"""A noise study as tables: which networks, when they fail, and what they do at each level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dynsys.analyses.noise.half import RIGHT, band, between
from dynsys.analyses.noise.words import has_task

Row = dict[str, Any]


def compared(results: Mapping[str, Any]) -> list[Row]:
    """Which networks, of which files, and which of their weights got noise."""
    return [
        {
            "network": network["name"],
            "model": network["model"],
            "state variables": network["state_variables"],
            **({"weights with noise": ", ".join(network["weights"])} if network["weights"] else {}),
            "file": network["checkpoint"] or "none",
            "sha256": (network["sha256"] or "")[:12],
        }
        for network in results["networks"]
    ]


def failing(results: Mapping[str, Any]) -> list[Row]:
    """A row for each network: without noise, and the levels at which half of the trials have failed."""
    return [_failing(network) for network in results["networks"]]


def tells_failures(results: Mapping[str, Any]) -> bool:
    """Whether there is a level at which any network can be said to fail."""
    return any(network["bits"] or network["survival"] for network in results["networks"])


def by_level(results: Mapping[str, Any]) -> list[Row]:
    """A row for each network and level."""
    levels: Sequence[float] = results["settings"]["levels"]
    return [
        {"network": network["name"], "level": level, **_at(network, i)}
        for network in results["networks"]
        if network["trials"]
        for i, level in enumerate(levels)
    ]


def _failing(network: Mapping[str, Any]) -> Row:
    noiseless = network["noiseless"]
    row: Row = {"network": network["name"], "trials": len(network["trials"])}
    if has_task(network):
        row["MSE"] = noiseless.get("mse")
    if "settled_bit_accuracy" in noiseless:
        row["bits right"] = noiseless["settled_bit_accuracy"]
    if network["survival"]:
        of = network["survival"]["of"]
        row |= {"followed": of["exist"], "memories": of["memories"]}
        row |= _half("half lost a memory", "95 % band", network["survival"]["loss"])
    return row | _half(f"half < {RIGHT:.0%} of bits", "its 95 % band", network["bits"])


def _half(title: str, of_band: str, loss: Mapping[str, Any] | None) -> dict[str, str]:
    return {} if loss is None else {title: between(loss["half"]), of_band: band(loss["half"])}


def _at(network: Mapping[str, Any], i: int) -> Row:
    measures, survival = network["measures"], network["survival"]
    row = {"MSE": measures["mse"]["mean"][i], "95 % band": _band(measures["mse"], i)}
    if "settled_bit_accuracy" in measures:
        row["bits right"] = measures["settled_bit_accuracy"]["mean"][i]
    if survival and survival["shares"]["memories"]:
        row["memories kept"] = survival["shares"]["memories"]["mean"][i]
    return row


def _band(told: Mapping[str, Any], i: int) -> str | None:
    low, high = told["low"][i], told["high"][i]
    return None if low is None else f"{low:.3g} to {high:.3g}"

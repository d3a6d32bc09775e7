"""A noise study in sentences and tables: which networks, when they fail, and what they do at each level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dynsys.analyses.noise.failures import HERE, RIGHT, band, between
from dynsys.continuation.track import Fate
from dynsys.io.text import paragraphs
from dynsys.plots.style import plural

Row = dict[str, Any]

KEPT = {"exist": "points kept", "same_stability": "with the same stability", "memories": "memories kept"}


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
    alone = any(network["fails_without_noise"] for network in results["networks"])
    return [_failing(network, alone) for network in results["networks"]]


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


def by_memory(results: Mapping[str, Any]) -> list[Row]:
    """A row for each memory of which it is told which it is: in how many trials it is lost, and the lowest level."""
    followed = [network for network in results["networks"] if network["survival"] and network["survival"]["named"]]
    return [
        {"network": network["name"], "memory": _called(memory), **_losses(network["survival"], k)}
        for network in followed
        for k, memory in sorted(enumerate(network["survival"]["named"]), key=lambda numbered: _called(numbered[1]))
    ]


def _called(memory: Mapping[str, Any]) -> str:
    return memory["bits"] or f"point {memory['number']}"


def _losses(survival: Mapping[str, Any], k: int) -> Row:
    """Of the k-th memory. Where it did not end by a fold, its level is the upper end of those between which it was
    lost."""
    told = [trial for trial in zip(survival["lost_between"], survival["lost_at"], strict=True) if trial[0] is not None]
    high = [(between[k][1], at[k]) for between, at in told if between[k][1] is not None]
    lowest = min((end if at is None else at for end, at in high), default=None)
    return {"lost in": f"{len(high)} of {plural(len(told), 'trial')}", "lowest level": lowest}


def _failing(network: Mapping[str, Any], alone: bool) -> Row:
    """``alone`` tells whether any network fails without noise."""
    noiseless = network["noiseless"]
    row: Row = {"network": network["name"], "trials": len(network["trials"])}
    if alone:
        row["fail without noise"] = len(network["fails_without_noise"])
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
    for name, title in KEPT.items():
        if survival and survival["shares"][name]:
            row[title] = survival["shares"][name]["mean"][i]
    return row


def _band(told: Mapping[str, Any], i: int) -> str | None:
    low, high = told["low"][i], told["high"][i]
    return None if low is None else f"{low:.3g} to {high:.3g}"


Network = Mapping[str, Any]


def summary(results: Mapping[str, Any]) -> list[str]:
    """What was done, which networks fail by themselves, then a sentence or two of each network."""
    networks = results["networks"]
    bare = {network["model"] for network in networks if not has_task(network) and not network["outputs"]}
    return paragraphs(HERE, "summary", results, RIGHT, list(map(_unknown, networks)), sorted(bare))


def alone(results: Mapping[str, Any]) -> list[str]:
    """Of networks that fail at their task without noise."""
    return paragraphs(HERE, "alone", results["networks"], RIGHT)


def fewer(results: Mapping[str, Any]) -> list[str]:
    """Of comparisons that are not of all trials."""
    return paragraphs(HERE, "fewer", results["comparisons"])


def has_task(network: Network) -> bool:
    return bool(network["compared_with"] == "target")


def _unknown(network: Network) -> dict[str, Any] | None:
    """The trials with points that could not be followed, neither kept nor lost, and the fates of all."""
    fates = (network["survival"] or {}).get("fate", [])
    unknown = sum(bool(fate.get(Fate.UNKNOWN)) for fate in fates)
    total: Counter[str] = Counter()
    for fate in fates:
        total.update(fate)
    return {"trials": unknown, "of": len(fates), "fates": total} if unknown else None

"""What a noise study found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dynsys.analyses.noise.able import of, told
from dynsys.analyses.noise.half import RIGHT, placed
from dynsys.continuation.track import Fate
from dynsys.plots.style import plural

Network = Mapping[str, Any]


def summary(results: Mapping[str, Any]) -> list[str]:
    """What was done, which networks fail by themselves, then a sentence or two of each network."""
    names = ", ".join(network["name"] for network in results["networks"])
    settings = results["settings"]
    said = [results["cut"]["sentence"]] if results.get("cut") else []
    said += [
        f"{names}: noise on the {settings['on']} at {plural(len(settings['levels']), 'level')}, "
        f"{plural(settings['trials'], 'trial')} of {plural(settings['steps'], 'step')} each"
        + (", the same for every network." if len(results["networks"]) > 1 else ".")
    ]
    said += [*alone(results), *fewer(results)]
    for network in results["networks"]:
        said += [_found(network, settings), *_unknown(network)]
    return [*said, *_unlike(results["networks"])]


def alone(results: Mapping[str, Any]) -> list[str]:
    """Of networks that fail at their task without noise."""
    failing = [sentence for sentence in map(told, results["networks"]) if sentence]
    least = f"(fewer than {RIGHT:.0%} of the settled bits right)"
    return [f"{sentence} {least}: that is not counted as failed by noise." for sentence in failing]


def fewer(results: Mapping[str, Any]) -> list[str]:
    """Of comparisons that are not of all trials."""
    short = [one for one in results["comparisons"] if one["trials"] != one["trials_done"]]
    return [
        f"What noise adds to the error of {one['network']} and of {one['with']} "
        + (
            f"is compared in {of(one['trials'], one['trials_done'])}: those in which both do the task without noise."
            if one["trials"]
            else "is not compared: there is no trial in which both do the task without noise."
        )
        for one in short
    ]


def has_task(network: Network) -> bool:
    return bool(network["compared_with"] == "target")


def _found(network: Network, settings: Mapping[str, Any]) -> str:
    if not network["trials"]:
        return f"{network['name']}: no trial was done."
    loss, bits = (network["survival"] or {}).get("loss"), network["bits"]
    said = []
    if network["survival"] and not network["survival"]["of"]["memories"]:
        said.append("no stable fixed point was found, so that no memory can be lost (a cycle may hold one)")
    if loss:
        said.append(f"half of the trials have lost a memory at a level {placed(loss['half'])}")
    if bits:
        able = "half of those that do the task without noise" if network["fails_without_noise"] else "half"
        said.append(f"{able} get fewer than {RIGHT:.0%} of the settled bits right at a level {placed(bits['half'])}")
    if "settled_bit_accuracy" in network["noiseless"] and network["noiseless"]["settled_bit_accuracy"] is None:
        said.append(f"no bit could be judged in runs of {plural(settings['steps'], 'step')}, before any has settled")
    if not said:
        at = network["measures"]["mse"]["mean"][0]
        said.append(f"the mean squared error at the lowest level is {'not finite' if at is None else f'{at:.3g}'}")
    return f"{network['name']}: {', and '.join(said)}."


def _unknown(network: Network) -> list[str]:
    """Of the points that could not be followed: neither kept nor lost."""
    fates: Sequence[Mapping[str, int]] = (network["survival"] or {}).get("fate", [])
    unknown = [fate[Fate.UNKNOWN] for fate in fates if fate.get(Fate.UNKNOWN)]
    if not unknown:
        return []
    total: dict[str, int] = {}
    for fate in fates:
        for word, count in fate.items():
            total[word] = total.get(word, 0) + count
    ends = "; ".join(f"{count} {word}" for word, count in total.items())
    return [
        f"{network['name']}: in {len(unknown)} of {len(fates)} trials points could not be followed to the last level; "
        f"from there on they count neither as kept nor as lost. All trials together: {ends}."
    ]


def _unlike(networks: Sequence[Network]) -> list[str]:
    """States of different models are not on one scale."""
    bare = {network["model"] for network in networks if not has_task(network) and not network["outputs"]}
    if len(bare) < 2:
        return []
    return [
        f"These are different models without a readout ({', '.join(sorted(bare))}): their errors are those of states "
        "that may have different scales, and their heights do not compare."
    ]

"""What a noise study found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dynsys.analyses.noise.half import RIGHT, in_words
from dynsys.passage import Fate

Network = Mapping[str, Any]


def summary(results: Mapping[str, Any]) -> list[str]:
    """What was done, then a sentence or two of each network."""
    names = ", ".join(network["name"] for network in results["networks"])
    settings = results["settings"]
    said = [
        f"{names}: noise on the {settings['on']} at {len(settings['levels'])} levels, {settings['trials']} trials of "
        f"{settings['steps']:,} steps each" + (", the same for every network." if len(results["networks"]) > 1 else ".")
    ]
    for network in results["networks"]:
        said += [_found(network, settings), *_unknown(network)]
    return [*said, *_unlike(results["networks"])]


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
        said.append(f"half of the trials have lost a memory at a level of {in_words(loss['half'])}")
    if bits:
        said.append(f"half get fewer than {RIGHT:.0%} of the settled bits right at {in_words(bits['half'])}")
    if "settled_bit_accuracy" in network["noiseless"] and network["noiseless"]["settled_bit_accuracy"] is None:
        said.append(f"no bit could be judged in runs of {settings['steps']:,} steps, before any has settled")
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

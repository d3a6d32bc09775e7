"""The figures behind the claims: a row for each network of each seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dynsys.analyses.noise.failures import in_words

Results = dict[int, dict[str, Any]]  # by seed
Table = list[dict[str, Any]]

NOISY = ("tanh, scratch", "tanh, transfer", "logistic, scratch")


def tables(parts: Mapping[str, Results]) -> dict[str, Table]:
    """By name; those without a row are left out."""
    formed = [part for part in parts if part.startswith("formation")]
    found = {
        "Formation": [_formation_row(gain_of(part), seed, one) for part in formed for seed, one in parts[part].items()],
        "Transfer": [row for seed, one in parts.get("transfer", {}).items() for row in _transfer_rows(seed, one)],
        "Noise": [row for seed, one in parts.get("noise", {}).items() for row in _noise_rows(seed, one)],
    }
    return {name: table for name, table in found.items() if table}


def gain_of(part: str) -> str:
    return part.rpartition("=")[2]


def _formation_row(gain: str, seed: int, one: Mapping[str, Any]) -> dict[str, Any]:
    kinds = Counter(event["kind"] for event in one["at_the_origin"])
    return {
        "g": gain,
        "seed": str(seed),
        "settled accuracy": f"{one['accuracy']:.1%}",
        "origin unstable, first": one["origin"]["n_unstable"][0],
        "last": one["origin"]["n_unstable"][-1],
        "events at the origin": counted(kinds),
        "points at the end": sum(one["counts"][-1]),
        "stable": one["counts"][-1][0],
        "came about": counted(Counter(map(way, one["memories"]))),
    }


def _transfer_rows(seed: int, one: Mapping[str, Any]) -> Table:
    rows = []
    for name, network in one["networks"].items():
        geometry = network["distances"].get("state")
        rows.append(
            {
                "seed": str(seed),
                "network": name,
                "settled accuracy": f"{network['metrics']['settled_bit_accuracy']:.1%}",
                "fixed points": network["points"]["fixed"],
                "memories": len(network["memories"]["held"]),
                "false": len(network["memories"]["doubles"]) + len(network["memories"]["strangers"]),
                "spread": None if geometry is None else geometry["spread"],
                "of edges": None if geometry is None else geometry["edge_spread"],
                "share with nearest neighbours": None if geometry is None else geometry["memories_with_nearest"],
                "shape": "" if network["shape"] is None else network["shape"]["word"],
                "angles to the cube": ", ".join(f"{a:.0f}" for a in one["principal_angles"].get(name, ())),
            }
        )
    return rows


def _noise_rows(seed: int, one: Mapping[str, Any]) -> Table:
    return [
        {
            "seed": str(seed),
            "network": name,
            "MSE without noise": network["noiseless"]["mse"],
            "memories": network["survival"]["of"]["memories"],
            "half have lost a memory at": _half(network["survival"]["loss"]),
            "half fail the task at": _half(network["bits"]),
        }
        for name, network in zip(NOISY, one["networks"], strict=True)
    ]


def _half(found: Mapping[str, Any] | None) -> str | None:
    return None if found is None else in_words(found["half"])


def way(memory: Mapping[str, Any]) -> str:
    if memory.get("branch_lost"):
        return "from a branch that was lost"
    if memory["event"] is None:
        return "there from the start" if memory["born_in_it"] else "stable by what is not known"
    return f"{'born in' if memory['born_in_it'] else 'made stable by'} a {memory['event']}"


def counted(counts: Counter[str], between: str = ", ") -> str:
    """Each with how often it came; those that came once are only named where none came more often."""
    often = [f"{n} {what}" for what, n in counts.most_common()]
    return between.join(often if max(counts.values(), default=0) > 1 else counts) or "none"

"""The rows of a noise study as one result: every measure of every trial, what trials say together, what breaks when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dynsys.analyses.noise.bands import added, band, ratio
from dynsys.analyses.noise.failures import comparable, failing_alone, is_able, of_bits, of_memories
from dynsys.analyses.noise.mistakes import summed
from dynsys.analyses.noise.networks import Network
from dynsys.models.driven.perturbation import weights_chosen
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.numerics.deadline import Cut

SCHEMA = "dynsys.noise/1"
KEPT = ("exist", "same_stability", "memories")  # of the points, and of those that are memories

Row = Mapping[str, Any]


def results_of(
    settings: Mapping[str, Any], networks: Sequence[Network], rows: Sequence[Row], cut: Cut | None = None
) -> dict[str, Any]:
    """What ``results.json`` holds; trials that failed are listed with their errors and counted nowhere."""
    entries = [_entry(settings, network, _results(rows, network.name)) for network in networks]
    return {
        "schema": SCHEMA,
        "settings": dict(settings),
        "cut": None if cut is None else cut.to_json(),
        "networks": entries,
        "comparisons": _comparisons(networks, rows),
        "failed": [{"id": row["id"], "error": row.get("error")} for row in rows if row["status"] != "done"],
    }


def _results(rows: Sequence[Row], name: str) -> dict[int, Any]:
    """By the number of the trial."""
    mine = [row for row in rows if row["status"] == "done" and row["id"].startswith(f"{name}/trial=")]
    return {int(row["id"].rpartition("=")[2]): row["result"] for row in mine}


def _entry(settings: Mapping[str, Any], network: Network, trials: Mapping[int, Any]) -> dict[str, Any]:
    done = [trials[number] for number in sorted(trials)]
    on_weights = settings["on"] == "weights"
    return {
        "name": network.name,
        "checkpoint": None if network.path is None else str(network.path),
        "sha256": network.sha256,
        "model": network.system.name,
        "activation": getattr(network.system, "activation", None),
        "assumed": list(network.system.assumed),
        "unread": list(network.system.unread),
        "state_variables": network.system.n_state,
        "outputs": network.system.n_output,
        "weights": list(weights_chosen(network.system, settings["weights"])) if on_weights else [],
        "compared_with": "target" if isinstance(network.task, FlipFlop) else "its own run without noise",
        "settle": network.task.settle if isinstance(network.task, FlipFlop) else None,
        "trials": sorted(trials),
        "fails_without_noise": failing_alone(trials),
        "noiseless": _means([trial["noiseless"] for trial in done]),
        "noiseless_trials": {name: [one["noiseless"][name] for one in done] for name in _noted(done, "noiseless")},
        "measures": {name: _measure(done, name) for name in _noted(done, "measures")},
        "mistakes": summed(done, len(settings["levels"])),
        **_failing(done, settings["levels"]),
    }


def _noted(done: Sequence[Any], key: str) -> list[str]:
    """Those of every trial: one of an earlier version may not have them all."""
    return [name for name in done[0][key] if all(name in one[key] for one in done)] if done else []


def _failing(done: Sequence[Any], levels: Sequence[float]) -> dict[str, Any]:
    """``survival`` of the points, and from which levels on ``bits`` are wrong; None where that is not known.

    Noise makes no trial fail that fails without it: those do not count among the ``bits``.
    """
    followed = [trial["survival"] for trial in done if trial["survival"]]
    accuracy = [trial["measures"].get("settled_bit_accuracy", [None]) for trial in done if is_able(trial)]
    return {"survival": _survival(followed, levels) if followed else None, "bits": of_bits(accuracy, levels)}


def _measure(done: Sequence[Any], name: str) -> dict[str, Any]:
    values = [trial["measures"][name] for trial in done]
    return {"values": values, **band(values)}


def _means(found: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    names = [name for name in found[0] if all(name in one for one in found)] if found else []
    known = {name: [one[name] for one in found if one[name] is not None] for name in names}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}  # type: ignore[arg-type]


def _survival(found: Sequence[Any], levels: Sequence[float]) -> dict[str, Any]:
    """Shares of points and memories, first losses, and of each memory its name, drift, and losses by trials.

    Of trials of an earlier version not all of this is known: it is None where it is not.
    """
    of, shares = found[0]["of"], {}
    for name in KEPT:
        known = all(one["of"].get(name) for one in found)
        values = [_shares(one[name], one["of"][name], one["unknown"][name]) for one in found] if known else []
        shares[name] = {"values": values, **band(values)} if values else None
    return {
        "of": of,
        "shares": shares,
        "loss": of_memories([one["first_loss"] for one in found], levels) if of["memories"] else None,
        "first_loss": [one["first_loss"] for one in found],
        "drift": [one["drift"] for one in found],
        "predicted": [one["predicted"] for one in found],
        "fate": [one["fate"] for one in found],
        "named": next((one["named"] for one in found if "named" in one), None),
        **{key: [one.get(key) for one in found] for key in ("lost_between", "lost_at")},
    }


def _shares(kept: Sequence[int], of: int, unknown: Sequence[int]) -> list[float | None]:
    """Among those of which it is known."""
    return [count / (of - out) if out < of else None for count, out in zip(kept, unknown, strict=True)]


def _comparisons(networks: Sequence[Network], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of every network with the first, log10 of the ratio of what noise adds to their MSE, trial by trial of the same
    noise: of those ``trials`` in which both do the task without it."""
    first = _results(rows, networks[0].name)
    found = []
    for network in networks[1:]:
        mine = _results(rows, network.name)
        done, both = sorted(set(first) & set(mine)), comparable(first, mine)
        if not done:
            continue
        ours, theirs = (_added(results, both) for results in (mine, first))
        told = ratio(ours, theirs) if both else band([[None] * len(mine[done[0]]["measures"]["mse"])])
        one = {"network": network.name, "with": networks[0].name, "log10_added_mse_ratio": told}
        found.append({**one, "trials": both, "trials_done": done})
    return found


def _added(results: Mapping[int, Any], numbers: Sequence[int]) -> list[list[float | None]]:
    done = [results[number] for number in numbers]
    return added([one["measures"]["mse"] for one in done], [one["noiseless"]["mse"] for one in done])

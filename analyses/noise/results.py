"""The rows of a noise study as one result: every measure of every trial, what trials say together, what breaks when.

Several trials tell a mean with a 95 % band, trial by trial resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dynsys.analyses.noise.failures import comparable, failing_alone, is_able, of_bits, of_memories
from dynsys.analyses.noise.mistakes import summed
from dynsys.analyses.noise.networks import Network
from dynsys.models.driven.perturbation import weights_chosen
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.numerics.deadline import Cut

SCHEMA = "dynsys.noise/1"
KEPT = ("exist", "same_stability", "memories")  # of the points, and of those that are memories
Row = Mapping[str, Any]
Array = NDArray[np.float64]
CONFIDENCE = 0.95
RESAMPLES = 2000
TOLD = 1e-5  # of an MSE: what single precision adds or takes by itself


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


def band(trials: Sequence[Sequence[float | None]], seed: int = 0) -> dict[str, list[float | None]]:
    """``mean``, ``low`` and ``high`` at each level of values (trials, levels), and how many ``trials`` have one.

    The band is that of the mean, by the percentile bootstrap over whole trials: the bits of one trial depend on each
    other. None where no trial has a value; no band where fewer than two have one.
    """
    values = np.array([[np.nan if v is None else v for v in trial] for trial in trials], dtype=np.float64)
    columns = [_of_level(column[~np.isnan(column)], seed) for column in values.T]
    mean, low, high = (list(part) for part in zip(*columns, strict=True))
    return {"mean": mean, "low": low, "high": high, "trials": (~np.isnan(values)).sum(axis=0).tolist()}


def added(errors: Sequence[Sequence[float | None]], noiseless: Sequence[float | None]) -> list[list[float | None]]:
    """What noise adds to the ``errors`` (trials, levels) of runs that have ``noiseless`` (trials,) without it.

    None at levels where it does not add some, by more than ``TOLD`` of it, in every trial that stays finite: trials
    where it happens to add some would say too much. Also None where the run leaves the finite numbers.

    >>> added([[1.0, 3.0], [1.5, 4.0]], [1.0, 1.0])
    [[None, 2.0], [None, 3.0]]
    """
    floor = np.array([[np.nan if value is None else value] for value in noiseless], dtype=np.float64)
    more = np.array([[np.nan if v is None else v for v in trial] for trial in errors], dtype=np.float64) - floor
    more[:, (more <= TOLD * floor).any(axis=0)] = np.nan
    return [[None if np.isnan(value) else float(value) for value in trial] for trial in more]


def ratio(ours: Sequence[Sequence[float | None]], theirs: Sequence[Sequence[float | None]], seed: int = 0) -> Any:
    """The mean of log10(ours / theirs) over trials that met the same noise, at each level, as ``band``."""
    pairs = zip(ours, theirs, strict=True)
    logs = [[_log_ratio(a, b) for a, b in zip(one, other, strict=True)] for one, other in pairs]
    return band(logs, seed)


def _log_ratio(a: float | None, b: float | None) -> float | None:
    return float(np.log10(a / b)) if a is not None and b is not None and a > 0 and b > 0 else None


def _of_level(values: Array, seed: int) -> tuple[float | None, float | None, float | None]:
    if not len(values):
        return None, None, None
    mean = float(values.mean())
    if len(values) < 2:
        return mean, None, None
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return mean, float(found.low), float(found.high)

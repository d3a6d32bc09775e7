"""Which of the seed's claims hold: each with the numbers it rests on, counted over the seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dynsys.analyses.claims.tables import Results, counted, gain_of, tables, way
from dynsys.sweep import DONE, Row

Claim = dict[str, Any]

HOLDS, SOMETIMES, FAILS, OPEN = "holds", "holds for some", "does not hold", "not decided"
ADDS = 0.05  # of the error without noise, from which on a level counts
AREA = "log10 of the ratio of what noise adds to the errors, the mean over levels:"
LEVELS = "log10 of the ratio of the levels at which the first memory is lost, the mean over trials:"
ALIKE = 0.1  # log10 of the ratio of two errors, below which two networks do about equally well


def verdicts(rows: Sequence[Row]) -> dict[str, Any]:
    """The ``claims``, the ``tables`` behind them by name, and the parts that ``failed``."""
    parts = _by_part(rows)
    formed = {name: found for name, found in parts.items() if name.startswith("formation")}
    moved, noisy = parts.get("transfer", {}), parts.get("noise", {})
    claims = [claim for name, found in formed.items() for claim in _formation(gain_of(name), found)]
    claims += _transfer(moved)
    claims += _noise(noisy) if noisy else []
    failed = [{"id": row["id"], "error": row["error"]} for row in rows if row["status"] != DONE]
    return {"claims": claims, "tables": tables(parts), "failed": failed}


def _by_part(rows: Sequence[Row]) -> dict[str, Results]:
    parts: dict[str, Results] = {}
    for row in rows:
        if row["status"] == DONE:
            part, _, seed = row["id"].rpartition("/seed=")
            parts.setdefault(part, {})[int(seed)] = row["result"]
    return parts


def _claim(claim: str, section: str, held: Sequence[bool], found: str) -> Claim:
    """``held`` for each seed that decides it."""
    verdict = OPEN if not held else HOLDS if all(held) else SOMETIMES if any(held) else FAILS
    return {"claim": claim, "section": section, "verdict": verdict, "held": sum(held), "of": len(held), "found": found}


def _formation(gain: str, found: Results) -> list[Claim]:
    """Section 6.1, of the networks of one gain."""
    origins = [one["origin"]["n_unstable"] for one in found.values()]
    stable = [n[0] == 0 for n in origins]
    lost = [n[0] == 0 and any(k > 0 for k in n) for n in origins]
    first = Counter(_first_at_origin(one) for one in found.values())
    ways = Counter(way(memory) for one in found.values() for memory in one["memories"])
    at_once = [one["claims"]["memories_by_bifurcations"] == one["claims"]["memories"] > 0 for one in found.values()]
    of = f"(g = {gain})"
    return [
        _claim(
            f"The origin is stable at first {of}.",
            "6.1",
            stable,
            f"unstable directions of the origin before training: {_listed(n[0] for n in origins)}.",
        ),
        _claim(
            f"The origin loses its stability in training {of}.",
            "6.1",
            lost,
            f"unstable directions at the last step: {_listed(n[-1] for n in origins)}.",
        ),
        _claim(
            f"It does so by a transcritical bifurcation {of}.",
            "9",
            [_first_at_origin(one) == "transcritical" for one in found.values()],
            f"the first event at the origin: {counted(first)}. Without a bias the network is odd, F(-x) = -F(x), "
            "and a real eigenvalue of its origin crosses in a pitchfork.",
        ),
        _claim(
            f"The memories appear by bifurcations {of}.",
            "6.1",
            at_once,
            f"of {sum(ways.values())} memories at the end: {counted(ways)}.",
        ),
    ]


def _first_at_origin(one: Mapping[str, Any]) -> str:
    return one["at_the_origin"][0]["kind"] if one["at_the_origin"] else "nothing"


def _transfer(found: Results) -> list[Claim]:
    """Sections 7 and 7.1: what ``transfer_claims`` says of each seed."""
    by_claim: dict[str, dict[int, Mapping[str, Any]]] = {}
    for seed, one in found.items():
        for claim in one["claims"]:
            by_claim.setdefault(claim["claim"], {})[seed] = claim
    return [
        _claim(
            f"{claim}.",
            "7.1" if "transfer" in claim else "7",
            [told["holds"] for told in seeds.values() if told["holds"] is not None],
            f"{counted(Counter(str(told['found']) for told in seeds.values()), '; ')}.",
        )
        for claim, seeds in by_claim.items()
    ]


def _noise(found: Results) -> list[Claim]:
    """Section 8: each network against tanh from scratch, under the same noise."""
    transfer, logistic = ([_area(one, i) for one in found.values()] for i in (1, 2))
    earlier = [[_earlier(one, i) for one in found.values()] for i in (1, 2)]
    return [
        _claim(
            "After transfer the error under noise on the weights is larger than from scratch.",
            "8",
            [area > 0 for area in transfer],
            f"{AREA} {_interval(transfer)}; by seed {_listed(transfer, '+.3f')}.",
        ),
        _claim(
            "After transfer the first memory is lost at a lower level.",
            "8",
            [ratio < 0 for ratio in earlier[0]],
            f"{LEVELS} {_interval(earlier[0])}; by seed {_listed(earlier[0], '+.3f')}.",
        ),
        _claim(
            "Tanh and logistic networks bear noise about equally well.",
            "8",
            [abs(area) <= ALIKE for area in logistic],
            f"{AREA} {_interval(logistic)} (logistic over tanh); by seed {_listed(logistic, '+.3f')}.",
        ),
        _claim(
            "Logistic networks bear it best.",
            "figure 9",
            [area < min(0.0, other) for area, other in zip(logistic, transfer, strict=True)],
            f"{AREA} (logistic over tanh) {_interval(logistic)}; {LEVELS} {_interval(earlier[1])}.",
        ),
    ]


def _area(one: Mapping[str, Any], i: int) -> float:
    """log10 of the error that noise adds to network i over that of the first, on average over the levels that count.

    These are the ones at which it adds more than ``ADDS`` of the error without noise, to both.
    """
    ours, theirs = (_added(one["networks"][k]) for k in (i, 0))
    both = np.isfinite(ours) & np.isfinite(theirs)
    return float(np.mean(np.log10(ours[both] / theirs[both]))) if both.any() else float("nan")


def _added(network: Mapping[str, Any]) -> NDArray[np.float64]:
    """What noise adds to the mean error at each level, NaN where that is next to nothing."""
    floor = network["noiseless"]["mse"]
    more = np.mean(np.array(network["measures"]["mse"]["values"], dtype=float), axis=0) - floor
    return np.where(more > ADDS * floor, more, np.nan)


def _earlier(one: Mapping[str, Any], i: int) -> float:
    """log10 of the level at which network i loses its first memory over that of the first network, mean over trials."""
    ours, theirs = (np.array([_middle(*ends) for ends in one["networks"][k]["survival"]["first_loss"]]) for k in (i, 0))
    return float(np.nanmean(np.log10(ours / theirs)))


def _middle(low: float | None, high: float | None) -> float:
    """Of the two levels around a loss; where it lies beyond them, the one that is known."""
    return float(np.sqrt(low * high)) if low and high else float(low or high or np.nan)


def _interval(values: Sequence[float]) -> str:
    """The mean over the seeds with its 95 % interval, by Student's t."""
    if len(values) < 2 or np.allclose(values, values[0], rtol=1e-9):
        return f"{values[0]:+.3f}"
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return f"{np.mean(values):+.3f} (95 % {low:+.3f} to {high:+.3f})"


def _listed(values: Any, form: str = "") -> str:
    return ", ".join("unknown" if value is None else format(value, form) for value in values)

"""Which of Jang's claims hold: each with the numbers it rests on, counted over the seeds.

What is compared under noise is decided by the mean over the seeds with its 95 % interval, whatever single seeds do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dynsys.analyses.claims.tables import Results, counted, gain_of, tables, way
from dynsys.io.text import paragraphs
from dynsys.sweep import DONE, Row

Claim = dict[str, Any]
Array = NDArray[np.float64]

HOLDS, SOMETIMES, FAILS, OPEN = "holds", "holds for some", "does not hold", "not decided"
ADDS = 0.05  # of the error without noise, from which on a level counts
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


def _claim(section: str, held: Sequence[bool], claim: str, *facts: Any, verdict: str | None = None) -> Claim:
    """``held`` for each seed that decides it; ``verdict`` of a comparison, which the mean over the seeds decides.

    The name of the claim is that of its template, to which the ``facts`` are given.
    """
    told, found = paragraphs("dynsys.analyses.claims", claim, *facts)
    return _decided(told, section, held, found, verdict)


def _decided(claim: str, section: str, held: Sequence[bool], found: str, verdict: str | None = None) -> Claim:
    if verdict is None:
        verdict = OPEN if not held else HOLDS if all(held) else SOMETIMES if any(held) else FAILS
    return {
        "claim": claim,
        "section": section,
        "verdict": verdict,
        "held": int(sum(held)),
        "of": len(held),
        "found": found,
    }


def _formation(gain: str, found: Results) -> list[Claim]:
    """Section 6.1, of the networks of one gain."""
    origins = [one["origin"]["n_unstable"] for one in found.values()]
    stable = [n[0] == 0 for n in origins]
    lost = [n[0] == 0 and any(k > 0 for k in n) for n in origins]
    first = [_first_at_origin(one) for one in found.values()]
    ways = Counter(way(memory) for one in found.values() for memory in one["memories"])
    at_once = [one["claims"]["memories_by_bifurcations"] == one["claims"]["memories"] > 0 for one in found.values()]
    of = f"(g = {gain})"
    return [
        _claim("6.1", stable, "origin_stable", of, _listed(n[0] for n in origins)),
        _claim("6.1", lost, "origin_loses", of, _listed(n[-1] for n in origins)),
        _claim("9", [kind == "transcritical" for kind in first], "transcritical", of, counted(Counter(first))),
        _claim("6.1", at_once, "memories", of, sum(ways.values()), counted(ways)),
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
        _decided(
            f"{claim}.",
            "7.1" if "transfer" in claim else "7",
            [told["holds"] for told in seeds.values() if told["holds"] is not None],
            f"{counted(Counter(str(told['found']) for told in seeds.values()), '; ')}.",
        )
        for claim, seeds in by_claim.items()
    ]


def _noise(found: Results) -> list[Claim]:
    """Section 8: each network against tanh from scratch, under the same noise."""
    transfer, logistic = (np.array([_area(one, i) for one in found.values()]) for i in (1, 2))
    earlier = np.array([_earlier(one, 1) for one in found.values()])
    over_transfer = logistic - transfer
    best, both = list((logistic < 0) & (over_transfer < 0)), (_spread(logistic), _spread(over_transfer))
    return [
        _claim("8", list(transfer > 0), "larger_error", _spread(transfer), verdict=_side(transfer)),
        _claim("8", list(earlier < 0), "earlier_loss", _spread(earlier), verdict=_side(-earlier)),
        _claim(
            "8", list(np.abs(logistic) <= ALIKE), "equally_well", _spread(logistic), ALIKE, verdict=_alike(logistic)
        ),
        _claim("figure 9", best, "logistic_best", *both, verdict=_all_of(_side(-logistic), _side(-over_transfer))),
    ]


def _side(values: Array) -> str:
    """Whether the mean over the seeds is above 0, by its 95 % interval."""
    low, high = _ends(values)
    return HOLDS if low > 0 else FAILS if high <= 0 else OPEN


def _alike(values: Array) -> str:
    """Whether the mean over the seeds is within ``ALIKE`` of 0, by its 95 % interval."""
    low, high = _ends(values)
    return HOLDS if low >= -ALIKE and high <= ALIKE else FAILS if low > ALIKE or high < -ALIKE else OPEN


def _all_of(*verdicts: str) -> str:
    return FAILS if FAILS in verdicts else OPEN if OPEN in verdicts else HOLDS


def _area(one: Mapping[str, Any], i: int) -> float:
    """log10 of the error that noise adds to network i over that of the first, on average over the levels that count.

    These are the ones at which it adds more than ``ADDS`` of the error without noise, to both.
    """
    ours, theirs = (_added(one["networks"][k]) for k in (i, 0))
    both = np.isfinite(ours) & np.isfinite(theirs)
    return float(np.mean(np.log10(ours[both] / theirs[both]))) if both.any() else float("nan")


def _added(network: Mapping[str, Any]) -> Array:
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


def _ends(values: Array) -> tuple[float, float]:
    """The 95 % interval of the mean over the seeds, by Student's t; of one seed it has no ends."""
    if len(values) < 2:
        return -np.inf, np.inf
    if np.allclose(values, values[0], rtol=1e-9):
        return float(values[0]), float(values[0])
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return float(low), float(high)


def _spread(values: Array) -> dict[str, Any]:
    """The mean over the seeds with its 95 % interval where it has one, and each seed's."""
    low, high = _ends(values)
    return {"mean": values.mean(), "ends": (low, high) if -np.inf < low < high else None, "seeds": values.tolist()}


def _listed(values: Any) -> str:
    return ", ".join("unknown" if value is None else str(value) for value in values)

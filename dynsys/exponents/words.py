"""What exponents say, in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynsys.exponents.spectrum import Exponents

MOTION = {
    "chaotic": "the motion is chaotic",
    "periodic": "one exponent is 0 and no other: the motion is periodic",
    "neutral": "two exponents are 0: the motion is quasi-periodic, or each orbit is closed and one of a family",
    "contracting": "trajectories that begin close by come together",
    "undecided": "whether trajectories part or come together is not decided",
}


def sentence(found: Exponents) -> str:
    """All of it, a line."""
    parts = [f"{_first(found)}; {_motion(found)}."]
    if not found.period:
        parts += [_dimension(found), _entropy(found)]
    if found.lost:
        directions = "1 direction is" if found.lost == 1 else f"{found.lost} directions are"
        parts.append(f"{directions} sent to nothing (exponent minus infinity).")
    if found.reasons:
        parts.append(f"Not converged yet: {'; '.join(found.reasons)}.")
    if found.euler:
        parts.append("The map consists of Euler steps of a flow, whose own exponents differ.")
    if found.gone:
        parts.append(f"{found.gone} of {found.asked} trajectories left for infinity.")
    if found.others:
        names = ", ".join(f"{other.values[0]:+.4g} ({other.starts})" for other in found.others)
        parts.append(
            f"{found.starts} of {found.asked} trajectories; the others end on {len(found.others)} more "
            f"{'attractor' if len(found.others) == 1 else 'attractors'}, whose first exponents are {names}."
        )
    if found.stopped:
        parts.append(f"Stopped early ({found.stopped}).")
    return " ".join(part for part in parts if part)


def _first(found: Exponents) -> str:
    half = found.half_width[0]
    unit = "per step" if found.is_map else "per unit of time"
    if not isfinite(found.values[0]):
        return f"First exponent minus infinity ({found.kind})"
    error = "" if found.period else " (no interval yet)" if isnan(half) else f" ± {half:.2g}"
    return f"First exponent {found.values[0]:+.4g}{error} {unit} ({found.kind})"


def _motion(found: Exponents) -> str:
    if found.period:
        unstable = "an unstable " if found.motion.startswith("unstable") else "a "
        end = f"{unstable}fixed point" if found.period == 1 else f"{unstable}periodic orbit of {found.period} steps"
        of = "eigenvalues" if found.period == 1 else "multipliers"
        return f"trajectories end on {end}, and the exponents are those of its {of}"
    if found.kind == "driven":
        return {
            "chaotic": "under these inputs the state does not forget where it began",
            "forgets": "under these inputs the state forgets where it began (echo-state property)",
            "contracting": "trajectories that begin close by come together; whether all do is not shown"
            if not found.others
            else "trajectories that begin close by come together, but not all: where it began is not forgotten",
        }.get(found.motion, MOTION["undecided"])
    return MOTION[found.motion]


def _dimension(found: Exponents) -> str:
    if isnan(found.kaplan_yorke):
        return (
            f"Kaplan-Yorke dimension: not defined, as the sum of the {len(found)} exponents computed is not negative."
        )
    return f"Kaplan-Yorke dimension {_with_error(found.kaplan_yorke, found.kaplan_yorke_interval)}."


def _entropy(found: Exponents) -> str:
    if isnan(found.entropy):
        return f"Entropy rate: not defined (all {len(found)} exponents computed are positive)."
    return f"Entropy rate {_with_error(found.entropy, found.entropy_interval)}."


def _with_error(value: float, interval: tuple[float, float]) -> str:
    half = (interval[1] - interval[0]) / 2
    return f"{value:.4g}" if isnan(half) or half == 0 else f"{value:.4g} ± {half:.2g}"


def as_dict(found: Exponents) -> dict[str, Any]:
    """Everything that the command prints as JSON; minus infinity and NaN are None."""
    return {
        "exponents": _numbers(found.values),
        "interval": [_numbers(each) for each in found.interval],
        "level": found.level,
        "kaplan_yorke": _number(found.kaplan_yorke),
        "kaplan_yorke_interval": _numbers(found.kaplan_yorke_interval),
        "entropy": _number(found.entropy),
        "entropy_interval": _numbers(found.entropy_interval),
        "sum_rule": _number(found.sum_rule),
        "lost": found.lost,
        "kind": found.kind,
        "motion": found.motion,
        "verdict": found.verdict,
        "reasons": list(found.reasons),
        "sentence": found.sentence,
        "steps": found.steps,
        "burn_in": found.burn_in,
        "starts": found.starts,
        "asked": found.asked,
        "stopped": found.stopped,
        "others": [as_dict(other) for other in found.others],
    }


def _number(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]

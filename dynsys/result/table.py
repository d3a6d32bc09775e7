"""The points of a search as rows: of a table on the screen, in a report or a notebook, or flat, as files have them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsys.io.shown import complex_number

if TYPE_CHECKING:
    from dynsys.result.fixed_points import FixedPoints

Row = dict[str, str]

RIGHT = ("id", "unstable", "leading eigenvalue", "q", "error bound")  # columns of numbers
OUTPUTS = 8  # of a readout that are shown


def point_rows(points: FixedPoints, most: int | None = None) -> list[Row]:
    """One row for each point, or for the first ``most``: cycles and manifolds have a column where there are any.

    A * beside the error bound marks the points that are proved to exist, and to be alone within it.
    """
    belong = bool((points.orbit >= 0).any() or (points.manifold >= 0).any())
    count = len(points) if most is None else min(most, len(points))
    return [_row(points, i, belong) for i in range(count)]


def _row(points: FixedPoints, i: int, belong: bool) -> Row:
    return {
        "id": str(i),
        **({"label": str(points.label[i])} if points.label[i] else {}),
        **({"of": _of(points, i)} if belong else {}),
        "verdict": str(points.verdict[i]),
        "stability": str(points.stability[i]),
        "unstable": str(points.n_unstable[i]),
        "leading eigenvalue": complex_number(points.leading_eigenvalue[i]),
        "q": f"{points.q[i]:{'.0e' if points.verdict[i] == 'fixed' else '.1e'}}",
        "error bound": _bound(points, i) + (" *" if points.certified[i] else "  "),
        "readout": " ".join(f"{value:+.2f}" for value in points.readouts[i, :OUTPUTS].round(2) + 0.0),
    }


def _bound(points: FixedPoints, i: int) -> str:
    """Of a marginal point without a bound, how far F cannot be told from zero."""
    if math.isfinite(points.error_bound[i]):
        return f"{points.error_bound[i]:.0e}"
    return f"~{points.uncertainty[i]:.0e}" if math.isfinite(points.uncertainty[i]) else "none"


def _of(points: FixedPoints, i: int) -> str:
    if points.orbit[i] >= 0:
        return f"cycle {points.orbit[i]}"
    return f"{points.manifolds[points.manifold[i]]['kind']} {points.manifold[i]}" if points.manifold[i] >= 0 else ""


def flat_rows(points: FixedPoints, states: bool = False) -> list[dict[str, Any]]:
    """One mapping for each point with a number or a word in each place; NaN where there is none."""
    leading = points.leading_eigenvalue
    columns: dict[str, Any] = {
        "id": np.arange(len(points)),
        **({"label": points.label} if points.label.any() else {}),
        "verdict": points.verdict,
        "stability": points.stability,
        "n_unstable": points.n_unstable,
        "eig_re": leading.real,
        "eig_im": leading.imag,
        "time_constant": time_constants(points),
        "q": points.q,
        "error_bound": points.error_bound,
        "certified": points.certified,
        "reason": points.reasons,
        "uncertainty": points.uncertainty,
        "kinks": points.kinks,
        "drift_time": points.drift_time,
        "orbit": points.orbit,
        "manifold": points.manifold,
        **_numbered("readout", points.readouts),
        **_numbered("input", points.inputs),
        **(_numbered("x", points.states) if states else {}),
    }
    plain = {key: np.asarray(values).tolist() for key, values in columns.items()}
    return [{key: values[i] for key, values in plain.items()} for i in range(len(points))]


def _numbered(name: str, values: Any) -> dict[str, Any]:
    return {f"{name}_{j + 1}": values[:, j] for j in range(values.shape[1])}


def time_constants(points: FixedPoints) -> Any:
    """Of the leading eigenvalue, in the user's time: negative for growth, infinite on the boundary."""
    leading, tau = points.leading_eigenvalue, float(points.about.get("time_constant", 1.0))
    with np.errstate(divide="ignore"):
        rate = np.log(np.abs(leading)) if points.about.get("kind") == "map" else leading.real
        return np.where(rate == 0, np.inf, -tau / rate)

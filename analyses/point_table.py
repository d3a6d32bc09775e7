"""The points of a search as rows of a table, the same on the screen and in a report."""

from __future__ import annotations

import math

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
        **({"of": _of(points, i)} if belong else {}),
        "verdict": str(points.verdict[i]),
        "stability": str(points.stability[i]),
        "unstable": str(points.n_unstable[i]),
        "leading eigenvalue": _complex(points.leading_eigenvalue[i]),
        "q": f"{points.q[i]:.1e}",
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


def _complex(value: complex) -> str:
    return f"{value.real:+.4f}" + (f" {value.imag:+.4f}i" if value.imag else "")

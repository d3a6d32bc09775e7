"""What commands print: JSON for machines, a table for people."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dynsys.points import FixedPoints

CYCLE = "settles in a cycle"  # of dynsys.settling.Ending, which must not be imported here
ROWS = 60  # of a table; the files hold all


def print_json(content: Any) -> None:
    click.echo(json.dumps(content, sort_keys=True))


def print_points(points: FixedPoints) -> None:
    """One row per point: id, verdict, stability, unstable directions, leading eigenvalue, q, error bound, readout.

    Cycles and manifolds have a column of their own where there are any.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    titles = list(_COLUMNS) if _belongs(points) else [column for column in _COLUMNS if column[0] != "of"]
    for title, justify in titles:
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for i in range(min(len(points), ROWS)):
        row = dict(zip((title for title, _ in _COLUMNS), _row(points, i), strict=True))
        table.add_row(*(row[title] for title, _ in titles))
    console = Console(width=None if _is_wide() else 120)
    console.print(table)
    if len(points) > ROWS:
        click.echo(f"... and {len(points) - ROWS} more, in the files")


_COLUMNS = (
    ("id", "right"),
    ("of", "left"),
    ("verdict", "left"),
    ("stability", "left"),
    ("unstable", "right"),
    ("leading eigenvalue", "right"),
    ("q", "right"),
    ("error bound", "right"),
    ("readout", "left"),
)


def _is_wide() -> bool:
    import shutil

    return shutil.get_terminal_size((0, 0)).columns >= 100


def _row(points: FixedPoints, i: int) -> list[str]:
    return [
        str(i),
        _of(points, i),
        str(points.verdict[i]),
        str(points.stability[i]),
        str(points.n_unstable[i]),
        _complex(points.leading_eigenvalue[i]),
        f"{points.q[i]:.1e}",
        _bound(points, i) + (" *" if points.certified[i] else "  "),
        " ".join(f"{value:+.2f}" for value in points.readouts[i, :8].round(2) + 0.0),
    ]


def _bound(points: FixedPoints, i: int) -> str:
    """Of a marginal point without a bound, how far F cannot be told from zero."""
    if math.isfinite(points.error_bound[i]):
        return f"{points.error_bound[i]:.0e}"
    return f"~{points.uncertainty[i]:.0e}" if math.isfinite(points.uncertainty[i]) else "none"


def _belongs(points: FixedPoints) -> bool:
    return bool((points.orbit >= 0).any() or (points.manifold >= 0).any())


def _of(points: FixedPoints, i: int) -> str:
    if points.orbit[i] >= 0:
        return f"cycle {points.orbit[i]}"
    return f"{points.manifolds[points.manifold[i]]['kind']} {points.manifold[i]}" if points.manifold[i] >= 0 else ""


def _complex(value: complex) -> str:
    return f"{value.real:+.4f}" + (f" {value.imag:+.4f}i" if value.imag else "")


def search_lines(points: FixedPoints) -> list[str]:
    """What was left out, how well the points are known, where the network goes, what was done, what may be missing."""
    from dynsys.missing import milestones
    from dynsys.slowness import slow_summary

    search = points.search
    lines = [f"left out: {what}" for what in search.left_out]
    lines += filter(None, [slow_summary(points)])
    lines += _proofs(points)
    on_kinks = int((points.kinks > 0).sum())
    if on_kinks:
        lines.append(
            f"{on_kinks} of them on a kink, where the Jacobian is one on each side: the word is that of all sides, or "
            "marginal"
        )
    if search.settling is not None:
        lines.append(search.settling["sentence"] + _further(points))
    if search.missing is not None:
        lines.append(search.missing["sentence"] + _indices(search.index_sum))
    used = f"{search.starts} of {search.given} starts" if search.starts < search.given else f"{search.starts} starts"
    others = {
        "scattered": search.scattered_starts,
        "made from points found": search.closure_starts,
        "from directional fibers": search.fiber_starts,
    }
    listed = ", ".join([used, *(f"{count} {kind}" for kind, count in others.items() if count)])
    lines.append(f"{listed}; by {search.solver}, in {search.seconds:.1f} s; stopped: {search.stopped}")
    if len(search.discovery) > 1:
        lines.append(milestones(search.discovery))
    if search.rejected:
        lines.append("no point from: " + "; ".join(f"{count} that {why}" for why, count in search.rejected.items()))
    return lines


def _proofs(points: FixedPoints) -> list[str]:
    """How many points are proved, and why the others are not."""
    fixed = points[points.verdict == "fixed"]
    proved = int(fixed.certified.sum())
    if not len(fixed):
        return []
    if proved == len(fixed):
        return [f"* all {proved} are proved to exist, and to be alone within their error bounds"]
    reasons = Counter(str(reason) for reason, sure in zip(fixed.reasons, fixed.certified, strict=True) if not sure)
    why = "; ".join(f"{count}: {reason}" for reason, count in reasons.most_common())
    return [
        f"* {proved} of {len(fixed)} are proved to exist, and to be alone within their error bounds; not proved {why}"
    ]


def _further(points: FixedPoints) -> str:
    """What to do where the network goes to cycles that were not searched for."""
    ends = points.search.settling["ends"] if points.search.settling else []
    periods = sorted({int(end["period"]) for end in ends if end["kind"] == CYCLE and end["period"] > 1})
    if points.search.period > 1 or not periods:
        return ""
    return f" --period {periods[0]} searches for such cycles, stable and not."


def _indices(index_sum: int | None) -> str:
    if index_sum is None:
        return ""
    if index_sum == 1:
        return " Their indices sum to 1, as those of a complete set do."
    return f" The indices of the fixed points sum to {index_sum}, not 1, so that some are certainly missing."

"""What commands print: JSON for machines, a table for people."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dynsys.points import FixedPoints

ROWS = 60  # of a table; the files hold all


def print_json(content: Any) -> None:
    click.echo(json.dumps(content, sort_keys=True))


def print_points(points: FixedPoints) -> None:
    """One row per point: id, verdict, stability, unstable directions, leading eigenvalue, q, error bound, readout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title, justify in _COLUMNS:
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for i in range(min(len(points), ROWS)):
        table.add_row(*_row(points, i))
    console = Console(width=None if _is_wide() else 120)
    console.print(table)
    if len(points) > ROWS:
        click.echo(f"... and {len(points) - ROWS} more, in the files")


_COLUMNS = (
    ("id", "right"),
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
    bound = float(points.error_bound[i])
    return [
        str(i),
        str(points.verdict[i]),
        str(points.stability[i]),
        str(points.n_unstable[i]),
        _complex(points.leading_eigenvalue[i]),
        f"{points.q[i]:.1e}",
        f"{bound:.0e}" if math.isfinite(bound) else "none",
        " ".join(f"{value:+.2f}" for value in points.readouts[i, :8].round(2) + 0.0),
    ]


def _complex(value: complex) -> str:
    return f"{value.real:+.4f}" + (f" {value.imag:+.4f}i" if value.imag else "")


def search_lines(points: FixedPoints) -> list[str]:
    """What was done and what may be missing, in plain lines."""
    search = points.search
    used = f"{search.starts} of {search.given} starts" if search.starts < search.given else f"{search.starts} starts"
    others = {
        "scattered": search.scattered_starts,
        "made from points found": search.closure_starts,
        "from directional fibers": search.fiber_starts,
    }
    listed = ", ".join([used, *(f"{count} {kind}" for kind, count in others.items() if count)])
    lines = [f"{listed}; by {search.solver}, in {search.seconds:.1f} s", f"stopped: {search.stopped}"]
    if search.rejected:
        lines.append("no point from: " + "; ".join(f"{count} that {why}" for why, count in search.rejected.items()))
    lines.append(_completeness(search.index_sum, search.estimated_missed))
    return lines


def _completeness(index_sum: int | None, missed: float | None) -> str:
    if index_sum is not None and index_sum != 1:
        return f"the indices of the fixed points sum to {index_sum}, not 1: at least one point is certainly missing"
    if missed is None:
        return "no start converged, so nothing can be said of what was missed"
    known = " (their indices sum to 1, as those of a complete set do)" if index_sum == 1 else ""
    if missed < 0.5:
        return f"estimated missed: none, which is not a proof{known}"
    return f"estimated missed: about {math.ceil(missed)} or more{known}"

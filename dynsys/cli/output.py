"""What commands print: JSON for machines, a table for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dynsys.points import FixedPoints
    from dynsys.system import System

ROWS = 60  # of a table; the files hold all
MOST_NAMED = 12  # arrays in a line


def told_of(system: System) -> list[str]:
    """What had to be assumed of a network, and what its file holds besides: a line each."""
    lines = [f"Assumed: {line}." for line in system.assumed]
    if system.unread:
        more = f" and {len(system.unread) - MOST_NAMED} more" if len(system.unread) > MOST_NAMED else ""
        lines.append(f"Not read from the file: {', '.join(system.unread[:MOST_NAMED])}{more}.")
    return lines


def print_json(content: Any) -> None:
    click.echo(json.dumps(content, sort_keys=True))


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """A mapping of column to value each, numbers to four digits."""
    from rich.console import Console
    from rich.table import Table

    from dynsys.analyses.report import in_words

    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*(in_words(row.get(column)) for column in columns))
    Console(width=None if _is_wide() else 120).print(table)


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

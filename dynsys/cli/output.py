"""What commands print: JSON for machines, a table for people."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from dynsys.numerics.deadline import CutShort

if TYPE_CHECKING:
    from dynsys.result.fixed_points import FixedPoints

ROWS = 60  # of a table; the files hold all
WIDEST = 100_000  # characters of a line of a table


@contextlib.contextmanager
def told_if_cut(as_json: bool = False) -> Iterator[None]:
    """Where the time given was over before there was a result: how far it came, and the end of the command."""
    try:
        yield
    except CutShort as short:
        if as_json:
            print_json({"cut": short.cut.to_json()})
        else:
            click.echo(short.cut.sentence)
        raise click.exceptions.Exit(0) from None


def print_json(content: Any) -> None:
    click.echo(json.dumps(content, sort_keys=True))


def print_rows(rows: Sequence[Mapping[str, Any]], right: Sequence[str] = ()) -> None:
    """A mapping of column to value each, numbers to four digits; columns named in ``right`` end at one place.

    No column is squeezed, on whatever it is printed: what is wider than a terminal goes on in its next line.
    """
    from rich.console import Console
    from rich.table import Table

    from dynsys.analyses.report import in_words

    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(in_words(row.get(column)) for column in columns))
    Console(width=WIDEST, soft_wrap=True).print(table)


def print_points(points: FixedPoints) -> None:
    """One row per point: id, verdict, stability, unstable directions, leading eigenvalue, q, error bound, readout."""
    from dynsys.result.table import RIGHT, point_rows

    print_rows(point_rows(points, ROWS), RIGHT)
    if len(points) > ROWS:
        click.echo(f"... and {len(points) - ROWS} more, in the files")

"""How a result shows itself: a line where Python prints it, a table with sentences in a notebook."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, str]

LONGEST = 200  # letters of a line
SMALL, LARGE = 1e-3, 1e5  # below and above which four decimals tell too little, or too much
MOST_ROWS = 40  # of a table in a notebook


@dataclass(frozen=True)
class Sight:
    """What there is to see: a table with the columns ``right`` set right, and sentences below it."""

    rows: Sequence[Row] = ()
    sentences: Sequence[str] = ()
    right: Sequence[str] = ()


class Shown:
    """A result that people look at; a dataclass of it makes no ``repr`` of its own (``repr=False``)."""

    def headline(self) -> str:
        """What it is, in a line; of a dataclass that says nothing better its fields, arrays by their shapes."""
        names: list[str] = [field.name for field in dataclasses.fields(self)] if dataclasses.is_dataclass(self) else []
        return ", ".join(f"{name} {_short(getattr(self, name))}" for name in names)

    def sight(self) -> Sight:
        """What a notebook shows; the line alone unless there is more."""
        return Sight(sentences=[self.headline()])

    def __repr__(self) -> str:
        line = " ".join(self.headline().split())
        line = line if len(line) <= LONGEST else f"{line[: LONGEST - 4]} ..."
        return f"<{type(self).__name__} {line}>"

    def _repr_html_(self) -> str:
        sight = self.sight()
        return as_html(sight.rows, sight.sentences, sight.right)


def _short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"({', '.join(map(str, shape))})"


def as_html(rows: Sequence[Row], sentences: Sequence[str], right: Sequence[str] = ()) -> str:
    """The table and the sentences below it, escaped.

    >>> as_html([{"id": "0", "word": "a<b"}], ["Found 1."], right=["id"]).count("&lt;")
    1
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(_cell(row, column, right) for column in columns)}</tr>" for row in rows[:MOST_ROWS])
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
    more = f"<p>... and {len(rows) - MOST_ROWS} more</p>" if len(rows) > MOST_ROWS else ""
    return table + more + "".join(f"<p>{html.escape(line)}</p>" for line in sentences)


def _cell(row: Row, column: str, right: Sequence[str]) -> str:
    side = "right" if column in right else "left"
    return f'<td style="text-align:{side}">{html.escape(row.get(column, ""))}</td>'


def facts(**values: Any) -> list[Row]:
    """A row for each thing that is known, those that are None or empty left out; ``_`` in a name is a space."""
    known = {key.replace("_", " "): value for key, value in values.items() if value not in (None, "", (), [])}
    return [{"": key, " ": f"{value:,}" if isinstance(value, int) else str(value)} for key, value in known.items()]


def complex_number(value: complex) -> str:
    """With its sign and four decimals, as eigenvalues are shown; two digits where these would be none.

    >>> complex_number(0.5), complex_number(0.5 - 0.25j), complex_number(-2.5e-7)
    ('+0.5000', '+0.5000 -0.2500i', '-2.5e-07')
    """
    return _signed(value.real) + (f" {_signed(value.imag)}i" if value.imag else "")


def _signed(value: float) -> str:
    return f"{value:+.1e}" if 0 < abs(value) < SMALL or LARGE <= abs(value) < float("inf") else f"{value:+.4f}"

"""Arrays that people record, out of any kind of file that is read: a container of arrays, or numbers in text.

Text is a table of numbers, a step in each line, between commas, semicolons, tabs or spaces. Its first line may name the
columns: those called alike but for a number (u0, u1, ...) make one array, and columns with names of their own (left,
right) one together. Lines that begin with # are left out, but for one that names the columns, as numpy.savetxt has it.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays, file_error
from dynsys.models.loading.contents import read_arrays

TEXT = (".csv", ".txt", ".tsv", ".dat")
INPUTS = ("inputs", "input", "u", "in", "stimulus", "stimuli")
STATES = ("hidden", "hiddens", "states", "state", "h", "x", "r", "rates", "activity")
CELLS = ("cell", "cells", "c")
OUTPUTS = ("outputs", "output", "z", "y", "out", "readout", "readouts")
TABLE = "table"  # the name of the array of all columns
BETWEEN = re.compile(r"\s*[,;\t]\s*|\s+")


def recorded_arrays(path: str | Path) -> Arrays:
    """All arrays of the file by their names; raises CheckpointError where it cannot be read."""
    path = Path(path)
    error = file_error(path)
    if error is not None:
        raise error
    return _of_text(path) if path.suffix.lower() in TEXT else read_arrays(path).arrays


def lines_of(path: Path) -> list[str]:
    """The lines of a text that say something."""
    return [line for line in _lines(path) if not line.startswith("#")]


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    return [line for line in map(str.strip, text.splitlines()) if line]


def _of_text(path: Path) -> Arrays:
    """The arrays (rows, columns) of columns called alike; all as one, where each has a name that says nothing here."""
    rows = [_words(line) for line in lines_of(path)]
    named = bool(rows) and not any(map(_is_number, rows[0]))
    names = rows.pop(0) if named else _words(_lines(path)[0].lstrip("# "))
    if not rows:
        raise CheckpointError(path, "there are no numbers in it", "give a row of numbers for each step")
    if not named and (len(names) != len(rows[0]) or any(map(_is_number, names))):
        names = [TABLE] * len(rows[0])
    table = _numbers(path, rows, len(names))
    plain = [name.strip("\"'").lower().rstrip("0123456789_[](). ") for name in names]
    alike = {name: table[:, [i for i, other in enumerate(plain) if other == name]] for name in dict.fromkeys(plain)}
    known = set(alike) & {*INPUTS, *STATES, *CELLS, *OUTPUTS}
    return {TABLE: table} if len(alike) == len(names) and not known else alike


def _words(line: str) -> list[str]:
    return BETWEEN.split(line.strip(",; \t"))


def _numbers(path: Path, rows: list[list[str]], width: int) -> NDArray[np.float64]:
    """The table (rows, width), each row of which has to be whole."""
    for k, row in enumerate(rows, 1):
        wrong = [word for word in row if not _is_number(word)]
        if wrong or len(row) != width:
            said = f"{wrong[0]!r}" if wrong else f"{len(row)} columns, not {width}"
            remedy = "give one line of names at most, then rows of numbers, all as long"
            raise CheckpointError(path, f"it is no table of numbers: row {k} has {said}", remedy)
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

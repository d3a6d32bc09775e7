"""Points for other programs: a table of numbers and words as CSV, all arrays as a MATLAB file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import scipy

from dynsys.io.files import check_exported, first_bytes, write_bytes
from dynsys.result.fixed_points import FixedPoints

ARRAYS = ("states", "q", "n_unstable", "eigenvalues", "modes", "error_bound", "readouts", "inputs", "certified")
WORDS = ("verdict", "stability")


def check_csv(path: str | Path) -> None:
    """Raise ValueError where a table of points would replace anything but another, or has another ending."""
    check_exported(path, ".csv", lambda there: first_bytes(there).startswith(b"id,verdict,"))


def check_mat(path: str | Path) -> None:
    """As ``check_csv``, of a MATLAB file."""
    check_exported(path, ".mat", _holds_points)


def _holds_points(path: Path) -> bool:
    try:
        return {*ARRAYS, *WORDS} == {name for name, _, _ in scipy.io.whosmat(path)}
    except (ValueError, NotImplementedError, OSError):  # no MATLAB file, one of version 7.3, or a damaged one
        return False


def write_csv(points: FixedPoints, path: str | Path) -> Path:
    """One line per point under a line of names: what ``to_frame(states=True)`` has as columns."""
    check_csv(path)
    rows = points.rows(states=True)
    text = io.StringIO(newline="")
    if rows:
        table = csv.DictWriter(text, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return write_bytes(path, text.getvalue().encode())


def write_mat(points: FixedPoints, path: str | Path) -> Path:
    """All arrays by their names, words as cells of strings."""
    check_mat(path)
    content = {key: getattr(points, key) for key in ARRAYS}
    content |= {key: getattr(points, key).astype(object) for key in WORDS}
    file = io.BytesIO()
    scipy.io.savemat(file, {key: np.asarray(value) for key, value in content.items()}, oned_as="column")
    return write_bytes(path, file.getvalue())

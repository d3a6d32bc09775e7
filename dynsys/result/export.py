"""Points for other programs: a table of numbers and words as CSV, all arrays as a MATLAB file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import scipy

from dynsys.io.files import write_bytes
from dynsys.result.fixed_points import FixedPoints

ARRAYS = (
    "states",
    "q",
    "n_unstable",
    "eigenvalues",
    "modes",
    "error_bound",
    "readouts",
    "inputs",
    "certified",
    "kinks",
)


def write_csv(points: FixedPoints, path: str | Path) -> Path:
    """One line per point under a line of names: what ``to_frame(states=True)`` has as columns."""
    rows = points.rows(states=True)
    text = io.StringIO(newline="")
    if rows:
        table = csv.DictWriter(text, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return write_bytes(path, text.getvalue().encode())


def write_mat(points: FixedPoints, path: str | Path) -> Path:
    """All arrays by their names, words as cells of strings."""
    content = {key: getattr(points, key) for key in ARRAYS}
    content |= {key: getattr(points, key).astype(object) for key in ("verdict", "stability")}
    file = io.BytesIO()
    scipy.io.savemat(file, {key: np.asarray(value) for key, value in content.items()}, oned_as="column")
    return write_bytes(path, file.getvalue())

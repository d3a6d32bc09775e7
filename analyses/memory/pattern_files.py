"""Patterns that a user has: small images in a folder, a text grid, or arrays, as rows of -1 and 1 with their names.

A text grid is one line of characters for each row of a pattern, and an empty line between two patterns; a line that
ends in a colon names the pattern below it. ``# 1 X *`` are 1, ``. 0 - _`` are -1, and ``?`` is a missing component,
which a cue may have and a stored pattern may not. Of an image a pixel darker than half is 1.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError

Array = NDArray[np.float64]

LETTERS = "letters"  # the text grid beside this file; 35 is odd, so no two letters of 5 x 7 are orthogonal
MOST_UNITS = 4096  # of a pattern: W has their square
IMAGES = (".png", ".bmp", ".gif", ".jpg", ".jpeg", ".pbm", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
SIGNS = {**dict.fromkeys("#1Xx*", 1.0), **dict.fromkeys(".0-_", -1.0), "?": 0.0}
FORMS = "a folder of images, a text grid, a .npz file, or 'letters'"


@dataclass(frozen=True, eq=False)
class Patterns:
    """``S`` (P, n) with a name each; ``shape`` (rows, columns) is that of the picture of each, rows x columns = n."""

    names: tuple[str, ...]
    S: Array
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.S)

    def chosen(self, names: Sequence[str]) -> Patterns:
        """Those of the names, in that order; ValueError for a name that there is not."""
        for name in names:
            if name not in self.names:
                raise ValueError(f"there is no pattern {name!r}; there are {', '.join(self.names)}")
            if list(names).count(name) > 1:
                raise ValueError(f"the pattern {name!r} was given twice; give it once")
        return Patterns(tuple(names), self.S[[self.names.index(name) for name in names]], self.shape)


def read_patterns(path: str) -> Patterns:
    """The patterns to be stored, whole ones of one shape. Raises CheckpointError, which says what is wrong."""
    found = _read(path)
    if not found.S.all():
        name = found.names[int(np.flatnonzero((found.S == 0).any(axis=1))[0])]
        raise CheckpointError(path, f"the pattern {name} has missing components", "a cue may have them, not a pattern")
    return found


def read_cues(path: str, shape: tuple[int, int]) -> Patterns:
    """Cues for a net whose patterns have that shape; a 0 is a missing component. Raises CheckpointError."""
    found = _read(path)
    if found.shape != shape:
        raise CheckpointError(
            path,
            f"its cues are of {found.shape[0]} rows and {found.shape[1]} columns, the patterns of {shape[0]} and "
            f"{shape[1]}",
            "give cues of the patterns' own size",
        )
    return found


def _read(path: str) -> Patterns:
    place = Path(__file__).with_name("letters.txt") if path == LETTERS else Path(path)
    if place.is_dir():
        return _of_grids(_from_images(place), path)
    if not place.is_file():
        raise CheckpointError(path, "there is no such file or folder", f"give {FORMS}")
    if place.suffix.lower() == ".npz":
        return _from_arrays(place)
    if place.suffix.lower() in IMAGES:
        return _of_grids({place.stem: _from_image(place)}, path)
    return _of_grids(_from_text(place), path)


def _of_grids(grids: dict[str, Array], path: str | Path) -> Patterns:
    if not grids:
        raise CheckpointError(path, "it holds no pattern", f"give {FORMS}")
    first, shape = next((name, grid.shape) for name, grid in grids.items())
    for name, grid in grids.items():
        if grid.shape != shape:
            raise CheckpointError(
                path,
                f"{first} has {shape[0]} rows and {shape[1]} columns, {name} {grid.shape[0]} and {grid.shape[1]}",
                "all patterns have to be of one size",
            )
    n = int(np.prod(shape))
    if n > MOST_UNITS:
        raise CheckpointError(
            path,
            f"a pattern of {shape[0]} x {shape[1]} has {n:,} units",
            f"use smaller ones, of {MOST_UNITS:,} at most",
        )
    S = np.array([grid.ravel() for grid in grids.values()])
    return Patterns(tuple(grids), S, (int(shape[0]), int(shape[1])))


def _from_text(path: Path) -> dict[str, Array]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (UnicodeDecodeError, ValueError):
        raise CheckpointError(path, "it is neither a text nor an image by its name", f"give {FORMS}") from None
    found: dict[str, Array] = {}
    name, rows = "", list[str]()
    for line in [*lines, ""]:
        if line and not line.endswith(":"):
            rows.append(line)
            continue
        if rows:
            name = name or str(len(found))
            if name in found:
                raise CheckpointError(path, f"two patterns are called {name}", "give each a name of its own")
            found[name] = _signs(rows, name, path)
            name, rows = "", []
        if line:
            name = line[:-1].strip()
    return found


def _signs(rows: Sequence[str], name: str, path: str | Path) -> Array:
    rows = ["".join(row.split()) for row in rows]
    for number, row in enumerate(rows, 1):
        strange = next((character for character in row if character not in SIGNS), None)
        if strange is not None:
            legal = "in a text grid # 1 X * are 1, . 0 - _ are -1 and ? is a missing component"
            raise CheckpointError(path, f"row {number} of the pattern {name} holds {strange!r}", legal)
        if len(row) != len(rows[0]):
            wrong = f"row {number} of the pattern {name} has {len(row)} characters and row 1 has {len(rows[0])}"
            raise CheckpointError(path, wrong, "make all rows of a pattern as long; an empty line ends it")
    return np.array([[SIGNS[character] for character in row] for row in rows])


def _from_images(folder: Path) -> dict[str, Array]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGES)
    stems = [file.stem for file in files]
    return {file.stem if stems.count(file.stem) == 1 else file.name: _from_image(file) for file in files}


def _from_image(path: Path) -> Array:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise CheckpointError(
            path, "images need the package Pillow", "pip install 'dynsys-rnn[images]', or give a text grid or a .npz"
        ) from None
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_UNITS:
                what = f"the image has {image.width} x {image.height} pixels"
                raise CheckpointError(path, what, f"use smaller ones, of {MOST_UNITS:,} pixels at most")
            grey = np.asarray(image.convert("L"), dtype=np.float64)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(path, "it is no image, or a broken one", "give small images of one size") from None
    return np.where(grey < 127.5, 1.0, -1.0)


def _from_arrays(path: Path) -> Patterns:
    """An array "patterns" or "S", or the only one: (P, n) or (P, rows, columns); "names" are its names."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(path, f"it is no .npz file that can be read ({error})", f"give {FORMS}") from None
    names = arrays.pop("names", None)
    key = next((key for key in ("patterns", "S") if key in arrays), next(iter(arrays), None))
    if key is None or (len(arrays) > 1 and key not in ("patterns", "S")):
        held = ", ".join(arrays) or "no array"
        raise CheckpointError(path, f"it holds {held}", "call the patterns 'patterns', (P, n) or (P, rows, columns)")
    S = arrays[key]
    if S.ndim not in (2, 3) or S.size == 0 or S.dtype.kind not in "biuf":
        wrong = f"{key} has shape {S.shape} of {S.dtype}"
        raise CheckpointError(path, wrong, "give numbers as (P, n) or (P, rows, columns)")
    if not np.isfinite(S).all():
        wrong = f"{key} holds {int((~np.isfinite(S)).sum())} values that are NaN or infinite"
        raise CheckpointError(path, wrong, "give -1 and 1, or 0 and 1")
    values = set(np.unique(S.astype(np.float64)).tolist())
    if not (values <= {-1.0, 0.0, 1.0}):
        shown = ", ".join(f"{value:g}" for value in sorted(values)[:5])
        raise CheckpointError(path, f"{key} holds {shown}", "give -1 and 1 (0 for a missing one), or 0 and 1")
    given = S.astype(np.float64)
    signs = given if values & {-1.0} or values == {1.0} else 2 * given - 1
    grids = signs[:, None] if signs.ndim == 2 else signs
    labels = [str(i) for i in range(len(grids))] if names is None else [str(name) for name in np.ravel(names)]
    if len(set(labels)) != len(grids):
        wrong = f"names holds {len(labels)}, {len(set(labels))} of them different, for {len(grids)} patterns"
        raise CheckpointError(path, wrong, "give each a name of its own")
    return _of_grids(dict(zip(labels, grids, strict=True)), path)

"""The rows of several shards, or of several folders, brought together in one file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynsys.sweep.rows import RowFile, by_id, read_rows, write_rows
from dynsys.sweep.task import CRASHED, DONE, FAILED, Row, SweepError, summary

_NAME = re.compile(r"(?P<stem>.+?)(\.(?P<number>\d+)-of-(?P<count>\d+))?\.jsonl")


@dataclass(frozen=True)
class Merged:
    """One file of rows that was written, from which files, and the shards that were not there."""

    path: Path
    rows: tuple[Row, ...]
    sources: tuple[Path, ...]
    missing: tuple[str, ...]

    def about(self) -> dict[str, Any]:
        """What can be written as JSON."""
        counts = Counter(row["status"] for row in self.rows)
        return {
            "path": str(self.path),
            "rows": len(self.rows),
            **{status: counts[status] for status in (DONE, FAILED, CRASHED)},
            "sources": [str(source) for source in self.sources],
            "missing_shards": list(self.missing),
        }

    def __str__(self) -> str:
        lacks = f"; shard {', '.join(self.missing)} is missing" if self.missing else ""
        return f"{self.path}: {summary(self.rows)}, from {len(self.sources)} files{lacks}"


def merge(folders: Sequence[str | Path], out: str | Path | None = None) -> list[Merged]:
    """Write ``NAME.jsonl`` into ``out`` (the first folder) from every ``NAME.jsonl`` and ``NAME.i-of-n.jsonl`` there.

    A task that is done in one file and failed in another is done. The files of the shards stay. Raises SweepError where
    there are no rows, where one task is done twice with different settings, and where a sweep is writing there;
    OutputError.
    """
    files = [file for folder in folders for file in _files(Path(folder))]
    stems = dict.fromkeys(_parts(file)[0] for file in files)
    if not stems:
        raise SweepError(f"no rows in {', '.join(map(str, folders))}: give the folder that the sweep's -o named")
    place = Path(out if out is not None else folders[0])
    return [_merged([file for file in files if _parts(file)[0] == stem], place / f"{stem}.jsonl") for stem in stems]


def _files(folder: Path) -> list[Path]:
    """Those that hold rows of a sweep."""
    if not folder.is_dir():
        raise SweepError(f"{folder} is no folder; give the folder that the sweep's -o named")
    return [file for file in sorted(folder.glob("*.jsonl")) if read_rows(file)]


def _parts(file: Path) -> tuple[str, int, int]:
    match = _NAME.fullmatch(file.name)
    assert match is not None  # the glob saw to it
    return match["stem"], int(match["number"] or 0), int(match["count"] or 0)


def _merged(sources: list[Path], path: Path) -> Merged:
    rows = [row for source in sources for row in read_rows(source)]
    found = by_id(rows)
    for row in rows:
        name = row["id"]
        if row["status"] == DONE and _settings(row) != _settings(found[name]):
            raise SweepError(
                f"{name!r} is done twice, with different settings or seeds, in {', '.join(map(str, sources))}: "
                "these are not shards of one sweep"
            )
    with RowFile(path):  # no sweep is adding to it now
        write_rows(path, list(found.values()))
    numbers = {(number, count) for _, number, count in map(_parts, sources) if count}
    missing = [f"{i}/{n}" for n in sorted({n for _, n in numbers}) for i in range(1, n + 1) if (i, n) not in numbers]
    return Merged(path, tuple(found.values()), tuple(sources), tuple(missing))


def _settings(row: Row) -> tuple[Any, Any]:
    return row["seed"], row.get("arguments")

"""The points of many networks, a row for each: by the sweep that loses nothing.

A network is known by its content: one that was moved is not searched again, one that changed under its name is refused.
What cannot be read, or searched, is a row with its reason, and the others go on.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.analyses.report import cut_short
from dynsys.analyses.run import search_and_save
from dynsys.analyses.swept import swept
from dynsys.io.files import told_apart
from dynsys.io.progress import Progress
from dynsys.io.provenance import File
from dynsys.models.loading.checkpoint import load_and_tell
from dynsys.models.loading.run_folder import network_of
from dynsys.numerics.deadline import Deadline
from dynsys.result.fixed_points import FixedPoints
from dynsys.result.table import time_constants
from dynsys.sweep import Row, Task
from dynsys.trajectories.settling import Ending

SCHEMA = "dynsys.survey/1"
POINTS_OF = "networks"  # the folder below that of the survey with a run's folder for each network
OTHERS = (Ending.CYCLE, Ending.OSCILLATION)


@dataclass(frozen=True)
class Survey:
    """How each network is searched: as ``find_fixed_points`` with ``starts`` and ``seed``, loaded with ``loading``."""

    starts: int = 512
    verify: bool = True
    seed: int = 0
    loading: Mapping[str, Any] = field(default_factory=dict)


def networks_among(paths: Sequence[str | Path]) -> dict[str, Path]:
    """Every network by a name of its own: the files in a folder that is none itself. Raises ValueError for none."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir() and network_of(path) is None:
            inside = [one for one in sorted(path.iterdir()) if not one.name.startswith(".")]
            found += [one for one in inside if one.is_file() or network_of(one) is not None]
        else:
            found.append(path)
    if not found:
        raise ValueError(
            f"there is no file in {', '.join(map(str, paths))}; give files of networks, or folders of them"
        )
    return dict(zip(told_apart(found), found, strict=True))


def run(
    paths: Sequence[str | Path],
    settings: Survey,
    folder: str | Path,
    progress: Progress,
    *,
    seconds: float | Deadline | None = None,
    command: str = "",
    **sweeping: Any,
) -> dict[str, Any]:
    """Search what is not in the folder yet and write ``table.csv``, ``report.html`` and ``results.json``.

    ``sweeping`` are ``jobs``, ``cluster``, ``shard`` and ``retry_failed``; a shard writes its rows only. After so many
    ``seconds`` no search is begun: "cut" says how many are done, and the same call goes on. Raises ValueError,
    CutShort, OutputError and SweepError.
    """
    from dynsys.analyses.survey.report import title, write_survey

    folder, networks = Path(folder), networks_among(paths)
    how = dataclasses.asdict(settings)
    tasks = [Task(name, {"network": File(path), "name": name, "how": how}) for name, path in networks.items()]
    work = partial(surveyed, str(folder))
    rows, cut = swept(
        work,
        tasks,
        folder,
        "networks",
        seed=settings.seed,
        seconds=seconds,
        progress=progress,
        stage="networks",
        **sweeping,
    )
    results = results_of(settings, rows) | {"cut": None if cut is None else cut.to_json()}
    if sweeping.get("shard") is None:
        if cut is not None and not rows:
            raise cut_short(cut, title(results), command, results["settings"], SCHEMA, folder)
        write_survey(results, folder, command)
    return results


def surveyed(folder: str, key: Row, seed: int) -> Row:
    """The work of the sweep: the row of one network, whose points are left in a folder of their own."""
    how, path = dict(key["how"]), key["network"].path
    choices = dict(how["loading"])
    system, found = load_and_tell(path, **choices)
    if found is not None and found.choices is not None:
        choices = dict(found.choices)
    points = search_and_save(
        system,
        Path(folder) / POINTS_OF / key["name"],
        path,
        _in_silence,
        loading=choices,
        n_starts=how["starts"],
        verify=how["verify"],
        seed=how["seed"],
    )
    return row_of(points)


def row_of(points: FixedPoints) -> Row:
    """What the table says of a network; numbers that are not known are None."""
    search, fixed, stable = points.search, points.fixed, points.stable
    missing, settling = search.missing or {}, search.settling or {}
    times = time_constants(stable)
    ends = settling.get("ends", [])
    attractors = [end for end in ends if end["kind"] in OTHERS]
    return {
        "network": points.about["name"],
        "kind": points.about["kind"],
        "state_variables": points.about["n_state"],
        "fixed": len(fixed),
        "stable": len(stable),
        "saddles": int(((fixed.n_unstable > 0) & (fixed.stability != "marginal")).sum()),
        "marginal": int((fixed.stability == "marginal").sum()),
        "slow": len(points.slow),
        "manifolds": len(points.manifolds),
        "orbits": len(attractors),
        "certified": int(fixed.certified.sum()),
        "least": missing.get("least"),
        "most": missing.get("most"),
        "complete": bool(search.complete),
        "index_sum": search.index_sum,
        "slowest": float(times.max()) if len(times) and np.isfinite(times).all() else None,
        "fastest": float(times.min()) if len(times) and np.isfinite(times).all() else None,
        "assumed": list(points.about.get("assumed", [])),
        "sentence": points.summary().split("\n")[0],
    }


def results_of(settings: Survey, rows: Sequence[Row]) -> dict[str, Any]:
    """Every network with what was found, in the order given; what could not be done is ``failed``, with its reason."""
    return {
        "schema": SCHEMA,
        "settings": dataclasses.asdict(settings),
        "networks": [{"name": row["id"], **row["result"]} for row in rows if "result" in row],
        "failed": [{"name": row["id"], "reason": _reason(row)} for row in rows if "result" not in row],
    }


def _reason(row: Row) -> str:
    """Without the name of the exception and its place in the code."""
    kind, _, said = str(row["error"]).partition(": ")
    return re.sub(r" \(at [^()]*\)$", "", said if said and kind.isidentifier() else str(row["error"]))


def _in_silence(stage: str, done: int, total: int) -> None:
    """What a search among hundreds is doing is not shown."""

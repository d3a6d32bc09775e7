"""What a study keeps in its folder: the settings it was begun with, and its own copy of the points that it follows.

A study of other settings is refused before anything is searched; what is searched later beside a checkpoint changes no
study."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynsys.analyses.noise.networks import Network
from dynsys.analyses.report import in_words
from dynsys.analyses.run import POINTS, at_rest, save_points, search_and_save
from dynsys.io.errors import CheckpointError
from dynsys.io.files import write_json
from dynsys.io.progress import Progress
from dynsys.io.provenance import differing
from dynsys.numerics.deadline import ENDLESS, Deadline
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.known.stopping import Stop
from dynsys.sweep.rows import family

BEGUN = "study.json"
MAY_CHANGE = ("trials",)  # more of them go on with those that are there


def check_begun(settings: Mapping[str, Any], networks: Sequence[Network], folder: Path, rows: Path) -> None:
    """Note the settings and networks in ``folder``; raises ValueError where its rows are of others."""
    mine = {key: value for key, value in settings.items() if key not in MAY_CHANGE}
    known: dict[str, str] = {}
    if family(rows):
        before = _read(folder)
        known = before.get("networks", {})
        _refuse(before.get("settings", mine), mine, folder)
        changed = [one.name for one in networks if known.get(one.name, one.identity) != one.identity]
        if changed:
            raise ValueError(
                f"{folder} holds trials of another network of the name {changed[0]!r}: its weights have changed "
                "since; give another folder"
            )
    named = {**known, **{network.name: network.identity for network in networks}}
    write_json(folder / BEGUN, {"schema": "dynsys.noise-study/1", "settings": mine, "networks": named})


def _refuse(before: Mapping[str, Any], mine: Mapping[str, Any], folder: Path) -> None:
    other = [key for key in differing(before, mine) if key in mine]
    if other:
        then = "; ".join(f"{key} {in_words(before.get(key)) or 'none'}" for key in other)
        raise ValueError(f"{folder} holds trials done with {then}: give the settings of then, or another folder")


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / BEGUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


STARTS = 512  # of a search for all points
MARK = "network"  # in what is noted with the points: whose they are
COPIED = "copied"  # and whether they were there before the study, as whoever searched wanted them
UNFINISHED = (Stop.TIME, Stop.INTERRUPTED)  # searches of the study's own that are made again


def kept_points(network: Network, which: str, folder: Path) -> Path | None:
    """The file of the points that the study has in ``folder``, copied from beside the checkpoint where it has none yet.

    None where they have to be searched for: points of other weights or other inputs, of cycles, or counted by tolerance
    are not taken.
    """
    own = folder / which
    mine = _points(own, network, {MARK: network.identity})
    if mine is not None and (mine.about.get(COPIED) or mine.search.stopped not in UNFINISHED):
        return _in(own)
    if network.folder is None:
        return None
    found = _points(network.folder, network, {"sha256": network.sha256})
    if found is None or found.search.period != 1 or found.search.tolerances or found.inputs.any():
        return None
    own.mkdir(parents=True, exist_ok=True)
    save_points(dataclasses.replace(found, about={**found.about, MARK: network.identity, COPIED: True}), own)
    return _in(own)


def search_points(
    network: Network, which: str, folder: Path, progress: Progress, deadline: Deadline = ENDLESS, seed: int = 0
) -> Path | None:
    """The file of points that are found now; None where time was over before the search was.

    ``which`` is "all", or "memories": where the network comes to rest from its task and from every corner of its
    outputs, which takes seconds and finds no saddles.
    """
    settings: dict[str, Any] = {"n_starts": STARTS}
    if which == "memories":
        settings = at_rest(network.system, seed)
    points = search_and_save(
        network.system,
        folder / which,
        network.path or network.name,
        lambda stage, done, total: progress(f"{network.name}: {stage}", done, total),
        loading=dict(network.loading),
        noted={MARK: network.identity},
        seed=seed,
        seconds=deadline,
        **settings,
    )
    return None if points.search.stopped in UNFINISHED else _in(folder / which)


def _in(folder: Path) -> Path:
    return (folder / f"{POINTS}.safetensors").resolve()


def _points(folder: Path, network: Network, noted: dict[str, Any]) -> FixedPoints | None:
    """The points in the folder, if they are of this very network."""
    if not _in(folder).is_file():
        return None
    try:
        points = FixedPoints.load(_in(folder), find_system=False)
    except CheckpointError:
        return None
    expected = {"loading": dict(network.loading), **noted}
    return None if differing({key: points.about.get(key, {}) for key in expected}, expected) else points

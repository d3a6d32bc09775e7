"""What a study's folder was begun with, so that a study of other settings is refused before anything is searched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynsys.analyses.noise.networks import Network
from dynsys.analyses.report import in_words
from dynsys.io.files import write_json
from dynsys.io.provenance import differing
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

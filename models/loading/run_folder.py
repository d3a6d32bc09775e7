"""Whose network a run's folder is about: one rule for every command that is given a folder.

It is the checkpoint in the folder; where there is none, the network that the points in it note, as long as its bytes
are the same: in the folder, or where it was then. Points of another network are never drawn there, nor written there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynsys.io.checked import WRONG
from dynsys.io.errors import CheckpointError
from dynsys.io.provenance import digest_of
from dynsys.models.loading.choices import Choices
from dynsys.result.fixed_points import FixedPoints

FILE_NAME = "checkpoint.safetensors"
POINTS_FILE = "fixed_points.safetensors"
AGAIN = "run 'dynsys find' on the network again"


@dataclass(frozen=True)
class Located:
    """Where a network is, by its file, its folder or the name of a model, and the choices with which it is loaded."""

    path: Path
    loading: Mapping[str, Any] = field(default_factory=dict)


def network_of(folder: str | Path) -> Located | None:
    """The network that the folder is about, None where it is no run's; raises CheckpointError where that is lost."""
    folder = Path(folder)
    if (folder / FILE_NAME).is_file():
        return Located(folder / FILE_NAME)
    if (folder / POINTS_FILE).is_file():
        return network_of_points(FixedPoints.load(folder / POINTS_FILE, find_system=False).about, folder / POINTS_FILE)
    return None


def network_of_points(about: Mapping[str, Any], file: Path) -> Located:
    """The network of the points in ``file``; raises CheckpointError where it is lost, or no longer the folder's."""
    folder, noted = file.parent, Path(about.get("checkpoint", FILE_NAME))
    own = (folder / FILE_NAME).is_file()
    if "sha256" not in about and not own:
        return Located(noted)  # the name of a model that needs no file
    for candidate in [folder / FILE_NAME] if own else [folder / noted.name, noted]:
        if candidate.exists() and digest_of(candidate) == about.get("sha256"):
            return Located(candidate, _sound(about.get("loading", {}), file))
    if own:
        wrong = f"its points are not of the {FILE_NAME} beside it, which is another network or was trained again since"
        raise CheckpointError(file, wrong, AGAIN)
    wrong = f"its network is neither beside it nor at {noted}, or has been trained again since"
    raise CheckpointError(file, wrong, AGAIN)


def _sound(loading: Any, file: Path) -> Mapping[str, Any]:
    try:
        return dict(loading) if Choices(**loading) else {}
    except WRONG as error:
        wrong = f"it says of its network that it was loaded with {loading!r}, which makes no sense ({error})"
        raise CheckpointError(file, wrong, AGAIN) from error


def note_of(checkpoint: str | Path, loading: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What points say of the network that they were found in, for ``network_of_points``."""
    path = Path(checkpoint)
    located = (network_of(path) if path.is_dir() else None) or Located(path)
    path, loading = located.path, {**located.loading, **(loading or {})}
    where = (
        {"checkpoint": str(path.resolve()), "sha256": digest_of(path)} if path.exists() else {"checkpoint": str(path)}
    )
    return {**where, **({"loading": loading} if loading else {})}


def check_room_for_points(folder: str | Path, note: Mapping[str, Any]) -> None:
    """Raise CheckpointError where points of the network noted would come to lie beside another network."""
    own = Path(folder) / FILE_NAME
    if own.is_file() and digest_of(own) != note.get("sha256"):
        wrong = f"it holds a {FILE_NAME} of its own, and the points would be of another network"
        raise CheckpointError(folder, wrong, "give another folder with -o")


def check_room_for_network(folder: str | Path) -> None:
    """Raise CheckpointError where a network would come to lie beside points of another, before it is trained."""
    folder = Path(folder)
    if (folder / POINTS_FILE).is_file() and not (folder / FILE_NAME).is_file():
        raise CheckpointError(folder, "it holds the fixed points of another network", "train into another folder")


def holds_points_of_another(folder: str | Path) -> bool:
    """Whether the points in a folder are not those of the checkpoint in it, as after a second training."""
    folder = Path(folder)
    if not ((folder / POINTS_FILE).is_file() and (folder / FILE_NAME).is_file()):
        return False
    points = FixedPoints.load(folder / POINTS_FILE, find_system=False)
    return points.about.get("sha256") != digest_of(folder / FILE_NAME)

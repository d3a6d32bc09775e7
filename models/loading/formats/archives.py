"""Zips: told apart by their entries; and those that hold a file of weights among others, which is read in their place.

Agents of reinforcement learning are saved so: policy.pth beside its optimiser and a description of the run.
"""

from __future__ import annotations

import copy
import re
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from dynsys.models.loading.values import Allowance, Unfit, is_beside

WEIGHTS = re.compile(
    r"\.(pth?|ckpt|th|bin|pkl|pickle|npz|safetensors|h5|hdf5|keras|mat|onnx|msgpack)$|^parameters$", re.I
)
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that are unpacked in pieces of a size that is asked for
LISTED = 12  # entries that a message names


def names_of(path: Path) -> list[str]:
    """The entries of a zip, without folders and what a Mac adds; raises BadZipFile where it is damaged."""
    state = path.stat()
    return _listed(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _listed(path: Path, changed: int, size: int) -> list[str]:
    """Read once for all formats that ask; ``changed`` and ``size`` tell when it is another file."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type not in BOUNDED for entry in entries):
        raise Unfit("it is a zip that is compressed in an unusual way", "unpack it, and name the file with the weights")
    names = [entry.filename for entry in entries]
    return [name for name in names if not name.endswith("/") and not name.startswith(("__MACOSX/", "."))]


def zip_with(*endings: str) -> Callable[[Path, bytes], bool]:
    """Whether a file is a zip with an entry that ends so."""
    return lambda path, head: head.startswith(b"PK") and any(name.endswith(endings) for name in names_of(path))


def is_torch_zip(path: Path, head: bytes) -> bool:
    return head.startswith(b"PK") and bool(pickle_of_zip(names_of(path)))


def pickle_of_zip(names: list[str]) -> str:
    """The entry ``archive/data.pkl`` of a file of torch, whatever the folder is called; empty where there is none."""
    return next((name for name in names if name.endswith("/data.pkl") and name.count("/") == 1), "")


def entry_of(archive: zipfile.ZipFile, name: str, allowance: Allowance) -> bytes:
    """The bytes of an entry, no more than the file may take. A checksum of 0 is none: torch can leave it out."""
    info = copy.copy(archive.getinfo(name))
    if info.flag_bits & 1:
        raise Unfit("it is a zip with a password", "unpack it, and name the file with the weights")
    allowance.take(info.file_size)
    if info.CRC == 0:
        del info.CRC
    with archive.open(info) as file:
        return file.read(info.file_size)  # without a count it is unpacked whole, longer than it says or not


def weights_in_zip(path: Path) -> str:
    """The one entry that holds weights; raises Unfit where there is none, and names them where there are several."""
    names = names_of(path)
    found = [name for name in names if WEIGHTS.search(name.rpartition("/")[2]) and not _is_beside(name)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(found[:LISTED])
        raise Unfit(f"it is a zip of {len(found)} files with weights: {listed}", "unpack it, and name one of them")
    listed = ", ".join(names[:LISTED]) or "nothing"
    raise Unfit(f"it is a zip without weights that dynsys knows; it holds {listed}", "name the file with the weights")


def _is_beside(name: str) -> bool:
    """Whether an entry is an optimiser's, or holds the few numbers that an agent keeps outside of its networks."""
    words = name.rpartition("/")[2].split(".")
    return words[0] == "pytorch_variables" or any(is_beside(word) for word in words[:-1])


def unpacked(path: Path, name: str, folder: str) -> Path:
    """The entry of a zip as a file in ``folder``, under a name of ours: its own could lead elsewhere."""
    with zipfile.ZipFile(path) as archive:
        content = entry_of(archive, name, Allowance(path.stat().st_size))
    inside = Path(folder) / f"weights{Path(name).suffix[:20]}"
    try:
        inside.write_bytes(content)
    except OSError as error:
        raise Unfit(f"it cannot be unpacked into {folder} ({error.strerror})", "make room there") from error
    return inside

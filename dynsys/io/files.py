"""Files on disk: tensors with a checked header, written whole or not at all, read without running anything in them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError, OutputError

Arrays = dict[str, NDArray[Any]]

HEADER = "dynsys"  # the metadata key of our safetensors files


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write to a temporary name beside ``path`` and move it into place, so that a reader sees all of it or none."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")  # known before it is there, for a Ctrl-C
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(path, error) from error
        raise
    return path


def check_writable(folder: str | Path) -> None:
    """Raise OutputError now where the folder cannot be made or written, before any work is put into its content."""
    try:
        write_bytes(Path(folder) / ".dynsys-probe", b"").unlink()
    except OutputError as error:
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise OutputError(folder, reason) from error


def write_text(path: str | Path, text: str) -> Path:
    return write_bytes(path, text.encode())


def write_drawn(path: str | Path, content: bytes) -> Path:
    """Write a page or a picture; raises ValueError rather than replace what is neither."""
    check_drawn(path)
    return write_bytes(path, content)


def check_drawn(path: str | Path) -> None:
    """Raise ValueError where a page or picture at ``path`` would replace anything but another, or an empty file."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # there is none, or writing will say why not
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise ValueError(f"{path} is {kind}; name the file to write")
    if not _is_drawn(first_bytes(path)):
        raise ValueError(f"{path} is there already and is neither a page nor a picture; give another name")


def check_exported(path: str | Path, ending: str, is_alike: Callable[[Path], bool]) -> None:
    """Raise ValueError unless a result may be written there: by the ending of its name, and by what is there already,
    which may be nothing, or a result that is alike.
    """
    path = Path(path)
    if path.suffix.lower() != ending:
        raise ValueError(f"{str(path)!r} is no name for this result; it has to end in {ending}")
    if path.exists() and not (path.is_file() and is_alike(path)):
        raise ValueError(f"{path} is there already and is no such result; give another name")


DRAWN = (b"\x89PNG", b"\xff\xd8\xff", b"%PDF", b"<svg", b"<!doctype html", b"<html")


def _is_drawn(head: bytes) -> bool:
    """By the first bytes; an empty file is no loss."""
    return not head or head.startswith(DRAWN) or head.lstrip().lower().startswith(DRAWN)


def write_json(path: str | Path, content: Any) -> Path:
    return write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def write_tensors(path: str | Path, tensors: Arrays, header: dict[str, Any]) -> Path:
    """One safetensors file; the header gains the library's version and the sha256 of itself and the tensors."""
    from safetensors.numpy import save

    whole = {key: np.ascontiguousarray(value) for key, value in tensors.items()}  # safetensors mixes up other orders
    about = {**_unsigned(header), "version": version("dynsys-rnn")}
    about = json.loads(json.dumps(about))  # as it will be read
    header = {**about, "sha256": _digest(whole, about)}
    return write_bytes(path, save(whole, metadata={HEADER: json.dumps(header, sort_keys=True)}))


def read_tensors(path: str | Path, schema: str) -> tuple[Arrays, dict[str, Any]]:
    """The tensors and header of a file of ours; raises CheckpointError unless it is whole and of that schema."""
    path = Path(path)
    error = file_error(path)
    if error is not None:
        raise error
    if first_bytes(path)[8:9] != b"{":
        raise CheckpointError(
            path, "it is no safetensors file, as dynsys writes them", "give what the other command wrote"
        )
    tensors, header = open_safetensors(path)
    if header is None:
        raise CheckpointError(path, "it is a safetensors file that dynsys did not write", "dynsys reads its own here")
    if header.get("schema") != schema:
        wrong = f"it holds {header.get('schema')!r} where {schema!r} is needed"
        raise CheckpointError(path, wrong, "give the file that the other command wrote")
    if header.get("sha256") not in (
        _digest(tensors, _unsigned(header)),
        _digest(tensors),
    ):  # the latter of earlier versions
        raise CheckpointError(path, "its content does not match its checksum", "it is damaged: make or copy it again")
    return tensors, header


def open_safetensors(path: Path) -> tuple[Arrays, dict[str, Any] | None]:
    """The tensors of any safetensors file, and our header if it has one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        header = json.loads(metadata[HEADER]) if HEADER in metadata else None
        if not isinstance(header, dict | None):
            raise ValueError(f"its header is a {type(header).__name__}")
    except (SafetensorError, ValueError, TypeError, OSError, RecursionError) as error:
        raise CheckpointError(path, f"it is cut or damaged ({error})", "copy or make it again") from error
    return tensors, header


def _unsigned(header: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key != "sha256"}


def _digest(tensors: Arrays, header: dict[str, Any] | None = None) -> str:
    digest = hashlib.sha256()
    if header is not None:
        digest.update(json.dumps(header, sort_keys=True).encode())
    for key in sorted(tensors):
        value = tensors[key]
        digest.update(f"{key}{value.dtype}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def first_bytes(path: Path, count: int = 512) -> bytes:
    with open(path, "rb") as file:
        return file.read(count)


def file_error(path: Path) -> CheckpointError | None:
    """What is plainly wrong with the file before any format is tried; None where nothing is."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return CheckpointError(path, "it is a folder", "name a file inside it")
        if not stat.S_ISREG(mode):  # reading a pipe or a device may never end
            return CheckpointError(path, "it is a pipe or a device, no file", "save what it gives, and name that file")
        head = first_bytes(path)
    except FileNotFoundError:
        return CheckpointError(path, "there is no such file", "check the path")
    except OSError as error:
        return CheckpointError(path, f"it cannot be read ({error.strerror})", "check its permissions")
    start = head.lstrip().lower()
    if not head:
        return CheckpointError(path, "it is empty", "the copy or the run that made it was cut off: make it again")
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return CheckpointError(path, "it is an HTML page", "the download gave a web page: download the raw file")
    if start.startswith(b"version https://git-lfs"):
        return CheckpointError(path, "it is a git-lfs pointer, not the file itself", "run 'git lfs pull'")
    return None


def told_apart(paths: Sequence[Path]) -> list[str]:
    """The names of files or folders, with those of as many folders around them as tell them apart.

    >>> told_apart([Path("/runs/a/net.pt"), Path("/runs/b/net.pt")])
    ['a/net.pt', 'b/net.pt']
    """
    parts = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    twice = next(path for i, path in enumerate(paths) if parts[i] in parts[:i])
    raise ValueError(f"{twice} is given twice; give it once")

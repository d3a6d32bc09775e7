"""JSON: weights as nested lists of numbers, as audio tools keep them (.json, .nam), and configurations.

A list of numbers, or of such lists with rows of one length, is an array; anything else is told entry by entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.nested import read_nested
from dynsys.models.loading.values import DEEPEST, MOST, Read

LARGEST = 2**28  # bytes: as text, weights take ten times their room


def is_json(path: Path, head: bytes) -> bool:
    """A brace or bracket first, and no zero bytes: those are in the length with which a safetensors file begins."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") and b"\x00" not in head


def read_json(path: Path) -> Read:
    """The arrays and single values of a JSON file by dotted names."""
    if path.stat().st_size > LARGEST:
        raise CheckpointError(path, f"it is JSON of more than {LARGEST:,} bytes", "save the weights as .npz")
    content = parsed(path, path.read_bytes())
    if not isinstance(content, Mapping):
        content = {"array": content}
    return read_nested(_with_arrays(content, DEEPEST))


def parsed(path: Path, text: str | bytes) -> Any:
    """The content of a JSON text; raises CheckpointError where it is none."""
    try:
        return json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except RecursionError as error:
        raise CheckpointError(path, "its JSON is nested too deeply to be weights", "save the weights alone") from error
    except ValueError as error:
        raise CheckpointError(path, f"its JSON is cut or damaged ({error})", "copy or make it again") from error


def single_values(path: Path, name: str, text: str | bytes) -> Iterator[tuple[str, Any]]:
    """Every text, number and truth value of a JSON text by its dotted name; the entries of lists count from 0."""
    yield from _leaves(name, parsed(path, text), DEEPEST, [MOST])


def _leaves(name: str, value: Any, depth: int, left: list[int]) -> Iterator[tuple[str, Any]]:
    left[0] -= 1
    if isinstance(value, str | int | float):
        yield name, value
    elif isinstance(value, dict | list) and depth > 0 and left[0] > 0:
        for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(f"{name}.{key}" if name else str(key), inside, depth - 1, left)


def _with_arrays(value: Any, depth: int) -> Any:
    """The content with an array in the place of every list that is one."""
    if isinstance(value, dict):
        return {key: _with_arrays(inside, depth - 1) for key, inside in value.items()} if depth > 0 else {}
    if not isinstance(value, list) or not value:
        return value
    if all(isinstance(entry, int | float) for entry in value):
        return np.array(value, dtype=np.float64)
    inside = [_with_arrays(entry, depth - 1) for entry in value] if depth > 0 else []
    shapes = {entry.shape if isinstance(entry, np.ndarray) else None for entry in inside}
    return np.array(inside) if len(shapes) == 1 and None not in shapes else inside

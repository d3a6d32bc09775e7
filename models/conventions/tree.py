"""Settings by dotted names, put back into the tree that they were: a list is a dictionary of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of dotted names."""
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        *above, last = key.split(".")
        inside = tree
        for part in above:
            deeper = inside.setdefault(part, {})
            if not isinstance(deeper, dict):
                break
            inside = deeper
        else:
            inside[last] = value
    return tree


def entries(value: Any) -> list[Any]:
    """The entries of a list of ``nested``, in order."""
    if not isinstance(value, dict):
        return []
    return [value[key] for key in sorted((k for k in value if k.isdigit()), key=int)]

"""Networks, the tasks they learn, and how they are trained. ``MODELS`` and ``TASKS`` list them (``registry.py``)."""

from __future__ import annotations

import importlib
from typing import Any

if __name__ == "models":
    raise ImportError("this folder is imported as dynsys.models: research code nearly always has a 'models' of its own")


def __getattr__(name: str) -> Any:
    if name in ("MEMORIES", "MODELS", "TASKS", "Model"):
        from dynsys.models import registry

        return getattr(registry, name)
    if name == "associative":  # import dynsys; dynsys.models.associative.Hopfield
        return importlib.import_module("dynsys.models.associative")
    raise AttributeError(f"module 'dynsys.models' has no attribute {name!r}")

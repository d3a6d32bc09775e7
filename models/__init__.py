"""Networks, the tasks they learn, and how they are trained. ``MODELS`` and ``TASKS`` list them (``registry.py``)."""

from __future__ import annotations

import importlib
from typing import Any

if __name__ == "models":
    raise ImportError("this folder is imported as dynsys.models: research code nearly always has a 'models' of its own")


_LISTS = ("MEMORIES", "MODELS", "TASKS", "Model")
_PACKAGES = ("associative", "driven", "examples", "fast_weights", "rate", "recurrent", "tasks", "training")

__all__ = sorted((*_LISTS, *_PACKAGES))


def __getattr__(name: str) -> Any:
    if name in _LISTS:
        from dynsys.models import registry

        return getattr(registry, name)
    if name in _PACKAGES:  # import dynsys; dynsys.models.associative.Hopfield
        return importlib.import_module(f"dynsys.models.{name}")
    raise AttributeError(f"module 'dynsys.models' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

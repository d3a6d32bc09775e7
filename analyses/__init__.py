"""Studies: a frozen config, a run, a result on disk, figures. A new one is a file or a folder here."""

import importlib
from typing import Any

if __name__ == "analyses":
    raise ImportError("this folder is imported as dynsys.analyses: research code often has an 'analyses' of its own")

__all__ = ["claims", "evolve", "flipflop", "grid", "memory", "memory_flow", "noise", "persistence", "portrait"]
__all__ += ["retrieval", "run", "transfer"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"dynsys.analyses.{name}")
    raise AttributeError(f"module 'dynsys.analyses' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""What has a trained recurrent network learned? Its fixed points, their stability and its phase portrait.

The names below are imported when they are first used, so that ``import dynsys`` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynsys.attractors.settling import settle
    from dynsys.errors import CheckpointError, OutputError
    from dynsys.models.loading.checkpoint import load
    from dynsys.models.wrapping.wrap import wrap
    from dynsys.points import FixedPoints
    from dynsys.projection import Projection
    from dynsys.search import find_fixed_points
    from dynsys.spectra.modes import linear_modes
    from dynsys.system import Flow, Kind, Map, System
    from dynsys.tolerances import Tolerances
    from dynsys.trajectory import simulate

_HOME = {
    "CheckpointError": "dynsys.errors",
    "FixedPoints": "dynsys.points",
    "Flow": "dynsys.system",
    "Kind": "dynsys.system",
    "Map": "dynsys.system",
    "OutputError": "dynsys.errors",
    "Projection": "dynsys.projection",
    "System": "dynsys.system",
    "Tolerances": "dynsys.tolerances",
    "find_fixed_points": "dynsys.search",
    "linear_modes": "dynsys.spectra.modes",
    "load": "dynsys.models.loading.checkpoint",
    "settle": "dynsys.attractors.settling",
    "simulate": "dynsys.trajectory",
    "wrap": "dynsys.models.wrapping.wrap",
}
_MODULES = ("analyses", "models", "plots", "solvers", "testing")

__all__ = [
    "CheckpointError",
    "FixedPoints",
    "Flow",
    "Kind",
    "Map",
    "OutputError",
    "Projection",
    "System",
    "Tolerances",
    "find_fixed_points",
    "linear_modes",
    "load",
    "settle",
    "simulate",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"dynsys.{name}")
    raise AttributeError(f"module 'dynsys' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])

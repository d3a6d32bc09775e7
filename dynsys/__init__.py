"""What has a trained recurrent network learned? Its fixed points, their stability and its phase portrait.

The names below are imported when they are first used, so that ``import dynsys`` stays quick.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynsys.attractors.basins import basins
    from dynsys.attractors.connections import connections
    from dynsys.attractors.flip import flips
    from dynsys.comparison.compared import compare
    from dynsys.continuation.inputs import follow_inputs
    from dynsys.continuous_attractors.least_speed import slow_curve
    from dynsys.exponents.lyapunov import lyapunov_exponents
    from dynsys.io.errors import CheckpointError, OutputError
    from dynsys.io.progress import progress
    from dynsys.lyapunov.basins import certified_basins
    from dynsys.models.loading.checkpoint import load
    from dynsys.models.training.learners import train
    from dynsys.models.wrapping.wrap import wrap
    from dynsys.result.fixed_points import FixedPoints
    from dynsys.search.find import find_fixed_points
    from dynsys.search.tolerances import Tolerances
    from dynsys.stability.modes import linear_modes
    from dynsys.systems.system import Flow, Kind, Map, System
    from dynsys.trajectories.projection import Projection
    from dynsys.trajectories.settling import settle
    from dynsys.trajectories.simulate import simulate

_HOME = {
    "CheckpointError": "dynsys.io.errors",
    "FixedPoints": "dynsys.result.fixed_points",
    "Flow": "dynsys.systems.system",
    "Kind": "dynsys.systems.system",
    "Map": "dynsys.systems.system",
    "OutputError": "dynsys.io.errors",
    "Projection": "dynsys.trajectories.projection",
    "System": "dynsys.systems.system",
    "Tolerances": "dynsys.search.tolerances",
    "basins": "dynsys.attractors.basins",
    "certified_basins": "dynsys.lyapunov.basins",
    "compare": "dynsys.comparison.compared",
    "connections": "dynsys.attractors.connections",
    "find_fixed_points": "dynsys.search.find",
    "flips": "dynsys.attractors.flip",
    "follow_inputs": "dynsys.continuation.inputs",
    "linear_modes": "dynsys.stability.modes",
    "load": "dynsys.models.loading.checkpoint",
    "lyapunov_exponents": "dynsys.exponents.lyapunov",
    "progress": "dynsys.io.progress",
    "settle": "dynsys.trajectories.settling",
    "simulate": "dynsys.trajectories.simulate",
    "slow_curve": "dynsys.continuous_attractors.least_speed",
    "train": "dynsys.models.training.learners",
    "wrap": "dynsys.models.wrapping.wrap",
}
_MODULES = {name: f"dynsys.{name}" for name in ("analyses", "models", "plots", "testing")}
_MODULES["solvers"] = "dynsys.search.solvers"

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
    "basins",
    "certified_basins",
    "compare",
    "connections",
    "find_fixed_points",
    "flips",
    "follow_inputs",
    "linear_modes",
    "load",
    "lyapunov_exponents",
    "progress",
    "settle",
    "simulate",
    "slow_curve",
    "train",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("dynsys-rnn")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module 'dynsys' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])

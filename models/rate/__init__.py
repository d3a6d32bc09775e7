"""Rate networks: units with a time constant or a leak, in continuous and in discrete time."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "EchoStateNetwork": "echo_state",
    "LeakyActivity": "leaky_rate",
    "LeakyMap": "leaky_map",
    "LeakyRate": "leaky_rate",
    "LeakyRateMap": "leaky_map",
    "LowRank": "low_rank",
    "SimpleRNN": "simple_rnn",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"dynsys.models.rate.{_HOME[name]}"), name)
    raise AttributeError(f"module 'dynsys.models.rate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""Random weights of a usual size, and torch modules of them in float64."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from door.layout import Array


def draw(rng: np.random.Generator, *shape: int, gain: float = 1.0) -> Array:
    """Gaussian, of variance gain^2 over the number of columns."""
    return gain * rng.normal(size=shape) / max([1, *shape[-1:]]) ** 0.5


def drawn(module: nn.Module, rng: np.random.Generator) -> Any:
    """The module in float64, every parameter of it drawn anew."""
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.as_tensor(1.4 * draw(rng, *parameter.shape)))
    return module


def state(module: nn.Module, prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in module.state_dict().items()}


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy().copy()


def tensors(arrays: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {key: torch.as_tensor(value) for key, value in arrays.items()}


@contextmanager
def foreign(*names: str) -> Iterator[tuple[type, ...]]:
    """Classes "package.module.Name" that exist while a file is written and are gone when it is read."""
    made, before = [], set(sys.modules)
    for name in names:
        module, _, cls = name.rpartition(".")
        parts = module.split(".")
        for k in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:k]), types.ModuleType(".".join(parts[:k])))
        base = (nn.Module,) if cls.endswith("Net") else (object,)
        made.append(type(cls, base, {"__module__": module, "__qualname__": cls}))
        setattr(sys.modules[module], cls, made[-1])
    try:
        yield tuple(made)
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]

"""Copies of a user's module, or of a method of one, so that the user's own is never touched."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def moved_callable(
    function: Callable[..., Any], device: torch.device | str | None, dtype: torch.dtype | None
) -> Callable[..., Any]:
    """A copy of a module, or of a module's method, on ``device`` in ``dtype``; any other function as it is."""
    if isinstance(function, nn.Module):
        return copy.deepcopy(function).to(device=device, dtype=dtype)
    owner = getattr(function, "__self__", None)
    if isinstance(function, types.MethodType) and isinstance(owner, nn.Module):
        return types.MethodType(function.__func__, copy.deepcopy(owner).to(device=device, dtype=dtype))
    return function


def copied_callable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A float64 copy on the CPU in evaluation mode, without gradients, of a module or a module's method.

    Raises ValueError where the module cannot be copied.
    """
    try:
        held = moved_callable(function, "cpu", torch.float64)
    except Exception as error:
        raise ValueError(
            f"{describe(function)} cannot be copied ({error}); give a function step(x, u) that computes in float64"
        ) from error
    owner = module_of(held)
    if owner is not None:
        owner.eval().requires_grad_(False)
        for name, value in [*owner.named_parameters(), *owner.named_buffers()]:
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} of {describe(function)} holds values that are NaN or infinite")
            value.grad = None
    return held


def module_of(function: Callable[..., Any]) -> nn.Module | None:
    """The module that it is or whose method it is; None of any other function."""
    owner = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def holds_module(function: Callable[..., Any]) -> bool:
    return module_of(function) is not None


def describe(function: Callable[..., Any]) -> str:
    """What a user calls it."""
    return str(getattr(function, "__name__", type(function).__name__))

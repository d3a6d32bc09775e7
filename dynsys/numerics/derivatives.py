"""Derivatives along a direction by torch.func, without the warning of itself that torch gives when it loads them."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_LOADING = threading.Lock()  # the filters of warnings belong to the process


def jvp(function: Callable[..., Any], at: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> Tensor:
    """The derivative of ``function(*at)`` along directions of the same shapes."""
    _load()
    return torch.func.jvp(function, at, along)[1]


def jacfwd(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that gives the Jacobian of ``function``, column by column."""
    _load()
    return torch.func.jacfwd(function)


def _load() -> None:
    with _LOADING:
        _loaded()


@functools.cache
def _loaded() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit.script, by torch's own rules for derivatives
        torch.func.jvp(torch.sin, (torch.zeros(()),), (torch.ones(()),))

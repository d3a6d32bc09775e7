"""A fault of torch's that would end the process: an LSTMCell with one row of input and a batch of states (torch 2.13).

Calls are tried here that are not meant, so that a module may well come to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from dynsys.models.wrapping.module_copy import module_of


@contextmanager
def guarded(function: Callable[..., Any]) -> Iterator[None]:
    """While it lasts, such a call raises an error."""
    module = module_of(function)
    cells = [] if module is None else [part for part in module.modules() if isinstance(part, nn.LSTMCell)]
    handles = [cell.register_forward_pre_hook(_check, with_kwargs=True) for cell in cells]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given, state = [*args, *kwargs.values(), None, None][:2]
    parts = state if isinstance(state, tuple | list) else ()
    if isinstance(given, Tensor) and any(isinstance(part, Tensor) and part.ndim != given.ndim for part in parts):
        raise ValueError("an LSTMCell is given a batch of states and one row of input")

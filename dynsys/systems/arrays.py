"""NumPy arrays in, NumPy arrays out: what people call of a system takes what they have at hand.

The engine hands over tensors, states (B, n_state) with inputs (B, n_input), and they go through untouched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Method = TypeVar("Method", bound=Callable[..., Any])

TAKEN = ("velocity", "jacobian", "input_jacobian", "readout")  # the methods that take arrays as well


def takes_arrays(method: Method) -> Method:
    """``method(x, u)`` for arrays too: x (B, n_state) or one state (n_state,), u (B, n_input), (n_input,) or left out,
    for zeros; the answer is an array with as many states."""

    @functools.wraps(method)
    def called(self: Any, x: Any, *u: Any, **named: Any) -> Any:
        if isinstance(x, Tensor):
            return method(self, x, *u, **named)
        states = _rows(x, self.n_state, "x", "state variables", self.name)
        held = (*u, *named.values())
        found = (
            method(self, states) if method.__name__ == "readout" else method(self, states, _held(self, states, held))
        )
        rows = found.detach().cpu().numpy()
        return rows if np.ndim(x) > 1 else rows[0]

    return called  # type: ignore[return-value]


def _held(system: Any, x: Tensor, given: tuple[Any, ...]) -> Tensor:
    if not given or given[0] is None:
        return x.new_zeros(len(x), system.n_input)
    u = given[0] if isinstance(given[0], Tensor) else _rows(given[0], system.n_input, "u", "inputs", system.name)
    if len(u) not in (1, len(x)):
        raise ValueError(f"u has {len(u)} rows and x {len(x)}; give one input, or one for every state")
    return u.expand(len(x), -1)


def _rows(values: Any, width: int, name: str, what: str, system: str) -> Tensor:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] != width:
        raise ValueError(
            f"{name} has shape {array.shape}; {system} has {width} {what}: give (B, {width}) or ({width},)"
        )
    return torch.as_tensor(np.atleast_2d(array))
